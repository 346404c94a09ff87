//! What runs beside the local cloud: Smile, played by `crate::simulate`, a customer's web site (`crate::site`), and
//! the console (`crate::console`).
//!
//! All belong to this process, as long as the cloud does. A cloud that is left running needs them after
//! we are gone: then they are a process of their own, `smile dev beside`, in the cloud's process group, so
//! that whatever ends the one ends the other. It is told of the stack on its standard input, when there is
//! one; it ends when that ends before, and when the local cloud has ended.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use shared::smile_api::{Credentials, SecretText};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::process::{self, Process};
use super::{environment, log};
use crate::console::{Console, Entrance};
use crate::loopback::{Door, origins};
use crate::operator::Deployed;
use crate::simulate::{self, Clock, DEFAULT_KEY, Simulator};
use crate::site::{self, Site};
use crate::stack::Stack;

/// What is played beside a local cloud, and by whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beside {
    /// Nothing: the stack registers nowhere.
    #[default]
    Nothing,
    /// Smile, a web site and a console, by this process.
    Here {
        /// The web site's port; 0 for any.
        site_port: u16,
        /// The console's port; 0 for any.
        console_port: u16,
    },
    /// The same, by a process of its own, which goes on when this one ends. For the `smile` command alone.
    Apart {
        /// The web site's port; 0 for any.
        site_port: u16,
        /// The console's port; 0 for any.
        console_port: u16,
    },
}

/// How long the process of its own may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it looks whether the local cloud is still there.
const PAUSE: Duration = Duration::from_millis(500);

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addresses {
    /// Smile's API.
    pub(super) smile: String,
    /// What tells the simulator what to do.
    control: String,
    /// The web site.
    site: String,
    /// The console, with its key.
    console: String,
}

/// What is played now. Ends with this value, unless it is let go.
pub(super) enum Playing {
    Nothing,
    Here(Box<Here>),
    Apart(Box<Apart>),
}

/// Smile, the web site and the console in this process.
pub(super) struct Here {
    // Before the simulator, which the site asks.
    open: Option<(Site, Console)>,
    doors: Option<(Door, Entrance)>,
    simulator: Arc<Simulator>,
    addresses: Addresses,
}

/// The same in a process of its own.
pub(super) struct Apart {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    addresses: Addresses,
    dir: PathBuf,
    let_go: bool,
}

impl Beside {
    /// Begins what this process plays; looks whether the rest can begin, before the work is done.
    pub(super) fn prepare(self) -> anyhow::Result<Option<Box<Here>>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Here { site_port, console_port } => {
                Ok(Some(Box::new(Here::start(site_port, console_port)?)))
            }
            Self::Apart { site_port, console_port } => doors(site_port, console_port).map(|_| None),
        }
    }

    /// Begins the rest, now that there is a process group to be in.
    pub(super) async fn play(
        self,
        here: Option<Box<Here>>,
        cloud: &Process,
        dir: &Path,
    ) -> anyhow::Result<Playing> {
        match (self, here) {
            (Self::Apart { site_port, console_port }, _) => {
                Ok(Playing::Apart(Box::new(Apart::spawn(site_port, console_port, cloud, dir).await?)))
            }
            (_, Some(here)) => Ok(Playing::Here(here)),
            (_, None) => Ok(Playing::Nothing),
        }
    }
}

/// Takes the ports: the stack must know the site's origins when it is deployed.
fn doors(site_port: u16, console_port: u16) -> anyhow::Result<(Door, Entrance)> {
    Ok((site::door(site_port)?, Entrance::open(console_port, "--console-port")?))
}

/// The simulator's key, for the stack.
pub(super) fn credentials() -> Credentials {
    Credentials { key: SecretText::new(DEFAULT_KEY), secret: SecretText::new(DEFAULT_KEY) }
}

impl Playing {
    pub(super) fn addresses(&self) -> Option<&Addresses> {
        match self {
            Self::Nothing => None,
            Self::Here(here) => Some(&here.addresses),
            Self::Apart(apart) => Some(&apart.addresses),
        }
    }

    /// Parameters that a template gets for it, as far as it has them.
    pub(super) fn parameters(&self, credentials_arn: Option<&str>) -> Vec<(&'static str, String)> {
        let Some((addresses, arn)) = self.addresses().zip(credentials_arn) else { return Vec::new() };
        vec![
            ("SmileCredentialsSecretArn", arn.to_owned()),
            ("SmileApiUrl", addresses.smile.clone()),
            ("CallbackOrigins", origins(&addresses.site).join(",")),
        ]
    }

    /// Opens web site and console, and notes in the stack what is where.
    pub(super) async fn open(&mut self, stack: &mut Stack) -> anyhow::Result<()> {
        let Some(Addresses { smile, control, site, console }) = self.addresses().cloned() else {
            return Ok(());
        };
        stack.smile_url = Some(smile);
        stack.simulator_url = Some(control);
        stack.site_url = Some(site);
        stack.console_url = Some(console);
        match self {
            Self::Nothing => Ok(()),
            Self::Here(here) => here.open(stack),
            Self::Apart(apart) => {
                stack.beside_pid = apart.child.id();
                apart.open(stack).await
            }
        }
    }

