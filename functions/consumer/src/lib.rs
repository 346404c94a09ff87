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
use shared::callback::{self, Callback};
use shared::event::{Envelope, EventType, Facts, Unreadable, salvaged};
use shared::job::{Job, Source, Undecodable};
use shared::metrics::{Count, Metric};
use shared::state::{self, BodyHash, Unfolded, Write};
use shared::table::{Confirmation, Fault, Poison, Reason, Record, Stored, Table, ToQuarantine};
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
    callback_queue: Option<String>,
}

/// What became of a message that need not come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event is there.
    Stored {
        /// Whether it was there before, and how often it has been seen.
        stored: Stored,
        /// Why it changed no state.
        unfolded: Option<&'static str>,
        /// Whether something in it could not be read.
        is_partly_read: bool,
        /// Whether a browser said it.
        is_callback: bool,
    },
    /// A webhook is in quarantine.
    Quarantined(Reason),
    /// What a browser said is.
    CallbackQuarantined(Reason),
    /// It was looked whether the server has confirmed what a browser said.
    Checked(Confirmation),
    /// The browser session has had its share ([`shared::table::MAX_OF_SESSION`]). Nothing was stored.
    OverLimit,
}

/// The id, the type and the facts of a quarantined body, as far as they can be read.
#[derive(Clone, Copy)]
struct Known<'a> {
    id: Option<&'a str>,
    kind: Option<&'a str>,
    facts: &'a Facts,
}

/// A body and how it came.
struct Delivered<'a> {
    job: Job,
    body: &'a [u8],
    hash: BodyHash,
}

impl Consumer {
    /// A consumer that writes to this table. What comes from the queue with the ARN `callback_queue` is
    /// from browsers, whatever it says of itself.
    pub fn new(table: Table, retention: Retention, callback_queue: Option<String>) -> Self {
        Self { table, retention, callback_queue }
    }

