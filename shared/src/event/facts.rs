//! What is read of an event's data: ids, statuses, counts and the subjects, at any depth the vendor
//! puts them. Everything else stays in the body.
//!
//! One lenient reading serves all types, the unknown ones too. Every member that can be read is read: of one that
//! is there twice, each id is a subject, and the last one that can be read is the fact, as JSON parsers have it.
//! An object or a list may be written inside a text. A member that is there and cannot be read is never taken for
//! absent: its name stands in [`Facts::unread`], and a subject might hide in it. Nothing personal is read: no
//! names, no login names, no error texts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Unreadable;
use super::member::{Nested, is_wrapped, unwrapped};
use super::words::{EventType, MonitorStatus, SourceType, Status, TaskType, is_word, text};
use crate::id::{AccountId, ArchiveId, IdLength, InviteId, MAX_ID_BYTES, RecordId, UserId, VerificationId};

/// The names that can stand in [`Facts::unread`]. Any other name could be anything, such as an id by which an object
/// is keyed.
const NAMES: [&str; 41] = [
    "accountId",
    "accounts",
    "archiveId",
    "archives",
    "channel",
    "channelId",
    "count",
    "data",
    "datapoints",
    "dataPoints",
    "documents",
    "employments",
    "errorCode",
    "fileType",
    "finalMatches",
    "forms",
    "id",
    "identity",
    "identityId",
    "incomes",
    "insight",
    "inviteId",
    "items",
    "metadata",
    "monitorStatus",
    "payload",
    "providerId",
    "providers",
    "rating",
    "ratingId",
    "recordId",
    "result",
    "resultCode",
    "session",
    "sourceId",
    "sourceType",
    "status",
    "taskType",
    "updatedIds",
    "userId",
    "verificationId",
];

/// The most entries of a list that are taken for facts; more stay in the body only. The longest list that
/// Smile is known to send is its inline one, of 300.
const MAX_FACT_ENTRIES: usize = 300;

/// Smile sends at most so many entries of an inline list; a list of exactly this many may be cut
/// (Smile, webhooks reference).
const INLINE_LIST_LIMIT: usize = 300;

/// Ids and facts of one event. A field is `None`, or empty, where the event does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Facts {
    /// Whose event it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The account, also where the vendor calls it the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The archive, also where the vendor calls it the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveId>,
    /// The invite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<InviteId>,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationId>,
    /// The providers concerned; of a completed session, those of its accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The file types of a completed session's archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_types: Vec<String>,
    /// How a task, a record or a session stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The vendor's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The result of a record or a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
    /// Whether a verification passed: Smile's own conclusion. `result_code` says only that it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_matches: Option<bool>,
    /// What matched in a verification, such as `firstName`, `dob` or `id:tin_ph`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<String>,
    /// What did not match in a verification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatched: Vec<String>,
    /// What a task does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
    /// What the task's source is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_type: Option<SourceType>,
    /// Whether the account is still watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor_status: Option<MonitorStatus>,
    /// The kind of record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
    /// A session's channel, such as `WinkSite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The id of the session's channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The data points that a task saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datapoints: Vec<String>,
    /// How many entries were added or updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The id of the one thing added: an identity, a rating, an insight, a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The widget's screen that a callback names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// Why the widget was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ids of what was updated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updated_ids: Vec<String>,
    /// First day that was updated, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_from: Option<String>,
    /// Last day that was updated, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_to: Option<String>,
    /// When the update was made, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// How many entries each inline list has. `accounts.incomes` are the incomes of all of a session's accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, u64>,
    /// Inline lists of which there may be more at the vendor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Members that are there and could not be read, or whose shape is not known, by name; `unknown` stands for any
    /// whose name is not known either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Everything that this event carries something of, itself included.
    #[serde(skip)]
    pub subjects: BTreeSet<Subject>,
    /// Those among the subjects that the event itself names, and not something in its payload. More than one of a
    /// kind when the event names it twice.
    #[serde(skip)]
    pub named: BTreeSet<Subject>,
}

/// Something that an event carries data of, so that it can be found again when it must be erased.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is what its id names")]
pub enum Subject {
    User(UserId),
    Account(AccountId),
    Archive(ArchiveId),
    Invite(InviteId),
    Record(RecordId),
    Verification(VerificationId),
}

/// The form in the table: `USER#…`, `ACCOUNT#…` and so on.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "USER#{id}"),
            Self::Account(id) => write!(f, "ACCOUNT#{id}"),
            Self::Archive(id) => write!(f, "ARCHIVE#{id}"),
            Self::Invite(id) => write!(f, "INVITE#{id}"),
            Self::Record(id) => write!(f, "RECORD#{id}"),
            Self::Verification(id) => write!(f, "VERIFICATION#{id}"),
        }
    }
}

impl Subject {
    /// Reads the form in the table back.
    pub fn from_text(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('#')?;
        match kind {
            "USER" => UserId::new(id).ok().map(Self::User),
            "ACCOUNT" => AccountId::new(id).ok().map(Self::Account),
            "ARCHIVE" => ArchiveId::new(id).ok().map(Self::Archive),
            "INVITE" => InviteId::new(id).ok().map(Self::Invite),
            "RECORD" => RecordId::new(id).ok().map(Self::Record),
            "VERIFICATION" => VerificationId::new(id).ok().map(Self::Verification),
            _ => None,
        }
    }
}

/// The lists of a payload that hold sources with payloads of their own (Smile, `UserPayload`).
const SOURCES: [&str; 3] = ["forms", "accounts", "archives"];

