//! The registers that a callback writes: in items of its own, under its user.
//!
//! | item | registers |
//! |---|---|
//! | widget | `screen` (the last one), `error` (the last one), `closed`, `token`, `uploads` |
//! | funnel of one provider (or of none, `-`) | one for each of the twelve screens: the **first** time |
//! | claim about one account | `created`, `error`, `connected`, `removed` |
//!
//! They go by the browser's clock, in milliseconds, and a browser can therefore be wrong about itself; about
//! nobody else, since its user's items are all that it writes to. A clock is believed within a window around the receipt
//! ([`MAX_BEHIND`], [`MAX_AHEAD`]). Outside it the time of receipt counts, so that a device at 1970 is not "first" for
//! ever, one in 2099 is not "last" for ever, and a user's progress is shown whatever the clock says. The event keeps the
//! date as the browser wrote it.

use jiff::{SignedDuration, Timestamp};

use super::mentions::Mentions;
use super::said::{ClaimedAccount, Said, Screen};
use super::{Callback, Name};
use crate::event::{Envelope, Facts, Subject};
use crate::state::{BodyHash, Entity, Fields, Register, Unfolded, Value, Version, Write, fields, text};

/// How far behind its receipt a browser's date may lie and still be believed. A callback waits in its tab's queue (up to
/// 200 of them, `wink-events.js`) until the tab has a network and a session again. A session lasts five hours at most, as
/// does Smile's link token, and the tab may sleep over a night: a day holds both. What waited for longer is folded with
/// the time of receipt, as from a clock that is behind: the two cannot be told apart.
pub const MAX_BEHIND: SignedDuration = SignedDuration::from_hours(24);

/// How far ahead of its receipt a browser's date may lie and still be believed. Nothing is received before it happens,
/// so that only the clock can be wrong: more than any that is set by a network.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Stands for the provider of screens that belong to none.
pub const NO_PROVIDER: &str = "-";

/// What a callback comes to.
#[derive(Debug)]
pub struct Folded {
    /// The facts that are stored with it and that others may be told.
    pub facts: Facts,
    /// The registers that it writes, or why it writes none.
    pub writes: Result<Vec<Write>, Unfolded>,
}

/// Works out what a callback writes.
pub fn fold(
    envelope: &Envelope<'_>,
    callback: &Callback<'_>,
    hash: &BodyHash,
    received_at: Timestamp,
) -> Folded {
    let at = at(envelope, received_at);
    let write = |offer: Offer| Write {
        entity: offer.entity,
        register: offer.register,
        value: Register { v: Version::new(at, offer.rank, &envelope.id, hash), fields: offer.fields },
    };
    let writes = offers(callback).map(|offers| offers.into_iter().map(write).collect());
    Folded { facts: facts(callback), writes }
}

/// The time that counts: the browser's, if it can be believed, else that of the receipt.
fn at(envelope: &Envelope<'_>, received_at: Timestamp) -> Timestamp {
    let is_believed = |at: &Timestamp| (-MAX_BEHIND..=MAX_AHEAD).contains(&at.duration_since(received_at));
    envelope.occurred_at().filter(is_believed).unwrap_or(received_at)
}

/// One register that a callback offers.
struct Offer {
    entity: Entity,
    register: String,
    rank: u8,
    fields: Fields,
}

fn offers(callback: &Callback<'_>) -> Result<Vec<Offer>, Unfolded> {
    let user = || callback.user.clone();
    let claim = |about: &ClaimedAccount, register: &str, rank, error_code: Option<&String>| {
        let id = about.account.clone().ok_or(Unfolded::NoEntity)?;
        let fields = fields([("provider", text(about.provider.as_ref())), ("error_code", text(error_code))]);
        Ok(Offer { entity: Entity::Claim(user(), id), register: register.to_owned(), rank, fields })
    };
    let widget = |register: &str, fields| Offer {
        entity: Entity::Widget(user()),
        register: register.to_owned(),
        rank: 0,
        fields,
    };
    Ok(match &callback.said {
        Said::AccountCreated(account) => vec![claim(account, "created", 0, None)?],
        Said::AccountConnected(account) => vec![claim(account, "connected", 2, None)?],
        Said::AccountRemoved(account) => vec![claim(account, "removed", 3, None)?],
        Said::AccountError { account, error_code } => {
            let last = fields([
                ("error_code", text(error_code.as_ref())),
                ("provider", text(account.provider.as_ref())),
                ("account", text(account.account.as_ref())),
            ]);
            let mut offers = vec![widget("error", last)];
            offers.extend(claim(account, "error", 1, error_code.as_ref()).ok());
            offers
        }
        Said::TokenExpired => vec![widget("token", fields([("status", text(Some("EXPIRED")))]))],
        Said::Close(reason) => vec![widget("closed", fields([("reason", text(reason.as_ref()))]))],
        Said::UploadsCreated(uploads) | Said::UploadsRemoved(uploads) => {
            let change = if callback.name == Name::UploadsCreated { "CREATED" } else { "REMOVED" };
            let count = uploads.count.map(Value::Number);
            vec![widget("uploads", fields([("change", text(Some(change))), ("count", count)]))]
        }
        Said::UiEvent(event) => {
            let last = fields([
                ("screen", text(Some(&event.screen))),
                ("mode", text(event.mode.as_ref())),
                ("provider", text(event.account.provider.as_ref())),
                ("account", text(event.account.account.as_ref())),
                ("file_type", text(event.file_type.as_ref())),
            ]);
            let mut offers = vec![widget("screen", last)];
            // Only screens that are known: no browser may make an item grow without bound.
            if Screen::KNOWN.contains(&event.screen) {
                let provider = event.account.provider.clone();
                offers.push(Offer {
                    entity: Entity::Funnel(user(), provider.unwrap_or_else(|| NO_PROVIDER.to_owned())),
                    register: event.screen.to_string(),
                    rank: 0,
                    fields: Fields::new(),
                });
            }
            offers
        }
        Said::Unknown => return Err(Unfolded::UnknownType),
    })
}

fn facts(callback: &Callback<'_>) -> Facts {
    let mut facts = Facts { user: Some(callback.user.clone()), ..Facts::default() };
    let mut about = |account: &ClaimedAccount| {
        facts.account.clone_from(&account.account);
        facts.providers.extend(account.provider.clone());
    };
    match &callback.said {
        Said::AccountCreated(account) | Said::AccountConnected(account) | Said::AccountRemoved(account) => {
            about(account);
        }
        Said::AccountError { account, error_code } => {
            about(account);
            facts.error_code.clone_from(error_code);
        }
        Said::UiEvent(event) => {
            about(&event.account);
            facts.screen = Some(event.screen.to_string());
        }
        Said::Close(reason) => facts.reason = reason.as_ref().map(ToString::to_string),
        Said::UploadsCreated(uploads) | Said::UploadsRemoved(uploads) => facts.count = uploads.count,
        Said::TokenExpired | Said::Unknown => {}
    }
    facts.subjects.insert(Subject::User(callback.user.clone()));
    // Whatever it names, and not only where the widget does: a revocation takes the body for each of them.
    let named = callback.value().and_then(Mentions::of).unwrap_or_default();
    facts.subjects.extend(named.accounts.into_iter().map(Subject::Account));
    facts.subjects.extend(named.archives.into_iter().map(Subject::Archive));
    facts
}
