//! What is read of an event's data: ids, statuses, counts and the subjects, at any depth the vendor
//! puts them. Everything else stays in the body.
//!
//! One lenient reading serves all types, the unknown ones too: a field counts when it stands where
//! Smile puts it and has its shape. Nothing personal is read: no names, no login names, no error texts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Unreadable;
use super::words::{MonitorStatus, SourceType, Status, TaskType, text};
use crate::id::{AccountId, ArchiveId, IdLength, InviteId, RecordId, UserId, VerificationId};

/// The longest text that is taken for a fact, in bytes; a longer one stays in the body only.
const MAX_FACT_BYTES: usize = 256;

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
    /// The providers concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// How a task, a record or a session stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The vendor's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The result of a record or a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
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
    /// How many entries each inline list has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, u64>,
    /// Inline lists of which there may be more at the vendor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Everything that this event carries something of, itself included.
    #[serde(skip)]
    pub subjects: BTreeSet<Subject>,
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

type Raw<'a> = Option<&'a RawValue>;

/// The data of an event, all types in one. Every field stays raw first, so that one of an unexpected
/// shape takes nothing with it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Data<'a> {
    #[serde(borrow)]
    user_id: Raw<'a>,
    #[serde(borrow)]
    account_id: Raw<'a>,
    #[serde(borrow)]
    archive_id: Raw<'a>,
    #[serde(borrow)]
    invite_id: Raw<'a>,
    #[serde(borrow)]
    record_id: Raw<'a>,
    #[serde(borrow)]
    verification_id: Raw<'a>,
    #[serde(borrow)]
    source_id: Raw<'a>,
    #[serde(borrow)]
    source_type: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    identity_id: Raw<'a>,
    #[serde(borrow)]
    rating_id: Raw<'a>,
    #[serde(borrow)]
    providers: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    error_code: Raw<'a>,
    #[serde(borrow)]
    result_code: Raw<'a>,
    #[serde(borrow)]
    task_type: Raw<'a>,
    #[serde(borrow)]
    monitor_status: Raw<'a>,
    #[serde(borrow)]
    record_type: Raw<'a>,
    #[serde(borrow)]
    datapoints: Raw<'a>,
    /// The spelling of older pages.
    #[serde(borrow, rename = "dataPoints")]
    datapoints_of_old: Raw<'a>,
    #[serde(borrow)]
    count: Raw<'a>,
    #[serde(borrow)]
    updated_ids: Raw<'a>,
    #[serde(borrow)]
    updated_from: Raw<'a>,
    #[serde(borrow)]
    updated_to: Raw<'a>,
    #[serde(borrow)]
    updated_at: Raw<'a>,
    #[serde(borrow)]
    session: Raw<'a>,
    #[serde(borrow)]
    payload: Raw<'a>,
}

/// Who and what an entry of a payload belongs to (Smile, `ObjectReferenceMetadata`); a session says
/// its user in the same place.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Reference<'a> {
    #[serde(borrow)]
    user_id: Raw<'a>,
    #[serde(borrow)]
    account_id: Raw<'a>,
    #[serde(borrow)]
    archive_id: Raw<'a>,
    #[serde(borrow)]
    source_id: Raw<'a>,
    #[serde(borrow)]
    source_type: Raw<'a>,
    #[serde(borrow)]
    channel: Raw<'a>,
    #[serde(borrow)]
    channel_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
}

/// One entry of a list, as far as it matters here.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    metadata: Raw<'a>,
    #[serde(borrow)]
    payload: Raw<'a>,
}

/// A list of a payload (`{nextCursor, items[]}`) or a single thing (`{…, metadata}`).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Section<'a> {
    #[serde(borrow)]
    next_cursor: Raw<'a>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    metadata: Raw<'a>,
}