/// The single things of a payload (Smile, `AllDatapointPayload`).
const SINGLES: [&str; 3] = ["identity", "rating", "insight"];

/// The members of a record's payload, which repeats the record (Smile, `SocialSecurity`). The two objects among them
/// name no account and no archive.
const OF_RECORD: [&str; 7] =
    ["id", "createdAt", "status", "resultCode", "resultMessage", "result", "requestMeta"];

/// The lists of a payload (Smile, `AllDatapointPayload`).
const LISTS: [&str; 8] = [
    "documents",
    "incomes",
    "transactions",
    "employments",
    "contributions",
    "liabilities",
    "eincomes",
    "links",
];

/// How deep the flags of a verification's result may lie. Smile's are at the fourth level.
const MAX_RESULT_DEPTH: u8 = 8;

/// The most texts of one member that are read: more ids than an event may be about.
const MAX_TEXTS: usize = 600;

/// Members of the data that are known and left unread: free text, which can be personal.
const FREE_TEXT: [&str; 3] = ["loginName", "errorMessage", "resultMessage"];

/// What is being read, and the first id that is outside its bounds.
#[derive(Default)]
struct Reader {
    facts: Facts,
    out_of_bounds: Option<Unreadable>,
    sources: Vec<String>,
    source_types: BTreeSet<String>,
    session: Session,
}

/// What a session says beside its user: a fact only where the data itself does not say it.
#[derive(Default)]
struct Session {
    user: Option<UserId>,
    status: Option<Status>,
}

impl Facts {
    /// Reads the data of an event, and says which id is outside its bounds: that one cannot be filed.
    pub(super) fn read(kind: &EventType, data: Option<&RawValue>) -> (Self, Option<Unreadable>) {
        let mut reader = Reader::default();
        if let Some(data) = data {
            reader.data(data);
        }
        reader.finish(kind)
    }
}

impl Reader {
    fn finish(mut self, kind: &EventType) -> (Facts, Option<Unreadable>) {
        let facts = &mut self.facts;
        facts.user = facts.user.take().or(self.session.user);
        facts.status = facts.status.take().or(self.session.status);
        let (could_be, folded_as) = source_kinds(kind, facts.task_type.as_ref(), &self.source_types);
        for id in self.sources {
            let length = |length: IdLength| Unreadable::IdLength { field: "data.sourceId", bytes: length.0 };
            let (account, archive) = match (AccountId::new(&*id), ArchiveId::new(&*id)) {
                (Ok(account), Ok(archive)) => (account, archive),
                (Err(error), _) | (_, Err(error)) => {
                    self.out_of_bounds.get_or_insert(length(error));
                    continue;
                }
            };
            match folded_as {
                Some(SourceType::Account) => facts.account = facts.account.take().or(Some(account)),
                Some(SourceType::Archive) => facts.archive = facts.archive.take().or(Some(archive)),
                _ => {}
            }
            facts.named.extend(could_be.subjects(&id));
        }
        facts.subjects.extend(facts.named.iter().cloned());
        (self.facts, self.out_of_bounds)
    }

    fn data(&mut self, raw: &RawValue) {
        let raw = unwrapped(raw);
        for (name, value) in self.members("data", &raw) {
            let name = name.as_ref();
            match name {
                "userId" => {
                    let users = self.named_ids("data.userId", value, UserId::new, Subject::User);
                    self.facts.user = users.into_iter().next_back().or(self.facts.user.take());
                }
                "accountId" => {
                    let accounts = self.named_ids("data.accountId", value, AccountId::new, Subject::Account);
                    self.facts.account = accounts.into_iter().next_back().or(self.facts.account.take());
                }
                "archiveId" => {
                    let archives = self.named_ids("data.archiveId", value, ArchiveId::new, Subject::Archive);
                    self.facts.archive = archives.into_iter().next_back().or(self.facts.archive.take());
                }
                "inviteId" => {
                    let invites = self.named_ids("data.inviteId", value, InviteId::new, Subject::Invite);
                    self.facts.invite = invites.into_iter().next_back().or(self.facts.invite.take());
                }
                "recordId" => {
                    let records = self.named_ids("data.recordId", value, RecordId::new, Subject::Record);
                    self.facts.record = records.into_iter().next_back().or(self.facts.record.take());
                }
                "verificationId" => {
                    let field = "data.verificationId";
                    let found = self.named_ids(field, value, VerificationId::new, Subject::Verification);
                    self.facts.verification =
                        found.into_iter().next_back().or(self.facts.verification.take());
                }
                "sourceId" => {
                    let sources = self.texts(name, value);
                    self.sources.extend(sources);
                }
                "sourceType" => {
                    if let Some(word) = self.word(name, value) {
                        self.source_types.insert(word.to_ascii_uppercase());
                        self.facts.source_type = Some(SourceType::from(word.as_str()));
                    }
                }
                "providers" => {
                    let providers = self.words(name, value);
                    self.add_providers(providers);
                }
                "status" => {
                    let status = self.word(name, value).map(|word| Status::from(word.as_str()));
                    self.facts.status = status.or(self.facts.status.take());
                }
                "errorCode" => {
                    self.facts.error_code = self.word(name, value).or(self.facts.error_code.take());
                }
                "resultCode" => {
                    self.facts.result_code = self.word(name, value).or(self.facts.result_code.take());
                }
                "result" => self.result(value),
                "taskType" => {
                    let task = self.word(name, value).map(|word| TaskType::from(word.as_str()));
                    self.facts.task_type = task.or(self.facts.task_type.take());
                }
                "monitorStatus" => {
                    let status = self.word(name, value).map(|word| MonitorStatus::from(word.as_str()));
                    self.facts.monitor_status = status.or(self.facts.monitor_status.take());
                }
                "recordType" => {
                    self.facts.record_type = self.word(name, value).or(self.facts.record_type.take());
                }
                // The second is the spelling of older pages.
                "datapoints" | "dataPoints" => {
                    for word in self.words(name, value) {
                        add(&mut self.facts.datapoints, word);
                    }
                }
                "count" => self.facts.count = self.number(name, value).or(self.facts.count),
                "identityId" | "ratingId" | "id" => {
                    let id = self.texts(name, value).into_iter().rfind(|id| id.len() <= MAX_ID_BYTES);
                    self.facts.item = id.or(self.facts.item.take());
                }
                "updatedIds" => {
                    for id in self.texts(name, value) {
                        if id.len() <= MAX_ID_BYTES {
                            add(&mut self.facts.updated_ids, id);
                        }
                    }
                }
                "updatedFrom" => {
                    self.facts.updated_from = self.date(name, value).or(self.facts.updated_from.take());
                }
                "updatedTo" => {
                    self.facts.updated_to = self.date(name, value).or(self.facts.updated_to.take());
                }
                "updatedAt" => {
                    self.facts.updated_at = self.date(name, value).or(self.facts.updated_at.take());
                }
                "session" => self.session(value),
                "payload" => self.payload(value),
                _ if FREE_TEXT.contains(&name) => {}
                _ => self.unknown(name, value),
            }
        }
    }

