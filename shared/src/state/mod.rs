//! What the events add up to: registers, and the pure fold that the table must converge to.
//!
//! A **register** is a group of fields that one event writes together, with a [`Version`] of its own.
//! An event writes one register ([`writes()`]), and a register keeps the write with the greatest version. That makes the state the same for any order and any repetition of the same events:
//! a maximum asks neither when nor how often. No event is ever combined with what was there before.
//!
//! What a browser says ([`crate::callback`]) is folded by the same rule, into items of its own. One kind of
//! item there, the funnel, keeps the smallest version: the first time of each screen.
//!
//! Revocation is a register of its own, beside the connection it ends: a disconnection that arrives
//! after a later connection must still take hold, and a register shared with the connection would
//! drop it as old. So is a link that succeeded: the next link task must not make it unknown. So are a task that
//! starts and one that ends, and what was added and what was updated: neither hides the other.
//!
//! Registers that an older release wrote under other names (`task#…` for a task's start and its end, `dp#…` for what
//! was added and updated, `session` for all channels) keep their meaning: [`view`] reads both.

mod rules;
pub mod view;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::rules::{Unfolded, about, is_revocation, revoked, writes};
pub(crate) use self::rules::{fields, text};
use crate::id::{AccountId, ArchiveId, EventId, InviteId, RecordId, UserId, VerificationId};

/// How far ahead of its receipt an event may be dated and still be believed. A register is written
/// for good by its greatest version, so that one date in 2099 would otherwise silence all others.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// The earliest date that an event of Smile's is believed to have, 2015-01-01: what comes before is a clock that was
/// never set.
pub const EARLIEST: Timestamp = Timestamp::constant(1_420_070_400, 0);

/// SHA-256 of a body: tells a repeat from another event under the same id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodyHash(String);

impl BodyHash {
    /// Hashes the body as it was received.
    pub fn of(body: &[u8]) -> Self {
        Self(base16(&Sha256::digest(body)))
    }

    /// Takes back what [`Self::as_str`] gave.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let valid = hex.len() == 64 && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(hex.to_owned()))
    }

    /// 64 digits of lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 16 digits: enough where the id is compared, too.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }
}

pub(crate) fn base16(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The order of two writes to one register: `createdAt` (fixed width, UTC), the rank in the life
/// cycle (`createdAt` has whole seconds, and two steps often share one), the event's id, and the start
/// of the body's hash, which decides between two bodies under one id. Compared as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(String);

impl Version {
    pub(crate) fn new(created_at: Timestamp, rank: u8, id: &EventId, hash: &BodyHash) -> Self {
        debug_assert!(rank < 10);
        Self(format!("{created_at:.9}|{rank}|{id}|{}", &hash.short()[..8]))
    }

    /// Of what was marked at a time of ours, since the event that did it has none to go by.
    #[cfg(feature = "table")]
    pub(crate) fn of_mark(at: Timestamp) -> Self {
        Self(format!("{at:.9}|0||"))
    }

    /// The text that is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `createdAt`, as the instant it is.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.0.split('|').next()?.parse().ok()
    }

    /// The place in the life cycle.
    pub fn rank(&self) -> u8 {
        self.0.split('|').nth(1).and_then(|rank| rank.parse().ok()).unwrap_or_default()
    }
}

/// The start of both keys of everything that a browser wrote.
pub(crate) const WIDGET: &str = "WIDGET";

/// What a state item is about. Its two keys in the table follow from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "most variants are what their ids name")]
pub enum Entity {
    User(UserId),
    Account(UserId, AccountId),
    Archive(UserId, ArchiveId),
    Invite(UserId, InviteId),
    Record(RecordId),
    Verification(VerificationId),
    /// What the user's browser said of the widget.
    Widget(UserId),
    /// When each screen was first shown, for one provider.
    Funnel(UserId, String),
    /// What the user's browser said of an account. No webhook writes it.
    Claim(UserId, AccountId),
}

