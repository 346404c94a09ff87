//! The local cloud's process: ministack, and the functions that it runs, in one process group; with them
//! what is played beside a cloud that is left running.
//!
//! Whatever happens, nothing is left behind. An orderly end kills the group and deletes its files. If
//! we are killed ourselves, the launcher notices the end of its standard input and does the same. If
//! both are killed, the next start does it ([`clean_up`]).

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{environment, log};
use crate::stack::Stack;

const LAUNCHER: &str = include_str!("launcher.py");

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running local cloud. Ends with this value, unless it is let go.
pub(super) struct Process {
    child: Child,
    dir: PathBuf,
    let_go: bool,
}

/// How the local cloud is reached.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) port: u16,
    pub(super) region: &'static str,
    pub(super) key_id: &'static str,
    /// New for each local cloud. Web pages can reach this machine's ports, and would know a fixed one.
    pub(super) secret_key: String,
    /// What it calls itself, so that it is not taken for another one on the same port.
    pub(super) edition: String,
}

impl Access {
    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The local cloud's log, begun anew.
fn log(dir: &Path) -> anyhow::Result<File> {
    File::create(log_path(dir)).context("the local cloud's log cannot be written")?;
    log_to_append(dir)
}

/// The log for one of those who write to it, each at its end.
pub(super) fn log_to_append(dir: &Path) -> anyhow::Result<File> {
    let log = std::fs::OpenOptions::new().append(true).open(log_path(dir));
    log.context("the local cloud's log cannot be written")
}

/// The local cloud's log.
pub(super) fn log_path(dir: &Path) -> PathBuf {
    dir.join("local-cloud.log")
}

impl Process {
    /// Starts ministack. `dir` is absolute and belongs to this local cloud alone.
    pub(super) fn spawn(python: &Path, dir: &Path, access: &Access) -> anyhow::Result<Self> {
        let temporary = temporary(dir);
        std::fs::create_dir_all(&temporary)?;
        std::fs::write(launcher(dir), LAUNCHER)?;
        let log = log(dir)?;
        let mut command = Command::new(python);
        command
            // Isolated from the user's Python settings, and unbuffered for the log.
            .args(["-I", "-u"])
            .arg(launcher(dir))
            .env_clear()
            .envs(environment::passed_on())
            .env("AUTH", "true")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", access.port.to_string())
            .env("AWS_ENDPOINT_URL", access.endpoint())
            .env("AWS_ACCESS_KEY_ID", access.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &access.secret_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("MINISTACK_EDITION", &access.edition)
            .env("LAMBDA_EXECUTOR", "local")
            // Listeners on fixed ports, which two local clouds would fight for.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // It would remove containers of others.
            .env("DOCKER_HOST", "unix:///nonexistent");
        for region in ["AWS_REGION", "AWS_DEFAULT_REGION", "MINISTACK_REGION"] {
            command.env(region, access.region);
        }
        for directory in ["HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"] {
            command.env(directory, &temporary);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // So that Ctrl-C reaches us first, and one signal reaches all of it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} could not be run", python.display()))?;
        Ok(Self { child, dir: dir.to_owned(), let_go: false })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Lets it run on, on its own.
    pub(super) fn let_go(mut self) -> anyhow::Result<()> {
        if let Some(lifeline) = self.child.stdin.as_mut() {
            lifeline.write_all(b"d").context("the local cloud has ended by itself")?;
        }
        self.let_go = true;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.let_go {
            remove_stack(&self.dir);
            kill_group(self.child.id());
            // Without this it would stay as a zombie for as long as we run.
            let _ = self.child.wait();
            remove_files(&self.dir);
        }
    }
}

/// What to say when it is gone and nobody asked for that.
pub(super) fn ended_by_itself(dir: &Path) -> anyhow::Error {
    let path = log_path(dir);
    anyhow::anyhow!("the local cloud ended by itself; {} ends so:\n{}", path.display(), log::tail(&path))
}

/// Ends a local cloud that runs on its own, or in another terminal. Tells whether there was one.
pub(super) fn end(stack: &Stack, dir: &Path) -> anyhow::Result<bool> {
    // First of all, so that its owner knows why it ended.
    remove_stack(dir);
    // The one outlives the other by a moment, and the group lives as long as one of them.
    let is_there =
        || is_local_cloud(stack.pid, dir) || stack.beside_pid.is_some_and(|pid| is_beside_it(pid, dir));
    let was_there = is_there();
    if was_there {
        kill_group(stack.pid);
        let mut waited = Duration::ZERO;
        while is_there() {
            if waited > PATIENCE {
                bail!("the local cloud (process {}) does not end: kill it by hand", stack.pid);
            }
            std::thread::sleep(Duration::from_millis(20));
            waited += Duration::from_millis(20);
        }
    }
    remove_files(dir);
    Ok(was_there)
}

/// Keeps others from starting one in this directory until this is dropped. Once it is ready, its
/// `stack.json` does.
pub(super) fn lock(dir: &Path) -> anyhow::Result<File> {
    let lock =
        File::create(dir.join("lock")).with_context(|| format!("{} cannot be written to", dir.display()))?;
    if lock.try_lock().is_err() {
        bail!(
            "another local cloud is being started in {}: wait for it, or give another --dir",
            dir.display()
        );
    }
    Ok(lock)
}

/// Removes what an earlier local cloud in this directory left behind. Refuses when it is in use.
pub(super) fn clean_up(dir: &Path) -> anyhow::Result<()> {
    // One that cannot be read belongs to nothing that could be checked.
    if let Ok(Some(stack)) = Stack::read(dir) {
        if is_local_cloud(stack.pid, dir) && stack.owner.is_none_or(is_running) {
            bail!(
                "a local cloud runs here already (process {}, {}): use it, or end it with {} dev stop",
                stack.pid,
                stack.aws_endpoint,
                environment::command_name()
            );
        }
        end(&stack, dir)?;
    }
    remove_stack(dir);
    remove_files(dir);
    Ok(())
}

/// Whether this process is the launcher of this directory: ids are used again, and the file may be old.
pub(super) fn is_local_cloud(pid: u32, dir: &Path) -> bool {
    command_line(pid).is_some_and(|line| line.contains(&*launcher(dir).to_string_lossy()))
}

/// Whether this process plays beside the local cloud of this directory.
fn is_beside_it(pid: u32, dir: &Path) -> bool {
    let dir = dir.to_string_lossy();
    command_line(pid).is_some_and(|line| line.contains("dev beside") && line.trim_end().ends_with(&*dir))
}

fn is_running(pid: u32) -> bool {
    command_line(pid).is_some_and(|line| !line.is_empty())
}

/// A process's command line; empty for one that has ended and was not waited for yet.
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let answer = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// All that the local cloud holds is in memory and meant to go: there is nothing to wait for.
fn kill_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn launcher(dir: &Path) -> PathBuf {
    dir.join("local-cloud.py")
}

fn temporary(dir: &Path) -> PathBuf {
    dir.join("tmp")
}

fn remove_stack(dir: &Path) {
    let _ = std::fs::remove_file(Stack::path(dir));
}

fn remove_files(dir: &Path) {
    let _ = std::fs::remove_file(launcher(dir));
    let _ = std::fs::remove_dir_all(temporary(dir));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::a_stack;

    /// A process whose command line looks like the launcher's.
    fn pretender(dir: &Path) -> Child {
        std::fs::write(launcher(dir), "sleep 30").unwrap();
        let child = Command::new("sh").arg(launcher(dir)).process_group(0).spawn().unwrap();
        let since = std::time::Instant::now();
        // A process that was started this moment has no command line yet.
        while !is_local_cloud(child.id(), dir) {
            assert!(since.elapsed() < PATIENCE, "it has no command line");
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    }

    #[test]
    fn knows_its_own_process_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = pretender(dir.path());
        assert!(is_local_cloud(child.id(), dir.path()));
        assert!(!is_local_cloud(child.id(), Path::new("/elsewhere")));
        assert!(!is_local_cloud(std::process::id(), dir.path()));
        kill_group(child.id());
        child.wait().unwrap();
        assert!(!is_local_cloud(child.id(), dir.path()));
    }

    #[test]
    fn cleans_up_after_a_killed_owner_and_leaves_a_running_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = pretender(dir.path());
        let mut stack = a_stack();
        stack.pid = child.id();
        for owner in [None, Some(std::process::id())] {
            stack.owner = owner;
            stack.write(dir.path()).unwrap();
            let error = clean_up(dir.path()).unwrap_err().to_string();
            assert!(error.contains("runs here already"), "{error}");
        }
        std::fs::create_dir_all(temporary(dir.path()).join("x")).unwrap();
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        stack.owner = Some(gone.id());
        stack.write(dir.path()).unwrap();
        clean_up(dir.path()).unwrap();
        assert!(!child.wait().unwrap().success(), "it was killed");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn two_cannot_start_in_one_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(lock(dir.path()).unwrap_err().to_string().contains("being started"));
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn spares_a_stranger_under_an_old_number() {
        let dir = tempfile::tempdir().unwrap();
        let mut stranger = Command::new("sleep").arg("30").process_group(0).spawn().unwrap();
        let mut stack = a_stack();
        stack.pid = stranger.id();
        stack.write(dir.path()).unwrap();
        clean_up(dir.path()).unwrap();
        assert!(stranger.try_wait().unwrap().is_none(), "it still runs");
        assert_eq!(Stack::read(dir.path()).unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