    fn session(&mut self, raw: &RawValue) {
        let raw = unwrapped(raw);
        for (name, value) in self.members("session", &raw) {
            let name = name.as_ref();
            match name {
                "userId" => {
                    let users = self.named_ids("data.session.userId", value, UserId::new, Subject::User);
                    self.session.user = users.into_iter().next_back().or(self.session.user.take());
                }
                "status" => {
                    let status = self.word(name, value).map(|word| Status::from(word.as_str()));
                    self.session.status = status.or(self.session.status.take());
                }
                "channel" => self.facts.channel = self.word(name, value).or(self.facts.channel.take()),
                "channelId" => {
                    self.facts.channel_id = self.word(name, value).or(self.facts.channel_id.take());
                }
                _ => self.of_reference(name, value),
            }
        }
    }

    /// The payload of the event: lists, single things, and sources with payloads of their own.
    fn payload(&mut self, raw: &RawValue) {
        let raw = unwrapped(raw);
        for (name, value) in self.members("payload", &raw) {
            let name = name.as_ref();
            if SOURCES.contains(&name) {
                self.sources(name, value);
            } else if ["userId", "accountId", "archiveId"].contains(&name) {
                self.of_reference(name, value);
            } else if self.facts.record.is_some() && OF_RECORD.contains(&name) {
                if name == "id" {
                    let ids = self.texts(name, value);
                    let records = ids.into_iter().filter_map(|id| RecordId::new(id).ok());
                    self.facts.subjects.extend(records.map(Subject::Record));
                }
            } else {
                self.section("", name, value);
            }
        }
    }

    /// Accounts, archives or forms of a session.
    fn sources(&mut self, list: &str, raw: &RawValue) {
        let raw = unwrapped(raw);
        let entries = match Nested::of(&raw) {
            Nested::Absent => return,
            Nested::List(entries) => entries,
            // Not the shape that is known: the names could be the ids.
            Nested::Object(members) => {
                self.unread(list);
                members.into_iter().map(|(_, entry)| entry).collect()
            }
            Nested::Other => return self.unread(list),
        };
        self.count_items(list, entries.len(), false);
        for entry in entries {
            let mut has_id = list == "forms";
            let entry = unwrapped(entry);
            for (name, value) in self.members(list, &entry) {
                let name = name.as_ref();
                match (name, list) {
                    ("id", "accounts") => {
                        let accounts = self.nested_ids(name, value, AccountId::new);
                        has_id |= !accounts.is_empty();
                        self.facts.subjects.extend(accounts.into_iter().map(Subject::Account));
                    }
                    ("id", "archives") => {
                        let archives = self.nested_ids(name, value, ArchiveId::new);
                        has_id |= !archives.is_empty();
                        self.facts.subjects.extend(archives.into_iter().map(Subject::Archive));
                    }
                    ("providerId", _) => {
                        let provider = self.word(name, value);
                        self.add_providers(provider);
                    }
                    ("fileType", _) => {
                        if let Some(word) = self.word(name, value) {
                            add(&mut self.facts.file_types, word);
                        }
                    }
                    ("metadata", _) => self.reference(value),
                    ("payload", _) => {
                        let value = unwrapped(value);
                        for (section, value) in self.members("payload", &value) {
                            self.section(&format!("{list}."), &section, value);
                        }
                    }
                    // What a form asks is the customer's own.
                    ("data", "forms") => {}
                    _ => self.unknown(name, value),
                }
            }
            if !has_id {
                self.unread(list);
            }
        }
    }

