//! What another table alone has, after a restore, and what comes by no queue: events without a body, and the quarantine.
//!
//! An event whose body was dropped is copied as it stands, so that a further delivery of it is a repeat. Its register is
//! made anew from its facts, by the rules of today, and offered like that of any event. All of it is safe to repeat.

use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::event::Record;
use super::fault::Fault;
use super::read::stored_event;
use super::{Item, QuarantineKey, Table, text};
use crate::event::{Envelope, Subject};
use crate::id::EventId;
use crate::job::{Job, Source};
use crate::state::{self, BodyHash};
use crate::verify::Verified;

/// Why an event cannot be brought over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBrought {
    /// The other table does not have it any more.
    Gone,
    /// It has a body, or should have one: it can only come by its queue.
    HasBody,
}

impl Table {
    /// Brings an event without a body over from another table: its register, then itself. What a browser said writes no
    /// register again: its facts do not hold all that its registers do.
    pub async fn bring_over(&self, from: &Self, id: &EventId) -> Result<Result<(), NotBrought>, Fault> {
        let key = (format!("EVENT#{id}"), "EVENT".to_owned());
        let Some(item) = from.item_at(&key).await? else { return Ok(Err(NotBrought::Gone)) };
        if !item.contains_key("body_dropped") {
            return Ok(Err(NotBrought::HasBody));
        }
        self.offer_registers_of(&item).await?;
        self.put_if_absent(item).await?;
        Ok(Ok(()))
    }

    /// Offers the register of a stored webhook, made anew from its facts.
    async fn offer_registers_of(&self, item: &Item) -> Result<(), Fault> {
        let event = stored_event(item.clone())?;
        if event.source == Source::Callback.as_str() {
            return Ok(());
        }
        let unusable =
            |what: &str| Fault::Retry(format!("the stored event {} has no usable {what}", event.id));
        // As it was written: a number, nearly always.
        let version = event.version.as_ref().map(|version| {
            serde_json::from_str(version).unwrap_or_else(|_| serde_json::Value::from(version.as_str()))
        });
        let sent_as = event.other_body_of.as_ref().unwrap_or(&event.id);
        let envelope = serde_json::json!({
            "id": sent_as, "type": event.kind, "version": version, "createdAt": event.created_at,
        });
        let envelope = envelope.to_string();
        let envelope = Envelope::parse(Verified::from_own_queue(envelope.as_bytes()))
            .map_err(|_| unusable("id or type"))?;
        let hash = BodyHash::from_hex(&event.hash).ok_or_else(|| unusable("hash"))?;
        let mut facts = event.facts.clone();
        facts.named = event.subjects.iter().filter_map(|subject| Subject::from_text(subject)).collect();
        facts.subjects.clone_from(&facts.named);
        let writes = state::writes(&envelope, &facts, &hash, event.received_at);
        let job = Job {
            source: Source::Webhook,
            received_at: event.received_at,
            delivery: event.id.clone(),
            held: false,
            check: false,
            session: None,
        };
        let record = Record {
            envelope: &envelope,
            facts: &facts,
            body: &[],
            hash: &hash,
            job: &job,
            writes: writes.as_deref().map_err(|reason| *reason),
            stored_at: event.stored_at,
            // Of what a browser said only.
            expires: event.stored_at,
        };
        match self.write_state(&record).await {
            // What it meant stood in its body alone.
            Ok(_) | Err(Fault::Poison(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Copies what lies in another table's quarantine, its chunks first. Says whether it was there.
    pub async fn bring_over_quarantined(&self, from: &Self, key: &QuarantineKey) -> Result<bool, Fault> {
        let mut items = Vec::new();
        for pk in key.pks() {
            items.extend(from.query(None, "pk", &pk, Some(("sk", &key.to_string()))).await?);
        }
        items.sort_by_key(|item| item.contains_key("reason"));
        if !items.last().is_some_and(|item| item.contains_key("reason")) {
            return Ok(false);
        }
        for item in items {
            self.put_if_absent(item).await?;
        }
        Ok(true)
    }

    async fn item_at(&self, (pk, sk): &(String, String)) -> Result<Option<Item>, Fault> {
        let read = self.client.get_item().table_name(&self.name).key("pk", text(pk)).key("sk", text(sk));
        let answer = read.consistent_read(true).send().await;
        Ok(answer.map_err(|error| Fault::of("reading", &error))?.item)
    }

    async fn put_if_absent(&self, item: Item) -> Result<(), Fault> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) => {}
            ended => {
                ended.map_err(|error| Fault::of("bringing over", &error))?;
            }
        }
        Ok(())
    }
}
