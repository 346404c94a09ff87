//! Ctrl-C, for commands that end in good order: what was received is given back, what was begun is completed.

use std::io::Write;
use std::ops::ControlFlow;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ui::say;

/// Whether somebody has pressed Ctrl-C.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. Who presses it a second time does not wait any longer.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let pressed = interrupt.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            pressed.0.store(true, Ordering::Relaxed);
            say("stopping after what has begun; once more stops at once");
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = std::io::stdout().flush();
                exit(130);
            }
        });
        interrupt
    }

    /// Whether to go on.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
