//! What is in Secrets Manager, at hand: fetched at the start, again after five minutes, and once more when it
//! proves to be out of date: a signature that should fit fits none of the secrets, or credentials are refused.

use std::fmt::Display;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::secret_store::{NoSecret, SecretStore};
use crate::secrets::SecretSet;

/// How long what was fetched is used without a look.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// How long it is used when Secrets Manager cannot be reached: what is lost at a lender's door is
/// lost for good after two minutes, and a secret seldom changes.
const USABLE: SignedDuration = SignedDuration::from_hours(1);

/// The least time between two fetches, whoever asks: a forger must not make us hammer Secrets Manager.
const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_secs(10);

/// The secrets, wherever they come from.
pub enum Secrets {
    /// Given once.
    Fixed(Arc<SecretSet>),
    /// Kept in Secrets Manager.
    Kept(Kept<SecretStore>),
}

/// Something in Secrets Manager, with what was fetched last.
pub struct Kept<F: Fetch> {
    source: F,
    last: Mutex<Last<F::Item>>,
}

/// Where something comes from.
pub trait Fetch {
    /// What it is.
    type Item;
    /// Why it cannot be had. Never quotes it.
    type Error: Display;
    /// What it is called in a log.
    fn name(&self) -> &str;
    /// Fetches it as it is now.
    fn fetch(&self) -> impl Future<Output = Result<Self::Item, Self::Error>> + Send;
}

struct Last<T> {
    item: Arc<T>,
    fetched_at: Timestamp,
    tried_at: Timestamp,
    try_failed: bool,
}

/// What a second look found.
pub enum SecondLook<T = SecretSet> {
    /// It, possibly a newer one.
    Fetched(Arc<T>),
    /// What is at hand has just been fetched: there is nothing newer.
    NothingNewer,
    /// Secrets Manager does not answer: nobody can tell.
    Unavailable,
}

impl Fetch for SecretStore {
    type Item = SecretSet;
    type Error = NoSecret;

    fn name(&self) -> &str {
        self.name()
    }

    fn fetch(&self) -> impl Future<Output = Result<SecretSet, NoSecret>> + Send {
        self.fetch()
    }
}

impl Secrets {
    /// Fetches the secrets for the first time. Without any, the function must not start.
    pub async fn fetch(store: SecretStore, now: Timestamp) -> Result<Self, NoSecret> {
        Ok(Self::Kept(Kept::fetch(store, now).await?))
    }

    /// The secrets to check with; `None` when they are too old and there are no others to be had.
    pub async fn current(&self, now: Timestamp) -> Option<Arc<SecretSet>> {
        match self {
            Self::Fixed(set) => Some(Arc::clone(set)),
            Self::Kept(kept) => kept.current(now).await,
        }
    }

    /// Looks once more, because a signature that should fit fits none of the secrets at hand.
    pub async fn look_again(&self, now: Timestamp) -> SecondLook {
        match self {
            Self::Fixed(_) => SecondLook::NothingNewer,
            Self::Kept(kept) => kept.look_again(now).await,
        }
    }
}

impl<F: Fetch> Kept<F> {
    /// Fetches it for the first time. Without it, the function must not start.
    pub async fn fetch(source: F, now: Timestamp) -> Result<Self, F::Error> {
        let item = Arc::new(source.fetch().await?);
        let last = Mutex::new(Last { item, fetched_at: now, tried_at: now, try_failed: false });
        Ok(Self { source, last })
    }

    /// What is at hand; `None` when it is too old and cannot be fetched again.
    pub async fn current(&self, now: Timestamp) -> Option<Arc<F::Item>> {
        let mut last = self.last.lock().await;
        if now.duration_since(last.fetched_at) >= FRESH
            && now.duration_since(last.tried_at) >= BETWEEN_FETCHES
        {
            self.try_again(&mut last, now).await;
        }
        (now.duration_since(last.fetched_at) < USABLE).then(|| Arc::clone(&last.item))
    }

    /// Looks once more, because what is at hand was of no use.
    pub async fn look_again(&self, now: Timestamp) -> SecondLook<F::Item> {
        let mut last = self.last.lock().await;
        if now.duration_since(last.tried_at) < BETWEEN_FETCHES {
            return if last.try_failed { SecondLook::Unavailable } else { SecondLook::NothingNewer };
        }
        self.try_again(&mut last, now).await;
        if last.try_failed { SecondLook::Unavailable } else { SecondLook::Fetched(Arc::clone(&last.item)) }
    }

    async fn try_again(&self, last: &mut Last<F::Item>, now: Timestamp) {
        last.tried_at = now;
        match self.source.fetch().await {
            Ok(item) => {
                last.item = Arc::new(item);
                last.fetched_at = now;
                last.try_failed = false;
            }
            Err(error) => {
                tracing::error!(%error, "{} could not be fetched", self.source.name());
                last.try_failed = true;
            }
        }
    }
}
