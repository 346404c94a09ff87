//! What the Wink Widget says in the user's browser: nine callbacks, and unknown ones.
//!
//! A callback is a hint from a browser that anybody may have changed. It is kept, shown and folded into
//! state of its own ([`mod@fold`]), in items that no webhook writes and no webhook's state depends on. Whose it
//! is follows from the session token alone; what its data says of a user is only compared with that.
//!
//! | module | what it holds |
//! |---|---|
//! | [`said`] | the nine callbacks and the twelve screens, typed |
//! | [`mod@fold`] | the registers that a callback writes, and its facts |
//! | `intake` | one item of a browser's batch, checked, and the message made of it; behind `session` |
//!
//! The body that is queued and stored is an envelope as a webhook's, which depends on the item alone, so that
//! a repeat has the same bytes:
//! `{"id":"cb-…","version":1,"type":"onClose","createdAt":"…","data":{"userId":"…","clientId":"…","value":…}}`.
//! `value` is what the page sent, to the letter.

pub mod fold;
#[cfg(feature = "session")]
pub mod intake;
mod mentions;
pub mod said;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use self::fold::{Folded, fold};
pub use self::said::{CloseReason, Mode, Name, Said, Screen};
use crate::event::Envelope;
use crate::id::{EventId, UserId};

/// What begins the id of every event that a browser reported. No id of a vendor's event can be made by a
/// browser: what follows is a hash.
pub const ID_PREFIX: &str = "cb-";

/// The id of the event that a browser's callback becomes: the same for every repeat, another for every
/// user, and nothing that the browser can choose.
pub fn event_id(user: &UserId, client_id: &str) -> EventId {
    let mut hash = Sha256::new();
    hash.update(user.as_str());
    hash.update([0]);
    hash.update(client_id);
    id_of(&hash.finalize()[..16])
}

fn id_of(hash: &[u8]) -> EventId {
    #[expect(clippy::expect_used, reason = "35 bytes are an id")]
    EventId::new(format!("{ID_PREFIX}{}", crate::state::base16(hash))).expect("an id")
}

/// A callback as it is read back from its envelope.
#[derive(Debug)]
pub struct Callback<'a> {
    /// Whose session it came in.
    pub user: UserId,
    /// Which callback.
    pub name: Name,
    /// What it says.
    pub said: Said,
    /// The id that the page gave it.
    pub client_id: String,
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    user_id: UserId,
    client_id: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

impl<'a> Callback<'a> {
    /// Reads what [`intake`] made. None when it did not make this.
    pub fn of(envelope: &Envelope<'a>) -> Option<Self> {
        let data: Data<'a> = serde_json::from_str(envelope.raw_data()?.get()).ok()?;
        let name = Name::from(envelope.kind.as_str());
        let said = Said::read(&name, data.value);
        let id = event_id(&data.user_id, &data.client_id);
        (id == envelope.id).then_some(Self {
            user: data.user_id,
            name,
            said,
            client_id: data.client_id,
            value: data.value,
        })
    }

    /// The callback's argument, as the page sent it.
    pub fn value(&self) -> Option<&'a RawValue> {
        self.value
    }
}
