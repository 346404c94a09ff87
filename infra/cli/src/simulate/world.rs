//! What Smile knows: webhooks, users, tokens, accounts, tasks, archives and invites, each in the order in
//! which it came about, and how each looks to the API.
//!
//! The views carry what Smile's specification has and nothing else. What the specification does not allow
//! to be null is left out when there is none, although some of its examples have a null there.

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::event::{EventType, MonitorStatus, SourceType, TaskType};
use shared::smile_api::types::ALL_EVENTS;
use shared::smile_api::{
    ArchiveStatus, ConnectionStatus, InviteStatus, NewWebhook, SecretText, SessionStatus, TaskState,
};

use super::page::Cursor;
use crate::sample::Ids;

/// How long a link token lasts (Smile, link guide: about five hours).
const TOKEN_SECONDS: i64 = 5 * 3600;

/// Everything that is known.
#[derive(Debug)]
pub struct World {
    /// Registered webhooks.
    pub webhooks: Vec<Webhook>,
    /// Users.
    pub users: Vec<User>,
    /// Link tokens.
    pub tokens: Vec<Token>,
    /// Accounts, revoked ones included.
    pub accounts: Vec<Account>,
    /// Tasks.
    pub tasks: Vec<Task>,
    /// Archives, revoked ones included.
    pub archives: Vec<Archive>,
    /// Invites.
    pub invites: Vec<Invite>,
    pub(super) cursors: BTreeMap<String, Cursor>,
    pub(super) rng: Rng,
    last: u64,
}

/// A registered webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// What was registered.
    pub registered: NewWebhook,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// What the creator noted.
    pub metadata: BTreeMap<String, String>,
    /// How far the user is with the widget.
    pub session: SessionStatus,
    /// What the user gave in the widget: forms, accounts and archives.
    pub payload: Option<Value>,
}

/// A link token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What the widget is given.
    pub access_token: SecretText,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An account at a provider.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// Where it is.
    pub provider: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was linked first.
    pub linked_at: Option<Timestamp>,
    /// How it is linked.
    pub status: ConnectionStatus,
    /// What went wrong.
    pub error: Option<Problem>,
    /// Since when it is linked as it is.
    pub status_at: Timestamp,
    /// Whether it is watched.
    pub monitor: MonitorStatus,
    /// Since when.
    pub monitor_at: Option<Timestamp>,
    /// Its data, section by section as in a webhook's payload. Empty once it is revoked.
    pub payload: Map<String, Value>,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The vendor's word.
    pub code: String,
    /// And sentence.
    pub message: Option<String>,
}

/// Something that Smile does or did.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: TaskType,
    /// Whose data it is about.
    pub user: String,
    /// An account or an archive.
    pub source: String,
    /// Which of them.
    pub source_type: SourceType,
    /// The provider.
    pub provider: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What it found.
    pub datapoints: Vec<String>,
}

/// A collection of files.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// The type of its files.
    pub file_type: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// How far Smile is with it.
    pub status: ArchiveStatus,
    /// What went wrong.
    pub error: Option<Problem>,
    /// Since when.
    pub status_at: Timestamp,
}

/// An invitation.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Its place among all that came about.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// The user it made.
    pub user: String,
    /// Whom it went to.
    pub full_name: String,
    /// The same, in parts.
    pub first_name: Option<String>,
    /// The same, in parts.
    pub last_name: Option<String>,
    /// Where it went to.
    pub email: String,
    /// What it was made of.
    pub template: String,
    /// The widget's template.
    pub wink_template: Option<String>,
    /// How far it is.
    pub status: InviteStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl World {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            webhooks: Vec::new(),
            users: Vec::new(),
            tokens: Vec::new(),
            accounts: Vec::new(),
            tasks: Vec::new(),
            archives: Vec::new(),
            invites: Vec::new(),
            cursors: BTreeMap::new(),
            rng,
            last: 0,
        }
    }

    /// The account with this id.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// The user with this id.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The archive with this id.
    pub fn archive(&self, id: &str) -> Option<&Archive> {
        self.archives.iter().find(|archive| archive.id == id)
    }

    /// The webhook with this id.
    pub fn webhook(&self, id: &str) -> Option<&Webhook> {
        self.webhooks.iter().find(|webhook| webhook.id == id)
    }

    /// Registers a webhook as it is, past all checks, and gives its id.
    pub fn register(&mut self, registered: NewWebhook, now: Timestamp) -> String {
        let id = self.hex();
        let number = self.number();
        self.webhooks.push(Webhook { number, id: id.clone(), created_at: whole(now), registered });
        id
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// 32 hexadecimal digits.
    pub(super) fn hex(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }

    /// An id in the vendor's shape.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        format!("{prefix}-{}", self.hex())
    }

    /// What every answer carries for the vendor's support.
    pub(super) fn request_id(&mut self) -> String {
        let hex = self.hex();
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    pub(super) fn new_token(&mut self, user: &str, now: Timestamp) -> &Token {
        let token = Token {
            id: self.fresh("tk"),
            user: user.to_owned(),
            access_token: SecretText::new(self.fresh("link")),
            expires_at: later(whole(now), TOKEN_SECONDS),
        };
        let index = self.tokens.len();
        self.tokens.push(token);
        &self.tokens[index]
    }

    /// Ids for events about this account.
    pub(super) fn ids_of(&mut self, account: &str) -> Option<Ids> {
        let account = self.account(account)?.clone();
        let ids = Ids::of_user(account.user, &mut self.rng);
        Some(Ids { account: account.id, provider: account.provider, ..ids })
    }
}

