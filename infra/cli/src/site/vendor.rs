//! Smile, as the widget meets it: each step that a person takes there, done by the simulator, whose
//! webhooks follow. Who it is about is told by the link token alone.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::smile_api::{ArchiveStatus, ConnectionStatus, SecretText};

use crate::loopback::{Answer, read};
use crate::simulate::{ArchiveEnd, Link, Mischief, PROVIDERS, Simulator};

/// How a link goes on after the credentials were sent.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Turn {
    /// It is linked.
    Connected,
    /// The provider asks for a code first.
    Mfa,
    /// The provider refuses.
    Failed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Begin {
    provider_id: String,
    turn: Turn,
    #[serde(default)]
    error_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Finish {
    account_id: String,
    #[serde(default)]
    error_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfAccount {
    account_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Upload {
    file_type: String,
    end: ArchiveEnd,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfArchive {
    archive_id: String,
}

/// What somebody who tries the page can have go wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trouble {
    /// What is done to webhooks from now on.
    #[serde(default)]
    mischief: Option<Mischief>,
    /// Ends the tokens of this user.
    #[serde(default)]
    expire: Option<String>,
}

/// Does what the widget asks for. 401 when its token is not valid, or not any more.
pub(super) fn answer(simulator: &Simulator, call: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let token = token.map(SecretText::new);
    let Some(user) = token.and_then(|token| simulator.user_of(&token)) else {
        return Answer::refusal(401, "the link token is not valid, or not any more");
    };
    act(simulator, &user, call, body).unwrap_or_else(|refusal| refusal)
}

fn act(simulator: &Simulator, user: &str, call: &str, body: &[u8]) -> Result<Answer, Answer> {
    let done = match call {
        "me" => me(simulator, user),
        "begin" => begin(simulator, user, &read(body)?),
        "finish" => {
            let Finish { account_id, error_code } = read(body)?;
            own_account(simulator, user, &account_id)?;
            simulator.end_link(&account_id, error_code.as_deref());
            json!({ "turn": if error_code.is_some() { "failed" } else { "connected" }, "accountId": account_id })
        }
        "disconnect" => {
            let OfAccount { account_id } = read(body)?;
            own_account(simulator, user, &account_id)?;
            simulator.disconnect(&account_id);
            json!({ "accountId": account_id })
        }
        "upload" => {
            let Upload { file_type, end } = read(body)?;
            let archive = simulator.upload(Some(user), end);
            simulator.world(|world| {
                if let Some(known) = world.archives.iter_mut().find(|known| known.id == archive) {
                    known.file_type.clone_from(&file_type);
                }
            });
            json!({ "archiveId": archive, "fileType": file_type })
        }
        "revoke" => {
            let OfArchive { archive_id } = read(body)?;
            let is_own = simulator
                .world(|world| world.archive(&archive_id).is_some_and(|archive| archive.user == user));
            if !is_own {
                return Err(Answer::refusal(404, "this user has no such archive"));
            }
            simulator.revoke(&archive_id);
            json!({ "archiveId": archive_id })
        }
        _ => return Err(Answer::refusal(404, "there is nothing at this path")),
    };
    Ok(Answer::json(200, &done))
}

fn own_account(simulator: &Simulator, user: &str, account: &str) -> Result<(), Answer> {
    let is_own = simulator.world(|world| world.account(account).is_some_and(|account| account.user == user));
    if is_own { Ok(()) } else { Err(Answer::refusal(404, "this user has no such account")) }
}

fn begin(simulator: &Simulator, user: &str, begin: &Begin) -> Value {
    let link = Link { provider_id: Some(begin.provider_id.clone()), ..Link::of_user(user) };
    let linked = simulator.begin_link(&link);
    let turn = match begin.turn {
        Turn::Connected => {
            simulator.end_link(&linked.account_id, None);
            "connected"
        }
        Turn::Mfa => "mfa",
        Turn::Failed => {
            let code = begin.error_code.as_deref().unwrap_or("INVALID_CREDENTIALS");
            simulator.end_link(&linked.account_id, Some(code));
            "failed"
        }
    };
    json!({ "turn": turn, "accountId": linked.account_id })
}

/// What the widget needs to know to begin: who it is for, what can be linked, and what is.
fn me(simulator: &Simulator, user: &str) -> Value {
    let providers: Vec<Value> =
        PROVIDERS.iter().map(|(id, login)| json!({ "id": id, "login": login })).collect();
    simulator.world(|world| {
        let accounts = world.accounts.iter().filter(|account| account.user == user);
        let accounts = accounts.filter(|account| account.status == ConnectionStatus::Connected);
        let archives = world.archives.iter().filter(|archive| archive.user == user);
        let archives = archives.filter(|archive| archive.status != ArchiveStatus::Revoked);
        json!({
            "userId": user,
            "providers": providers,
            "accounts": accounts.map(|account| json!({
                "accountId": account.id, "providerId": account.provider,
            })).collect::<Vec<_>>(),
            "archives": archives.map(|archive| json!({
                "archiveId": archive.id, "fileType": archive.file_type,
            })).collect::<Vec<_>>(),
        })
    })
}

/// Lets things go wrong.
pub(super) fn trouble(simulator: &Simulator, body: &[u8]) -> Answer {
    let trouble: Trouble = match read(body) {
        Ok(trouble) => trouble,
        Err(refusal) => return refusal,
    };
    if let Some(mischief) = trouble.mischief {
        simulator.set_mischief(mischief);
    }
    if let Some(user) = trouble.expire {
        simulator.expire_tokens(&user);
    }
    Answer::json(200, &json!({}))
}