    /// The simulator, if this process plays it.
    pub(super) fn simulator(&self) -> Option<&Simulator> {
        match self {
            Self::Here(here) => Some(&here.simulator),
            _ => None,
        }
    }

    /// Lets it run on, on its own. What this process plays ends with it.
    pub(super) fn let_go(mut self) {
        if let Self::Apart(apart) = &mut self {
            apart.let_go = true;
        }
    }
}

impl Here {
    fn start(site_port: u16, console_port: u16) -> anyhow::Result<Self> {
        let doors = doors(site_port, console_port)?;
        let options =
            simulate::Options { credentials: credentials(), ..simulate::Options::new(Clock::of_system()) };
        let simulator = Arc::new(Simulator::start(options)?);
        let addresses = Addresses {
            smile: simulator.url(),
            control: simulator.control_url(),
            site: doors.0.url(),
            console: doors.1.url(),
        };
        Ok(Self { open: None, doors: Some(doors), simulator, addresses })
    }

    fn open(&mut self, stack: &Stack) -> anyhow::Result<()> {
        if let Some((door, entrance)) = self.doors.take() {
            let console = Console::start(entrance, Deployed::of_local(stack)?, stack.site_url.clone())?;
            self.open = Some((Site::start(door, Arc::clone(&self.simulator), stack)?, console));
        }
        Ok(())
    }
}

impl Apart {
    async fn spawn(site_port: u16, console_port: u16, cloud: &Process, dir: &Path) -> anyhow::Result<Self> {
        let program = this_program()?;
        let group = i32::try_from(cloud.pid()).context("the local cloud has no process group")?;
        let mut child = Command::new(&program)
            .arg0("smile")
            .args(["dev", "beside", "--site-port", &site_port.to_string()])
            // The directory comes last: by it the process is known.
            .args(["--console-port", &console_port.to_string(), "--dir"])
            .arg(dir)
            .env_clear()
            .envs(environment::passed_on())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(process::log_to_append(dir)?)
            .process_group(group)
            .spawn()
            .with_context(|| format!("{} could not be run", program.display()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the simulator cannot be talked to");
        };
        let mut lines = BufReader::new(stdout).lines();
        let told = next(&mut lines, dir).await?;
        let addresses = serde_json::from_str(&told).context("the simulator does not say where it is")?;
        Ok(Self { child, stdin, lines, addresses, dir: dir.to_owned(), let_go: false })
    }

    async fn open(&mut self, stack: &Stack) -> anyhow::Result<()> {
        let line = serde_json::to_string(stack)? + "\n";
        self.stdin.write_all(line.as_bytes()).await.context("the simulator has ended by itself")?;
        next(&mut self.lines, &self.dir).await.map(|_| ())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if !self.let_go {
            let _ = self.child.start_kill();
        }
    }
}

/// The program that runs, also when another build has taken its place meanwhile.
fn this_program() -> anyhow::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().context("this program does not know where it lies")
}

/// What the other process says next.
async fn next(lines: &mut Lines<BufReader<ChildStdout>>, dir: &Path) -> anyhow::Result<String> {
    if let Ok(Ok(Some(line))) = tokio::time::timeout(PATIENCE, lines.next_line()).await {
        return Ok(line);
    }
    let path = process::log_path(dir);
    bail!("the simulator does not work; {} ends so:\n{}", path.display(), log::tail(&path))
}

/// The other process: plays until the local cloud of this directory has ended.
pub(super) async fn run(site_port: u16, console_port: u16, dir: &Path) -> anyhow::Result<()> {
    let mut here = Here::start(site_port, console_port)?;
    tell(&serde_json::to_string(&here.addresses)?)?;
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next().transpose()).await??;
    // Whoever started us has given up, or was killed.
    let Some(line) = line else { return Ok(()) };
    let stack: Stack = serde_json::from_str(&line).context("that is no stack")?;
    here.open(&stack)?;
    tell("open")?;
    while process::is_local_cloud(stack.pid, dir) {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("nobody listens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::listen;

    #[test]
    fn a_taken_port_is_told_before_the_work() {
        let taken = site::door(0).unwrap();
        let (port, free) = (taken.port(), 0);
        for (site_port, console_port, option) in [(port, free, "--site-port"), (free, port, "--console-port")]
        {
            for beside in
                [Beside::Here { site_port, console_port }, Beside::Apart { site_port, console_port }]
            {
                let error = beside.prepare().err().unwrap().to_string();
                assert!(error.contains(option), "{error}");
            }
        }
        drop(taken);
        let beside = Beside::Apart { site_port: port, console_port: free };
        let is_free = || beside.prepare().is_ok_and(|here| here.is_none());
        assert!(listen::tests::soon(is_free), "and the port is free again");
        assert!(Beside::Nothing.prepare().unwrap().is_none());
    }
}