    /// One list of a payload (`{nextCursor, items[]}`) or one single thing (`{…, metadata}`), at either depth.
    fn section(&mut self, prefix: &str, name: &str, raw: &RawValue) {
        if name == "metadata" {
            return self.reference(raw);
        }
        let raw = unwrapped(raw);
        let members = match Nested::of(&raw) {
            Nested::Absent => return,
            Nested::Object(members) => members,
            Nested::List(entries) => {
                self.items(prefix, name, &entries, false);
                return;
            }
            Nested::Other => {
                // A scalar names nothing that could be revoked, unless something that is known has this shape.
                if SINGLES.contains(&name) || is_wrapped(&raw) {
                    self.unread(name);
                }
                return;
            }
        };
        let has_more = members.iter().any(|(name, value)| name == "nextCursor" && value.get() != "null");
        let (mut is_list, mut is_understood) = (false, SINGLES.contains(&name) || members.is_empty());
        for (member, value) in &members {
            match member.as_ref() {
                "items" => {
                    is_list = true;
                    let value = unwrapped(value);
                    match Nested::of(&value) {
                        Nested::Absent => {}
                        Nested::List(entries) => self.items(prefix, name, &entries, has_more),
                        Nested::Object(entries) => {
                            self.unread("items");
                            let entries: Vec<_> = entries.into_iter().map(|(_, entry)| entry).collect();
                            self.items(prefix, name, &entries, has_more);
                        }
                        Nested::Other => self.unread("items"),
                    }
                }
                "metadata" => {
                    is_understood = true;
                    self.reference(value);
                }
                _ => {}
            }
        }
        if SINGLES.contains(&name) && !is_list {
            self.count_items(&format!("{prefix}{name}"), 1, false);
        }
        if !is_list && !is_understood {
            self.unread(name);
        }
    }

    fn items(&mut self, prefix: &str, name: &str, entries: &[&RawValue], has_more: bool) {
        self.count_items(&format!("{prefix}{name}"), entries.len(), has_more);
        for entry in entries {
            match Nested::of(&unwrapped(entry)) {
                Nested::Object(members) => {
                    let mut has_reference = false;
                    for (_, value) in members.iter().filter(|(name, _)| name == "metadata") {
                        has_reference = true;
                        self.reference(value);
                    }
                    // The source of an entry of a list that is known is the event's own, or its account's or archive's.
                    if !has_reference && !LISTS.contains(&name) {
                        self.unread(name);
                    }
                }
                Nested::Absent => {}
                Nested::List(_) | Nested::Other => self.unread(name),
            }
        }
    }

    /// A list with as many entries as Smile sends at most may be cut, and so may one that says where it goes on.
    fn count_items(&mut self, name: &str, entries: usize, has_more: bool) {
        let of = name.rsplit('.').next().unwrap_or(name);
        let is_known = LISTS.contains(&of) || SINGLES.contains(&of) || SOURCES.contains(&of);
        let name = if is_known { name } else { "unknown" };
        if has_more || entries == INLINE_LIST_LIMIT {
            add(&mut self.facts.cut, name.to_owned());
        }
        *self.facts.items.entry(name.to_owned()).or_default() += entries as u64;
    }

    /// Who and what an entry of a payload belongs to (Smile, `ObjectReferenceMetadata`, `UserSession`).
    fn reference(&mut self, raw: &RawValue) {
        let raw = unwrapped(raw);
        let members = self.members("metadata", &raw);
        let mut types = BTreeSet::new();
        for (_, value) in members.iter().filter(|(name, _)| name == "sourceType") {
            types.extend(self.word("sourceType", value).map(|word| word.to_ascii_uppercase()));
        }
        let could_be = Kinds::of(&types);
        for (name, value) in members {
            let name = name.as_ref();
            if name == "sourceId" {
                for id in self.texts(name, value) {
                    self.facts.subjects.extend(could_be.subjects(&id));
                }
            } else {
                self.of_reference(name, value);
            }
        }
    }

    fn of_reference(&mut self, name: &str, value: &RawValue) {
        match name {
            "userId" => {
                let users = self.nested_ids(name, value, UserId::new);
                self.facts.subjects.extend(users.into_iter().map(Subject::User));
            }
            "accountId" => {
                let accounts = self.nested_ids(name, value, AccountId::new);
                self.facts.subjects.extend(accounts.into_iter().map(Subject::Account));
            }
            "archiveId" => {
                let archives = self.nested_ids(name, value, ArchiveId::new);
                self.facts.subjects.extend(archives.into_iter().map(Subject::Archive));
            }
            _ => self.unknown(name, value),
        }
    }

    /// The result of a verification: its conclusion, and what matched.
    fn result(&mut self, raw: &RawValue) {
        let raw = unwrapped(raw);
        for (name, value) in self.members("result", &raw) {
            if name == "finalMatches" {
                match truth(value) {
                    // Of two, the one that does not open the door.
                    Some(matches) => {
                        let before = self.facts.final_matches.unwrap_or(true);
                        self.facts.final_matches = Some(before && matches);
                    }
                    None if value.get() == "null" => {}
                    None => self.unread(&name),
                }
            } else {
                self.matches(&name, value, MAX_RESULT_DEPTH);
            }
        }
    }

