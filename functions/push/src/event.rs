//! What the rule hands over, and what a page is told of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::id::UserId;

/// An event of the bus.
#[derive(Debug, Deserialize)]
pub struct BusEvent {
    /// What stands in it.
    pub detail: Detail,
}

/// What matters of an event (the bus has an allow list of what there is).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    stored_at: Option<Timestamp>,
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    archive_id: Option<String>,
    #[serde(default)]
    invite_id: Option<String>,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    entity: String,
}

/// So long after it was stored everybody has heard of an event: the two hours that the bus is tried, and one more. Not
/// only the table: a back end may keep a state of its own, which it makes of what the bus brings.
const HEARD_EVERYWHERE: SignedDuration = SignedDuration::from_hours(3);

/// Lambda tries an event again after a minute (AWS Lambda, "asynchronous invocation").
const LATE: SignedDuration = SignedDuration::from_secs(45);

impl Detail {
    /// The event's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether so much time has gone since it was stored that it has been tried before.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.stored_at.is_some_and(|stored| now.duration_since(stored) > LATE)
    }

    /// Pages that have listened only since later than this have read what it says, when they began: to tell them what
    /// is replayed would have them read it once more.
    pub fn known_to_pages_since(&self) -> Timestamp {
        let heard = self.stored_at.and_then(|stored| stored.checked_add(HEARD_EVERYWHERE).ok());
        heard.unwrap_or(Timestamp::MAX)
    }

    /// Whose it is. What is nobody's has no page.
    pub fn user(&self) -> Option<&UserId> {
        self.user_id.as_ref()
    }

    /// What a page is told: the type, the event, and which thing it is about. The rest the page asks for.
    ///
    /// # Panics
    ///
    /// Never: it is three texts.
    #[expect(clippy::expect_used, reason = "see above")]
    pub fn message(&self) -> String {
        let things =
            [("ACCOUNT", &self.account_id), ("ARCHIVE", &self.archive_id), ("INVITE", &self.invite_id)];
        let entity = things.into_iter().find_map(|(kind, id)| Some(format!("{kind}#{}", id.as_ref()?)));
        let entity = entity.unwrap_or_else(|| "USER".to_owned());
        serde_json::to_string(&Message { kind: &self.kind, id: &self.id, entity }).expect("a message is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_further_try_is_late() {
        let event = |stored: &str| {
            serde_json::from_value::<Detail>(serde_json::json!({
            "id": "et-1", "type": "USER_CREATED", "storedAt": stored }))
        };
        let detail = event("2026-03-01T10:00:00Z").unwrap();
        for (now, is_late) in [("10:00:02", false), ("09:59:00", false), ("10:01:00", true)] {
            let now = format!("2026-03-01T{now}Z").parse().unwrap();
            assert_eq!(detail.is_late(now), is_late, "{now}");
        }
    }

    #[test]
    fn a_message_says_what_and_about_which_thing_alone() {
        let read = |detail: &str| {
            let event: BusEvent = serde_json::from_str(&format!(r#"{{"detail":{detail}}}"#)).unwrap();
            event.detail.message()
        };
        for (detail, message) in [
            (
                r#"{"id":"et-1","type":"ACCOUNT_CONNECTED","userId":"u-1","accountId":"a-1","providers":["x"]}"#,
                r#"{"type":"ACCOUNT_CONNECTED","id":"et-1","entity":"ACCOUNT#a-1"}"#,
            ),
            (
                r#"{"id":"et-2","type":"ARCHIVE_ANALYZED","userId":"u-1","archiveId":"r-1"}"#,
                r#"{"type":"ARCHIVE_ANALYZED","id":"et-2","entity":"ARCHIVE#r-1"}"#,
            ),
            (
                r#"{"id":"et-3","type":"INVITE_LINKED","userId":"u-1","inviteId":"i-1"}"#,
                r#"{"type":"INVITE_LINKED","id":"et-3","entity":"INVITE#i-1"}"#,
            ),
            (
                r#"{"id":"et-4","type":"USER_CREATED","userId":"u-1"}"#,
                r#"{"type":"USER_CREATED","id":"et-4","entity":"USER"}"#,
            ),
        ] {
            assert_eq!(read(detail), message);
        }
    }
}
