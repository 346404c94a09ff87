//! Gets ministack to listen on a port of the loopback interface, and tells what is in the way.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::log;
use super::process::{self, Access, Process};

/// How long ministack may take to listen. It takes a second; with a cold disk several.
const START: Duration = Duration::from_mins(1);

const PAUSE: Duration = Duration::from_millis(50);

/// How each local cloud's edition begins, which ministack tells in its health.
const EDITION: &str = "smile-dev-";

/// A free port can be taken between looking and listening.
const PORT_TRIES: usize = 5;

/// Starts ministack and waits until it listens.
pub(super) async fn start(python: &Path, dir: &Path, port: u16) -> anyhow::Result<(Process, Access)> {
    for _ in 0..PORT_TRIES {
        let access = Access {
            port: if port == 0 { free_port()? } else { port },
            region: "us-east-1",
            key_id: "smile-dev",
            secret_key: fresh_key()?,
            edition: format!("{EDITION}{}", fresh_key()?),
        };
        let mut process = Process::spawn(python, dir, &access)?;
        let since = Instant::now();
        loop {
            if process.ended().is_some() {
                let is_taken = TcpListener::bind((Ipv4Addr::LOCALHOST, access.port)).is_err();
                if port == 0 && is_taken {
                    break;
                }
                return Err(process::ended_by_itself(dir));
            }
            if is_ready(&access).await {
                return Ok((process, access));
            }
            if since.elapsed() > START {
                bail!(
                    "the local cloud does not listen after {} s; its log ends so:\n{}",
                    START.as_secs(),
                    log::tail(&process::log_path(dir))
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    bail!("no free port was found: give one with --port")
}

/// Looks before the work is done, so that the complaint comes at once.
pub(super) fn refuse_taken(port: u16) -> anyhow::Result<()> {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
        return Ok(());
    }
    let by = match health(port) {
        Some(health) if health.contains(EDITION) => "another local cloud of smile dev, in another directory",
        Some(health) if health.contains("iot_mtls") => "another ministack",
        _ => "another program",
    };
    bail!("port {port} is taken by {by}: end that, or choose another one with --port, 0 for any")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn fresh_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Whether it answers, and is the one that we started.
async fn is_ready(access: &Access) -> bool {
    let port = access.port;
    let health = tokio::task::spawn_blocking(move || health(port)).await.ok().flatten();
    health.is_some_and(|health| health.contains(&access.edition))
}

/// What a ministack on this port says of itself.
fn health(port: u16) -> Option<String> {
    let url = format!("http://127.0.0.1:{port}/_ministack/health");
    agent(Duration::from_secs(1)).get(url).call().ok()?.body_mut().read_to_string().ok()
}

/// A client that knows no proxy: one of the environment would not find this machine's ports.
pub(super) fn agent(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(patience)).proxy(None).build().new_agent()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Whether it becomes true. A process that another test starts holds a port that was just freed until it runs its
    /// own program.
    pub(crate) fn soon(mut is: impl FnMut() -> bool) -> bool {
        let since = Instant::now();
        while !is() {
            if since.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    #[test]
    fn a_taken_port_is_told_before_the_work() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Answers the question who it is with silence.
        let error = refuse_taken(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("another program"), "{error}");
        drop(listener);
        assert!(soon(|| refuse_taken(port).is_ok()));
    }

    #[test]
    fn keys_differ() {
        assert_eq!(fresh_key().unwrap().len(), 32);
        assert_ne!(fresh_key().unwrap(), fresh_key().unwrap());
    }
}