    /// The flags of one part of a result: `dobMatches`, `phoneMatches: {matches}`, `ids: [{idType, matches}]`.
    fn matches(&mut self, name: &str, raw: &RawValue, depth: u8) {
        let Some(depth) = depth.checked_sub(1) else { return self.unread("result") };
        let subject = name.strip_suffix("Matches");
        match (Nested::of(raw), truth(raw)) {
            (Nested::Other, Some(matches)) => {
                if let Some(subject) = subject.filter(|subject| is_word(subject)) {
                    add(
                        if matches { &mut self.facts.matched } else { &mut self.facts.mismatched },
                        subject.to_owned(),
                    );
                }
            }
            (Nested::Object(members), _) => {
                let id_type = members.iter().rev().find(|(name, _)| name == "idType");
                let id_type =
                    id_type.and_then(|(_, value)| text(Some(value))).map(|kind| format!("id:{kind}"));
                let own = id_type.as_deref().or(subject).filter(|own| is_word(own)).map(str::to_owned);
                for (member, value) in members {
                    match (member.as_ref(), truth(value), &own) {
                        ("matches", Some(true), Some(own)) => add(&mut self.facts.matched, own.clone()),
                        ("matches", Some(false), Some(own)) => add(&mut self.facts.mismatched, own.clone()),
                        _ => self.matches(&member, value, depth),
                    }
                }
            }
            (Nested::List(entries), _) => {
                for entry in entries {
                    self.matches(name, entry, depth);
                }
            }
            (Nested::Other, None) if subject.is_some() => self.unread("result"),
            _ => {}
        }
    }

    /// The members of an object; none of anything else, which is then noted as unread.
    fn members<'a>(&mut self, name: &str, raw: &'a RawValue) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        match Nested::of(raw) {
            Nested::Absent => Vec::new(),
            Nested::Object(members) => members,
            Nested::List(_) | Nested::Other => {
                self.unread(name);
                Vec::new()
            }
        }
    }

    fn unread(&mut self, name: &str) {
        add(
            &mut self.facts.unread,
            if NAMES.contains(&name) { name.to_owned() } else { "unknown".to_owned() },
        );
    }

    /// A member that is not known here. New scalars come and go; in an object or a list an id might stand.
    fn unknown(&mut self, name: &str, raw: &RawValue) {
        let is_empty = match Nested::of(raw) {
            Nested::Absent => true,
            Nested::Object(members) => members.is_empty(),
            Nested::List(entries) => entries.is_empty(),
            Nested::Other => !is_wrapped(raw),
        };
        if !is_empty {
            self.unread(name);
        }
    }

    /// The texts of a member that is one text, or a list of them. A number counts as it is written, an empty text
    /// says nothing.
    fn texts(&mut self, name: &str, raw: &RawValue) -> Vec<String> {
        match Nested::of(raw) {
            Nested::Absent => Vec::new(),
            Nested::List(entries) => {
                entries.into_iter().take(MAX_TEXTS).filter_map(|entry| self.scalar(name, entry)).collect()
            }
            Nested::Object(_) => {
                self.unread(name);
                Vec::new()
            }
            Nested::Other => self.scalar(name, raw).into_iter().collect(),
        }
    }

    fn scalar(&mut self, name: &str, raw: &RawValue) -> Option<String> {
        if raw.get() == "null" {
            return None;
        }
        let text = text(Some(raw)).filter(|text| !text.trim_start().starts_with(['{', '[', '"']));
        if text.is_none() {
            self.unread(name);
        }
        // A number, or a text written inside a text, is taken for what it says, but is not the shape that is known.
        let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let found = text.map(Cow::into_owned).or_else(|| {
            if is_number {
                return Some(raw.get().to_owned());
            }
            serde_json::from_str(&super::words::text(Some(raw))?).ok()
        });
        found.filter(|text| !text.is_empty())
    }

    /// Ids that the event itself names. One outside its bounds costs the event.
    fn named_ids<T: Clone>(
        &mut self,
        field: &'static str,
        raw: &RawValue,
        checked: impl Fn(String) -> Result<T, IdLength>,
        subject: impl Fn(T) -> Subject,
    ) -> Vec<T> {
        let name = field.rsplit('.').next().unwrap_or(field);
        let mut ids = Vec::new();
        for text in self.texts(name, raw) {
            match checked(text) {
                Ok(id) => {
                    self.facts.named.insert(subject(id.clone()));
                    ids.push(id);
                }
                Err(length) => {
                    self.out_of_bounds.get_or_insert(Unreadable::IdLength { field, bytes: length.0 });
                }
            }
        }
        ids
    }

    /// Ids inside a payload. One outside its bounds can be nobody's whom we know: it is left out.
    fn nested_ids<T>(
        &mut self,
        name: &str,
        raw: &RawValue,
        checked: impl Fn(String) -> Result<T, IdLength>,
    ) -> Vec<T> {
        self.texts(name, raw).into_iter().filter_map(|text| checked(text).ok()).collect()
    }

    /// A word of Smile's. Free text could be anything, and stays in the body.
    fn word(&mut self, name: &str, raw: &RawValue) -> Option<String> {
        let text = text(Some(raw));
        match text.as_deref() {
            Some("") => None,
            Some(word) if is_word(word) => Some(word.to_owned()),
            None if raw.get() == "null" => None,
            _ => {
                self.unread(name);
                None
            }
        }
    }

    fn words(&mut self, name: &str, raw: &RawValue) -> Vec<String> {
        match Nested::of(raw) {
            Nested::Absent => Vec::new(),
            Nested::List(entries) => entries
                .into_iter()
                .filter_map(|entry| self.word(name, entry))
                .take(MAX_FACT_ENTRIES)
                .collect(),
            Nested::Object(_) => {
                self.unread(name);
                Vec::new()
            }
            Nested::Other => self.word(name, raw).into_iter().collect(),
        }
    }

    fn add_providers(&mut self, providers: impl IntoIterator<Item = String>) {
        for provider in providers {
            if self.facts.providers.len() < MAX_FACT_ENTRIES {
                add(&mut self.facts.providers, provider);
            }
        }
    }

    /// An instant or a day, as it was written.
    fn date(&mut self, name: &str, raw: &RawValue) -> Option<String> {
        let found = text(Some(raw)).filter(|text| is_date(text)).map(Cow::into_owned);
        if found.is_none() && !matches!(raw.get(), "null" | r#""""#) {
            self.unread(name);
        }
        found
    }

    /// A whole number, also when it is written as `3.0` or `"3"`.
    fn number(&mut self, name: &str, raw: &RawValue) -> Option<u64> {
        let found = number(text(Some(raw)).as_deref().unwrap_or(raw.get()));
        if found.is_none() && raw.get() != "null" {
            self.unread(name);
        }
        found
    }
}

