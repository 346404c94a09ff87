//! The secrets at hand: fetched at the start, again after five minutes, and once more when a signature that
//! should fit fits none of them, because then they may just have been changed.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::secret_store::{NoSecret, SecretStore};
use crate::secrets::SecretSet;

/// How long fetched secrets are used without a look.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// How long they are used when Secrets Manager cannot be reached: what is lost at a lender's door is
/// lost for good after two minutes, and a secret seldom changes.
const USABLE: SignedDuration = SignedDuration::from_hours(1);

/// The least time between two fetches, whoever asks: a forger must not make us hammer Secrets Manager.
const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_secs(10);

/// The secrets, wherever they come from.
pub enum Secrets {
    /// Given once.
    Fixed(Arc<SecretSet>),
    /// Kept in Secrets Manager.
    Kept(Kept),
}

/// Secrets in Secrets Manager, with what was fetched last.
pub struct Kept {
    store: SecretStore,
    last: Mutex<Last>,
}

struct Last {
    set: Arc<SecretSet>,
    fetched_at: Timestamp,
    tried_at: Timestamp,
    try_failed: bool,
}

/// What a second look found.
pub enum SecondLook {
    /// Secrets, possibly newer ones.
    Fetched(Arc<SecretSet>),
    /// Those at hand have just been fetched: there is nothing newer.
    NothingNewer,
    /// Secrets Manager does not answer: nobody can tell.
    Unavailable,
}

impl Secrets {
    /// Fetches the secrets for the first time. Without any, the function must not start.
    pub async fn fetch(store: SecretStore, now: Timestamp) -> Result<Self, NoSecret> {
        let set = Arc::new(store.fetch().await?);
        let last = Mutex::new(Last { set, fetched_at: now, tried_at: now, try_failed: false });
        Ok(Self::Kept(Kept { store, last }))
    }

    /// The secrets to check with; `None` when they are too old and there are no others to be had.
    pub async fn current(&self, now: Timestamp) -> Option<Arc<SecretSet>> {
        let kept = match self {
            Self::Fixed(set) => return Some(Arc::clone(set)),
            Self::Kept(kept) => kept,
        };
        let mut last = kept.last.lock().await;
        if now.duration_since(last.fetched_at) >= FRESH
            && now.duration_since(last.tried_at) >= BETWEEN_FETCHES
        {
            kept.try_again(&mut last, now).await;
        }
        (now.duration_since(last.fetched_at) < USABLE).then(|| Arc::clone(&last.set))
    }

    /// Looks once more, because a signature that should fit fits none of the secrets at hand.
    pub async fn look_again(&self, now: Timestamp) -> SecondLook {
        let Self::Kept(kept) = self else { return SecondLook::NothingNewer };
        let mut last = kept.last.lock().await;
        if now.duration_since(last.tried_at) < BETWEEN_FETCHES {
            return if last.try_failed { SecondLook::Unavailable } else { SecondLook::NothingNewer };
        }
        kept.try_again(&mut last, now).await;
        if last.try_failed { SecondLook::Unavailable } else { SecondLook::Fetched(Arc::clone(&last.set)) }
    }
}

impl Kept {
    async fn try_again(&self, last: &mut Last, now: Timestamp) {
        last.tried_at = now;
        match self.store.fetch().await {
            Ok(set) => {
                last.set = Arc::new(set);
                last.fetched_at = now;
                last.try_failed = false;
            }
            Err(error) => {
                tracing::error!(%error, "the secret could not be fetched");
                last.try_failed = true;
            }
        }
    }
}
