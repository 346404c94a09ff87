//! One item of a browser's batch: checked against the session it came in, and the message made of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event_id;
use super::mentions::Mentions;
use super::said::{Name, Said};
use crate::event::words::text;
use crate::id::EventId;
use crate::session::Session;

/// The most bytes that one item's data may have.
pub const MAX_DATA_BYTES: usize = 16 * 1024;

/// An item that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The event that it becomes.
    pub event: EventId,
    /// The id that the page gave it.
    pub client_id: String,
    /// Which callback.
    pub name: Name,
    /// What it says.
    pub said: Said,
    /// The envelope, as it is queued and stored.
    pub body: String,
}

/// An item that was not taken. Trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The item's own id, if that could be read.
    pub id: Option<String>,
    /// Why.
    pub why: Why,
}

/// What is wrong with an item. The text says what to do, and quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not an object, or a member twice.
    #[error("an item is an object with the members id, name, at and data, each once")]
    Malformed,
    /// No id of the right form.
    #[error("id must be a text of 1 to 64 characters of A-Z a-z 0-9 . _ : -")]
    Id,
    /// No name of the right form.
    #[error("name must be a callback's name, such as onAccountConnected")]
    Name,
    /// No time.
    #[error("at must be a time with its offset, such as 2026-03-01T10:00:00.123Z")]
    At,
    /// Data that a reader could not read.
    #[error(
        "data must be JSON that can be read: nested 100 deep at most, numbers within range, no half of a surrogate pair, naming 100 accounts and archives at most"
    )]
    Data,
    /// Too much data.
    #[error("data must have {MAX_DATA_BYTES} bytes at most")]
    DataTooLarge,
    /// Somebody else's.
    #[error("data names a userId that is not the user of the session")]
    WrongUser,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Malformed, Self::Id, Self::Name, Self::At, Self::Data, Self::DataTooLarge, Self::WrongUser];

    /// A stable word for answers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Id => "id",
            Self::Name => "name",
            Self::At => "at",
            Self::Data => "data",
            Self::DataTooLarge => "data_too_large",
            Self::WrongUser => "wrong_user",
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Takes one item of a batch, or says why not.
pub fn take(session: &Session, item: &RawValue) -> Result<Taken, Refused> {
    let json = item.get();
    let wire: Wire<'_> = json
        .starts_with('{')
        .then(|| serde_json::from_str(json).ok())
        .flatten()
        .ok_or(Refused { id: None, why: Why::Malformed })?;
    let id = text(wire.id)
        .filter(|id| crate::event::words::is_word(id))
        .ok_or(Refused { id: None, why: Why::Id })?;
    let refused = |why| Refused { id: Some(id.to_string()), why };
    let name = text(wire.name).filter(|name| is_name(name)).ok_or_else(|| refused(Why::Name))?;
    let name = Name::from(name.as_ref());
    // The range of RFC 3339, and of a version.
    let years = |at: &Timestamp| (-62_135_596_800..253_402_300_800).contains(&at.as_second());
    let at = text(wire.at).and_then(|at| at.parse().ok()).filter(years).ok_or_else(|| refused(Why::At))?;
    if wire.data.is_some_and(|data| data.get().len() > MAX_DATA_BYTES) {
        return Err(refused(Why::DataTooLarge));
    }
    let named = wire.data.map(|data| Mentions::of(data).ok_or_else(|| refused(Why::Data))).transpose()?;
    if named.iter().flat_map(|named| &named.users).any(|user| user != session.user().as_str()) {
        return Err(refused(Why::WrongUser));
    }
    let event = event_id(session.user(), &id);
    let body = body(session, &event, &id, &name, at, wire.data);
    Ok(Taken { said: Said::read(&name, wire.data), client_id: id.into_owned(), event, name, body })
}

/// `on` and a capital: no name of a vendor's event is like this.
fn is_name(name: &str) -> bool {
    let mut rest = name.strip_prefix("on").unwrap_or_default().bytes();
    name.len() <= 64
        && rest.next().is_some_and(|first| first.is_ascii_uppercase())
        && rest.all(|byte| byte.is_ascii_alphanumeric())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: &'a EventId,
    version: u8,
    #[serde(rename = "type")]
    kind: &'a Name,
    created_at: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    user_id: &'a crate::id::UserId,
    client_id: &'a str,
    value: Option<&'a RawValue>,
}