/// What a source could be, so that whatever was revoked is found.
#[derive(Clone, Copy)]
struct Kinds {
    account: bool,
    archive: bool,
    record: bool,
}

impl Kinds {
    /// By the types that are written beside it, in upper case: Smile's pages also write `Account`. Only one plain
    /// `ACCOUNT` or `ARCHIVE` excludes the others: the type can be null (Smile, `RefSourceType`), and an example of
    /// Smile's own pairs an account's id with `UPLOAD`.
    fn of(types: &BTreeSet<String>) -> Self {
        let mut types = types.iter().map(String::as_str);
        match (types.next(), types.next()) {
            (Some("ACCOUNT"), None) => Self { account: true, archive: false, record: false },
            (Some("ARCHIVE"), None) => Self { account: false, archive: true, record: false },
            (Some("UPLOAD"), None) => Self { account: true, archive: true, record: false },
            _ => Self { account: true, archive: true, record: true },
        }
    }

    /// The subjects that an id names; none of an id outside its bounds.
    fn subjects(self, id: &str) -> Vec<Subject> {
        let mut subjects = Vec::new();
        if self.account {
            subjects.extend(AccountId::new(id).map(Subject::Account));
        }
        if self.archive {
            subjects.extend(ArchiveId::new(id).map(Subject::Archive));
        }
        if self.record {
            subjects.extend(RecordId::new(id).map(Subject::Record));
        }
        subjects
    }
}

/// What the event's source could be, and as what it is folded: by its type where that is plain, else by what the task
/// does. A link is always an account's: one that succeeded must not be lost.
fn source_kinds(
    kind: &EventType,
    task: Option<&TaskType>,
    types: &BTreeSet<String>,
) -> (Kinds, Option<SourceType>) {
    let could_be = Kinds::of(types);
    let by_type = match could_be {
        Kinds { account: true, archive: false, .. } => Some(SourceType::Account),
        Kinds { account: false, archive: true, .. } => Some(SourceType::Archive),
        _ => None,
    };
    let by_task = match task {
        Some(TaskType::LinkAccount | TaskType::UpdateAccount) => Some(SourceType::Account),
        Some(TaskType::AnalyzeArchive | TaskType::ClassifyArchive) => Some(SourceType::Archive),
        _ => (*kind == EventType::AccountSyncTaskFinished).then_some(SourceType::Account),
    };
    let folded_as = if task == Some(&TaskType::LinkAccount) { by_task } else { by_type.or(by_task) };
    let could_be = Kinds {
        account: could_be.account || folded_as == Some(SourceType::Account),
        archive: could_be.archive || folded_as == Some(SourceType::Archive),
        ..could_be
    };
    (could_be, folded_as)
}

/// Adds what is not there yet.
fn add(list: &mut Vec<String>, word: String) {
    if list.len() < MAX_FACT_ENTRIES && !list.contains(&word) {
        list.push(word);
    }
}

/// A truth value, also when it is written as a text.
fn truth(raw: &RawValue) -> Option<bool> {
    if raw.get().starts_with(['{', '[']) {
        return None;
    }
    text(Some(raw)).as_deref().unwrap_or(raw.get()).to_ascii_lowercase().parse().ok()
}

