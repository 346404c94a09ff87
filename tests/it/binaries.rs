//! The programs that tests run as processes: the functions, the `smile` command and the example's function.
//!
//! Cargo builds them once per run, before the first test that needs one, with the features that it has built the tests
//! with. So it builds no dependency for them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use smile_cli::dev::{Binaries, cargo};
use smile_cli::template;
use smile_cli::ui::say;
use smile_cli::workspace::Workspace;

use crate::support::{it_dir, template};

/// The folder that `sam build` has filled, when its artefacts are to be tested and not what cargo builds:
/// the variable `SMILE_TEST_BUILT`, from the project's root on.
#[expect(clippy::disallowed_methods, reason = "the tests' own variable")]
fn of_sam() -> Option<PathBuf> {
    std::env::var_os("SMILE_TEST_BUILT").map(|folder| it_dir().join("../..").join(folder))
}

/// Whether the functions are those that SAM has built.
pub(crate) fn are_of_sam() -> bool {
    of_sam().is_some()
}

/// Builds all programs, and returns the folder that they are in.
fn of_cargo() -> &'static Path {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let functions = template::functions(template()).into_iter().map(|function| function.binary);
        let others = ["smile", "example-task-finished"].map(str::to_owned);
        say("Building the programs that tests run as processes; the first time takes up to a minute");
        let mut build = cargo(&Workspace::find().unwrap());
        build.args(["build", "--locked"]);
        build.args(functions.chain(others).flat_map(|name| ["--bin".to_owned(), name]));
        // Set to have the time of each test (see main.rs); cargo would build all dependencies again for it.
        build.env_remove("RUSTC_BOOTSTRAP");
        // target/debug/deps/it-…
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        build.status().unwrap().success().then_some(folder)
    });
    folder.as_ref().expect("cargo says above why the programs could not be built")
}

/// The `smile` command, or the example's function.
pub(crate) fn program(name: &str) -> PathBuf {
    of_cargo().join(name)
}

/// A function of the receiver, of SAM's build or of cargo's.
pub(crate) fn function(name: &str) -> PathBuf {
    let Some(folder) = of_sam() else { return program(name) };
    let function = template::functions(template()).into_iter().find(|function| function.binary == name);
    function.unwrap().artefact(&folder)
}

/// The functions, for a local cloud.
pub(crate) fn functions() -> Binaries {
    match of_sam() {
        Some(folder) => Binaries::OfSam(folder),
        None => Binaries::OfCargo(of_cargo().to_owned()),
    }
}
