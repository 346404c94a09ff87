//! Builds the functions for this machine, as the local cloud runs them: natively. Or takes what SAM has
//! built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::{environment, log};
use crate::template::Function;
use crate::ui::{Progress, Step};
use crate::workspace::Workspace;

/// Builds them, and gives each one's binary.
pub(super) async fn build(
    workspace: &Workspace,
    functions: &[Function],
    progress: Progress,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    if functions.is_empty() {
        // Without packages to build, cargo would build them all.
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = functions.iter().map(|function| function.binary.as_str()).collect();
    let list = names.join(", ");
    let mut step = progress.step(&format!("Building the functions: {list}"));
    let mut cargo = Command::from(environment::cargo(workspace));
    cargo.args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    // Without --package: cargo then chooses the features of dependencies for the whole workspace, and
    // what was built for another member need not be built again.
    for name in names {
        cargo.args(["--bin", name]);
    }
    if progress == Progress::Terminal {
        // Cargo writes to a pipe here, and would show neither.
        let (_, width) = console::Term::stderr().size();
        cargo.args(["--color", if console::colors_enabled_stderr() { "always" } else { "never" }]);
        cargo.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", width.to_string());
    }
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cargo could not be run: is it on the PATH?")?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("cargo's output could not be read");
    };
    let (binaries, said) = tokio::join!(binaries(stdout), show(stderr, progress, &mut step));
    if !child.wait().await?.success() {
        match progress {
            Progress::Silent => bail!("the functions could not be built:\n{}", log::indented(&said)),
            _ => bail!("the functions could not be built: cargo says above why"),
        }
    }
    let binaries = binaries?;
    if let Some(function) = functions.iter().find(|function| !binaries.contains_key(&function.binary)) {
        bail!(
            "cargo built no binary {} for {}: does the package have one of that name?",
            function.binary,
            function.resource
        );
    }
    let what = if said.contains("Compiling ") { "built" } else { "up to date" };
    step.done(&format!("Functions are {what}: {list}"));
    Ok(binaries)
}

/// Takes each one's binary from the folder that cargo has filled.
pub(super) fn by_cargo(folder: &Path, functions: &[Function]) -> BTreeMap<String, PathBuf> {
    functions.iter().map(|function| (function.binary.clone(), folder.join(&function.binary))).collect()
}

/// Takes each one's binary from the folder that `sam build` has filled. Whether it is of today's source,
/// whoever names the folder knows.
pub(super) fn by_sam(folder: &Path, functions: &[Function]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let folder = folder.canonicalize().with_context(|| format!("{} is not there", folder.display()))?;
    let binary = |function: &Function| {
        let path = function.artefact(&folder);
        if !path.is_file() {
            bail!("{} is not there: run sam build first", path.display());
        }
        Ok((function.binary.clone(), path))
    };
    functions.iter().map(binary).collect()
}

/// Reads cargo's messages: the path of each binary.
async fn binaries(stdout: impl AsyncRead + Unpin) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let mut lines = BufReader::new(stdout).lines();
    let mut binaries = BTreeMap::new();
    while let Some(line) = lines.next_line().await? {
        if let Ok(Artifact { target, executable: Some(path) }) = serde_json::from_str(&line) {
            binaries.insert(target.name, path);
        }
    }
    Ok(binaries)
}

/// Passes on what cargo says as it comes, its progress bar included. Its last line, that it has
/// finished, is left out: ours says it.
async fn show(mut stderr: impl AsyncRead + Unpin, progress: Progress, step: &mut Step) -> String {
    let mut said = String::new();
    let mut piece = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        for byte in &chunk[..read] {
            piece.push(*byte);
            if matches!(byte, b'\n' | b'\r') {
                pass_on(&std::mem::take(&mut piece), progress, step, &mut said);
            }
        }
    }
    pass_on(&piece, progress, step, &mut said);
    said
}

fn pass_on(piece: &[u8], progress: Progress, step: &mut Step, said: &mut String) {
    let text = String::from_utf8_lossy(piece);
    let plain = console::strip_ansi_codes(&text);
    if plain.trim_start().starts_with("Finished ") {
        return;
    }
    said.push_str(&plain);
    if progress != Progress::Silent && !(plain.trim().is_empty() && step.is_running()) {
        step.pause();
        let _ = std::io::Write::write_all(&mut std::io::stderr(), piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finds_the_binaries_in_cargo_s_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"webhook","kind":["bin"]},"executable":"/t/webhook"}"#,
            "\nnot JSON\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = binaries(messages.as_bytes()).await.unwrap();
        assert_eq!(found, BTreeMap::from([("webhook".to_owned(), PathBuf::from("/t/webhook"))]));
    }

    #[test]
    fn takes_what_sam_has_built_or_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let function = |name: &str| Function { resource: format!("{name}Function"), binary: name.to_owned() };
        let path = folder.path().join("aFunction/bootstrap");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        let found = by_sam(folder.path(), &[function("a")]).unwrap();
        assert_eq!(found, BTreeMap::from([("a".to_owned(), path.canonicalize().unwrap())]));
        let error = by_sam(folder.path(), &[function("a"), function("b")]).unwrap_err().to_string();
        assert!(error.ends_with("bFunction/bootstrap is not there: run sam build first"), "{error}");
        assert!(by_sam(&folder.path().join("nowhere"), &[]).is_err());
    }

    #[tokio::test]
    async fn keeps_what_cargo_says_but_for_its_last_line() {
        let cargo = "   \u{1b}[1mCompiling\u{1b}[0m webhook\nerror: no\r    Finished `dev` profile in 0.2s\n";
        let mut step = Progress::Silent.step("");
        let said = show(cargo.as_bytes(), Progress::Silent, &mut step).await;
        assert_eq!(said, "   Compiling webhook\nerror: no\r");
    }
}