/// Whole seconds, which is what the vendor's times have.
pub(super) fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(time)
}

impl Webhook {
    /// Whether events of this type go to it.
    pub fn receives(&self, kind: &EventType) -> bool {
        let kinds = &self.registered.event_types;
        self.registered.active && kinds.iter().any(|of| of == kind || of.as_str() == ALL_EVENTS)
    }

    pub(super) fn view(&self) -> Value {
        let registered = &self.registered;
        json!({
            "id": self.id, "createdAt": self.created_at, "updatedAt": self.created_at, "name": registered.name,
            "url": registered.url, "eventTypes": registered.event_types, "active": registered.active,
            "includePayload": registered.include_payload, "secret": registered.secret.expose(),
        })
    }
}

impl User {
    pub(super) fn view(&self, accounts: &[Account]) -> Value {
        let mut providers: Vec<&str> = accounts
            .iter()
            .filter(|account| account.user == self.id && account.status == ConnectionStatus::Connected)
            .map(|account| account.provider.as_str())
            .collect();
        providers.dedup();
        json!({
            "id": self.id, "createdAt": self.created_at, "externalMetadata": self.metadata,
            "providers": providers, "session": self.session_view(),
        })
    }

    pub(super) fn session_view(&self) -> Value {
        json!({ "userId": self.id, "channel": "Default", "status": self.session })
    }

    /// What the user gave in the widget.
    pub(super) fn payload_view(&self) -> Value {
        let mut view =
            json!({ "metadata": self.session_view(), "forms": [], "accounts": [], "archives": [] });
        for name in ["forms", "accounts", "archives"] {
            if let Some(given) = self.payload.as_ref().and_then(|payload| payload.get(name)) {
                view[name] = without_nulls(given);
            }
        }
        view
    }
}

impl Token {
    pub(super) fn view(&self) -> Value {
        json!({
            "id": self.id, "accessToken": self.access_token.expose(), "expiresAt": self.expires_at,
            "mode": "SANDBOX",
        })
    }
}

impl Account {
    pub(super) fn view(&self) -> Value {
        let mut monitor = json!({ "status": self.monitor });
        if let Some(at) = self.monitor_at {
            monitor["updatedAt"] = json!(at);
        }
        json!({
            "id": self.id, "createdAt": self.created_at, "providerId": self.provider, "userId": self.user,
            "connectionStatus": self.status, "monitorStatus": self.monitor, "monitor": monitor,
            "connection": {
                "status": self.status, "updatedAt": self.status_at,
                "errorCode": self.error.as_ref().map(|error| &error.code),
                "errorMessage": self.error.as_ref().and_then(|error| error.message.as_ref()),
            },
        })
    }

    /// Its data. Lists are plain arrays here, not pages as in a webhook (Smile, `AccountPayload`).
    pub(super) fn payload_view(&self) -> Value {
        let mut view = json!({ "metadata": {
            "sourceId": self.id, "sourceType": "ACCOUNT", "userId": self.user, "providerId": self.provider,
        }});
        for (name, section) in self.payload.iter().filter(|(_, section)| !section.is_null()) {
            let section = section.get("items").unwrap_or(section);
            view[name] = without_nulls(section);
        }
        view
    }
}

impl Task {
    pub(super) fn view(&self) -> Value {
        let state = if self.finished_at.is_some() { TaskState::Finished } else { TaskState::Started };
        let mut view = json!({
            "id": self.id, "type": self.kind, "startedAt": self.started_at, "status": state,
            "datapoints": self.datapoints,
            // The specification requires itemCreatedAt, which its examples do not have.
            "metadata": {
                "createdAt": self.started_at, "itemCreatedAt": self.started_at, "sourceId": self.source,
                "sourceType": self.source_type, "userId": self.user, "providerId": self.provider,
            },
        });
        if let Some(at) = self.finished_at {
            view["finishedAt"] = json!(at);
        }
        view
    }
}

impl Archive {
    pub(super) fn view(&self) -> Value {
        let is_revoked = self.status == ArchiveStatus::Revoked;
        let file = json!({
            "id": format!("f-{}", self.id), "createdAt": self.created_at, "name": "Payslip", "subType": "PAYSLIP",
            "size": 148, "format": "PDF", "url": format!("https://files.example.com/{}.pdf", self.id),
        });
        json!({
            "id": self.id, "createdAt": self.created_at, "providerId": "user-provided", "userId": self.user,
            "type": self.file_type, "rawFiles": if is_revoked { json!([]) } else { json!([file]) },
            "state": {
                "status": self.status, "updatedAt": self.status_at,
                "errorCode": self.error.as_ref().map(|error| &error.code),
                "errorMessage": self.error.as_ref().and_then(|error| error.message.as_ref()),
            },
        })
    }
}

impl Invite {
    pub(super) fn view(&self) -> Value {
        let mut view = json!({
            "id": self.id, "createdAt": self.created_at, "fullName": self.full_name, "email": self.email,
            "templateId": self.template, "userId": self.user, "status": self.status,
            "updatedAt": self.updated_at, "invitedAt": self.created_at,
            // Required and never null, even before anything is linked: the vendor's example repeats the
            // time of creation there.
            "linkedAt": self.updated_at,
        });
        for (name, value) in [
            ("firstName", &self.first_name),
            ("lastName", &self.last_name),
            ("winkTemplateId", &self.wink_template),
        ] {
            if let Some(value) = value {
                view[name] = json!(value);
            }
        }
        view
    }
}

/// Leaves out every null, at any depth.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name.clone(), without_nulls(member)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