    /// Deals with one message. An error means: let it come again.
    pub async fn process(&self, message: &SqsMessage, now: Timestamp) -> Result<Outcome, Fault> {
        let raw = message.body.as_deref().unwrap_or_default();
        let from_browser = self.callback_queue.is_some()
            && message.event_source_arn.as_deref() == self.callback_queue.as_deref();
        let attribute = |name: &str| message.message_attributes.get(name)?.string_value.as_deref();
        let decoded = Job::decode(raw, attribute).and_then(|(job, body)| match (from_browser, job.source) {
            (true, _) => Ok((Job { source: Source::Callback, ..job }, body)),
            (false, Source::Callback) => Err(Undecodable::Attribute("source")),
            (false, _) => Ok((job, body)),
        });
        match decoded {
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
                    source: if from_browser { Source::Callback } else { Source::Webhook },
                    received_at,
                    delivery: message.message_id.clone().unwrap_or_default(),
                    held: false,
                    check: false,
                    session: None,
                };
                let delivered = Delivered { job, hash: BodyHash::of(raw.as_bytes()), body: raw.as_bytes() };
                self.quarantine(&delivered, Reason::Undecodable, &broken.to_string(), None, now).await
            }
        }
    }

    /// Files a body: as an event if it can be read, else in quarantine.
    async fn file(&self, delivered: &Delivered<'_>, now: Timestamp) -> Result<Outcome, Fault> {
        let envelope = match Envelope::parse(Verified::from_own_queue(delivered.body)) {
            Ok(envelope) => envelope,
            Err(unreadable) => return self.file_unreadable(delivered, unreadable, now).await,
        };
        if delivered.job.source == Source::Callback {
            return self.file_callback(delivered, &envelope, now).await;
        }
        let (facts, unreadable) = envelope.facts_and_fault();
        let known =
            Known { id: Some(envelope.id.as_str()), kind: Some(envelope.kind.as_str()), facts: &facts };
        if delivered.job.held {
            return self.set_aside(delivered, Reason::UnlistedSource, Some(known), now).await;
        }
        if let Some(unreadable) = unreadable {
            if state::is_revocation(&envelope.kind) {
                self.revoke(&envelope.kind, &facts, delivered.body, now).await?;
            }
            return self.set_aside(delivered, Reason::Unreadable(unreadable), Some(known), now).await;
        }
        let writes = state::writes(&envelope, &facts, &delivered.hash, delivered.job.received_at);
        let writes = writes.as_deref().map_err(|reason| *reason);
        self.record(delivered, &envelope, &facts, writes, envelope.kind.metric_word(), now).await
    }

    /// Files a body that is no event. Even so a revocation takes hold, if one can be made out.
    async fn file_unreadable(
        &self,
        delivered: &Delivered<'_>,
        unreadable: Unreadable,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        let reason = Reason::Unreadable(unreadable);
        let is_webhook = delivered.job.source != Source::Callback && !delivered.job.held;
        let Some((kinds, facts)) = salvaged(delivered.body).filter(|_| is_webhook) else {
            return self.set_aside(delivered, reason, None, now).await;
        };
        for kind in kinds.iter().filter(|kind| state::is_revocation(kind)) {
            self.revoke(kind, &facts, delivered.body, now).await?;
        }
        let kind = kinds.first().map(EventType::as_str);
        self.set_aside(delivered, reason, Some(Known { id: None, kind, facts: &facts }), now).await
    }

    /// Revokes what an event names that cannot be stored. When it names nothing that is known, its entry in quarantine
    /// is all that there can be.
    async fn revoke(
        &self,
        kind: &EventType,
        facts: &Facts,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Fault> {
        match self.table.revoke(kind, facts, body, now).await {
            Err(Fault::Poison(_)) => Ok(()),
            done => done,
        }
    }

    /// Files what a browser said, or looks whether the server has confirmed it since.
    async fn file_callback(
        &self,
        delivered: &Delivered<'_>,
        envelope: &Envelope<'_>,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        // Nobody but the callback function makes them.
        let Some(callback) = Callback::of(envelope) else {
            return self.set_aside(delivered, Reason::Undecodable, None, now).await;
        };
        // A message from before sessions were counted names none.
        if let Some(session) = &delivered.job.session
            && !self.table.count_of_session(session, now).await?
        {
            tracing::warn!(session, delivery = delivered.job.delivery, "over the limit");
            return Ok(Outcome::OverLimit);
        }
        let folded = callback::fold(envelope, &callback, &delivered.hash, delivered.job.received_at);
        if delivered.job.check {
            let Some(account) = &folded.facts.account else {
                return Ok(Outcome::Checked(Confirmation::Moot));
            };
            let expires = self.retention.event(now);
            let found = self.table.confirm(&callback.user, account, now, expires).await?;
            tracing::info!(event = %envelope.id, ?found, "looked for the server's word");
            return Ok(Outcome::Checked(found));
        }
        let writes = folded.writes.as_deref().map_err(|reason| *reason);
        self.record(delivered, envelope, &folded.facts, writes, callback.name.metric_word(), now).await
    }

    async fn record(
        &self,
        delivered: &Delivered<'_>,
        envelope: &Envelope<'_>,
        facts: &Facts,
        writes: Result<&[Write], Unfolded>,
        kind: &str,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        let record = Record {
            envelope,
            facts,
            body: delivered.body,
            hash: &delivered.hash,
            job: &delivered.job,
            writes,
            stored_at: now,
            expires: self.retention.event(now),
        };
        let known = Some(Known { id: Some(envelope.id.as_str()), kind: Some(envelope.kind.as_str()), facts });
        let stored = match self.table.record(record).await {
            Ok(Stored::Conflict) => {
                // A browser can make as many conflicts as it likes, and whatever it says is no more than a hint: its
                // body goes. Of a webhook, both bodies are stored.
                let what = Delivered { body: &[], job: delivered.job.clone(), hash: delivered.hash.clone() };
                let reason = Reason::IdConflict;
                let detail = format!("{reason}; what a browser sends under it again is not kept");
                return self.quarantine(&what, reason, &detail, known, now).await;
            }
            Ok(stored) => stored,
            Err(Fault::Poison(poison)) => {
                if delivered.job.source != Source::Callback && state::is_revocation(&envelope.kind) {
                    self.revoke(&envelope.kind, facts, delivered.body, now).await?;
                }
                let reason = match poison {
                    Poison::ItemTooLarge => Reason::ItemTooLarge,
                    Poison::Unattributed => Reason::Unattributed,
                };
                return self.set_aside(delivered, reason, known, now).await;
            }
            Err(fault @ Fault::Retry(_)) => return Err(fault),
        };
        let unfolded = writes.err().map(Unfolded::word);
        let unread = (!facts.unread.is_empty()).then(|| facts.unread.join(" "));
        tracing::info!(
            event = %envelope.id,
            // A browser can make a name up.
            r#type = if delivered.job.source == Source::Callback { kind } else { envelope.kind.as_str() },
            delivery = delivered.job.delivery,
            ?stored,
            unfolded,
            unread,
            "stored"
        );
        Ok(Outcome::Stored {
            stored,
            unfolded,
            is_partly_read: unread.is_some(),
            is_callback: delivered.job.source == Source::Callback,
        })
    }

    /// Puts into quarantine what is told well enough by its reason.
    async fn set_aside(
        &self,
        delivered: &Delivered<'_>,
        reason: Reason,
        known: Option<Known<'_>>,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        self.quarantine(delivered, reason, &reason.to_string(), known, now).await
    }

    async fn quarantine(
        &self,
        delivered: &Delivered<'_>,
        reason: Reason,
        detail: &str,
        known: Option<Known<'_>>,
        now: Timestamp,
    ) -> Result<Outcome, Fault> {
        let subjects: Vec<String> =
            known.iter().flat_map(|known| &known.facts.subjects).map(ToString::to_string).collect();
        let is_revoked = match known {
            Some(known) => self.table.is_body_revoked(known.facts, delivered.body).await?,
            None => false,
        };
        let what = ToQuarantine {
            // A revocation outranks the quarantine: the entry stays, without its body.
            body: if is_revoked { &[] } else { delivered.body },
            hash: &delivered.hash,
            reason,
            detail,
            id: known.and_then(|known| known.id),
            kind: known.and_then(|known| known.kind),
            subjects: &subjects,
            source: delivered.job.source.as_str(),
            delivery: &delivered.job.delivery,
            received_at: delivered.job.received_at,
            stored_at: now,
            expires: self.retention.quarantine(now),
        };
        let key = self.table.quarantine(what).await?;
        tracing::warn!(%key, reason = reason.word(), delivery = delivered.job.delivery, "quarantined");
        Ok(match delivered.job.source {
            Source::Callback => Outcome::CallbackQuarantined(reason),
            Source::Webhook | Source::Reconcile => Outcome::Quarantined(reason),
        })
    }
}

