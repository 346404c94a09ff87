//! What can happen at Smile, as events in their order. Each is taken into the world and given back, to be
//! delivered.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::event::EventType as E;
use shared::smile_api::ConnectionStatus;

use super::world::World;
use crate::sample::{self, Ids};

/// Providers of the four countries where the samples' people live, and whether they need a login. Another
/// provider needs one unless told otherwise.
pub(crate) const PROVIDERS: &[(&str, bool)] = &[
    ("sss_ph", true),
    ("upwork", true),
    ("tin_ph", false),
    ("bpjstk_id", true),
    ("gojek_id", true),
    ("npwp_id", false),
    ("vssid_vn", true),
    ("grab_vn", true),
    ("mst_vn", false),
    ("sso_th", true),
    ("lineman_th", true),
    ("tin_th", false),
];

/// What goes wrong with a link that fails, unless told otherwise.
const INVALID: &str = "INVALID_CREDENTIALS";

/// An account to link.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Link {
    /// Of this user, who is created if new [default: a new one]
    pub user_id: Option<String>,
    /// At this provider [default: one of the user's country]
    pub provider_id: Option<String>,
    /// Whether the provider needs a login [default: what is known of the provider]
    pub login: Option<bool>,
    /// What goes wrong, for a link that fails [default: `INVALID_CREDENTIALS`]
    pub error_code: Option<String>,
}

impl Link {
    /// A link of this user.
    pub fn of_user(user: impl Into<String>) -> Self {
        Self { user_id: Some(user.into()), ..Self::default() }
    }

    /// At a provider that needs no login, so that `ACCOUNT_CONNECTED` never comes.
    #[must_use]
    pub fn without_login(self) -> Self {
        Self { login: Some(false), ..self }
    }
}

/// Whose account was linked, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Linked {
    /// The user.
    pub user_id: String,
    /// The account.
    pub account_id: String,
}

/// How an archive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveEnd {
    /// It is being looked at.
    Started,
    /// It is read.
    Analyzed,
    /// It cannot be read.
    Failed,
}

impl World {
    /// Makes an event about these ids, changes it, takes it in and keeps it.
    fn happens(
        &mut self,
        kind: &E,
        ids: &Ids,
        now: Timestamp,
        events: &mut Vec<Value>,
        change: impl FnOnce(&mut Value),
    ) {
        let mut event = sample::event(kind, ids, now, &mut self.rng);
        change(&mut event["data"]);
        self.fold(&event);
        events.push(event);
    }

    fn ids_for(&mut self, user: Option<&str>) -> Ids {
        let user = user.map_or_else(|| self.fresh("tenant"), str::to_owned);
        Ids::of_user(user, &mut self.rng)
    }

    /// A new user, by the API: in no site's widget, and therefore without a session in the event.
    pub(super) fn user_appears(&mut self, user: Option<&str>, now: Timestamp) -> (String, Vec<Value>) {
        let ids = self.ids_for(user);
        let mut events = Vec::new();
        if self.user(&ids.user).is_none() {
            self.happens(&E::UserCreated, &ids, now, &mut events, |data| {
                if let Some(data) = data.as_object_mut() {
                    data.remove("session");
                }
            });
        }
        (ids.user, events)
    }

    /// An account is linked, or fails to be.
    pub(super) fn link(&mut self, link: &Link, fails: bool, now: Timestamp) -> (Linked, Vec<Value>) {
        let (ids, login, mut events) = self.begin(link, now);
        let code = link.error_code.as_deref().unwrap_or(INVALID);
        self.end(&ids, login, fails.then_some(code), now, &mut events);
        (Linked { user_id: ids.user, account_id: ids.account }, events)
    }

    /// The user has begun to link an account. What comes of it is open.
    pub(super) fn link_begins(&mut self, link: &Link, now: Timestamp) -> (Linked, Vec<Value>) {
        let (ids, _, events) = self.begin(link, now);
        (Linked { user_id: ids.user, account_id: ids.account }, events)
    }

    /// What came of it: an account, or an error. None when there is no such account.
    pub(super) fn link_ends(
        &mut self,
        account: &str,
        error: Option<&str>,
        now: Timestamp,
    ) -> Option<Vec<Value>> {
        let ids = self.ids_of(account)?;
        let mut events = Vec::new();
        self.end(&ids, needs_login(&ids.provider), error, now, &mut events);
        Some(events)
    }

    fn begin(&mut self, link: &Link, now: Timestamp) -> (Ids, bool, Vec<Value>) {
        let (user, mut events) = self.user_appears(link.user_id.as_deref(), now);
        let mut ids = self.ids_for(Some(&user));
        if let Some(provider) = &link.provider_id {
            ids.provider.clone_from(provider);
        } else if link.login == Some(false) {
            ids.provider = without_login(&ids.provider).to_owned();
        }
        let login = link.login.unwrap_or_else(|| needs_login(&ids.provider));
        if login {
            self.happens(&E::AccountCreated, &ids, now, &mut events, |_| {});
        }
        self.happens(&E::TaskStarted, &ids, now, &mut events, |_| {});
        (ids, login, events)
    }

