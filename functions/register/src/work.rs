//! What is done at Smile, event by event.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_types::SdkConfig;
use serde_json::Value;
use shared::registration::{Answered, Desired, Document, Failure, Left, Registrar, Unanswered, Vault, probe};
use shared::smile_api::{Client, Credentials, Patience, Settings, SystemPace, Unusable, WebhookId};

use crate::CALL;
use crate::config::Config;
use crate::event::{BadProperties, Envelope, Kind, Properties};
use crate::stack::Course;

/// What follows a physical id when a registration was there before the resource.
const BEFORE: &str = ":was-there";

/// The function: its secrets, and how it comes to a client of Smile's API.
pub struct Register {
    secret: Vault,
    credentials: Vault,
    patience: Patience,
    client: MakeClient,
    probe: Probe,
}

/// How a client comes about.
pub type MakeClient = fn(&Settings) -> Result<Client, Unusable>;

/// Asks whether the receiver answers at a URL, while it may go on. Blocking.
pub type Probe = Arc<dyn Fn(&str, &dyn Fn() -> bool) -> Result<Answered, Unanswered> + Send + Sync>;

/// Why it was not done, and what may be left at Smile.
#[derive(Debug)]
pub struct Failed {
    /// Why: no secret, nothing personal.
    pub reason: String,
    /// What may be there and should not be.
    pub left: Left,
}

impl Failed {
    /// Nothing was asked of Smile, so what there is is not known.
    pub(crate) fn unknown(reason: String) -> Self {
        Self { reason, left: Left { unknown: true, ..Left::default() } }
    }

    fn panicked() -> Self {
        Self::unknown("it panicked; the function's log says where".to_owned())
    }

    /// Nothing was asked of Smile, and nothing can be there.
    fn nothing(reason: String) -> Self {
        Self { reason, left: Left::default() }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.cause.to_string(), left: failure.left }
    }
}

/// Properties with which nothing was ever registered.
impl From<BadProperties> for Failed {
    fn from(bad: BadProperties) -> Self {
        Self::nothing(bad.to_string())
    }
}

/// The id of the resource: the same for the stack's whole life.
pub(crate) fn physical_id(name: &str, was_there: bool) -> String {
    format!("smile-registration:{name}{}", if was_there { BEFORE } else { "" })
}

impl Register {
    /// A function that is patient for [`CALL`], by the machine's clock.
    pub fn new(sdk: &SdkConfig, config: &Config) -> Self {
        let patience = Patience {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(8),
            total: CALL,
            tries: 3,
            longest_retry_after: Duration::from_secs(5),
        };
        let client = |settings: &_| Client::new(settings, SystemPace::start());
        let probe = |url: &str, may_go_on: &dyn Fn() -> bool| probe(url, &SystemPace::start(), may_go_on);
        Self::with_client(sdk, config, patience, client, Arc::new(probe))
    }

    /// The same, with another patience, another clock and another probe: for tests.
    pub fn with_client(
        sdk: &SdkConfig,
        config: &Config,
        patience: Patience,
        client: MakeClient,
        probe: Probe,
    ) -> Self {
        Self {
            secret: Vault::new(sdk, &config.secret_arn),
            credentials: Vault::new(sdk, &config.credentials_arn),
            patience,
            client,
            probe,
        }
    }

    /// Does what the event asks for. Gives the resource's id, and what is left at Smile and should not be.
    pub(crate) async fn work(
        self: Arc<Self>,
        envelope: Envelope,
        event: Value,
        course: Course,
        stop: Arc<AtomicBool>,
    ) -> (String, Result<Left, Failed>) {
        let properties = Properties::read(&event["ResourceProperties"]);
        let name = properties.as_ref().map_or("none", |properties| properties.name.as_str());
        let physical_id = envelope.physical_id.clone().unwrap_or_else(|| physical_id(name, false));
        let result = match (envelope.kind, properties) {
            (None, _) => {
                Err(Failed::nothing("the request is neither Create nor Update nor Delete".to_owned()))
            }
            (_, Err(bad)) => Err(bad.into()),
            (Some(Kind::Create), Ok(properties)) => return self.create(properties, stop).await,
            (Some(Kind::Update), Ok(properties)) => {
                // Unusable ones have registered nothing.
                let old = Properties::read(&event["OldResourceProperties"]).ok();
                self.update(properties, old, course, stop).await
            }
            (Some(Kind::Delete), Ok(properties)) => {
                self.delete(properties, physical_id.ends_with(BEFORE), course, stop).await
            }
        };
        (physical_id, result)
    }

