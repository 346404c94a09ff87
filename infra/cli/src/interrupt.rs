//! Ctrl-C, for commands that end in good order: what was received is given back, what was begun is completed.

use std::io::Write;
use std::ops::ControlFlow;
use std::process::exit;

use tokio::sync::watch;

use crate::ui::say;

/// Whether somebody has pressed Ctrl-C.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on. Who presses it a second time does not wait any longer.
    pub fn listen() -> Self {
        let (tell, pressed) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            tell.send_replace(true);
            say("stopping after what has begun; once more stops at once");
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = std::io::stdout().flush();
                exit(130);
            }
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
