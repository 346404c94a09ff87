//! One thing at a time: a user, an account, an event and so on.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::event::Subject;
use shared::id::{
    AccountId, ArchiveId, EventId, IdLength, InviteId, MAX_ID_BYTES, RecordId, UserId, VerificationId,
};
use shared::state::view::{
    AccountView, ArchiveView, InviteView, RecordView, StateView, UserView, VerificationView,
};
use shared::table::{StoredEvent, Table};
use utoipa::{IntoParams, ToSchema};

use crate::refusal::Refusal;

/// The id in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the document's form of what `Operation::find` finds")]
pub(crate) struct Id {
    /// The vendor's id, percent-encoded. Opaque: it is compared byte for byte. One with a slash, a percent sign, a
    /// question mark or a number sign must be given in the query instead: API Gateway decodes a path before it reads it.
    #[param(min_length = 1, max_length = 256, pattern = "^[^/%?#]+$")]
    id: String,
}

/// Every account of one id.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accounts {
    /// One, as a rule: an account belongs to one user. Should several have one of the same id, each has its own entry
    /// here, up to 50.
    #[schema(min_items = 1, max_items = 50)]
    pub accounts: Vec<AccountView>,
}

/// Every archive of one id.
#[derive(Debug, Serialize, ToSchema)]
pub struct Archives {
    /// One, as a rule: an archive belongs to one user. Should several have one of the same id, each has its own entry
    /// here, up to 50.
    #[schema(min_items = 1, max_items = 50)]
    pub archives: Vec<ArchiveView>,
}

/// Every invite of one id.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invites {
    /// One, as a rule: an invite belongs to one user. Should several have one of the same id, each has its own entry
    /// here, up to 50.
    #[schema(min_items = 1, max_items = 50)]
    pub invites: Vec<InviteView>,
}

/// One event, with its body where that was asked for and kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventAndBody {
    /// The event.
    #[serde(flatten)]
    pub event: StoredEvent,
    /// What Smile sent, as JSON. There with `body=true`, unless `body_dropped` says why it was not kept. A text
    /// where `encoding` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub body: Option<Box<RawValue>>,
    /// `base64`, where the body is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
}

/// What a body that is no JSON is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// RFC 4648, section 4.
    Base64,
}

/// Everything known of a user
///
/// The user, its accounts, archives and invites, as Smile's server tells of them; beside it, under `widget` and under
/// each account's `claim`, what the user's browser says, which is never the server's word. One read of the table.
#[utoipa::path(get, path = "/v1/users/{id}", operation_id = "getUser", tag = "State", params(Id),
    responses((status = 200, description = "The user.", body = UserView)))]
pub async fn user(table: &Table, id: &str) -> Result<UserView, Refusal> {
    let user = checked(id, UserId::new)?;
    let mut view = StateView::from(&table.user(&user).await?);
    view.users.remove(id).ok_or(Refusal::NotFound)
}

/// An account by its own id
///
/// Whoever's it is: `user` says it.
#[utoipa::path(get, path = "/v1/accounts/{id}", operation_id = "getAccount", tag = "State", params(Id),
    responses((status = 200, description = "The account, of each user that has it.", body = Accounts)))]
pub async fn account(table: &Table, id: &str) -> Result<Accounts, Refusal> {
    let subject = Subject::Account(checked(id, AccountId::new)?);
    let accounts = of_users(table, &subject, |user| user.accounts, |one| one.account.as_str() == id).await?;
    Ok(Accounts { accounts })
}

/// An archive by its own id
///
/// Whoever's it is: `user` says it.
#[utoipa::path(get, path = "/v1/archives/{id}", operation_id = "getArchive", tag = "State", params(Id),
    responses((status = 200, description = "The archive, of each user that has it.", body = Archives)))]
pub async fn archive(table: &Table, id: &str) -> Result<Archives, Refusal> {
    let subject = Subject::Archive(checked(id, ArchiveId::new)?);
    let archives = of_users(table, &subject, |user| user.archives, |one| one.archive.as_str() == id).await?;
    Ok(Archives { archives })
}

/// An invite by its own id
///
/// Whoever's it is: `user` says it.
#[utoipa::path(get, path = "/v1/invites/{id}", operation_id = "getInvite", tag = "State", params(Id),
    responses((status = 200, description = "The invite, of each user that has it.", body = Invites)))]
pub async fn invite(table: &Table, id: &str) -> Result<Invites, Refusal> {
    let subject = Subject::Invite(checked(id, InviteId::new)?);
    let invites = of_users(table, &subject, |user| user.invites, |one| one.invite.as_str() == id).await?;
    Ok(Invites { invites })
}

