//! `cargo smile`: what the alias in `.cargo/config.toml` shows while another cargo builds.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// A package with a program of the tool's name, and the project's aliases.
fn package(dir: &Path) {
    let aliases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cargo/config.toml");
    fs::create_dir_all(dir.join(".cargo")).unwrap();
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::copy(aliases, dir.join(".cargo/config.toml")).unwrap();
    fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"smile\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    fs::write(dir.join("src/main.rs"), "fn main() { println!(\"data\"); }\n").unwrap();
}

fn cargo(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(arguments)
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env_remove("RUSTFLAGS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn who_waits_for_another_cargo_is_told_and_stdout_is_the_tool_s_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    package(dir);
    assert!(cargo(dir, &["generate-lockfile", "--offline"]).status().unwrap().success());
    let output = cargo(dir, &["smile"]).output().unwrap();
    assert_eq!(output.stdout, b"data\n", "{}", String::from_utf8_lossy(&output.stderr));

    // Another cargo builds.
    let entries = fs::read_dir(dir.join("target/debug")).unwrap().map(|entry| entry.unwrap().path());
    let is_lock = |path: &Path| path.file_name().unwrap().to_string_lossy().ends_with("lock");
    let locks: Vec<File> = entries
        .filter(|path| is_lock(path))
        .map(|path| File::options().write(true).open(path).unwrap())
        .collect();
    assert!(!locks.is_empty());
    for lock in &locks {
        lock.lock().unwrap();
    }
    let mut waiting = cargo(dir, &["smile"]).spawn().unwrap();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("Blocking waiting for file lock"), "{line}");
    drop(locks);
    assert_eq!(waiting.wait_with_output().unwrap().stdout, b"data\n");
}
