//! What the function is invoked with: changes of the table, from its stream, or messages of its own retry queue.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::table::StoredEvent;

/// One invocation.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// Its records, in the order of the shard or the queue.
    #[serde(rename = "Records")]
    pub records: Records,
}

/// One invocation has records of one kind.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Records {
    /// Of the stream.
    Changes(Vec<Change>),
    /// Of the retry queue.
    Messages(Vec<Message>),
}

/// A change of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    event_name: String,
    dynamodb: Images,
}

/// Keys and image stay as they came, so that one that cannot be read spoils no other.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    sequence_number: String,
    #[serde(default)]
    keys: Value,
    #[serde(default)]
    new_image: Value,
}

/// A message of the retry queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The name by which Lambda knows it.
    pub message_id: String,
    /// An [`Again`].
    pub body: String,
}

/// What the retry queue is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Again {
    /// The event, which is read again from the table.
    pub id: String,
}

/// What Lambda is told: what is to come again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// Of a stream one record, with which the shard begins again. Of the queue each message that failed.
    pub batch_item_failures: Vec<Failure>,
}

/// One record that is to come again.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its sequence number or message id.
    pub item_identifier: String,
}

impl Change {
    /// Its sequence number, and the id of the event that was stored; none when it is anything else that changed.
    pub fn stored(&self) -> Option<(&str, &str)> {
        let Images { sequence_number, keys, .. } = &self.dynamodb;
        let key = |name: &str| keys[name]["S"].as_str();
        let id = key("pk")?.strip_prefix("EVENT#")?;
        (self.event_name == "INSERT" && key("sk") == Some("EVENT")).then_some((sequence_number, id))
    }

    /// The event as it was stored, if it can be read.
    pub fn event(&self) -> Option<StoredEvent> {
        let image = serde_dynamo::Item::deserialize(&self.dynamodb.new_image).ok()?;
        serde_dynamo::from_item(image).ok()
    }
}

impl FromIterator<String> for Failures {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let failures = names.into_iter().map(|item_identifier| Failure { item_identifier });
        Self { batch_item_failures: failures.collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(name: &str, pk: &str, sk: &str, image: &Value) -> Value {
        json!({ "eventID": "1", "eventName": name, "eventSource": "aws:dynamodb", "dynamodb": {
            "SequenceNumber": "100", "Keys": { "pk": { "S": pk }, "sk": { "S": sk } }, "NewImage": image } })
    }

    fn read(record: Value) -> Change {
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn only_a_stored_event_is_one() {
        let image = json!({});
        assert_eq!(read(change("INSERT", "EVENT#et-1", "EVENT", &image)).stored(), Some(("100", "et-1")));
        for (name, pk, sk) in [
            ("MODIFY", "EVENT#et-1", "EVENT"),
            ("REMOVE", "EVENT#et-1", "EVENT"),
            ("INSERT", "EVENT#et-1", "BODY#0123456789abcdef#00"),
            ("INSERT", "USER#u-1", "USER"),
            ("INSERT", "QUARANTINE#2026-03-01", "EVENT"),
        ] {
            assert_eq!(read(change(name, pk, sk, &image)).stored(), None, "{name} {pk} {sk}");
        }
    }

    #[test]
    fn an_image_is_read_or_its_id_remains() {
        let image = json!({
            "id": { "S": "et-1" }, "type": { "S": "USER_CREATED" }, "source": { "S": "webhook" },
            "received_at": { "S": "2026-03-01T10:00:01Z" }, "stored_at": { "S": "2026-03-01T10:00:02Z" },
            "hash": { "S": "" }, "bytes": { "N": "7" }, "deliveries": { "SS": ["d-1"] }, "body": { "B": "KLUv/Q==" },
            "facts": { "M": { "user": { "S": "u-1" }, "count": { "N": "2" } } },
        });
        let event = read(change("INSERT", "EVENT#et-1", "EVENT", &image)).event().unwrap();
        assert_eq!((event.id.as_str(), event.facts.count), ("et-1", Some(2)));
        let mut without_date = image.clone();
        without_date["stored_at"] = json!({ "S": "yesterday" });
        let of_tomorrow = json!({ "id": { "NEW": "et-1" } });
        for unreadable in [json!({}), json!(null), json!("x"), without_date, of_tomorrow] {
            let change = read(change("INSERT", "EVENT#et-1", "EVENT", &unreadable));
            assert_eq!((change.event(), change.stored()), (None, Some(("100", "et-1"))), "{unreadable}");
        }
    }

    #[test]
    fn a_batch_has_one_kind_of_records() {
        let changed = change("INSERT", "EVENT#et-1", "EVENT", &json!({}));
        let sent = json!({ "messageId": "m-1", "body": "{}", "eventSource": "aws:sqs" });
        let batch = |records: &[&Value]| serde_json::from_value::<Batch>(json!({ "Records": records }));
        assert!(
            matches!(batch(&[&changed, &changed]).unwrap().records, Records::Changes(of) if of.len() == 2)
        );
        assert!(matches!(batch(&[&sent]).unwrap().records, Records::Messages(of) if of.len() == 1));
        // Nothing of it could be named, so that it must fail as a whole.
        assert!(batch(&[&changed, &sent]).is_err());
        assert!(batch(&[&json!({ "dynamodb": {} })]).is_err());
    }

    #[test]
    fn lambda_is_told_in_its_own_words() {
        let failures: Failures = ["100".to_owned()].into_iter().collect();
        let told = json!({ "batchItemFailures": [{ "itemIdentifier": "100" }] });
        assert_eq!(serde_json::to_value(failures).unwrap(), told);
        assert_eq!(serde_json::to_value(Failures::default()).unwrap(), json!({ "batchItemFailures": [] }));
    }
}
