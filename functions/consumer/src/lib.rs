//! Reads queued events and writes event state: what can be read becomes state and an event, what can
//! never be read goes into quarantine, and what failed for any other reason comes again.
//!
//! | module | what it holds |
//! |---|---|
//! | [`batch`] | messages side by side, failures one by one |
//! | [`config`] | the variables |

pub mod batch;
pub mod config;

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use shared::aws::Patience;
use shared::event::{Envelope, Facts};
use shared::job::{Job, Undecodable};
use shared::metrics::{Count, Metric};
use shared::state::{self, BodyHash};
use shared::table::{Fault, Poison, Reason, Record, Stored, Table, ToQuarantine};
use shared::verify::Verified;

pub use self::config::{Config, Retention};

/// Of one call. A message makes two of them, a large or unusual one up to a dozen; [`batch::PATIENCE`] bounds
/// all of a message's together.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 4,
};

/// The function: its table and its rules.
#[derive(Clone)]
pub struct Consumer {
    table: Table,
    retention: Retention,
}

/// What became of a message that need not come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event is there.
    Stored {
        /// Whether it was there before, and how often it has been seen.
        stored: Stored,
        /// Its type, as a bounded word.
        kind: String,
        /// Why it changed no state.
        unfolded: Option<&'static str>,
    },
    /// It is in quarantine.
    Quarantined(Reason),
}

/// A body and how it came.
struct Delivered<'a> {
    job: Job,
    body: &'a [u8],
    hash: BodyHash,
}

impl Consumer {
    /// A consumer that writes to this table.
    pub fn new(table: Table, retention: Retention) -> Self {
        Self { table, retention }
    }

    /// Deals with one message. An error means: let it come again.
    pub async fn process(&self, message: &SqsMessage, now: Timestamp) -> Result<Outcome, Fault> {
        let raw = message.body.as_deref().unwrap_or_default();
        let attribute = |name: &str| message.message_attributes.get(name)?.string_value.as_deref();
        match Job::decode(raw, attribute) {
            Ok((job, body)) => {
                let delivered = Delivered { job, hash: BodyHash::of(&body), body: &body };
                self.file(&delivered, now).await
            }
            Err(newer @ Undecodable::Version(_)) => Err(Fault::Retry(newer.to_string())),
            Err(broken) => {
                // The time at which SQS took it is the same on every try, and with it the key.
                let sent = message.attributes.get("SentTimestamp").and_then(|ms| ms.parse().ok());
                let received_at = sent.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(now);
                let job = Job {
                    source: shared::job::Source::Webhook,
                    received_at,
                    delivery: message.message_id.clone().unwrap_or_default(),
                    held: false,
                };
                let delivered = Delivered { job, hash: BodyHash::of(raw.as_bytes()), body: raw.as_bytes() };
                self.quarantine(&delivered, Reason::Undecodable, &broken.to_string(), None, now).await
            }
        }
    }

    /// Files a body: as an event if it can be read, else in quarantine.
    async fn file(&self, delivered: &Delivered<'_>, now: Timestamp) -> Result<Outcome, Fault> {
        let to_quarantine = async |reason: Reason, known: Option<(&Envelope<'_>, &Facts)>| {
            self.quarantine(delivered, reason, &reason.to_string(), known, now).await
        };
        let envelope = match Envelope::parse(Verified::from_own_queue(delivered.body)) {
            Ok(envelope) => envelope,
            Err(unreadable) => return to_quarantine(Reason::Unreadable(unreadable), None).await,
        };
        let facts = match envelope.facts() {
            Ok(facts) => facts,
            Err(unreadable) => {
                return to_quarantine(Reason::Unreadable(unreadable), Some((&envelope, &Facts::default())))
                    .await;
            }
        };
        let known = Some((&envelope, &facts));
        if delivered.job.held {
            return to_quarantine(Reason::UnlistedSource, known).await;
        }
        let write = state::write(&envelope, &facts, &delivered.hash, delivered.job.received_at);
        let record = Record {
            envelope: &envelope,
            facts: &facts,
            body: delivered.body,
            hash: &delivered.hash,
            job: &delivered.job,
            write: write.as_ref().map_err(|reason| *reason),
            stored_at: now,
            expires: self.retention.event(now),
        };
        let stored = match self.table.record(record).await {
            Ok(Stored::Conflict { revoked }) => {
                // What is revoked outranks what is kept: the fact stays, the body goes.
                let body = if revoked { &[] } else { delivered.body };
                let what = Delivered { body, job: delivered.job.clone(), hash: delivered.hash.clone() };
                let reason = Reason::IdConflict;
                return self.quarantine(&what, reason, &reason.to_string(), known, now).await;
            }
            Ok(stored) => stored,
            Err(Fault::Poison(Poison::ItemTooLarge)) => {
                return to_quarantine(Reason::ItemTooLarge, known).await;
            }
            Err(fault @ Fault::Retry(_)) => return Err(fault),
        };
        let unfolded = write.as_ref().err().map(|reason| reason.word());
        tracing::info!(
            event = %envelope.id,
            r#type = %envelope.kind,
            delivery = delivered.job.delivery,
            ?stored,
            unfolded,
            "stored"
        );
        Ok(Outcome::Stored { stored, kind: envelope.kind.metric_word().to_owned(), unfolded })
    }

    async fn quarantine(
        &self,
        delivered: &Delivered<'_>,
        reason: Reason,
        detail: &str,
        known: Option<(&Envelope<'_>, &Facts)>,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        let subjects: Vec<String> =
            known.iter().flat_map(|(_, facts)| &facts.subjects).map(ToString::to_string).collect();
        let what = ToQuarantine {
            body: delivered.body,
            hash: &delivered.hash,
            reason,
            detail,
            id: known.map(|(envelope, _)| envelope.id.as_str()),
            kind: known.map(|(envelope, _)| envelope.kind.as_str()),
            subjects: &subjects,
            source: delivered.job.source.as_str(),
            delivery: &delivered.job.delivery,
            received_at: delivered.job.received_at,
            stored_at: now,
            expires: self.retention.quarantine(now),
        };
        let key = self.table.quarantine(what).await?;
        tracing::warn!(%key, reason = reason.word(), delivery = delivered.job.delivery, "quarantined");
        Ok(Outcome::Quarantined(reason))
    }
}

impl Outcome {
    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        match self {
            Self::Stored { stored: Stored::New { .. }, kind, unfolded } => {
                let mut counts = vec![Count::by(Metric::Stored, kind)];
                counts.extend(unfolded.map(|reason| Count::by(Metric::Unfolded, reason)));
                counts
            }
            Self::Stored { stored: Stored::Repeat { deliveries, new_delivery: true }, .. } => {
                let sighting = if *deliveries == 2 { "Second" } else { "Later" };
                vec![Count::by(Metric::RepeatedDelivery, sighting)]
            }
            Self::Stored { .. } => Vec::new(),
            Self::Quarantined(reason) => vec![Count::by(Metric::Quarantined, reason.word())],
        }
    }
}