    async fn create(&self, properties: Properties, stop: Arc<AtomicBool>) -> (String, Result<Left, Failed>) {
        let name = properties.name.clone();
        // Until a look tells otherwise, what may be there was there before.
        let unseen = |failed| (physical_id(&name, true), Err(failed));
        let (document, desired) = match self.desired(&properties).await {
            Ok(desired) => desired,
            Err(failed) => return unseen(failed),
        };
        let registrar = match self.registrar(&properties, stop).await {
            Ok(registrar) => registrar,
            Err(failed) => return unseen(failed),
        };
        let done = blocking(registrar, move |registrar| {
            let found = match registrar.found(desired.url()) {
                Ok(found) => found,
                Err(failure) => return (true, Err(failure.into())),
            };
            let was_there = found.iter().any(|found| desired.is_ours(found));
            let ensured = registrar.ensure(&document.wanted(&desired, &found));
            (was_there, ensured.map(|_| Left::default()).map_err(Failed::from))
        });
        match done.await {
            Ok((was_there, result)) => (physical_id(&name, was_there), result),
            Err(failed) => unseen(failed),
        }
    }

    async fn update(
        &self,
        new: Properties,
        old: Option<Properties>,
        course: Course,
        stop: Arc<AtomicBool>,
    ) -> Result<Left, Failed> {
        // In a rollback the domain name comes back as the URL does.
        if let Some(lost) = old.as_ref().and_then(|old| new.lost_domain(old)).filter(|_| course.may_fail()) {
            return Err(Failed::nothing(format!(
                "the webhook is registered at {lost}, which this deployment takes away: change RegisteredUrl first"
            )));
        }
        let (document, desired) = self.desired(&new).await?;
        // The new URL is asked before anything is changed. When it does not answer, the deployment fails and Smile goes on
        // sending to the old one. A rollback must not fail: it registers the URL all the same, and deletes nothing.
        let is_same_account = old.as_ref().is_none_or(|old| old.is_same_account(&new));
        let replaced = old.filter(|old| !old.is_same_place(&new));
        let proof = match &replaced {
            Some(old) => self.proof(old, &new, &stop).await,
            None => Ok(None),
        };
        let proof = match proof {
            // A change of account must go on even if its credentials do not find the old registration.
            Err(failed) if course.may_fail() && (is_same_account || !failed.left.ids.is_empty()) => {
                return Err(failed);
            }
            proof => proof,
        };
        let registrar = self.registrar(&new, Arc::clone(&stop)).await?;
        let ensure = move |registrar: &mut Registrar| {
            let found = registrar.found(desired.url())?;
            registrar.ensure(&document.wanted(&desired, &found)).map_err(Failed::from)
        };
        let ensured = blocking(registrar, ensure).await??;
        // The old credentials cannot be had any more. The new ones may be of the same account, and then they find what
        // the old ones made. What they do not find is reported.
        let Some(old) = replaced else {
            return Ok(Left { unknown: !is_same_account && ensured.is_new, ..Left::default() });
        };
        let removed = match proof {
            Ok(Some(answered)) => self.remove_replaced(&old, answered, stop).await,
            Ok(None) => Ok(Vec::new()),
            Err(failed) => Err(failed),
        };
        match removed {
            Ok(deleted) => Ok(Left { unknown: !is_same_account && deleted.is_empty(), ..Left::default() }),
            Err(failed) if is_same_account => Err(failed),
            // A change of account must go on.
            Err(failed) => Ok(failed.left),
        }
    }

