//! The Python environment of the local cloud: `target/venv`, with exactly the pinned packages.
//!
//! A stamp in it holds the pins that were installed; as long as it equals the file, nothing is done. A
//! mark stands there while an install runs; one that was interrupted leaves it, and the next install
//! starts from nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::log;
use crate::ui::Progress;
use crate::workspace::Workspace;

/// ministack's own minimum.
const MINIMUM: (u32, u32) = (3, 10);

/// Makes sure that the environment is there; gives its Python.
pub(super) async fn prepare(
    workspace: &Workspace,
    dir: &Path,
    progress: Progress,
) -> anyhow::Result<PathBuf> {
    let pins = workspace.pins();
    let pins =
        std::fs::read_to_string(&pins).with_context(|| format!("{} cannot be read", pins.display()))?;
    let venv = Venv { root: workspace.venv() };
    let step = progress.step("Looking at the Python packages");
    std::fs::create_dir_all(workspace.root().join("target"))?;
    // Two at once would disturb each other; waiting must not hold up the runtime, where both may run.
    let lock =
        File::create(venv.root.with_extension("lock")).context("target/venv.lock cannot be written")?;
    let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if venv.is_at(&pins) {
        // Not worth a line.
        drop(step);
        return Ok(venv.python());
    }
    let python = find().await?;
    step.note(format!("Installing Python packages into {}", venv.root.display()));
    venv.install(&python, workspace, &pins, &dir.join("pip.log")).await?;
    step.done("Python packages are installed into target/venv");
    Ok(venv.python())
}

struct Venv {
    root: PathBuf,
}

impl Venv {
    fn python(&self) -> PathBuf {
        self.root.join("bin/python")
    }

    fn stamp(&self) -> PathBuf {
        self.root.join("smile-pins.txt")
    }

    fn mark(&self) -> PathBuf {
        self.root.join("smile-installing")
    }

    /// Whether these very pins are installed. A Python that was removed since leaves a dead link.
    fn is_at(&self, pins: &str) -> bool {
        !self.mark().exists()
            && self.python().exists()
            && std::fs::read_to_string(self.stamp()).is_ok_and(|stamp| stamp == pins)
    }

    async fn install(
        &self,
        python: &str,
        workspace: &Workspace,
        pins: &str,
        log: &Path,
    ) -> anyhow::Result<()> {
        let mut make = Command::new(python);
        make.args(["-m", "venv"]);
        if self.mark().exists() || !self.python().exists() {
            make.arg("--clear");
        }
        run(make.arg(&self.root), log, "the Python environment could not be made").await?;
        std::fs::write(self.mark(), "")?;
        let mut pip = Command::new(self.python());
        // The pins are the whole tree, so that there is nothing to resolve. Most modules are never used:
        // those that are get compiled then.
        pip.args([
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-compile",
            "--no-input",
            "--disable-pip-version-check",
        ]);
        pip.args(["--progress-bar", "off", "--requirement"]).arg(workspace.pins());
        run(&mut pip, log, "the Python packages could not be installed").await?;
        std::fs::write(self.stamp(), pins)?;
        std::fs::remove_file(self.mark())?;
        std::fs::remove_file(log)?;
        Ok(())
    }
}

async fn run(command: &mut Command, log: &Path, complaint: &str) -> anyhow::Result<()> {
    let Output { status, stdout, stderr } =
        command.kill_on_drop(true).output().await.with_context(|| complaint.to_owned())?;
    let text = [stdout, stderr].concat();
    std::fs::write(log, &text)?;
    if !status.success() {
        bail!(
            "{complaint}; all of it is in {}:\n{}",
            log.display(),
            log::indented(&String::from_utf8_lossy(&text))
        );
    }
    Ok(())
}

/// A Python that is new enough: `python3` if it is, else a versioned name.
async fn find() -> anyhow::Result<String> {
    let mut seen = Vec::new();
    let versioned = (MINIMUM.1..=14).rev().map(|minor| format!("python3.{minor}"));
    for name in std::iter::once("python3".to_owned()).chain(versioned).chain(["python".to_owned()]) {
        let answer = Command::new(&name).arg("--version").kill_on_drop(true).output().await;
        let Some(version) =
            answer.ok().filter(|answer| answer.status.success()).and_then(|a| version(&a.stdout))
        else {
            continue;
        };
        if version >= MINIMUM {
            return Ok(name);
        }
        seen.push(format!("{name} is {}.{}", version.0, version.1));
    }
    let found = if seen.is_empty() { "none was found".to_owned() } else { seen.join(", ") };
    bail!(
        "the local cloud needs Python {}.{} or newer, and {found}: install one and have it on the PATH as python3",
        MINIMUM.0,
        MINIMUM.1
    )
}

/// Reads `Python 3.11.7`.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.trim().strip_prefix("Python ")?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(version(b"Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(version(b"Python 3.14.0rc1\n"), Some((3, 14)));
        assert_eq!(version(b"pyenv: no such version\n"), None);
        assert!(version(b"Python 3.9.18").unwrap() < MINIMUM && version(b"Python 2.7.18").unwrap() < MINIMUM);
    }

    #[test]
    fn only_a_finished_install_of_the_same_pins_counts() {
        let dir = tempfile::tempdir().unwrap();
        let venv = Venv { root: dir.path().to_owned() };
        assert!(!venv.is_at("a==1"));
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::fs::write(venv.python(), "").unwrap();
        std::fs::write(venv.stamp(), "a==1").unwrap();
        assert!(venv.is_at("a==1") && !venv.is_at("a==2"));
        std::fs::write(venv.mark(), "").unwrap();
        assert!(!venv.is_at("a==1"), "an interrupted install");
    }

    #[test]
    fn every_package_is_pinned_to_one_version() {
        let pins = include_str!("../../local-cloud.txt");
        let pins: Vec<&str> = pins.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(pins.iter().any(|pin| pin.starts_with("ministack==")));
        for pin in pins {
            let (name, version) = pin.split(';').next().unwrap().trim().split_once("==").unwrap();
            assert!(!name.is_empty() && version.starts_with(|first: char| first.is_ascii_digit()), "{pin}");
            assert!(!version.contains('*'), "{pin}");
        }
    }
}
