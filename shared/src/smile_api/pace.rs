//! Time and chance, as a client needs them: a clock, waits, jitter, and the bucket of ten calls a second.

use std::time::{Duration, Instant};

/// Calls a second, half of what Smile allows one address: another program may share it.
pub const CALLS_A_SECOND: u32 = 10;

/// The wait before the second try; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait between two tries that Smile did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// A clock to measure with, a way to wait, and chance.
pub trait Pace: Send + Sync {
    /// How long it is since some fixed moment.
    fn now(&self) -> Duration;
    /// Waits.
    fn wait(&self, time: Duration);
    /// Anything from 0 up to 1.
    fn chance(&self) -> f64;
}

/// The machine's own clock and chance.
#[derive(Debug, Clone, Copy)]
pub struct SystemPace {
    start: Instant,
}

impl SystemPace {
    /// Begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Pace for SystemPace {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}

/// A bucket that holds one token and gets the next a tenth of a second later. One that held more would
/// let nearly twice the rate through in its first second.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    next: Duration,
}

impl Bucket {
    /// Takes the next token and says how long to wait until it is there.
    pub(super) fn take(&mut self, now: Duration) -> Duration {
        let at = self.next.max(now);
        self.next = at + Duration::from_secs(1) / CALLS_A_SECOND;
        at.saturating_sub(now)
    }
}

/// How long to wait after so many tries: half of it fixed, half of it chance, so that callers that failed
/// together do not come back together.
pub(super) fn backoff(tries: u32, chance: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_ten() {
        let mut bucket = Bucket::default();
        let start = Duration::from_secs(5);
        let at: Vec<Duration> = (0..45).map(|_| start + bucket.take(start)).collect();
        assert_eq!(at[0], start, "the first does not wait");
        for window in at.windows(11) {
            assert!(window[10] >= window[0] + Duration::from_secs(1), "{window:?}");
        }
        assert_eq!(at[44], start + Duration::from_millis(4400), "and not fewer than ten either");
        assert_eq!(bucket.take(Duration::from_mins(1)), Duration::ZERO, "a pause saves nothing up");
        assert_eq!(bucket.take(Duration::from_mins(1)), Duration::from_millis(100));
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let all = |chance| (1..=8).map(|tries| backoff(tries, chance).as_millis()).collect::<Vec<_>>();
        assert_eq!(all(0.0), [125, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(all(1.0), [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST_WAIT);
    }
}
