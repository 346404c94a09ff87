//! Smile's operations on what is known. Pure: no sockets, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::event::EventType;
use shared::smile_api::types::ALL_EVENTS;
use shared::smile_api::{InviteStatus, NewWebhook, SecretText};
use ureq::http::Uri;

use super::operation::Operation;
use super::wire::{Refusal, Request};
use super::world::{Invite, World, whole};

/// What an operation did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// 200, or 201 for what is created, webhooks excepted (Smile, `create-webhook`).
    pub(super) status: u16,
    pub(super) data: Option<Value>,
    /// What happened by it.
    pub(super) events: Vec<Value>,
}

impl Done {
    fn ok(data: Value) -> Self {
        Self { status: 200, data: Some(data), events: Vec::new() }
    }

    fn created(data: Value) -> Self {
        Self { status: 201, ..Self::ok(data) }
    }

    fn nothing_to_say(events: Vec<Value>) -> Self {
        Self { status: 200, data: None, events }
    }
}

impl World {
    /// Performs an operation. `id` is the one in its path.
    pub(super) fn perform(
        &mut self,
        operation: Operation,
        id: &str,
        request: &Request,
        allow_http: bool,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        use Operation as O;
        if id.chars().count() > 200 {
            return Err(Refusal::parameters("id must have 1 to 200 characters"));
        }
        let missing = Refusal::missing;
        match operation {
            O::ListUsers
            | O::ListWebhooks
            | O::ListTasks
            | O::ListAccounts
            | O::ListInvites
            | O::ListArchives => self.page(operation, &request.query).map(Done::ok),
            O::CreateUser => self.create_user(request, now),
            O::GetUser => {
                let user = self.user(id).ok_or_else(|| missing("user"))?;
                Ok(Done::ok(user.view(&self.accounts)))
            }
            O::GetUserPayload => {
                self.user(id).map(|user| Done::ok(user.payload_view())).ok_or_else(|| missing("user"))
            }
            O::ResetUserSession => {
                self.user(id).ok_or_else(|| missing("user"))?;
                Ok(Done::nothing_to_say(self.session_reset(id, now)))
            }
            O::CreateToken => {
                let user = request.query.get("userId").filter(|user| user.chars().count() <= 200);
                let user = user.ok_or_else(|| Refusal::parameters("userId must have 1 to 200 characters"))?;
                self.user(user).ok_or_else(|| missing("user"))?;
                Ok(Done::created(self.new_token(user, now).view()))
            }
            O::CreateWebhook => {
                let registered = new_webhook(&object(request)?, allow_http)?;
                let id = self.register(registered, now);
                self.webhook(&id).map(|webhook| Done::ok(webhook.view())).ok_or_else(|| missing("webhook"))
            }
            O::GetWebhook => {
                self.webhook(id).map(|webhook| Done::ok(webhook.view())).ok_or_else(|| missing("webhook"))
            }
            O::DeleteWebhook => {
                self.webhook(id).ok_or_else(|| missing("webhook"))?;
                self.webhooks.retain(|webhook| webhook.id != id);
                Ok(Done::nothing_to_say(Vec::new()))
            }
            O::GetTask => {
                let task = self.tasks.iter().find(|task| task.id == id);
                task.map(|task| Done::ok(task.view())).ok_or_else(|| missing("task"))
            }
            O::GetAccount => {
                self.account(id).map(|account| Done::ok(account.view())).ok_or_else(|| missing("account"))
            }
            O::GetAccountPayload => self
                .account(id)
                .map(|account| Done::ok(account.payload_view()))
                .ok_or_else(|| missing("account")),
            O::DeleteAccount => {
                self.disconnect(id, now).map(Done::nothing_to_say).ok_or_else(|| missing("account"))
            }
            O::CreateInvite => self.create_invite(&object(request)?, now),
            O::GetInvite => {
                let invite = self.invites.iter().find(|invite| invite.id == id);
                invite.map(|invite| Done::ok(invite.view())).ok_or_else(|| missing("invite"))
            }
            O::GetArchive => {
                self.archive(id).map(|archive| Done::ok(archive.view())).ok_or_else(|| missing("archive"))
            }
            O::DeleteArchive => {
                self.revoke(id, now).map(Done::nothing_to_say).ok_or_else(|| missing("archive"))
            }
        }
    }

    fn create_user(&mut self, request: &Request, now: Timestamp) -> Result<Done, Refusal> {
        // The body may be left out.
        let metadata = if request.body.is_empty() { None } else { Some(metadata(&object(request)?)?) };
        let (id, events) = self.user_appears(None, now);
        if let Some(user) = self.users.iter_mut().find(|user| user.id == id) {
            user.metadata = metadata.unwrap_or_default();
        }
        let token = self.new_token(&id, now).view();
        let user = self.user(&id).map(|user| user.view(&self.accounts));
        Ok(Done { events, ..Done::created(json!({ "user": user, "token": token })) })
    }

