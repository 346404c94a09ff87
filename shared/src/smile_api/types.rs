//! What Smile knows, as far as this project reads it. Names, addresses, logins and files are left where
//! they are: nothing here carries them but [`Payload`], which does not print.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::SecretText;
use crate::event::{EventType, MonitorStatus, SourceType, TaskType};
use crate::id::{AccountId, ArchiveId, InviteId, UserId};
pub use crate::id::{TaskId, WebhookId};

/// The word that subscribes to every type, those of tomorrow included.
pub const ALL_EVENTS: &str = "ALL_EVENTS";

/// A webhook to register (Smile, `WebhookPostRequest`).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewWebhook {
    /// 1 to 200 characters.
    pub name: String,
    /// `https`, up to 500 characters.
    pub url: String,
    /// What it gets; [`NewWebhook::all_events`] for everything.
    pub event_types: Vec<EventType>,
    /// Whether it gets anything yet.
    pub active: bool,
    /// What Smile signs with, 1 to 64 characters.
    #[serde(serialize_with = "SecretText::reveal")]
    pub secret: SecretText,
    /// Whether `TASK_FINISHED` and `ACCOUNT_SYNC_TASK_FINISHED` carry the data themselves.
    pub include_payload: bool,
}

impl NewWebhook {
    /// The one word that means every type.
    pub fn all_events() -> Vec<EventType> {
        vec![EventType::from(ALL_EVENTS)]
    }
}

/// A registered webhook (Smile, `Webhook`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What somebody called it.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Where events go.
    pub url: String,
    /// What it gets; `ALL_EVENTS` is an [`EventType::Unknown`] here. See [`Webhook::receives`].
    #[serde(default, deserialize_with = "or_default")]
    pub event_types: Vec<EventType>,
    /// Whether it gets anything.
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub active: bool,
    /// Whether two types carry the data themselves. The vendor's examples leave it out: false then.
    #[serde(default, deserialize_with = "or_default")]
    pub include_payload: bool,
    /// What Smile signs with. Smile gives it in clear.
    #[serde(default)]
    pub secret: Option<SecretText>,
    /// When it was registered.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
}

impl Webhook {
    /// Whether it is subscribed to every type.
    pub fn is_for_all(&self) -> bool {
        self.event_types.iter().any(|kind| kind.as_str() == ALL_EVENTS)
    }

    /// Whether events of this type go to it.
    pub fn receives(&self, kind: &EventType) -> bool {
        self.active && (self.is_for_all() || self.event_types.contains(kind))
    }
}

/// A user (Smile, `User`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// When it was created.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// What the creator noted.
    #[serde(default, deserialize_with = "or_default")]
    pub external_metadata: Metadata,
    /// How far the user is with the widget.
    #[serde(default)]
    pub session: Option<Session>,
}

/// What a customer of Smile noted about a user. Prints its size alone: it may say anything.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub BTreeMap<String, String>);

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} entries)", self.0.len())
    }
}

/// A user's session with the widget (Smile, `UserSession`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// How far it is.
    pub status: SessionStatus,
    /// Where it takes place: `WinkSite` or `Default`.
    #[serde(default)]
    pub channel: Option<String>,
    /// The site.
    #[serde(default)]
    pub channel_id: Option<String>,
}

/// How far a session is (Smile, `UserSessionStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum SessionStatus {
    InProgress,
    Completed,
    Revoked,
    #[serde(untagged)]
    Unknown(String),
}

/// A link token (Smile, `Token`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// What the widget is given.
    pub access_token: SecretText,
    /// When it ends.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
    /// `SANDBOX` or `PRODUCTION`.
    #[serde(default)]
    pub mode: Option<String>,
}

/// A new user and a first token (Smile, `UserPostResponse`).
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedUser {
    /// The user.
    pub user: User,
    /// The token.
    pub token: Token,
}

/// A linked account (Smile, `Account`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where it is.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// How it is linked. The same word stands in `connection`.
    pub connection_status: ConnectionStatus,
    /// Why, and since when.
    #[serde(default, deserialize_with = "or_default")]
    pub connection: Connection,
    /// Whether it is watched. The same word stands in `monitor`, which a vendor's example misspells.
    #[serde(default)]
    pub monitor_status: Option<MonitorStatus>,
    /// Since when.
    #[serde(default, deserialize_with = "or_default")]
    pub monitor: Monitor,
}

/// Why an account is linked as it is, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// The vendor's word for what went wrong.
    pub error_code: Option<String>,
    /// Since when.
    #[serde(deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
}

/// Since when an account is watched as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitor {
    /// Since when.
    #[serde(deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
}

/// How an account is linked (Smile, `AccountConnectionStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum ConnectionStatus {
    Pending,
    AwaitingMfa,
    Error,
    Connected,
    Disconnected,
    #[serde(untagged)]
    Unknown(String),
}