    fn end(&mut self, ids: &Ids, login: bool, error: Option<&str>, now: Timestamp, events: &mut Vec<Value>) {
        if let Some(code) = error {
            if login {
                self.happens(&E::AccountFailed, ids, now, events, |data| {
                    data["errorCode"] = json!(code);
                });
            }
            self.happens(&E::TaskFinished, ids, now, events, |data| {
                data["status"] = json!("FAILED");
                data["errorCode"] = json!(code);
                data["datapoints"] = json!([]);
                data["payload"] = Value::Null;
            });
        } else if login {
            self.happens(&E::AccountConnected, ids, now, events, |_| {});
            for kind in
                [E::IdentityAdded, E::EmploymentsAdded, E::IncomesAdded, E::DocumentsAdded, E::TaskFinished]
            {
                self.happens(&kind, ids, now, events, |_| {});
            }
        } else {
            self.happens(&E::IdentityAdded, ids, now, events, |_| {});
            self.happens(&E::TaskFinished, ids, now, events, |data| {
                data["datapoints"] = json!(["IDENTITIES"]);
                let payload = data["payload"].as_object_mut().into_iter().flatten();
                payload
                    .filter(|(name, _)| *name != "identity")
                    .for_each(|(_, section)| *section = Value::Null);
            });
        }
    }

    /// The user takes an account back. None when there is no such account; nothing when it was done before.
    pub(super) fn disconnect(&mut self, account: &str, now: Timestamp) -> Option<Vec<Value>> {
        let ids = self.ids_of(account)?;
        let mut events = Vec::new();
        if self.account(account)?.status != ConnectionStatus::Disconnected {
            self.happens(&E::AccountDisconnected, &ids, now, &mut events, |_| {});
        }
        Some(events)
    }

    /// Something of this type happens to an account. None when there is no such account.
    pub(super) fn account_gets(&mut self, account: &str, kind: &E, now: Timestamp) -> Option<Vec<Value>> {
        let ids = self.ids_of(account)?;
        let mut events = Vec::new();
        self.happens(kind, &ids, now, &mut events, |_| {});
        Some(events)
    }

    /// Files are uploaded.
    pub(super) fn upload(
        &mut self,
        user: Option<&str>,
        end: ArchiveEnd,
        now: Timestamp,
    ) -> (String, Vec<Value>) {
        let (user, mut events) = self.user_appears(user, now);
        let ids = self.ids_for(Some(&user));
        let analysis = |data: &mut Value| {
            data["taskType"] = json!("ANALYZE_ARCHIVE");
            data["sourceType"] = json!("ARCHIVE");
            data["sourceId"] = json!(ids.archive);
            data["providers"] = json!([]);
        };
        self.happens(&E::ArchiveStarted, &ids, now, &mut events, |_| {});
        self.happens(&E::TaskStarted, &ids, now, &mut events, analysis);
        match end {
            ArchiveEnd::Started => {}
            ArchiveEnd::Analyzed => {
                self.happens(&E::ArchiveAnalyzed, &ids, now, &mut events, |_| {});
                self.happens(&E::TaskFinished, &ids, now, &mut events, analysis);
            }
            ArchiveEnd::Failed => {
                self.happens(&E::ArchiveFailed, &ids, now, &mut events, |_| {});
                self.happens(&E::TaskFinished, &ids, now, &mut events, |data| {
                    analysis(data);
                    data["status"] = json!("FAILED");
                    data["errorCode"] = json!("MISSING_MANDATORY_FIELD");
                    data["datapoints"] = json!([]);
                    data["payload"] = Value::Null;
                });
            }
        }
        (ids.archive, events)
    }

    /// The user takes files back. None when there is no such archive; nothing when it was done before.
    pub(super) fn revoke(&mut self, archive: &str, now: Timestamp) -> Option<Vec<Value>> {
        let known = self.archive(archive)?.clone();
        let ids = Ids { archive: known.id, ..self.ids_for(Some(&known.user)) };
        let mut events = Vec::new();
        if known.status != shared::smile_api::ArchiveStatus::Revoked {
            self.happens(&E::ArchiveRevoked, &ids, now, &mut events, |_| {});
        }
        Some(events)
    }

    /// A user is invited. The invite itself is there already.
    pub(super) fn invited(&mut self, user: &str, invite: &str, now: Timestamp) -> Vec<Value> {
        let ids = Ids { invite: invite.to_owned(), ..self.ids_for(Some(user)) };
        let mut events = Vec::new();
        self.happens(&E::InviteInvited, &ids, now, &mut events, |_| {});
        events
    }

    /// The user begins anew with the widget.
    pub(super) fn session_reset(&mut self, user: &str, now: Timestamp) -> Vec<Value> {
        let ids = self.ids_for(Some(user));
        let mut events = Vec::new();
        self.happens(&E::UserSessionReset, &ids, now, &mut events, |_| {});
        events
    }

    /// A user's whole life, in which all types occur. It ends now.
    pub(super) fn life(&mut self, user: Option<&str>, now: Timestamp) -> (String, Vec<Value>) {
        let ids = self.ids_for(user);
        let events = sample::life(&ids, now, &mut self.rng);
        for event in &events {
            self.fold(event);
        }
        (ids.user, events)
    }

    /// One event of this type, about new things of this user.
    pub(super) fn emit(&mut self, kind: &E, user: Option<&str>, now: Timestamp) -> (String, Vec<Value>) {
        let ids = self.ids_for(user);
        let mut events = Vec::new();
        self.happens(kind, &ids, now, &mut events, |_| {});
        (ids.user, events)
    }
}

/// Whether a provider needs a login.
fn needs_login(provider: &str) -> bool {
    PROVIDERS.iter().find(|(name, _)| *name == provider).is_none_or(|(_, login)| *login)
}

/// The provider without a login in the same country.
fn without_login(provider: &str) -> &'static str {
    let country = provider.rsplit_once('_').map_or("ph", |(_, country)| country);
    let is_it = |name: &str, login: bool| !login && name.ends_with(country);
    PROVIDERS.iter().find(|(name, login)| is_it(name, *login)).map_or("tin_ph", |(name, _)| name)
}