impl Facts {
    pub(super) fn read(data: Raw<'_>) -> Result<Self, Unreadable> {
        let data: Data<'_> = object(data);
        let session: Reference<'_> = object(data.session);
        let source_type = word(data.source_type).map(|word| SourceType::from(word.as_str()));
        let source = |wanted: &SourceType| data.source_id.filter(|_| is(source_type.as_ref(), wanted));
        let mut facts = Self {
            user: id("data.userId", data.user_id.or(session.user_id), UserId::new)?,
            account: id(
                "data.accountId",
                data.account_id.or_else(|| source(&SourceType::Account)),
                AccountId::new,
            )?,
            archive: id(
                "data.archiveId",
                data.archive_id.or_else(|| source(&SourceType::Archive)),
                ArchiveId::new,
            )?,
            invite: id("data.inviteId", data.invite_id, InviteId::new)?,
            record: id("data.recordId", data.record_id, RecordId::new)?,
            verification: id("data.verificationId", data.verification_id, VerificationId::new)?,
            providers: words(data.providers),
            status: word(data.status.or(session.status)).map(|word| Status::from(word.as_str())),
            error_code: word(data.error_code),
            result_code: word(data.result_code),
            task_type: word(data.task_type).map(|word| TaskType::from(word.as_str())),
            source_type,
            monitor_status: word(data.monitor_status).map(|word| MonitorStatus::from(word.as_str())),
            record_type: word(data.record_type),
            channel: word(session.channel),
            channel_id: word(session.channel_id),
            datapoints: words(data.datapoints.or(data.datapoints_of_old)),
            count: number(data.count),
            item: word(data.identity_id.or(data.rating_id).or(data.id)),
            updated_ids: words(data.updated_ids),
            updated_from: word(data.updated_from),
            updated_to: word(data.updated_to),
            updated_at: word(data.updated_at),
            ..Self::default()
        };
        facts.subjects = facts.own_subjects();
        facts.read_reference(data.session);
        facts.read_payload(data.payload);
        Ok(facts)
    }

    fn own_subjects(&self) -> BTreeSet<Subject> {
        [
            self.user.clone().map(Subject::User),
            self.account.clone().map(Subject::Account),
            self.archive.clone().map(Subject::Archive),
            self.invite.clone().map(Subject::Invite),
            self.record.clone().map(Subject::Record),
            self.verification.clone().map(Subject::Verification),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Counts the inline lists and collects who they belong to.
    fn read_payload(&mut self, payload: Raw<'_>) {
        for (name, value) in sections(payload) {
            match (name.as_ref(), value.get().as_bytes().first()) {
                ("metadata", _) => self.read_reference(Some(value)),
                (_, Some(b'{')) => {
                    let section: Section<'_> = object(Some(value));
                    if let Some(items) = &section.items {
                        let next = section.next_cursor.is_some_and(|cursor| cursor.get() != "null");
                        if next || items.len() == INLINE_LIST_LIMIT {
                            self.cut.push(name.to_string());
                        }
                        self.items.insert(name.to_string(), items.len() as u64);
                    } else if matches!(name.as_ref(), "identity" | "rating" | "insight") {
                        self.items.insert(name.to_string(), 1);
                    }
                    self.read_section(&section);
                }
                ("forms" | "accounts" | "archives", Some(b'[')) => {
                    let entries: Vec<&RawValue> = parse(Some(value)).unwrap_or_default();
                    if entries.len() == INLINE_LIST_LIMIT {
                        self.cut.push(name.to_string());
                    }
                    self.items.insert(name.to_string(), entries.len() as u64);
                    for entry in entries {
                        self.read_source(&name, &object(Some(entry)));
                    }
                }
                // A record's payload repeats the record, under an id that can differ.
                ("id", Some(b'"')) if self.record.is_some() => {
                    let record = nested(Some(value), RecordId::new);
                    self.subjects.extend(record.map(Subject::Record));
                }
                _ => {}
            }
        }
    }

    /// An account or an archive inside a session's payload, with a payload of its own.
    fn read_source(&mut self, list: &str, entry: &Entry<'_>) {
        match list {
            "accounts" => {
                let account = nested(entry.id, AccountId::new);
                self.subjects.extend(account.map(Subject::Account));
            }
            "archives" => {
                let archive = nested(entry.id, ArchiveId::new);
                self.subjects.extend(archive.map(Subject::Archive));
            }
            _ => {}
        }
        self.read_reference(entry.metadata);
        for (_, value) in sections(entry.payload) {
            self.read_section(&object(Some(value)));
        }
    }

    fn read_section(&mut self, section: &Section<'_>) {
        self.read_reference(section.metadata);
        for item in section.items.iter().flatten() {
            let item: Entry<'_> = object(Some(item));
            self.read_reference(item.metadata);
        }
    }

    fn read_reference(&mut self, reference: Raw<'_>) {
        let reference: Reference<'_> = object(reference);
        let source_type = word(reference.source_type).map(|word| SourceType::from(word.as_str()));
        let source = |wanted: &SourceType| reference.source_id.filter(|_| is(source_type.as_ref(), wanted));
        for account in [reference.account_id, source(&SourceType::Account)] {
            let account = nested(account, AccountId::new);
            self.subjects.extend(account.map(Subject::Account));
        }
        for archive in [reference.archive_id, source(&SourceType::Archive)] {
            let archive = nested(archive, ArchiveId::new);
            self.subjects.extend(archive.map(Subject::Archive));
        }
        let user = nested(reference.user_id, UserId::new);
        self.subjects.extend(user.map(Subject::User));
    }
}

/// Smile's pages also write `Account` for `ACCOUNT`.
fn is(source_type: Option<&SourceType>, wanted: &SourceType) -> bool {
    source_type.is_some_and(|word| word.as_str().eq_ignore_ascii_case(wanted.as_str()))
}

/// An object's members, or none: derived reading would take an array's entries for them.
fn object<'a, T: Deserialize<'a> + Default>(raw: Raw<'a>) -> T {
    parse(raw.filter(|raw| raw.get().starts_with('{'))).unwrap_or_default()
}

fn parse<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// The members of an object, in order; none of what is no object.
fn sections(raw: Raw<'_>) -> Vec<(Cow<'_, str>, &RawValue)> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let Some(raw) = raw else { return Vec::new() };
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(raw.get()), Members)
        .unwrap_or_default()
}