/// Something that Smile does or did (Smile, `Task`). It does not say how it ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: TaskType,
    /// Whether it is done.
    pub status: TaskState,
    /// When it began.
    #[serde(default, deserialize_with = "time")]
    pub started_at: Option<Timestamp>,
    /// When it was done.
    #[serde(default, deserialize_with = "time")]
    pub finished_at: Option<Timestamp>,
    /// What it found, such as `INCOMES`. The vendor's examples say `INSIGHT` where its list says `INSIGHTS`.
    #[serde(default, deserialize_with = "or_default")]
    pub datapoints: Vec<String>,
    /// What it is about.
    #[serde(rename = "metadata")]
    pub about: Reference,
}

/// Whether a task is done (Smile, `Task`), spelled otherwise than in webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum TaskState {
    Started,
    Finished,
    #[serde(untagged)]
    Unknown(String),
}

/// What something is about (Smile, `ObjectReferenceMetadata`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// An account's or an archive's id.
    pub source_id: String,
    /// Which of them.
    #[serde(default)]
    pub source_type: Option<SourceType>,
    /// The user.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The provider.
    #[serde(default)]
    pub provider_id: Option<String>,
}

/// A collection of files (Smile, `Archive`). What is in them is left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Its id.
    pub id: ArchiveId,
    /// Whose it is.
    pub user_id: UserId,
    /// Who gave it: `user-provided` or `tenant-provided`.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// The type of its files.
    #[serde(rename = "type", default)]
    pub file_type: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// How far Smile is with it.
    pub state: ArchiveState,
}

/// How far Smile is with an archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveState {
    /// How far.
    pub status: ArchiveStatus,
    /// The vendor's word for what went wrong.
    #[serde(default)]
    pub error_code: Option<String>,
    /// Since when.
    #[serde(default, deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
}

/// How far Smile is with an archive (Smile, `Archive`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum ArchiveStatus {
    Started,
    Analyzed,
    Unsupported,
    Error,
    Revoked,
    #[serde(untagged)]
    Unknown(String),
}

/// An invitation (Smile, `Invite`). Whom it went to is left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// The user it made.
    pub user_id: UserId,
    /// How far it is.
    pub status: InviteStatus,
    /// When it was made.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// When an account was linked. The vendor's example has a time here before that: go by the status.
    #[serde(default, deserialize_with = "time")]
    pub linked_at: Option<Timestamp>,
}

/// How far an invitation is (Smile, `InviteStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum InviteStatus {
    Invited,
    EmailOpened,
    LandingPageOpened,
    WinkWidgetOpened,
    Linked,
    Revoked,
    #[serde(untagged)]
    Unknown(String),
}

/// All data of an account, as it came. Full of personal data; prints its size alone.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.get().len())
    }
}

/// Takes null for the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn yes() -> bool {
    true
}

/// Takes null for true, which is the vendor's default for `active`.
fn or_true<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(true))
}

/// A time that cannot be read is none.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn new_words_are_kept_to_the_letter() {
        let account: Account = serde_json::from_value(json!({
            "id": "a", "userId": "u", "connectionStatus": "HALF_LINKED", "monitorStatus": "BLINKING",
            "monitor": {"stust": "ACTIVE"}, "connection": null, "createdAt": "some day", "new": {"x": 1},
        }))
        .unwrap();
        assert_eq!(account.connection_status, ConnectionStatus::Unknown("HALF_LINKED".into()));
        assert_eq!(serde_json::to_value(&account.connection_status).unwrap(), "HALF_LINKED");
        assert_eq!(account.monitor_status, Some(MonitorStatus::Unknown("BLINKING".into())));
        assert_eq!((account.created_at, account.connection), (None, Connection::default()));
    }

    #[test]
    fn what_the_vendors_examples_leave_out_has_its_default() {
        let webhook: Webhook =
            serde_json::from_value(json!({"id": "w", "url": "https://h", "eventTypes": null})).unwrap();
        assert!(webhook.active && !webhook.include_payload && webhook.secret.is_none());
        assert!(!webhook.receives(&EventType::UserCreated));
        let task: Task = serde_json::from_value(json!({
            "id": "t", "type": "LINK_ACCOUNT", "status": "Finished", "startedAt": "2026-03-01T10:00:00Z",
            "finishedAt": null, "datapoints": ["INSIGHT"],
            "metadata": {"sourceId": "a", "sourceType": null, "userId": "u", "providerId": "upwork"},
        }))
        .unwrap();
        assert_eq!((task.status, task.kind), (TaskState::Finished, TaskType::LinkAccount));
    }

    #[test]
    fn all_events_means_those_of_tomorrow_too() {
        let webhook: Webhook =
            serde_json::from_value(json!({"id": "w", "url": "https://h", "eventTypes": ["ALL_EVENTS"]}))
                .unwrap();
        assert!(webhook.receives(&EventType::from("ASSETS_ADDED")));
    }
}
