//! What `smile dev` takes from the environment: the one place of this command that reads it.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::workspace::Workspace;

/// What ministack and the functions that it runs get. Nothing else: real credentials or a profile must
/// not reach them, nor a proxy that would come between a function and this machine's ports.
const PASSED_ON: [&str; 7] =
    ["PATH", "LANG", "LC_ALL", "TZ", "RUST_LOG", "RUST_BACKTRACE", "LD_LIBRARY_PATH"];

/// The part of this process's environment that the local cloud may see.
pub(super) fn passed_on() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| PASSED_ON.iter().any(|passed| OsStr::new(passed) == name))
}

/// A cargo in the project's root: the one that runs us, or the one on the path. It does not see the variables that cargo sets
/// for a program that it runs: it would take them for changes, and build `ring` and all that depends on it again.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace.root());
    for name in set_by_cargo() {
        cargo.env_remove(name);
    }
    cargo
}

fn set_by_cargo() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_"];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            || matches!(
                name.as_ref(),
                "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR" | "RUST_RECURSION_COUNT"
            )
    })
}

/// How this command was called, for the examples that are shown: through cargo's alias or by itself.
pub(super) fn command_name() -> &'static str {
    if variable("CARGO").is_some() { "cargo smile" } else { "smile" }
}

#[expect(clippy::disallowed_methods, reason = "this command's one reader of the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
