//! What is done at Smile, event by event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_types::SdkConfig;
use serde_json::Value;
use shared::registration::{Desired, Document, Failure, Left, Registrar, Vault};
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
}

/// How a client comes about.
pub type MakeClient = fn(&Settings) -> Result<Client, Unusable>;

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
        Self::with_client(sdk, config, patience, |settings| Client::new(settings, SystemPace::start()))
    }

    /// The same, with another patience and another clock: for tests.
    pub fn with_client(sdk: &SdkConfig, config: &Config, patience: Patience, client: MakeClient) -> Self {
        Self {
            secret: Vault::new(sdk, &config.secret_arn),
            credentials: Vault::new(sdk, &config.credentials_arn),
            patience,
            client,
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
                self.update(properties, old, stop).await
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
        stop: Arc<AtomicBool>,
    ) -> Result<Left, Failed> {
        let (document, desired) = self.desired(&new).await?;
        let registrar = self.registrar(&new, Arc::clone(&stop)).await?;
        let ensure = move |registrar: &mut Registrar| {
            let found = registrar.found(desired.url())?;
            registrar.ensure(&document.wanted(&desired, &found)).map_err(Failed::from)
        };
        let ensured = blocking(registrar, ensure).await??;
        let Some(old) = old else { return Ok(Left::default()) };
        if old.is_same_account(&new) {
            if !old.is_same_place(&new) {
                self.remove(&old, stop).await?;
            }
            return Ok(Left::default());
        }
        // The old credentials cannot be had any more. The new ones may be of the same account, and then they
        // find what the old ones made. What they do not find is reported; nobody is kept from changing account.
        if old.is_same_place(&new) {
            return Ok(Left { unknown: ensured.is_new, ..Left::default() });
        }
        Ok(match self.remove(&old, stop).await {
            Ok(deleted) => Left { unknown: deleted.is_empty(), ..Left::default() },
            Err(failed) => failed.left,
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
            Course::Unknown if was_there_before => {
                Err(Failed::unknown("what the stack is going through is not known".to_owned()))
            }
            _ => self.remove(&properties, stop).await.map(|_| Left::default()),
        }
    }

    async fn remove(&self, properties: &Properties, stop: Arc<AtomicBool>) -> Result<Vec<WebhookId>, Failed> {
        let registrar = self.registrar(properties, stop).await?;
        let (name, url) = (properties.name.clone(), properties.url.clone());
        Ok(blocking(registrar, move |registrar| registrar.remove(&name, &url)).await??)
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
    tokio::task::spawn_blocking(move || work(&mut registrar))
        .await
        .map_err(|_| Failed::unknown("it panicked; the function's log says where".to_owned()))
}