    fn create_invite(&mut self, body: &Value, now: Timestamp) -> Result<Done, Refusal> {
        let full_name = text(body, "fullName", 200)?;
        let email = text(body, "email", 200)?;
        if !email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')) {
            return Err(Refusal::parameters("email must be an address"));
        }
        let template = text(body, "templateId", 64)?;
        let first_name = optional_text(body, "firstName", 64)?;
        let last_name = optional_text(body, "lastName", 64)?;
        let wink_template = optional_text(body, "winkTemplateId", 64)?;
        let (user, mut events) = self.user_appears(None, now);
        let id = self.fresh("iv");
        let now = whole(now);
        let invite = Invite {
            number: self.number(),
            id: id.clone(),
            user: user.clone(),
            full_name,
            first_name,
            last_name,
            email,
            template,
            wink_template,
            status: InviteStatus::Invited,
            created_at: now,
            updated_at: now,
        };
        let view = invite.view();
        self.invites.push(invite);
        events.extend(self.invited(&user, &id, now));
        Ok(Done { events, ..Done::created(view) })
    }
}

/// The body, as an object. `create-user` alone has no 415 among its statuses, but it has a default.
fn object(request: &Request) -> Result<Value, Refusal> {
    if !request.is_json() {
        return Err(Refusal::new(415, "The body must be application/json"));
    }
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| Refusal::parameters("The body is not JSON"))?;
    if body.is_object() { Ok(body) } else { Err(Refusal::parameters("The body is not a JSON object")) }
}

fn optional_text(body: &Value, name: &str, longest: usize) -> Result<Option<String>, Refusal> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) if (1..=longest).contains(&text.chars().count()) => Ok(Some(text.clone())),
        _ => Err(Refusal::parameters(format!("{name} must be a text of 1 to {longest} characters"))),
    }
}

fn text(body: &Value, name: &str, longest: usize) -> Result<String, Refusal> {
    optional_text(body, name, longest)?.ok_or_else(|| Refusal::parameters(format!("{name} is missing")))
}

fn optional_flag(body: &Value, name: &str) -> Result<Option<bool>, Refusal> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        _ => Err(Refusal::parameters(format!("{name} must be true or false"))),
    }
}

/// Reads and checks a registration (Smile, `WebhookPostRequest`).
fn new_webhook(body: &Value, allow_http: bool) -> Result<NewWebhook, Refusal> {
    let name = text(body, "name", 200)?;
    let url = text(body, "url", 500)?;
    if !is_deliverable(&url, allow_http) {
        return Err(Refusal::parameters("url must begin with https://"));
    }
    let types = body["eventTypes"].as_array().ok_or_else(|| Refusal::parameters("eventTypes is missing"))?;
    let event_types = types
        .iter()
        .map(|kind| {
            let kind = EventType::from(kind.as_str().unwrap_or_default());
            let is_known = !matches!(kind, EventType::Unknown(_)) || kind.as_str() == ALL_EVENTS;
            is_known
                .then_some(kind)
                .ok_or_else(|| Refusal::parameters("eventTypes has a type that is unknown"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(NewWebhook {
        name,
        url,
        event_types,
        active: optional_flag(body, "active")?.ok_or_else(|| Refusal::parameters("active is missing"))?,
        secret: SecretText::new(text(body, "secret", 64)?),
        include_payload: optional_flag(body, "includePayload")?.unwrap_or_default(),
    })
}

/// `https`, or `http` on this machine where that is allowed.
fn is_deliverable(url: &str, allow_http: bool) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => allow_http && is_loopback,
        _ => false,
    }
}

/// Reads and checks what a customer notes of a user (Smile, `ObjectExternalMetadata`).
fn metadata(body: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs = match &body["externalMetadata"] {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(pairs) if pairs.len() <= 5 => pairs,
        _ => return Err(Refusal::parameters("externalMetadata must be an object of up to 5 texts")),
    };
    let is_fit = |text: &str, longest| text.is_ascii() && text.len() <= longest;
    pairs
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().filter(|value| is_fit(value, 500) && is_fit(name, 50));
            let complaint =
                "externalMetadata has names of up to 50 and texts of up to 500 characters, all of them ASCII";
            Ok((name.clone(), value.ok_or_else(|| Refusal::parameters(complaint))?.to_owned()))
        })
        .collect()
}
