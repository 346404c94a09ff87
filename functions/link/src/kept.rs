//! Something from Secrets Manager at hand: fetched at the start, again after five minutes, and when it proves
//! to be out of date.

use std::fmt::Display;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

/// How long it is used without a look.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// How long it is used when Secrets Manager cannot be reached: a secret seldom changes.
const USABLE: SignedDuration = SignedDuration::from_hours(1);

/// The least time between two fetches: wrong credentials must not make us hammer Secrets Manager.
const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_secs(10);

/// What is kept, and where it comes from.
pub(crate) struct Kept<F: Fetch> {
    source: F,
    last: Mutex<Last<F::Item>>,
}

/// Where something comes from.
pub(crate) trait Fetch {
    /// What it is.
    type Item;
    /// Why it cannot be had. Never quotes it.
    type Error: Display;
    /// What it is called in a log.
    const NAME: &str;
    /// Fetches it as it is now.
    async fn fetch(&self) -> Result<Self::Item, Self::Error>;
}

struct Last<T> {
    item: Arc<T>,
    fetched_at: Timestamp,
    tried_at: Timestamp,
}

impl<F: Fetch> Kept<F> {
    /// Fetches it for the first time. Without it, the function must not start.
    pub(crate) async fn fetch(source: F, now: Timestamp) -> Result<Self, F::Error> {
        let item = Arc::new(source.fetch().await?);
        Ok(Self { source, last: Mutex::new(Last { item, fetched_at: now, tried_at: now }) })
    }

    /// What is at hand; none when it is too old and cannot be fetched again.
    pub(crate) async fn current(&self, now: Timestamp) -> Option<Arc<F::Item>> {
        let mut last = self.last.lock().await;
        if now.duration_since(last.fetched_at) >= FRESH {
            self.try_again(&mut last, now).await;
        }
        (now.duration_since(last.fetched_at) < USABLE).then(|| Arc::clone(&last.item))
    }

    /// Fetches it once more, since the one at hand was refused. None if that was done just now, or cannot be.
    pub(crate) async fn again(&self, now: Timestamp) -> Option<Arc<F::Item>> {
        let mut last = self.last.lock().await;
        self.try_again(&mut last, now).await.then(|| Arc::clone(&last.item))
    }

    /// Whether it was fetched.
    async fn try_again(&self, last: &mut Last<F::Item>, now: Timestamp) -> bool {
        if now.duration_since(last.tried_at) < BETWEEN_FETCHES {
            return false;
        }
        last.tried_at = now;
        match self.source.fetch().await {
            Ok(item) => {
                last.item = Arc::new(item);
                last.fetched_at = now;
                true
            }
            Err(error) => {
                tracing::error!(%error, "{} could not be fetched", F::NAME);
                false
            }
        }
    }
}