impl Entity {
    /// Partition key and sort key.
    pub fn keys(&self) -> (String, String) {
        match self {
            Self::User(user) => (format!("USER#{user}"), "USER".to_owned()),
            Self::Account(user, id) => (format!("USER#{user}"), format!("ACCOUNT#{id}")),
            Self::Archive(user, id) => (format!("USER#{user}"), format!("ARCHIVE#{id}")),
            Self::Invite(user, id) => (format!("USER#{user}"), format!("INVITE#{id}")),
            Self::Record(id) => (format!("RECORD#{id}"), "STATE".to_owned()),
            Self::Verification(id) => (format!("VERIFICATION#{id}"), "STATE".to_owned()),
            // A partition of its own: no browser uses up what its user's webhooks need.
            Self::Widget(user) => (format!("{WIDGET}#{user}"), WIDGET.to_owned()),
            Self::Funnel(user, provider) => {
                (format!("{WIDGET}#{user}"), format!("{WIDGET}#FUNNEL#{provider}"))
            }
            Self::Claim(user, id) => (format!("{WIDGET}#{user}"), format!("{WIDGET}#CLAIM#{id}")),
        }
    }

    /// The keys under which a browser's item lay before browsers had a partition of their own. Such items are read until
    /// they expire; nothing is written there any more.
    pub fn old_keys(&self) -> Option<(String, String)> {
        let (Self::Widget(user) | Self::Funnel(user, _) | Self::Claim(user, _)) = self else { return None };
        Some((format!("USER#{user}"), self.keys().1))
    }

    /// Whether a browser wrote it, and not the vendor's server.
    pub fn is_from_browser(&self) -> bool {
        matches!(self, Self::Widget(_) | Self::Funnel(..) | Self::Claim(..))
    }

    /// Whether its registers keep the smallest version, the first time, instead of the greatest.
    pub fn keeps_first(&self) -> bool {
        matches!(self, Self::Funnel(..))
    }

