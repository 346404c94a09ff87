//! What a dead letter is about, without its body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::event::Envelope;
use shared::id::EventId;
use shared::job::Job;
use shared::table::Table;
use shared::verify::Verified;
use tokio::task::JoinSet;

use super::letters::Received;
use super::stretches::Span;
use super::{Wanted, Which};

/// A dead letter, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The message's id at SQS.
    pub message: String,
    /// The type of the event in it, or why none can be read.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When it was queued first.
    pub sent_at: Timestamp,
    /// How often it was received, here included.
    pub receives: u32,
    /// The message's length.
    pub bytes: usize,
    /// Whether it is one of those that are asked for.
    pub is_wanted: bool,
    /// Why it cannot go back to its queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<&'static str>,
    /// Instead of an event's id, the time in which several were stored.
    #[serde(skip)]
    pub(super) span: Option<Span>,
}

/// Ages by which letters are counted.
pub(super) const AGES: [(&str, SignedDuration); 3] = [
    ("under 1 hour", SignedDuration::from_hours(1)),
    ("under 1 day", SignedDuration::from_hours(24)),
    ("under 4 days", SignedDuration::from_hours(96)),
];

/// What is known of a message's content.
struct Content {
    kind: Cow<'static, str>,
    event: Option<String>,
    stuck: Option<&'static str>,
    span: Option<Span>,
}

impl Content {
    fn of(kind: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: kind.into(), event: None, stuck: None, span: None }
    }
}

impl Letter {
    /// Reads messages of this queue, in their order. The table is asked about all of them at once.
    pub(super) async fn all(
        received: &[Received],
        which: Which,
        table: &Table,
        wanted: &Wanted,
    ) -> anyhow::Result<Vec<Self>> {
        let contents = match which {
            Which::Webhook | Which::Callback => received.iter().map(of_event).collect(),
            Which::Publish => of_ids(received, table).await?,
        };
        Ok(received
            .iter()
            .zip(contents)
            .map(|(received, content)| Self::of(received, content, wanted))
            .collect())
    }

    fn of(received: &Received, content: Content, wanted: &Wanted) -> Self {
        let is_wanted = content.stuck.is_none() && wanted.holds(&content.kind, received.sent_at);
        Self {
            message: received.id.clone(),
            kind: content.kind.into_owned(),
            event: content.event,
            sent_at: received.sent_at,
            receives: received.receives,
            bytes: received.bytes(),
            is_wanted,
            stuck: content.stuck,
            span: content.span,
        }
    }

    /// Its age, in words.
    pub(super) fn age(&self, now: Timestamp) -> &'static str {
        let age = now.duration_since(self.sent_at);
        AGES.iter().find(|(_, than)| age < *than).map_or("4 days and more", |(word, _)| word)
    }
}

/// A message with an event in it.
fn of_event(received: &Received) -> Content {
    let Ok((_, body)) = Job::decode(received.body(), |name| received.attribute(name)) else {
        return Content::of("(undecodable)");
    };
    match Envelope::parse(Verified::from_own_queue(&body)) {
        Ok(envelope) => {
            Content { event: Some(envelope.id.to_string()), ..Content::of(envelope.kind.as_str().to_owned()) }
        }
        Err(_) => Content::of("(unreadable)"),
    }
}

/// A message of the retry queue of `publish`: an event's id.
#[derive(Deserialize)]
struct Id {
    id: String,
}

/// What Lambda tells of records of a stream that it gave up (AWS Lambda, "Retain discarded records").
#[derive(Deserialize)]
struct GaveUp {
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: Batch,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    approximate_arrival_of_first_record: Timestamp,
    approximate_arrival_of_last_record: Timestamp,
}

/// How much earlier than it came to the stream an event may have been stored, and how far clocks may differ.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

async fn of_ids(received: &[Received], table: &Table) -> anyhow::Result<Vec<Content>> {
    let mut reading = JoinSet::new();
    for (at, one) in received.iter().enumerate() {
        let (body, table) = (one.body().to_owned(), table.clone());
        reading.spawn(async move { (at, of_id(&body, &table).await) });
    }
    let mut contents = BTreeMap::new();
    while let Some(read) = reading.join_next().await {
        let (at, content) = read?;
        contents.insert(at, content?);
    }
    Ok(contents.into_values().collect())
}

async fn of_id(body: &str, table: &Table) -> anyhow::Result<Content> {
    if let Ok(Id { id }) = serde_json::from_str(body) {
        let event = match EventId::new(id.as_str()) {
            Ok(id) => table.event_alone(&id).await?,
            Err(_) => None,
        };
        let content = event.map_or_else(|| Content::of("(gone)"), |event| Content::of(event.kind));
        return Ok(Content { event: Some(id), ..content });
    }
    Ok(match serde_json::from_str(body) {
        Ok(GaveUp { batch }) => {
            let from = batch.approximate_arrival_of_first_record.saturating_sub(MARGIN)?;
            let to = batch.approximate_arrival_of_last_record.saturating_add(MARGIN)?;
            Content { span: Some((from, to)), ..Content::of("(stream)") }
        }
        Err(_) => {
            Content { stuck: Some("it is no message of the retry queue's"), ..Content::of("(unreadable)") }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_wanted() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (since, until) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
        let wanted = Wanted {
            types: vec!["TASK_STARTED".to_owned(), "TASK_FINISHED".to_owned()],
            since: Some(since),
            until: Some(until),
            limit: None,
        };
        assert!(wanted.holds("TASK_FINISHED", since) && wanted.holds("TASK_STARTED", since));
        assert!(!wanted.holds("TASK_FINISHED", until) && !wanted.holds("TASK", since));
        assert!(!wanted.holds("TASK_FINISHED", at("2026-03-01T09:59:59Z")));
        assert!(Wanted::default().holds("(undecodable)", until));
    }

    #[test]
    fn what_lambda_gave_up_is_known_by_its_time() {
        // As AWS shows it (AWS Lambda, "Retain discarded records").
        let told = r#"{ "requestContext": { "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3 },
            "version": "1.0", "timestamp": "2019-11-14T00:13:49.717Z", "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001573689847184-864758bb", "startSequenceNumber": "8", "endSequenceNumber": "8",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z", "batchSize": 1,
            "streamArn": "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388" } }"#;
        let GaveUp { batch } = serde_json::from_str(told).unwrap();
        assert_eq!(batch.approximate_arrival_of_last_record, "2019-11-14T00:13:19Z".parse().unwrap());
        assert!(serde_json::from_str::<Id>(told).is_err() && serde_json::from_str::<GaveUp>("{}").is_err());
    }
}