fn is_date(text: &str) -> bool {
    text.len() <= 64 && (super::instant(text).is_some() || text.parse::<jiff::civil::Date>().is_ok())
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both bounds are checked"
        )]
        (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Envelope;
    use super::*;
    use crate::verify::Verified;

    fn facts(data: &str) -> Result<Facts, Unreadable> {
        let body = format!(r#"{{"id":"e","type":"TASK_FINISHED","data":{data}}}"#);
        Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap().facts()
    }

    fn subjects(facts: &Facts) -> Vec<String> {
        facts.subjects.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_field_of_another_shape_takes_nothing_with_it() {
        let facts = facts(
            r#"{"userId":"u","accountId":{"id":"a"},"providers":["p",1,null,"q"],"count":2.0,"status":{"x":1},
                "dataPoints":["INCOMES"],"errorCode":"","payload":[1],"session":"s"}"#,
        )
        .unwrap();
        assert_eq!(subjects(&facts), ["USER#u"]);
        assert_eq!(facts.providers, ["p", "q"]);
        assert_eq!((facts.count, facts.status, facts.error_code), (Some(2), None, None));
        assert_eq!(facts.datapoints, ["INCOMES"]);
        assert_eq!(facts.unread, ["accountId", "providers", "status", "payload", "session"]);
        for (count, unread) in
            [("-1", true), ("1.5", true), ("1e300", true), ("\"x\"", true), ("null", false)]
        {
            let facts = super::tests::facts(&format!(r#"{{"count":{count}}}"#)).unwrap();
            assert_eq!((facts.count, !facts.unread.is_empty()), (None, unread), "{count}");
        }
        assert_eq!(super::tests::facts(r#"{"count":"3"}"#).unwrap().count, Some(3));
    }

    #[test]
    fn data_of_any_shape_is_read() {
        for (data, is_unread) in
            [("null", false), ("[]", true), (r#"["u"]"#, true), ("\"x\"", true), ("3", true), ("{}", false)]
        {
            let facts = facts(data).unwrap();
            assert_eq!(!facts.unread.is_empty(), is_unread, "{data}");
            assert_eq!(subjects(&facts), [""; 0]);
        }
    }

    #[test]
    fn of_a_member_that_is_there_twice_each_value_counts() {
        let facts = facts(
            r#"{"userId":"u1","userId":"u2","accountId":"a1","accountId":["a2"],"accountId":null,"\ud800":{},
                "errorCode":"INVALID_AUTH","errorCode":null,"status":"FAILED","status":7,"providers":["p"],
                "providers":["p","q"]}"#,
        )
        .unwrap();
        assert_eq!(subjects(&facts), ["USER#u1", "USER#u2", "ACCOUNT#a1", "ACCOUNT#a2"]);
        assert_eq!(facts.user, Some(UserId::new("u2").unwrap()));
        assert_eq!(facts.account, Some(AccountId::new("a2").unwrap()));
        assert_eq!(
            (facts.error_code.as_deref(), &facts.status),
            (Some("INVALID_AUTH"), &Some(Status::Failed))
        );
        assert_eq!(facts.providers, ["p", "q"]);
        assert_eq!(facts.unread, ["status"]);
    }

    #[test]
    fn objects_in_texts_and_lists_as_objects_are_read() {
        let facts = facts(
            r#"{"session":"{\"userId\":\"u1\",\"status\":\"COMPLETED\"}",
                "payload":"{\"accounts\":{\"0\":{\"id\":\"a1\"}},\"incomes\":{\"items\":[{\"metadata\":\"{\\\"accountId\\\":\\\"a2\\\"}\"}]}}"}"#,
        )
        .unwrap();
        assert_eq!(subjects(&facts), ["USER#u1", "ACCOUNT#a1", "ACCOUNT#a2"]);
        assert_eq!(
            (facts.status, facts.unread.as_slice()),
            (Some(Status::Completed), &["accounts".to_owned()][..])
        );
    }

    #[test]
    fn a_source_is_everything_that_it_could_be_and_folds_where_that_is_plain() {
        let cases = [
            (r#""sourceType":"ACCOUNT""#, &["ACCOUNT#s"][..], Some("account")),
            (r#""sourceType":"Archive""#, &["ARCHIVE#s"], Some("archive")),
            (r#""sourceType":"UPLOAD""#, &["ACCOUNT#s", "ARCHIVE#s"], None),
            (
                r#""sourceType":"UPLOAD","taskType":"ANALYZE_ARCHIVE""#,
                &["ACCOUNT#s", "ARCHIVE#s"],
                Some("archive"),
            ),
            (
                r#""sourceType":"UPLOAD","taskType":"LINK_ACCOUNT""#,
                &["ACCOUNT#s", "ARCHIVE#s"],
                Some("account"),
            ),
            (
                r#""sourceType":null,"taskType":"UPDATE_ACCOUNT""#,
                &["ACCOUNT#s", "ARCHIVE#s", "RECORD#s"],
                Some("account"),
            ),
            (r#""sourceType":"SOCIAL_SECURITY""#, &["ACCOUNT#s", "ARCHIVE#s", "RECORD#s"], None),
            (r#""sourceType":"NEW""#, &["ACCOUNT#s", "ARCHIVE#s", "RECORD#s"], None),
            (
                r#""sourceType":"ARCHIVE","taskType":"LINK_ACCOUNT""#,
                &["ACCOUNT#s", "ARCHIVE#s"],
                Some("account"),
            ),
            (
                r#""sourceType":"ARCHIVE","sourceType":"ACCOUNT""#,
                &["ACCOUNT#s", "ARCHIVE#s", "RECORD#s"],
                None,
            ),
            (r#""taskType":"NEW""#, &["ACCOUNT#s", "ARCHIVE#s", "RECORD#s"], None),
        ];
        for (members, expected, folded_as) in cases {
            let facts = facts(&format!(r#"{{"sourceId":"s",{members}}}"#)).unwrap();
            assert_eq!(subjects(&facts), expected, "{members}");
            let as_what =
                facts.account.is_some().then_some("account").or(facts.archive.is_some().then_some("archive"));
            assert_eq!(as_what, folded_as, "{members}");
        }
    }

    #[test]
    fn a_failed_verification_does_not_look_like_a_passed_one() {
        let result = |result: &str| facts(&format!(r#"{{"verificationId":"v","result":{result}}}"#)).unwrap();
        let read = result(
            r#"{"finalMatches":false,"names":{"firstNameMatches":true,"lastNameMatches":false,"fullNameMatches":null},
                "additionalData":{"ids":[{"idType":"tin_ph","matches":true},{"idType":"sss_ph","matches":false}],
                "dobMatches":false,"phoneMatches":{"value":1,"matches":true,"active":false}}}"#,
        );
        assert_eq!(read.final_matches, Some(false));
        assert_eq!(read.matched, ["firstName", "id:tin_ph", "phone"]);
        assert_eq!(read.mismatched, ["lastName", "id:sss_ph", "dob"]);
        assert_eq!(result(r#"{"finalMatches":true,"finalMatches":false}"#).final_matches, Some(false));
        assert_eq!(result(r#"{"finalMatches":"True"}"#).final_matches, Some(true));
        let odd = result(r#"{"finalMatches":1}"#);
        assert_eq!((odd.final_matches, odd.unread), (None, vec!["finalMatches".to_owned()]));
    }

    #[test]
    fn what_is_no_word_is_no_fact() {
        let facts = facts(
            r#"{"errorCode":"Juan dela Cruz","status":"no, sir","taskType":"A#B","providers":["p","a b"],
                "updatedFrom":"yesterday","updatedTo":"2026-03-01","loginName":"juan","errorMessage":{"a":1}}"#,
        )
        .unwrap();
        let expected = Facts {
            providers: vec!["p".to_owned()],
            updated_to: Some("2026-03-01".to_owned()),
            unread: ["errorCode", "status", "taskType", "providers", "unknown"].map(str::to_owned).into(),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn finds_subjects_at_every_depth() {
        let facts = facts(
            r#"{"session":{"userId":"u1","status":"COMPLETED","channel":"WinkSite","channelId":"s"},
                "payload":{"metadata":{"userId":"u2"},"forms":[{"id":"form"}],
                  "accounts":[{"id":"a1","payload":{"incomes":{"items":[{"metadata":{"userId":"u3","sourceId":"r1","sourceType":"ARCHIVE"}}]},
                                                    "identity":{"metadata":{"accountId":"a2"}}}}],
                  "archives":[{"id":"r2","payload":null}]}}"#,
        )
        .unwrap();
        assert_eq!(
            subjects(&facts),
            ["USER#u1", "USER#u2", "USER#u3", "ACCOUNT#a1", "ACCOUNT#a2", "ARCHIVE#r1", "ARCHIVE#r2"]
        );
        assert_eq!(facts.status, Some(Status::Completed));
        assert_eq!(
            facts.items,
            [
                ("accounts", 1),
                ("accounts.identity", 1),
                ("accounts.incomes", 1),
                ("archives", 1),
                ("forms", 1)
            ]
            .map(|(k, v)| (k.to_owned(), v))
            .into()
        );
    }

    #[test]
    fn knows_a_list_that_may_be_cut() {
        let items = vec!["{}"; 300].join(",");
        let facts = facts(&format!(
            r#"{{"payload":{{"incomes":{{"nextCursor":null,"items":[{items}]}},"links":{{"nextCursor":"c","items":[{{}}]}},
                 "documents":{{"nextCursor":null,"items":[{{}}]}},"transactions":null,"identity":{{}},"insight":null}}}}"#
        ))
        .unwrap();
        assert_eq!(facts.cut, ["incomes", "links"]);
        let nested = super::tests::facts(&format!(
            r#"{{"payload":{{"accounts":[{{"id":"a","providerId":"sss_ph","payload":{{"incomes":{{"items":[{items}]}}}}}},
                 {{"id":"b","payload":{{"incomes":{{"items":[{{}}]}}}}}}],"archives":[{{"id":"r","fileType":"payslip"}}]}}}}"#
        ))
        .unwrap();
        assert_eq!(
            (&*nested.cut, nested.items["accounts.incomes"]),
            (&["accounts.incomes".to_owned()][..], 301)
        );
        assert_eq!(
            (&*nested.providers, &*nested.file_types),
            (&["sss_ph".to_owned()][..], &["payslip".to_owned()][..])
        );
        assert_eq!(
            facts.items,
            [("documents", 1), ("identity", 1), ("incomes", 300), ("links", 1)]
                .map(|(k, v)| (k.to_owned(), v))
                .into()
        );
    }

    #[test]
    fn subjects_read_back() {
        let data = r#"{"userId":"u#1","accountId":"a","archiveId":"r","inviteId":"i","recordId":"s","verificationId":"v"}"#;
        let facts = facts(data).unwrap();
        assert_eq!(facts.subjects.len(), 6);
        for subject in &facts.subjects {
            assert_eq!(Subject::from_text(&subject.to_string()).as_ref(), Some(subject));
        }
        assert_eq!(Subject::from_text("EVENT#e"), None);
    }

    #[test]
    fn an_id_outside_its_bounds_is_told() {
        let long = "x".repeat(257);
        for (data, field) in [
            (format!(r#"{{"userId":"{long}"}}"#), "data.userId"),
            (format!(r#"{{"sourceType":"ACCOUNT","sourceId":"{long}"}}"#), "data.sourceId"),
            (format!(r#"{{"session":{{"userId":"{long}"}}}}"#), "data.session.userId"),
        ] {
            assert!(
                matches!(facts(&data), Err(Unreadable::IdLength { field: f, .. }) if f == field),
                "{field}"
            );
        }
    }

    #[test]
    fn an_empty_id_and_a_strange_one_inside_a_payload_cost_nothing() {
        let long = "x".repeat(257);
        let facts = facts(&format!(
            r#"{{"userId":"u","accountId":"","payload":{{"accounts":[{{"id":"{long}"}},{{"id":""}},{{"id":"a"}}],
                 "incomes":{{"items":[{{"metadata":{{"accountId":"","userId":"{long}"}}}}]}}}}}}"#
        ))
        .unwrap();
        assert_eq!(subjects(&facts), ["USER#u", "ACCOUNT#a"]);
        assert_eq!(facts.account, None);
    }
}