fn body(
    session: &Session,
    id: &EventId,
    client_id: &str,
    kind: &Name,
    created_at: Timestamp,
    value: Option<&RawValue>,
) -> String {
    let data = Data { user_id: session.user(), client_id, value };
    #[expect(clippy::expect_used, reason = "texts, a time, and JSON that was read as such")]
    serde_json::to_string(&Body { id, version: 1, kind, created_at, data }).expect("JSON")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::callback::{Callback, fold};
    use crate::event::Envelope;
    use crate::id::UserId;
    use crate::secrets::SecretSet;
    use crate::session::mint;
    use crate::state::BodyHash;
    use crate::verify::{Secret, Verified};

    fn session(user: &str) -> Session {
        let now = "2026-03-01T10:00:00Z".parse().unwrap();
        let user = UserId::new(user).unwrap();
        let minted = mint(&user, [0; 16], SignedDuration::from_mins(5), now, &Secret::new("s").unwrap());
        Session::check(&minted.token, &SecretSet::from_document("s").unwrap(), now).unwrap()
    }

    fn take_text(user: &str, item: &str) -> Result<Taken, Refused> {
        take(&session(user), &RawValue::from_string(item.to_owned()).unwrap())
    }

    fn item() -> Value {
        json!({ "id": "c-1", "name": "onAccountConnected", "at": "2026-03-01T18:00:00.123+08:00",
                "data": { "accountId": "a-1", "userId": "u-1", "providerId": "sss_ph" } })
    }

    #[test]
    fn the_form_of_the_body_is_frozen() {
        let odd = r#"{"id":"c-1","name":"onClose","at":"2026-03-01T18:00:00.123+08:00","data": { "reason" : "exit" }}"#;
        let taken = take_text("u-1", odd).unwrap();
        assert_eq!(
            taken.body,
            r#"{"id":"cb-707f6f67f492c4c64ccd87a3d3ca80b7","version":1,"type":"onClose","createdAt":"2026-03-01T10:00:00.123Z","data":{"userId":"u-1","clientId":"c-1","value":{ "reason" : "exit" }}}"#
        );
        let envelope = Envelope::parse(Verified::from_own_queue(taken.body.as_bytes())).unwrap();
        let callback = Callback::of(&envelope).unwrap();
        assert_eq!((callback.user.as_str(), callback.client_id.as_str()), ("u-1", "c-1"));
        assert_eq!(callback.value().unwrap().get(), r#"{ "reason" : "exit" }"#);
    }

    #[test]
    fn an_id_is_nobody_elses() {
        let id = |user: &str, client: &str| event_id(&UserId::new(user).unwrap(), client);
        assert_eq!(id("u-1", "c"), id("u-1", "c"));
        let mut different =
            vec![id("u-1", "c"), id("u-2", "c"), id("u-1", "d"), id("u", "-1c"), id("u-1c", "")];
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 5);
        // A browser that names a vendor's event, or one of ours, makes another one.
        let forged = json!({ "id": "et-00000000000000000000000000000001", "name": "onClose", "at": "2026-03-01T10:00:00Z" });
        let taken = take_text("u-1", &forged.to_string()).unwrap();
        assert!(taken.event.as_str().starts_with("cb-") && taken.event.as_str().len() == 35);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let change = |name: &str, value: Value| {
            let mut item = item();
            item[name] = value;
            item.to_string()
        };
        let with = |data: &str| {
            format!(r#"{{"id":"c-1","name":"onClose","at":"2026-03-01T10:00:00Z","data":{data}}}"#)
        };
        let twice = with(r#"{"userId":"u-2","userId":"u-1"}"#);
        let unreadable = |value: &str| with(&format!(r#"{{"userId":"u-1","x":{value}}}"#));
        let mut big = item();
        big["data"]["more"] = json!("x".repeat(MAX_DATA_BYTES));
        for (item, word) in [
            ("[]".to_owned(), "malformed"),
            ("7".to_owned(), "malformed"),
            ("null".to_owned(), "malformed"),
            (r#"{"id":"a","id":"b","name":"onClose","at":"2026-03-01T10:00:00Z"}"#.to_owned(), "malformed"),
            (change("id", json!("")), "id"),
            (change("id", json!("x".repeat(65))), "id"),
            (change("id", json!("a b")), "id"),
            (change("id", json!("é")), "id"),
            (change("id", json!(7)), "id"),
            (change("name", json!("ACCOUNT_CONNECTED")), "name"),
            (change("name", json!("onclose")), "name"),
            (change("name", json!("on")), "name"),
            (change("name", json!("on<script>")), "name"),
            (change("name", json!(format!("on{}", "A".repeat(63)))), "name"),
            (change("name", json!(null)), "name"),
            (change("at", json!("now")), "at"),
            (change("at", json!("2026-03-01T10:00:00")), "at"),
            (change("at", json!("-000001-03-01T10:00:00Z")), "at"),
            (change("at", json!(1_772_359_200)), "at"),
            (big.to_string(), "data_too_large"),
            (change("data", json!({ "userId": "u-2" })), "wrong_user"),
            (change("data", json!({ "userId": 7 })), "wrong_user"),
            (change("data", json!(r#"{"userId":"u-2"}"#)), "wrong_user"),
            (change("data", json!({ "account": { "userId": "u-2" } })), "wrong_user"),
            (change("data", json!({ "archive": r#"{"userId":"u-2"}"# })), "wrong_user"),
            (change("data", json!({ "uploads": [{ "userId": "u-2" }] })), "wrong_user"),
            (twice.clone(), "wrong_user"),
            (unreadable("1e999"), "data"),
            (unreadable(r#""\ud800""#), "data"),
            (unreadable(&format!("{}{}", "[".repeat(200), "]".repeat(200))), "data"),
        ] {
            assert_eq!(take_text("u-1", &item).unwrap_err().why.word(), word, "{item}");
        }
        for good in [
            item().to_string(),
            change("data", json!(null)),
            change("data", json!("text")),
            change("data", json!([1])),
            change("name", json!("onSomethingNew")),
            change("extra", json!({ "__proto__": 1 })),
            r#"{"id":"c","name":"onTokenExpired","at":"2026-03-01T10:00:00Z"}"#.to_owned(),
        ] {
            assert!(take_text("u-1", &good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_clock_that_cannot_be_believed_counts_as_of_the_receipt() {
        let received_at: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        for (at, counts) in [
            ("1970-01-01T00:03:12.000Z", "2026-03-02T10:00:00Z"),
            ("2026-03-01T09:59:59.999Z", "2026-03-02T10:00:00Z"),
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-02T09:59:00.5Z", "2026-03-02T09:59:00.5Z"),
            ("2026-03-02T10:05:00Z", "2026-03-02T10:05:00Z"),
            ("2026-03-02T10:05:00.001Z", "2026-03-02T10:00:00Z"),
            ("2099-01-01T00:00:00Z", "2026-03-02T10:00:00Z"),
        ] {
            let mut item = item();
            item["at"] = json!(at);
            let taken = take_text("u-1", &item.to_string()).unwrap();
            let envelope = Envelope::parse(Verified::from_own_queue(taken.body.as_bytes())).unwrap();
            let callback = Callback::of(&envelope).unwrap();
            let folded = fold(&envelope, &callback, &BodyHash::of(taken.body.as_bytes()), received_at);
            let versions: Vec<_> =
                folded.writes.unwrap().iter().filter_map(|write| write.value.v.created_at()).collect();
            assert_eq!(versions, [counts.parse().unwrap()], "{at}");
            // The event keeps the date as it was written.
            assert_eq!(envelope.occurred_at(), Some(at.parse().unwrap()));
        }
    }

    #[test]
    fn a_body_that_was_not_made_here_is_no_callback() {
        for body in [
            r#"{"id":"et-1","version":1,"type":"onClose","data":{"userId":"u-1","clientId":"c-1","value":null}}"#,
            r#"{"id":"et-1","version":1,"type":"ACCOUNT_CONNECTED","data":{"userId":"u-1","accountId":"a-1"}}"#,
            r#"{"id":"et-1","type":"onClose"}"#,
        ] {
            let envelope = Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap();
            assert!(Callback::of(&envelope).is_none(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_reads_back(
            id in "[A-Za-z0-9._:-]{1,64}",
            name in "on[A-Z][A-Za-z0-9]{0,61}",
            seconds in -60_000_000_000_i64..250_000_000_000,
            value in "\\PC{0,100}",
            user in "[ -~]{1,60}",
        ) {
            let at = Timestamp::from_second(seconds).unwrap();
            let item = json!({ "id": id, "name": name, "at": at.to_string(), "data": { "more": value } });
            let taken = take_text(&user, &item.to_string()).unwrap();
            let envelope = Envelope::parse(Verified::from_own_queue(taken.body.as_bytes())).unwrap();
            let callback = Callback::of(&envelope).unwrap();
            prop_assert_eq!((callback.user.as_str(), &callback.client_id), (user.as_str(), &id));
            prop_assert_eq!((&callback.name, &callback.said), (&taken.name, &taken.said));
            prop_assert_eq!(envelope.occurred_at(), Some(at));
            // A repeat has the same bytes.
            prop_assert_eq!(take_text(&user, &item.to_string()).unwrap().body, taken.body);
        }
    }
}
