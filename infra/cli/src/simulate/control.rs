//! The control API: what can be told to a simulator over HTTP, for those who cannot call its library.
//!
//! Without credentials, since it listens on loopback alone. A body must be `application/json`, which a
//! browser's page on another site cannot send unasked.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::event::EventType;

use super::mischief::{Failing, Mischief};
use super::optional;
use super::stage::Stage;
use super::story::{ArchiveEnd, Link};
use super::wire::{Answer, Refusal, Request};
use crate::sample;

/// What `smile simulate --help` says of it.
pub(super) const HELP: &str = "\
Examples:
  smile simulate --dev                 webhooks to smile dev's cloud
  curl -u simulator:simulator http://127.0.0.1:4580/v1/webhooks
  curl http://127.0.0.1:4580/_simulate/life --json '{}'

Control, as JSON under /_simulate (content-type: application/json):
  GET  /state                  what is known, by count and id
  GET  /deliveries  /calls     what was sent, what was asked
  GET  /quiet                  whether no delivery is under way
  POST /users       {userId?}
  POST /link        {userId?, providerId?, login?}
  POST /fail-link   {userId?, providerId?, login?, errorCode?}
  POST /disconnect  {accountId}
  POST /add         {accountId, type}      such as INCOMES_ADDED
  POST /archive     {userId?, end}         started, analyzed, failed
  POST /revoke      {archiveId}
  POST /life        {userId?}              all 37 types
  POST /send        {type, userId?}        any one event
  PUT  /mischief    {drop?, repeat?, reorder?, delayMs?, growKb?}
                    drop 0 to 1; what is left out is off
  POST /fail        {operation?, after?, times?, status?, effect?,
                     retryAfter?}          calls that fail; status null
                    hangs up, effect: it is done all the same
  DELETE /fail                             no more of them";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct OfUser {
    user_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfAccount {
    account_id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Upload {
    user_id: Option<String>,
    end: ArchiveEnd,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfArchive {
    archive_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Send {
    #[serde(rename = "type")]
    kind: String,
    user_id: Option<String>,
}

/// Does what was told.
pub(super) fn answer(stage: &Arc<Stage>, request: &Request) -> Answer {
    let (status, body) = match act(stage, request) {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.status, json!({ "error": refusal.message })),
    };
    Answer { status, body, retry_after: None }
}

fn act(stage: &Arc<Stage>, request: &Request) -> Result<Value, Refusal> {
    let method = request.method.as_str();
    if matches!(method, "POST" | "PUT") && !request.is_json() {
        return Err(Refusal::new(415, "send it as application/json"));
    }
    match (method, request.path.as_str()) {
        ("GET", "/state") => Ok(state(stage)),
        ("GET", "/deliveries") => Ok(json!(stage.play().deliveries)),
        ("GET", "/calls") => Ok(json!(stage.play().calls)),
        ("GET", "/quiet") => Ok(json!({ "quiet": stage.play().under_way == 0 })),
        ("POST", "/users") => {
            let OfUser { user_id } = read(request)?;
            let user = stage.act(|world, now| world.user_appears(user_id.as_deref(), now));
            Ok(json!({ "userId": user }))
        }
        ("POST", path @ ("/link" | "/fail-link")) => {
            let link: Link = read(request)?;
            let linked = stage.act(|world, now| world.link(&link, path == "/fail-link", now));
            Ok(json!(linked))
        }
        ("POST", "/disconnect") => {
            let OfAccount { account_id, .. } = read(request)?;
            found("account", stage.act(|world, now| optional(world.disconnect(&account_id, now))))
        }
        ("POST", "/add") => {
            let OfAccount { account_id, kind } = read(request)?;
            let kind = known(kind.as_deref().unwrap_or_default())?;
            found("account", stage.act(|world, now| optional(world.account_gets(&account_id, &kind, now))))
        }
        ("POST", "/archive") => {
            let Upload { user_id, end } = read(request)?;
            let archive = stage.act(|world, now| world.upload(user_id.as_deref(), end, now));
            Ok(json!({ "archiveId": archive }))
        }
        ("POST", "/revoke") => {
            let OfArchive { archive_id } = read(request)?;
            found("archive", stage.act(|world, now| optional(world.revoke(&archive_id, now))))
        }
        ("POST", "/life") => {
            let OfUser { user_id } = read(request)?;
            let user = stage.act(|world, now| world.life(user_id.as_deref(), now));
            Ok(json!({ "userId": user }))
        }
        ("POST", "/send") => {
            let Send { kind, user_id } = read(request)?;
            // A type of tomorrow, too.
            let kind = sample::kind(&kind);
            let user = stage.act(|world, now| world.emit(&kind, user_id.as_deref(), now));
            Ok(json!({ "userId": user }))
        }
        ("PUT", "/mischief") => {
            let mischief: Mischief = read(request)?;
            stage.play().mischief = mischief.clone();
            Ok(json!(mischief))
        }
        ("POST", "/fail") => {
            let failing: Failing = read(request)?;
            let mut play = stage.play();
            play.failures.add(failing);
            Ok(json!(play.failures.list()))
        }
        ("DELETE", "/fail") => {
            stage.play().failures.clear();
            Ok(json!([]))
        }
        _ => Err(Refusal::new(404, "there is nothing to control there: see smile simulate --help")),
    }
}

/// An empty body counts as an empty object.
fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    let body = if request.body.is_empty() { b"{}".as_slice() } else { &request.body };
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, error.to_string()))
}

fn known(kind: &str) -> Result<EventType, Refusal> {
    match sample::kind(kind) {
        EventType::Unknown(_) => Err(Refusal::new(400, "type must be one of Smile's 37")),
        kind => Ok(kind),
    }
}

fn found(what: &str, is_there: bool) -> Result<Value, Refusal> {
    if is_there { Ok(json!({})) } else { Err(Refusal::new(404, format!("there is no such {what}"))) }
}

fn state(stage: &Stage) -> Value {
    let play = stage.play();
    let world = &play.world;
    let webhooks = world.webhooks.iter().map(|webhook| {
        let mut view = webhook.view();
        view["secret"] = json!("Secret(..)");
        view
    });
    json!({
        "webhooks": webhooks.collect::<Vec<_>>(),
        "users": world.users.iter().map(|user| &user.id).collect::<Vec<_>>(),
        "accounts": world.accounts.iter().map(|account| json!({
            "id": account.id, "userId": account.user, "providerId": account.provider, "status": account.status,
        })).collect::<Vec<_>>(),
        "archives": world.archives.iter().map(|archive| json!({
            "id": archive.id, "userId": archive.user, "status": archive.status,
        })).collect::<Vec<_>>(),
        "invites": world.invites.iter().map(|invite| json!({
            "id": invite.id, "userId": invite.user, "status": invite.status,
        })).collect::<Vec<_>>(),
        "tasks": world.tasks.len(),
        "tokens": world.tokens.len(),
        "underWay": play.under_way,
        "mischief": play.mischief,
        "failures": play.failures.list(),
    })
}