    /// Reads the two keys back.
    pub fn from_keys(pk: &str, sk: &str) -> Option<Self> {
        if let Some(id) = pk.strip_prefix("RECORD#") {
            return Some(Self::Record(RecordId::new(id).ok()?));
        }
        if let Some(id) = pk.strip_prefix("VERIFICATION#") {
            return Some(Self::Verification(VerificationId::new(id).ok()?));
        }
        let (kind, user) = pk.split_once('#')?;
        let user = UserId::new(user).ok()?;
        let is_vendors = kind == "USER";
        if !is_vendors && kind != WIDGET {
            return None;
        }
        match sk.split_once('#') {
            None if is_vendors && sk == "USER" => Some(Self::User(user)),
            Some(("ACCOUNT", id)) if is_vendors => Some(Self::Account(user, AccountId::new(id).ok()?)),
            Some(("ARCHIVE", id)) if is_vendors => Some(Self::Archive(user, ArchiveId::new(id).ok()?)),
            Some(("INVITE", id)) if is_vendors => Some(Self::Invite(user, InviteId::new(id).ok()?)),
            // In either partition: see `old_keys`.
            None if sk == WIDGET => Some(Self::Widget(user)),
            Some((WIDGET, rest)) => match rest.split_once('#')? {
                ("FUNNEL", provider) => Some(Self::Funnel(user, provider.to_owned())),
                ("CLAIM", id) => Some(Self::Claim(user, AccountId::new(id).ok()?)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The name in events: `USER#…/ACCOUNT#…`; where the sort key says nothing of its own, the partition key alone. What a
/// browser wrote is named by its user, too (`USER#…/WIDGET…`), as before it had a partition of its own.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.old_keys().unwrap_or_else(|| self.keys()) {
            (pk, sk) if matches!(sk.as_str(), "USER" | "STATE") => f.write_str(&pk),
            (pk, sk) => write!(f, "{pk}/{sk}"),
        }
    }
}

/// One field of a register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is its type")]
pub enum Value {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

/// The fields of one register, by name.
pub type Fields = BTreeMap<String, Value>;

/// A group of fields that was written together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Which write this is.
    pub v: Version,
    /// What it said.
    #[serde(flatten)]
    pub fields: Fields,
}

impl Register {
    /// A text field.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.fields.get(field)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number field.
    pub fn number(&self, field: &str) -> Option<u64> {
        match self.fields.get(field)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A list field; empty when there is none.
    pub fn list(&self, field: &str) -> &[String] {
        match self.fields.get(field) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }
}

/// The registers of one state item, by name.
pub type Registers = BTreeMap<String, Register>;

/// The register that says that a user has taken access back.
pub const REVOCATION: &str = "revocation";

/// The mark of a revocation that no register can hold, since it has no date that is believed, or a version that is not
/// known. A reader has it as a register without fields; nothing else knows since when it holds.
pub const REVOKED_UNDATED: &str = "revoked_undated";

/// The mark of an item about which there are events that could not be folded: since when. A reader has it as a
/// register without fields.
pub const UNFOLDED_SINCE: &str = "unfolded_since";

/// The register of a link task that succeeded: what connects an account whose provider needs no login.
pub const LINKED: &str = "linked";

/// The register of a browser's claim that says that nobody had confirmed it in time.
pub const UNCONFIRMED: &str = "unconfirmed";

/// What one event does to the state: it offers one register to one state item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The state item.
    pub entity: Entity,
    /// The register's name, such as `connection` or `task#LINK_ACCOUNT`.
    pub register: String,
    /// What it would hold.
    pub value: Register,
}

/// The state that events add up to: the definition, in memory, of what the table must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<Entity, Registers>);

impl State {
    /// Keeps the register with the greater version; in a funnel, with the smaller.
    pub fn apply(&mut self, write: Write) {
        let keeps_first = write.entity.keeps_first();
        let registers = self.0.entry(write.entity).or_default();
        match registers.get(&write.register) {
            Some(held) if keeps_first && held.v <= write.value.v => {}
            Some(held) if !keeps_first && held.v >= write.value.v => {}
            _ => {
                registers.insert(write.register, write.value);
            }
        }
    }

    /// Puts a whole item in, as the table holds it.
    pub fn insert(&mut self, entity: Entity, registers: Registers) {
        self.0.insert(entity, registers);
    }

    /// All items, in the order of their keys.
    pub fn items(&self) -> impl Iterator<Item = (&Entity, &Registers)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_time_rank_id_and_hash() {
        let version = |at: &str, rank, id: &str, body: &[u8]| {
            Version::new(at.parse().unwrap(), rank, &EventId::new(id).unwrap(), &BodyHash::of(body))
        };
        let ascending = [
            version("0001-01-01T00:00:00Z", 3, "z", b""),
            version("2026-03-01T10:00:00Z", 0, "z", b""),
            version("2026-03-01T10:00:00Z", 1, "a", b""),
            version("2026-03-01T10:00:00Z", 1, "b", b""),
            version("2026-03-01T18:00:00.000000001+08:00", 0, "a", b""),
            version("2026-03-01T10:00:00.5Z", 0, "a", b""),
            version("2026-03-01T10:00:01Z", 0, "a", b""),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b), "{ascending:#?}");
        assert_ne!(
            version("2026-03-01T10:00:00Z", 1, "a", b"x"),
            version("2026-03-01T10:00:00Z", 1, "a", b"y")
        );
        assert_eq!(ascending[1].as_str(), "2026-03-01T10:00:00.000000000Z|0|z|e3b0c442");
        assert_eq!(ascending[1].created_at(), Some("2026-03-01T10:00:00Z".parse().unwrap()));
        assert_eq!(ascending[2].rank(), 1);
    }

    #[test]
    fn keys_read_back() {
        let user = || UserId::new("t#1").unwrap();
        for entity in [
            Entity::User(user()),
            Entity::Account(user(), AccountId::new("a#b").unwrap()),
            Entity::Archive(user(), ArchiveId::new("r").unwrap()),
            Entity::Invite(user(), InviteId::new("i").unwrap()),
            Entity::Record(RecordId::new("STATE").unwrap()),
            Entity::Verification(VerificationId::new("v").unwrap()),
            Entity::Widget(user()),
            Entity::Funnel(user(), "sss_ph".to_owned()),
            Entity::Funnel(user(), "-".to_owned()),
            Entity::Claim(user(), AccountId::new("a#b").unwrap()),
        ] {
            let (pk, sk) = entity.keys();
            assert_eq!(Entity::from_keys(&pk, &sk).as_ref(), Some(&entity));
            // What a browser wrote lies in no partition that a webhook writes to.
            assert_eq!(pk.starts_with("WIDGET#"), entity.is_from_browser(), "{pk}");
            assert_eq!(entity.old_keys().is_some(), entity.is_from_browser(), "{pk}");
            if let Some((pk, sk)) = entity.old_keys() {
                assert_eq!((pk.as_str(), Entity::from_keys(&pk, &sk)), ("USER#t#1", Some(entity)));
            }
        }
        for sk in ["USER", "ACCOUNT#a", "ARCHIVE#r", "INVITE#i"] {
            assert_eq!(Entity::from_keys("WIDGET#u", sk), None, "{sk}");
        }
        assert_eq!(Entity::from_keys("EVENT#1", "EVENT"), None);
        for sk in ["CONNECTION", "WIDGET#", "WIDGET#OTHER#a", "WIDGET#CLAIM#"] {
            assert_eq!(Entity::from_keys("USER#u", sk), None, "{sk}");
        }
    }
}
