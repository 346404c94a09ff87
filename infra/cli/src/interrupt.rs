//! Ctrl-C, and the signals that stand for it, for commands that end in good order: what was received is given back,
//! what was begun is completed, and it is said where to go on.
//!
//! A terminal that is closed sends SIGHUP, whoever ends a process or a machine SIGTERM: each is taken as the first
//! Ctrl-C. Shells pass SIGHUP on, so that it can come twice: it never stops at once.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::pin::pin;
use std::process::exit;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ui::say;

/// Whether somebody has pressed Ctrl-C.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on. Who presses it a second time does not wait any longer.
    pub fn listen() -> Self {
        let (tell, pressed) = watch::channel(false);
        // Here, not in the task, which begins later.
        let signals = Signals::listen();
        tokio::spawn(async move {
            let Ok(mut signals) = signals else { return };
            signals.first().await;
            tell.send_replace(true);
            say("stopping after what has begun; once more stops at once");
            signals.second().await;
            let _ = std::io::stdout().flush();
            exit(130);
        });
        Self(pressed)
    }

    /// Whether to go on.
    pub fn flow(&self) -> ControlFlow<()> {
        if *self.0.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Waits until somebody presses it.
    pub async fn pressed(&self) {
        // When signals cannot be received nobody will tell.
        if self.0.clone().wait_for(|pressed| *pressed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How often somebody who waits asks whether to go on.
const HEEDED_EVERY: Duration = Duration::from_millis(250);

/// Waits for something, and asks meanwhile whether to go on: none, when not. What is waited for is dropped then.
pub async fn heeding<T>(
    work: impl Future<Output = T>,
    heard: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        match timeout(HEEDED_EVERY, work.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if heard().is_break() => return None,
            Err(_) => {}
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None: it was started to outlive its terminal, as by `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let hangup = (!is_to_outlive()).then(|| signal(SignalKind::hangup())).transpose()?;
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    async fn first(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }

    async fn second(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether SIGHUP was switched off by whoever started this: to listen would switch it on again.
fn is_to_outlive() -> bool {
    match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => ignores_hangup(&status),
        // No Linux. `nohup` leaves no output to a terminal.
        Err(_) => !std::io::stderr().is_terminal(),
    }
}

/// What Linux tells of a process: a bit for each signal, in hex (proc(5)).
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_outlive_its_terminal_does() {
        let status =
            |mask: &str| format!("Name:\tsmile\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hangup(&status("0000000000000001")) && ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")) && !ignores_hangup(""));
    }

    #[tokio::test]
    async fn who_waits_can_be_told_to_stop() {
        let mut asked = 0;
        let mut after = |times: u32| {
            asked += 1;
            if asked >= times { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let minute = tokio::time::sleep(Duration::from_mins(1));
        assert_eq!(heeding(minute, &mut || after(3)).await, None);
        assert_eq!(asked, 3);
        let a_while = tokio::time::sleep(2 * HEEDED_EVERY);
        assert_eq!(heeding(a_while, &mut || ControlFlow::Continue(())).await, Some(()));
        assert_eq!(heeding(async { 7 }, &mut || ControlFlow::Break(())).await, Some(7), "it was there");
    }
}