fn id<T>(
    field: &'static str,
    raw: Raw<'_>,
    checked: impl Fn(String) -> Result<T, IdLength>,
) -> Result<Option<T>, Unreadable> {
    // An empty one says nothing: it must not cost the event.
    text(raw)
        .filter(|id| !id.is_empty())
        .map(|id| checked(id.into_owned()).map_err(|length| Unreadable::IdLength { field, bytes: length.0 }))
        .transpose()
}

/// An id inside a payload. One outside its bounds can be nobody's whom we know: it is left out.
fn nested<T>(raw: Raw<'_>, checked: impl Fn(String) -> Result<T, IdLength>) -> Option<T> {
    checked(text(raw)?.into_owned()).ok()
}

fn word(raw: Raw<'_>) -> Option<String> {
    text(raw).filter(|word| (1..=MAX_FACT_BYTES).contains(&word.len())).map(Cow::into_owned)
}

fn words(raw: Raw<'_>) -> Vec<String> {
    let list: Vec<&RawValue> = parse(raw).unwrap_or_default();
    list.into_iter().filter_map(|item| word(Some(item))).take(MAX_FACT_ENTRIES).collect()
}

/// A whole number, also when it is written as `3.0`.
fn number(raw: Raw<'_>) -> Option<u64> {
    let text = raw?.get();
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
            r#"{"userId":"u","accountId":7,"providers":["p",1,null,"q"],"count":2.0,"status":{"x":1},
                "dataPoints":["INCOMES"],"errorCode":"","payload":[1],"session":"s"}"#,
        )
        .unwrap();
        assert_eq!(subjects(&facts), ["USER#u"]);
        assert_eq!(facts.providers, ["p", "q"]);
        assert_eq!((facts.count, facts.status, facts.error_code), (Some(2), None, None));
        assert_eq!(facts.datapoints, ["INCOMES"]);
        for count in ["-1", "1.5", "\"3\"", "1e300", "null"] {
            assert_eq!(
                super::tests::facts(&format!(r#"{{"count":{count}}}"#)).unwrap().count,
                None,
                "{count}"
            );
        }
    }

    #[test]
    fn data_of_any_shape_is_read() {
        for data in ["null", "[]", r#"["u"]"#, "\"x\"", "3", "{}", r#"{"userId":"a","userId":"b"}"#] {
            assert_eq!(facts(data).unwrap(), Facts::default(), "{data}");
        }
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
            [("accounts", 1), ("archives", 1), ("forms", 1)].map(|(k, v)| (k.to_owned(), v)).into()
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
        assert_eq!(
            facts.items,
            [("documents", 1), ("identity", 1), ("incomes", 300), ("links", 1)]
                .map(|(k, v)| (k.to_owned(), v))
                .into()
        );
    }

    #[test]
    fn an_id_outside_its_bounds_is_told() {
        let long = "x".repeat(257);
        for (data, field) in [
            (format!(r#"{{"userId":"{long}"}}"#), "data.userId"),
            (format!(r#"{{"sourceType":"ACCOUNT","sourceId":"{long}"}}"#), "data.accountId"),
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
