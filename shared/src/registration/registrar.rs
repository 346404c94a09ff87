//! From what is registered to what is wanted.
//!
//! Every round looks, and then does the next thing: creates what is missing, deletes what is too much. A
//! creation whose outcome is not known is followed by a look, which says whether it came about. What fails
//! tells what it may have left behind, so that nothing is orphaned unreported.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::desired::Desired;
use super::probe::Answered;
use crate::smile_api::{Client, Error, Webhook, WebhookId};

/// How often one run looks and acts. Two rounds do all that there is to do; each creation whose outcome is
/// lost and each deletion by somebody else can cost one more.
const ROUNDS: usize = 8;

/// How many creations one run makes without knowing what became of them.
const BLIND: u32 = 2;

/// What is about to be asked of Smile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// All registrations.
    List,
    /// One of them, whose secret the list does not show.
    Look(WebhookId),
    /// A new one.
    Create,
    /// One fewer.
    Delete(WebhookId),
}

/// Looks after registrations. Blocking, as its client is; async code moves it into
/// `tokio::task::spawn_blocking` and back.
pub struct Registrar {
    client: Arc<Client>,
    may_go_on: Box<dyn FnMut(&Call) -> bool + Send>,
    /// Made by this one, as Smile confirmed them. A list that lags behind does not undo them.
    made: Vec<Webhook>,
    left: Left,
}

/// What came of a run that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// The one registration that there is now.
    pub id: WebhookId,
    /// Whether this run made it.
    pub is_new: bool,
    /// What was there before it, by this URL and name, and is there no more.
    pub deleted: Vec<WebhookId>,
}

/// Why a run did not come to its end, and what it may have left at Smile.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// Why.
    #[source]
    pub cause: Cause,
    /// What may be there and should not be.
    pub left: Left,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A call failed.
    #[error(transparent)]
    Smile(Box<Error>),
    /// Somebody said stop.
    #[error("stopped before the next call to Smile")]
    Stopped,
    /// What came is not what was asked for. It would be created again and again.
    #[error("Smile has registered something else than it was asked to: it changed {0}")]
    Altered(&'static str),
    /// Somebody else changes registrations at the same time.
    #[error("the registrations changed again and again: does somebody else change them, too?")]
    Unsettled,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Smile(Box::new(error))
    }
}

/// What may be at Smile and should not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Known by id.
    pub ids: BTreeSet<WebhookId>,
    /// Whether there may be others, whose ids are not known.
    pub unknown: bool,
}

impl Left {
    /// Whether there is nothing to report.
    pub fn is_nothing(&self) -> bool {
        self.ids.is_empty() && !self.unknown
    }
}

/// What to do next: the registration to keep, if there is one, and those to delete.
pub(super) struct Plan<'a> {
    pub(super) keep: Option<&'a Webhook>,
    pub(super) extra: Vec<&'a Webhook>,
}

impl<'a> Plan<'a> {
    /// Of those that fit the oldest is kept: two who do this at once keep the same one.
    pub(super) fn new(found: &'a [Webhook], desired: &Desired) -> Self {
        let ours = sorted(found.iter().filter(|webhook| desired.is_ours(webhook)));
        let keep = ours.iter().copied().find(|webhook| desired.fits(webhook));
        let extra =
            ours.into_iter().filter(|webhook| keep.is_none_or(|keep| keep.id != webhook.id)).collect();
        Self { keep, extra }
    }
}

/// Oldest first; the id decides between those of one second.
pub(super) fn sorted<'a>(found: impl Iterator<Item = &'a Webhook>) -> Vec<&'a Webhook> {
    let mut found: Vec<_> = found.collect();
    found.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    found
}

impl Registrar {
    /// A registrar that asks before each call whether it may go on: for whoever has a time limit, or tells
    /// what is done.
    pub fn new(client: Arc<Client>, may_go_on: impl FnMut(&Call) -> bool + Send + 'static) -> Self {
        Self { client, may_go_on: Box::new(may_go_on), made: Vec::new(), left: Left::default() }
    }

    /// Everything that is registered. Where the list shows no secret, those with this URL are looked at.
    pub fn found(&mut self, url: &str) -> Result<Vec<Webhook>, Failure> {
        self.try_found(url).map_err(|cause| self.failed(cause))
    }

    /// Sees to it that there is exactly one registration with the URL and the name, and that it fits.
    pub fn ensure(&mut self, desired: &Desired) -> Result<Ensured, Failure> {
        self.try_ensure(desired).map_err(|cause| self.failed(cause))
    }

    /// Sees to it that there is none with this name at the URL before, once the receiver has answered at the URL that
    /// takes its place.
    pub fn remove_replaced(
        &mut self,
        name: &str,
        before: &str,
        _answered: &Answered,
    ) -> Result<Vec<WebhookId>, Failure> {
        self.remove(name, before)
    }

    /// Sees to it that there is none with this URL and name. From then on Smile sends nothing there, and what
    /// happens meanwhile is lost: for the end of a receiver, and for an operator who asks for exactly this. Where
    /// another URL takes its place, [`Registrar::remove_replaced`].
    pub fn remove(&mut self, name: &str, url: &str) -> Result<Vec<WebhookId>, Failure> {
        self.try_remove(name, url).map_err(|cause| self.failed(cause))
    }