/// A record
#[utoipa::path(get, path = "/v1/records/{id}", operation_id = "getRecord", tag = "State", params(Id),
    responses((status = 200, description = "The record.", body = RecordView)))]
pub async fn record(table: &Table, id: &str) -> Result<RecordView, Refusal> {
    let subject = Subject::Record(checked(id, RecordId::new)?);
    let mut view = StateView::from(&table.state_of(&subject).await?);
    view.records.remove(id).ok_or(Refusal::NotFound)
}

/// A verification
#[utoipa::path(get, path = "/v1/verifications/{id}", operation_id = "getVerification", tag = "State", params(Id),
    responses((status = 200, description = "The verification.", body = VerificationView)))]
pub async fn verification(table: &Table, id: &str) -> Result<VerificationView, Refusal> {
    let subject = Subject::Verification(checked(id, VerificationId::new)?);
    let mut view = StateView::from(&table.state_of(&subject).await?);
    view.verifications.remove(id).ok_or(Refusal::NotFound)
}

/// What an event may be asked for with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct WithBody {
    /// Whether the body is wanted, too. Bodies hold personal data: with a JWT they need a scope
    /// of their own.
    #[param(default = false)]
    body: Option<bool>,
}

/// One event
///
/// What is known of it, and with `body=true` what Smile sent. An answer with `body=true` must not be stored.
#[utoipa::path(get, path = "/v1/events/{id}", operation_id = "getEvent", tag = "Events", params(Id, WithBody),
    responses((status = 200, description = "The event.", body = EventAndBody)))]
pub async fn event(table: &Table, id: &str, with_body: bool) -> Result<EventAndBody, Refusal> {
    let id = checked(id, EventId::new)?;
    if !with_body {
        let event = table.event_alone(&id).await?.ok_or(Refusal::NotFound)?;
        return Ok(EventAndBody { event, body: None, encoding: None });
    }
    let (event, body) = table.event(&id).await?.ok_or(Refusal::NotFound)?;
    let (body, encoding) = body.as_deref().map(given).unzip();
    Ok(EventAndBody { event, body, encoding: encoding.flatten() })
}

/// A body as it is given: as the JSON that it is, or else as a text.
fn given(body: &[u8]) -> (Box<RawValue>, Option<Encoding>) {
    if let Ok(json) = serde_json::from_slice::<&RawValue>(body) {
        return (json.to_owned(), None);
    }
    // Base64 has no character that JSON would escape.
    let text = format!("\"{}\"", base64_simd::STANDARD.encode_to_string(body));
    (RawValue::from_string(text).unwrap_or_default(), Some(Encoding::Base64))
}

/// What all users have of one id.
async fn of_users<T>(
    table: &Table,
    subject: &Subject,
    theirs: impl Fn(UserView) -> Vec<T>,
    is_asked: impl Fn(&T) -> bool,
) -> Result<Vec<T>, Refusal> {
    let view = StateView::from(&table.state_with_claims(subject).await?);
    let all: Vec<T> = view.users.into_values().flat_map(theirs).filter(is_asked).collect();
    if all.is_empty() { Err(Refusal::NotFound) } else { Ok(all) }
}

/// An id that can be one. The document counts characters: where these are few enough but the bytes are not, it is an
/// id under which there can be nothing.
pub(crate) fn checked<T>(id: &str, new: impl Fn(String) -> Result<T, IdLength>) -> Result<T, Refusal> {
    let can_be = (1..=MAX_ID_BYTES).contains(&id.chars().count());
    new(id.to_owned()).map_err(|_| if can_be { Refusal::NotFound } else { Refusal::Id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_length() {
        let check = |id: &str| checked(id, UserId::new).map(|id| id.to_string());
        assert_eq!(check("u-1"), Ok("u-1".to_owned()));
        assert_eq!(check(""), Err(Refusal::Id));
        assert_eq!(check(&"x".repeat(257)), Err(Refusal::Id));
        assert_eq!(check(&"é".repeat(256)), Err(Refusal::NotFound), "512 bytes");
    }

    #[test]
    fn bodies_are_given_as_they_came_or_as_base64() {
        let give = |body: &[u8]| {
            let (body, encoding) = given(body);
            (body.get().to_owned(), encoding)
        };
        let odd = r#"{"b":1.0,"a":[1e400],"b":"\u0041"}"#;
        assert_eq!(give(odd.as_bytes()), (odd.to_owned(), None), "to the letter");
        assert_eq!(give(b" {} \n"), ("{}".to_owned(), None));
        let base64 = Some(Encoding::Base64);
        assert_eq!(give(b"\xff\xfe"), ("\"//4=\"".to_owned(), base64));
        assert_eq!(give(b"{"), ("\"ew==\"".to_owned(), base64));
        assert_eq!(give(b""), ("\"\"".to_owned(), base64));
    }
}
