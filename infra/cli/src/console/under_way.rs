//! What is under way and must not be cut off: acts, and looks that hide letters until they give them back. When the
//! console ends, it tells them to stop, and waits until they have.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;

/// Counts what is under way.
#[derive(Default)]
pub(super) struct UnderWay {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    is_ending: bool,
}

/// One thing that is under way, until this is dropped.
pub(super) struct Going(Arc<UnderWay>);

impl UnderWay {
    /// Begins something; an error, when the console ends.
    pub(super) fn begin(self: &Arc<Self>) -> anyhow::Result<Going> {
        let mut state = self.state();
        if state.is_ending {
            bail!("nothing was begun: the console ends");
        }
        state.count += 1;
        Ok(Going(Arc::clone(self)))
    }

    /// Tells everything to stop, and waits until it has, at most this long.
    pub(super) fn end(&self, patience: Duration) {
        let mut state = self.state();
        state.is_ending = true;
        // Whoever has not stopped by then does not: there is nothing to be done about it.
        let _ = self.ended.wait_timeout_while(state, patience, |state| state.count > 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Going {
    /// Whether to go on.
    pub(super) fn flow(&self) -> ControlFlow<()> {
        if self.0.state().is_ending { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.state().count -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn what_is_under_way_is_told_to_stop_and_waited_for() {
        let (all, has_stopped) = (Arc::new(UnderWay::default()), AtomicBool::new(false));
        let going = all.begin().unwrap();
        assert!(going.flow().is_continue());
        thread::scope(|scope| {
            scope.spawn(|| {
                while going.flow().is_continue() {
                    thread::yield_now();
                }
                has_stopped.store(true, Ordering::SeqCst);
                drop(going);
            });
            all.end(Duration::from_mins(1));
            assert!(has_stopped.load(Ordering::SeqCst));
        });
        assert!(all.begin().is_err(), "nothing begins any more");
    }

    #[test]
    fn nobody_is_waited_for_in_vain() {
        let all = Arc::new(UnderWay::default());
        let _going = all.begin().unwrap();
        all.end(Duration::from_millis(1));
    }
}