    /// Creates one. `Ok(None)`: whether it came about is not known, and a look will tell.
    pub fn create(&mut self, desired: &Desired) -> Result<Option<WebhookId>, Failure> {
        self.try_create(desired).map_err(|cause| self.failed(cause))
    }

    /// Deletes one.
    pub fn delete(&mut self, id: &WebhookId) -> Result<(), Failure> {
        self.try_delete(id).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: Cause) -> Failure {
        Failure { cause, left: self.left.clone() }
    }

    fn ask(&mut self, call: &Call) -> Result<(), Cause> {
        if (self.may_go_on)(call) { Ok(()) } else { Err(Cause::Stopped) }
    }

    fn try_found(&mut self, url: &str) -> Result<Vec<Webhook>, Cause> {
        // Until the look is over nobody can tell.
        self.left.unknown = true;
        self.ask(&Call::List)?;
        let mut found = self.client.webhooks().collect::<Result<Vec<_>, _>>()?;
        for made in &self.made {
            match found.iter_mut().find(|webhook| webhook.id == made.id) {
                // The secret is the one that it was made with, whether the list shows it or not.
                Some(webhook) => webhook.secret.clone_from(&made.secret),
                None => found.push(made.clone()),
            }
        }
        for webhook in found.iter_mut().filter(|webhook| webhook.url == url && webhook.secret.is_none()) {
            self.ask(&Call::Look(webhook.id.clone()))?;
            if let Some(seen) = self.client.webhook(&webhook.id)? {
                webhook.secret = seen.secret;
            }
        }
        self.left.unknown = false;
        Ok(found)
    }

    fn try_ensure(&mut self, desired: &Desired) -> Result<Ensured, Cause> {
        let mut deleted = Vec::new();
        let mut blind = 0;
        for _ in 0..ROUNDS {
            let found = self.try_found(desired.url())?;
            let plan = Plan::new(&found, desired);
            self.left =
                Left { ids: plan.extra.iter().map(|webhook| webhook.id.clone()).collect(), unknown: false };
            let Some(keep) = plan.keep else {
                if self.try_create(desired)?.is_some() {
                    // At once, without another look: while both are there an event comes twice, and with two bodies
                    // when they differ in the payload switch, since Smile has no call that changes a registration.
                    for webhook in plan.extra {
                        self.try_delete(&webhook.id)?;
                        deleted.push(webhook.id.clone());
                    }
                } else {
                    blind += 1;
                    if blind > BLIND {
                        return Err(Cause::Unsettled);
                    }
                }
                continue;
            };
            if plan.extra.is_empty() {
                let is_new = self.made.iter().any(|made| made.id == keep.id);
                return Ok(Ensured { id: keep.id.clone(), is_new, deleted });
            }
            for webhook in plan.extra {
                self.try_delete(&webhook.id)?;
                deleted.push(webhook.id.clone());
            }
        }
        Err(Cause::Unsettled)
    }

    fn try_remove(&mut self, name: &str, url: &str) -> Result<Vec<WebhookId>, Cause> {
        let mut deleted = Vec::new();
        self.left.unknown = true;
        for _ in 0..ROUNDS {
            self.ask(&Call::List)?;
            let listed = self.client.webhooks().collect::<Result<Vec<_>, _>>()?;
            let ours = sorted(listed.iter().filter(|webhook| webhook.name == name && webhook.url == url));
            // What is made by this one and not on the list yet is not forgotten.
            let made = self.made.iter().filter(|made| made.name == name && made.url == url);
            let ids: BTreeSet<_> = ours.into_iter().chain(made).map(|webhook| webhook.id.clone()).collect();
            self.left = Left { ids: ids.clone(), unknown: false };
            if ids.is_empty() {
                return Ok(deleted);
            }
            for id in ids {
                self.try_delete(&id)?;
                deleted.push(id);
            }
        }
        Err(Cause::Unsettled)
    }

    fn try_create(&mut self, desired: &Desired) -> Result<Option<WebhookId>, Cause> {
        self.ask(&Call::Create)?;
        let mut made = match self.client.create_webhook(&desired.request()) {
            Ok(made) => made,
            Err(error) if error.may_have_happened() => {
                // Until the next look.
                self.left.unknown = true;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        // Smile need not repeat the secret; when it does, it must be ours.
        made.secret.get_or_insert_with(|| desired.secret().clone());
        if desired.fits(&made) {
            let id = made.id.clone();
            self.made.push(made);
            return Ok(Some(id));
        }
        let altered = if made.url != desired.url() {
            "the URL"
        } else if made.name != desired.name() {
            "the name"
        } else {
            "the types or a switch"
        };
        self.left.ids.insert(made.id.clone());
        self.try_delete(&made.id)?;
        Err(Cause::Altered(altered))
    }

    fn try_delete(&mut self, id: &WebhookId) -> Result<(), Cause> {
        self.ask(&Call::Delete(id.clone()))?;
        self.client.delete_webhook(id)?;
        self.left.ids.remove(id);
        self.made.retain(|made| made.id != *id);
        Ok(())
    }
}
