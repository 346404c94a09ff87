//! The rotation, driven step by step: look at the document and at Smile, do the next thing, look again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;
use shared::registration::rotation::{Run, SETTLES_WITHIN, Step, next};
use shared::registration::{Desired, Document, EventTypes, Previous, Registrar, Vault};
use shared::smile_api::{Client, SecretText, Webhook};

use super::blocking;

/// How many steps one run takes at most. Seven do it; what others do at the same time costs more.
const STEPS: usize = 24;

/// How many creations one run makes without knowing what became of them.
const BLIND: u32 = 2;

/// What is rotated.
pub struct Rotation {
    /// Smile.
    pub client: Arc<Client>,
    /// The secrets that the functions accept.
    pub vault: Vault,
    /// What is registered, with whatever secret.
    pub desired: Desired,
}

/// What goes on around a rotation: time, chance, and somebody who is told.
pub struct Around<'a> {
    /// What time it is.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Waits.
    pub wait: &'a dyn Fn(Duration) -> Soon<'a, ()>,
    /// Makes a secret.
    pub fresh: &'a dyn Fn() -> anyhow::Result<SecretText>,
    /// Whether the secret may be replaced now. Asked last thing before.
    pub guard: &'a dyn Fn() -> Soon<'a, anyhow::Result<()>>,
    /// Is told what was done.
    pub tell: &'a mut dyn FnMut(&str),
}

/// What comes later.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Until when the secret before the current one is accepted, if there is one.
    pub previous_until: Option<Timestamp>,
}

impl Rotation {
    /// Rotates the secret, or finishes a rotation that was begun; that alone, unless it may begin one.
    pub async fn run(&self, may_begin: bool, around: Around<'_>) -> anyhow::Result<Done> {
        let mut registrar = Registrar::new(Arc::clone(&self.client), |_| true);
        let mut run = Run { may_begin, has_settled: false };
        let mut blind = 0;
        for _ in 0..STEPS {
            let (document, version) = self.vault.read().await?;
            let found;
            (found, registrar) = self.found(registrar).await?;
            let step = next(&document, &found, &self.desired, run, (around.now)())?;
            match &step {
                Step::Begin => {
                    (around.guard)().await?;
                    self.vault.replace(&version, &document.begun((around.fresh)()?)).await?;
                    run.may_begin = false;
                }
                Step::Settle => {
                    (around.wait)(SETTLES_WITHIN).await;
                    run.has_settled = true;
                }
                Step::Create => {
                    let desired = self.desired.with_secret(document.target());
                    let created;
                    (created, registrar) = blocking(registrar, move |all| all.create(&desired)).await?;
                    if created.is_none() {
                        blind += 1;
                        if blind > BLIND {
                            bail!("Smile does not say what becomes of a registration: run this again later");
                        }
                        continue;
                    }
                }
                Step::Delete(ids) => {
                    for id in ids.clone() {
                        ((), registrar) = blocking(registrar, move |all| all.delete(&id)).await?;
                    }
                }
                Step::Promote => {
                    (around.guard)().await?;
                    let promoted = document.promoted((around.now)()).context("there is no pending secret")?;
                    self.vault.replace(&version, &promoted).await?;
                    run.may_begin = false;
                }
                Step::RemovePrevious => {
                    self.vault.replace(&version, &document.without_previous()).await?;
                }
                Step::Done => {
                    return Ok(Done { previous_until: document.previous().map(Previous::not_after) });
                }
            }
            (around.tell)(&told(&step));
        }
        bail!("the rotation does not come to its end: does somebody else change the same things?")
    }

    /// What a run would do, if nothing else happened meanwhile.
    pub async fn plan(&self, may_begin: bool, now: Timestamp) -> anyhow::Result<Vec<Planned>> {
        let (mut document, _) = self.vault.read().await?;
        let (mut found, _) = self.found(Registrar::new(Arc::clone(&self.client), |_| true)).await?;
        let mut run = Run { may_begin, has_settled: false };
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let step = next(&document, &found, &self.desired, run, now)?;
            match &step {
                Step::Begin => {
                    document = document.begun(SecretText::new("a new one"));
                    run.may_begin = false;
                }
                Step::Settle => run.has_settled = true,
                Step::Create => found.push(imagined(&self.desired, &document)?),
                Step::Delete(ids) => found.retain(|webhook| !ids.contains(&webhook.id)),
                Step::Promote => {
                    document = document.promoted(now).context("there is no pending secret")?;
                    run.may_begin = false;
                }
                Step::RemovePrevious => document = document.without_previous(),
                Step::Done => return Ok(steps),
            }
            steps.push(Planned(step));
        }
        bail!("the plan does not come to its end")
    }

    async fn found(&self, registrar: Registrar) -> anyhow::Result<(Vec<Webhook>, Registrar)> {
        let url = self.desired.url().to_owned();
        blocking(registrar, move |all| all.found(&url)).await
    }
}

/// A step that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned(pub Step);

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Step::Begin => f.write_str("write a pending secret"),
            Step::Settle => write!(f, "wait {} s, until every function accepts it", SETTLES_WITHIN.as_secs()),
            Step::Create => f.write_str("create a registration with it"),
            Step::Delete(ids) => write!(f, "delete {}", listed(ids)),
            Step::Promote => {
                f.write_str("make the pending secret the current one, and keep the old one for ten minutes")
            }
            Step::RemovePrevious => f.write_str("remove the previous secret, whose time is up"),
            Step::Done => f.write_str("do nothing"),
        }
    }
}

fn told(step: &Step) -> String {
    match step {
        Step::Begin => "a pending secret is written".to_owned(),
        Step::Settle => "every function accepts the pending secret".to_owned(),
        Step::Create => "a registration is created".to_owned(),
        Step::Delete(ids) => format!("deleted: {}", listed(ids)),
        Step::Promote => {
            "the pending secret is the current one; the old one is accepted for ten more minutes".to_owned()
        }
        Step::RemovePrevious => "the previous secret, whose time is up, is removed".to_owned(),
        Step::Done => "done".to_owned(),
    }
}

fn listed(ids: &[shared::smile_api::WebhookId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The registration that a creation would make.
fn imagined(desired: &Desired, document: &Document) -> anyhow::Result<Webhook> {
    let types: &EventTypes = desired.event_types();
    Ok(serde_json::from_value(json!({
        "id": "the new one", "name": desired.name(), "url": desired.url(), "active": true,
        "eventTypes": types.iter().collect::<Vec<_>>(), "includePayload": desired.include_payload(),
        "secret": document.target().expose(),
    }))?)
}