impl Outcome {
    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        match self {
            Self::Stored {
                stored: stored @ (Stored::New { .. } | Stored::OtherBody { .. }),
                unfolded,
                is_partly_read,
                is_callback,
            } => {
                let mut counts = vec![Count::of(Metric::Stored)];
                let metric = if *is_callback { Metric::CallbackUnfolded } else { Metric::Unfolded };
                counts.extend(unfolded.map(|reason| Count::by(metric, reason)));
                if *is_partly_read {
                    counts.push(Count::of(Metric::PartlyRead));
                }
                if matches!(stored, Stored::OtherBody { .. }) {
                    counts.push(Count::of(Metric::OtherBody));
                }
                counts
            }
            Self::Stored { stored: Stored::Repeat { deliveries, new_delivery: true }, .. } => {
                let sighting = if *deliveries == 2 { "Second" } else { "Later" };
                vec![Count::by(Metric::RepeatedDelivery, sighting)]
            }
            Self::Quarantined(reason) => vec![Count::by(Metric::Quarantined, reason.word())],
            Self::CallbackQuarantined(reason) => {
                vec![Count::by(Metric::CallbackQuarantined, reason.word())]
            }
            Self::OverLimit => vec![Count::of(Metric::CallbackOverLimit)],
            Self::Checked(Confirmation::Missing { first: true }) => {
                vec![Count::of(Metric::UnconfirmedConnection)]
            }
            Self::Stored { .. } | Self::Checked(_) => Vec::new(),
        }
    }
}