    /// Proof that the new URL answers; none is needed where nothing is registered at the old one.
    async fn proof(
        &self,
        old: &Properties,
        new: &Properties,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Answered>, Failed> {
        let registrar = self.registrar(old, Arc::clone(stop)).await?;
        let (name, url) = (old.name.clone(), old.url.clone());
        let look = move |registrar: &mut Registrar| {
            let found = registrar.found(&url)?;
            let ours = found.into_iter().filter(|webhook| webhook.name == name && webhook.url == url);
            Ok::<_, Failure>(ours.map(|webhook| webhook.id).collect::<BTreeSet<_>>())
        };
        let ids = blocking(registrar, look).await??;
        if ids.is_empty() {
            return Ok(None);
        }
        let (probe, url, stop) = (Arc::clone(&self.probe), new.url.clone(), Arc::clone(stop));
        let asked = tokio::task::spawn_blocking(move || probe(&url, &|| !stop.load(Ordering::SeqCst)));
        let answered = asked.await.map_err(|_| Failed::panicked())?;
        answered.map(Some).map_err(|unanswered| Failed {
            reason: format!(
                "{} does not answer as this receiver does ({unanswered}): the registration at {} stays. Does the \
                 name's DNS record lead here?",
                new.url, old.url
            ),
            left: Left { ids, unknown: false },
        })
    }

    async fn delete(
        &self,
        properties: Properties,
        was_there_before: bool,
        course: Course,
        stop: Arc<AtomicBool>,
    ) -> Result<Left, Failed> {
        match course {
            // The update that added this resource is rolled back, and the receiver goes on as before it.
            Course::UpdateBack if was_there_before => Ok(Left::default()),
            // The resource goes, and the receiver stays: what Smile sends there is still received.
            Course::Forward => {
                tracing::warn!("the registration stays, as the receiver does: smile register delete ends it");
                Ok(Left::default())
            }
            Course::Unknown => {
                Err(Failed::unknown("what the stack is going through is not known".to_owned()))
            }
            Course::UpdateBack | Course::Ending => self.remove(&properties, stop).await,
        }
    }

    /// Deletes the registration of a receiver that ends.
    async fn remove(&self, properties: &Properties, stop: Arc<AtomicBool>) -> Result<Left, Failed> {
        let registrar = self.registrar(properties, stop).await?;
        let (name, url) = (properties.name.clone(), properties.url.clone());
        blocking(registrar, move |registrar| registrar.remove(&name, &url)).await??;
        Ok(Left::default())
    }

    /// Deletes the registration at the old URL in favour of the one that has answered.
    async fn remove_replaced(
        &self,
        old: &Properties,
        answered: Answered,
        stop: Arc<AtomicBool>,
    ) -> Result<Vec<WebhookId>, Failed> {
        let registrar = self.registrar(old, stop).await?;
        let (name, url) = (old.name.clone(), old.url.clone());
        let remove = move |registrar: &mut Registrar| registrar.remove_replaced(&name, &url, &answered);
        Ok(blocking(registrar, remove).await??)
    }

    /// What should be registered, with the secret of the document.
    async fn desired(&self, properties: &Properties) -> Result<(Document, Desired), Failed> {
        let (document, _) =
            self.secret.read().await.map_err(|error| {
                Failed::unknown(format!("the webhook's secret could not be had: {error}"))
            })?;
        let desired = properties.desired(document.current())?;
        Ok((document, desired))
    }

    async fn registrar(&self, properties: &Properties, stop: Arc<AtomicBool>) -> Result<Registrar, Failed> {
        let unknown = |error: &dyn std::fmt::Display| {
            Failed::unknown(format!("the credentials of Smile's API cannot be used: {error}"))
        };
        let text = self.credentials.text().await.map_err(|error| unknown(&error))?;
        let credentials = Credentials::from_document(&text).map_err(|error| unknown(&error))?;
        let settings =
            Settings { patience: self.patience, ..Settings::new(&properties.api_url, credentials) };
        let client = (self.client)(&settings).map_err(|error| unknown(&error))?;
        Ok(Registrar::new(Arc::new(client), move |_| !stop.load(Ordering::SeqCst)))
    }
}

/// Calls Smile away from the async thread.
async fn blocking<T: Send + 'static>(
    mut registrar: Registrar,
    work: impl FnOnce(&mut Registrar) -> T + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(move || work(&mut registrar)).await.map_err(|_| Failed::panicked())
}
