//! Which register an event writes, and where it stands in its life cycle.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    BodyHash, EARLIEST, Entity, Fields, LINKED, MAX_AHEAD, REVOCATION, Register, Value, Version, Write,
};
use crate::event::{Envelope, EventType, Facts, Status, Subject, TaskType};

/// Why an event is stored and published but changes no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfolded {
    /// A version of the schema other than 1.
    Version,
    /// `createdAt` is missing or no date.
    CreatedAtUnreadable,
    /// `createdAt` lies more than a day after the receipt.
    CreatedAtAhead,
    /// `createdAt` lies before 2015.
    CreatedAtBefore2015,
    /// A type that is not known yet.
    UnknownType,
    /// The ids that name the state item are not there, or it is not plain what they are ids of.
    NoEntity,
}

impl Unfolded {
    /// Every word of [`Self::word`].
    pub const WORDS: [&str; 6] = [
        "version",
        "created_at_unreadable",
        "created_at_ahead",
        "created_at_before_2015",
        "unknown_type",
        "no_entity",
    ];

    /// A stable word for the stored event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::CreatedAtUnreadable => "created_at_unreadable",
            Self::CreatedAtAhead => "created_at_ahead",
            Self::CreatedAtBefore2015 => "created_at_before_2015",
            Self::UnknownType => "unknown_type",
            Self::NoEntity => "no_entity",
        }
    }
}

/// The register that this event writes, or why it writes none. A revocation that names several things writes one for
/// each of them.
pub fn writes(
    envelope: &Envelope<'_>,
    facts: &Facts,
    hash: &BodyHash,
    received_at: Timestamp,
) -> Result<Vec<Write>, Unfolded> {
    if !envelope.is_known_version() {
        return Err(Unfolded::Version);
    }
    let created_at = envelope.occurred_at().ok_or(Unfolded::CreatedAtUnreadable)?;
    if created_at.duration_since(received_at) > MAX_AHEAD {
        return Err(Unfolded::CreatedAtAhead);
    }
    if created_at < EARLIEST {
        return Err(Unfolded::CreatedAtBefore2015);
    }
    let rule = rule(&envelope.kind, facts)?;
    let entities = if is_revocation(&envelope.kind) {
        revoked(&envelope.kind, facts)
    } else {
        entity(rule.on, facts).into_iter().collect()
    };
    if entities.is_empty() {
        return Err(Unfolded::NoEntity);
    }
    let value = Register { v: Version::new(created_at, rule.rank, &envelope.id, hash), fields: rule.fields };
    let write = |entity| Write { entity, register: rule.register.clone(), value: value.clone() };
    Ok(entities.into_iter().map(write).collect())
}

/// What an event is about, whether it can be folded or not.
pub fn about(kind: &EventType, facts: &Facts) -> Option<Entity> {
    let known = rule(kind, facts).ok().and_then(|rule| entity(rule.on, facts));
    let any = [On::Account, On::Archive, On::Invite, On::Record, On::Verification, On::User];
    known.or_else(|| any.into_iter().find_map(|on| entity(on, facts)))
}

/// Every account or archive that a revocation names, of every user that it names.
pub fn revoked(kind: &EventType, facts: &Facts) -> Vec<Entity> {
    let mut entities = Vec::new();
    for user in &facts.named {
        let Subject::User(user) = user else { continue };
        for subject in &facts.named {
            match (kind, subject) {
                (EventType::AccountDisconnected, Subject::Account(id)) => {
                    entities.push(Entity::Account(user.clone(), id.clone()));
                }
                (EventType::ArchiveRevoked, Subject::Archive(id)) => {
                    entities.push(Entity::Archive(user.clone(), id.clone()));
                }
                _ => {}
            }
        }
    }
    entities
}

/// Whether the event takes access back. That must take hold even where it writes no register, because
/// its date or its version cannot be believed: what it asks for is that data goes.
pub fn is_revocation(kind: &EventType) -> bool {
    matches!(kind, EventType::AccountDisconnected | EventType::ArchiveRevoked)
}

/// What kind of state item a rule writes to.
#[derive(Clone, Copy)]
enum On {
    User,
    Account,
    Archive,
    /// The account or the archive, whichever is the source.
    Source,
    Invite,
    Record,
    Verification,
}

struct Rule {
    on: On,
    register: String,
    rank: u8,
    fields: Fields,
}

fn entity(on: On, facts: &Facts) -> Option<Entity> {
    let user = || facts.user.clone();
    let account = || Some(Entity::Account(user()?, facts.account.clone()?));
    let archive = || Some(Entity::Archive(user()?, facts.archive.clone()?));
    match on {
        On::User => user().map(Entity::User),
        On::Account => account(),
        On::Archive => archive(),
        On::Source => account().or_else(archive),
        On::Invite => Some(Entity::Invite(user()?, facts.invite.clone()?)),
        On::Record => facts.record.clone().map(Entity::Record),
        On::Verification => facts.verification.clone().map(Entity::Verification),
    }
}

/// The table of rules. The rank follows the vendor's life cycles: where two steps share a second, the
/// later step has the greater rank.
#[expect(clippy::too_many_lines, reason = "one table, a line for each type")]
fn rule(kind: &EventType, facts: &Facts) -> Result<Rule, Unfolded> {
    use EventType as E;
    let session = || {
        fields([
            ("status", text(facts.status.as_ref())),
            ("channel", text(facts.channel.as_ref())),
            ("channel_id", text(facts.channel_id.as_ref())),
            ("providers", list(&facts.providers)),
            ("file_types", list(&facts.file_types)),
            ("cut", list(&facts.cut)),
            ("items", counts(&facts.items)),
        ])
    };
    // One for each channel, so that the session of one does not hide that of another.
    let session_register = match (&facts.channel, &facts.channel_id) {
        (None, None) => "session".to_owned(),
        (channel, id) => {
            let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
            format!("session#{}#{}", part(channel), part(id))
        }
    };
    let providers = || ("providers", list(&facts.providers));
    let error_code = || ("error_code", text(facts.error_code.as_ref()));
    let result_code = || ("result_code", text(facts.result_code.as_ref()));
    let status = |word: &str| ("status", text(Some(word)));
    let rule = |on, register: &str, rank, fields| Rule { on, register: register.to_owned(), rank, fields };
    let connection =
        |word, rank| rule(On::Account, "connection", rank, fields([status(word), error_code(), providers()]));
    let analysis = |word, rank| rule(On::Archive, "analysis", rank, fields([status(word), error_code()]));
    // A link that succeeded stays so, whatever a later task says: a register of its own.
    let linked = facts.task_type == Some(TaskType::LinkAccount) && facts.status == Some(Status::Succeeded);
    let task = |state: &str, rank| {
        let kind = facts.task_type.as_ref().map_or("UNSPECIFIED", |kind| kind.as_str());
        // A task that starts must not hide how the one before it ended.
        let register =
            if linked && state == "FINISHED" { LINKED.to_owned() } else { format!("task#{kind}#{state}") };
        rule(
            On::Source,
            &register,
            rank,
            fields([
                ("state", text(Some(state))),
                ("status", text(facts.status.as_ref())),
                error_code(),
                ("datapoints", list(&facts.datapoints)),
                ("cut", list(&facts.cut)),
                ("items", counts(&facts.items)),
                providers(),
            ]),
        )
    };
    let data = |point: &str, change: &str| {
        rule(
            On::Account,
            &format!("dp#{point}#{change}"),
            u8::from(change == "UPDATED"),
            fields([
                ("change", text(Some(change))),
                ("count", facts.count.map(Value::Number)),
                ("item", text(facts.item.as_ref())),
                ("updated_ids", list(&facts.updated_ids)),
                ("updated_from", text(facts.updated_from.as_ref())),
                ("updated_to", text(facts.updated_to.as_ref())),
                ("updated_at", text(facts.updated_at.as_ref())),
                providers(),
            ]),
        )
    };
    Ok(match kind {
        E::UserCreated => rule(On::User, "created", 0, session()),
        E::UserSessionCompleted => rule(On::User, &session_register, 1, session()),
        E::UserSessionReset => rule(On::User, &session_register, 2, session()),
        E::AccountCreated => connection("PENDING", 0),
        E::AccountFailed => connection("ERROR", 1),
        E::AccountConnected => connection("CONNECTED", 2),
        E::AccountDisconnected => {
            rule(On::Account, REVOCATION, 3, fields([status("DISCONNECTED"), providers()]))
        }
        E::TaskStarted => task("STARTED", 0),
        E::TaskFinished => task("FINISHED", 1),
        E::AccountSyncTaskFinished => rule(
            On::Source,
            "sync",
            0,
            fields([
                ("status", text(facts.status.as_ref())),
                ("monitor_status", text(facts.monitor_status.as_ref())),
                ("datapoints", list(&facts.datapoints)),
                ("cut", list(&facts.cut)),
                ("items", counts(&facts.items)),
                providers(),
            ]),
        ),
        E::ArchiveStarted => analysis("STARTED", 0),
        E::ArchiveFailed => analysis("ERROR", 1),
        E::ArchiveAnalyzed => analysis("ANALYZED", 2),
        E::ArchiveRevoked => rule(On::Archive, REVOCATION, 3, fields([status("REVOKED")])),
        E::InviteInvited => rule(On::Invite, "invite", 0, fields([status("INVITED")])),
        E::InviteLinked => rule(On::Invite, "invite", 1, fields([status("LINKED")])),
        E::IdentityAdded => data("IDENTITIES", "ADDED"),
        E::RatingAdded => data("RATINGS", "ADDED"),
        E::TransactionsAdded => data("TRANSACTIONS", "ADDED"),
        E::DocumentsAdded => data("DOCUMENTS", "ADDED"),
        E::DocumentsUpdated => data("DOCUMENTS", "UPDATED"),
        E::EmploymentsAdded => data("EMPLOYMENTS", "ADDED"),
        E::EmploymentsUpdated => data("EMPLOYMENTS", "UPDATED"),
        E::IncomesAdded => data("INCOMES", "ADDED"),
        E::IncomesUpdated => data("INCOMES", "UPDATED"),
        E::EincomesAdded => data("EINCOMES", "ADDED"),
        E::EincomesUpdated => data("EINCOMES", "UPDATED"),
        E::ContributionsAdded => data("CONTRIBUTIONS", "ADDED"),
        E::ContributionsUpdated => data("CONTRIBUTIONS", "UPDATED"),
        E::LiabilitiesAdded => data("LIABILITIES", "ADDED"),
        E::LiabilitiesUpdated => data("LIABILITIES", "UPDATED"),
        E::InsightAdded => data("INSIGHTS", "ADDED"),
        E::LinkAdded => data("LINK", "ADDED"),
        E::RecordCreated | E::RecordCompleted => {
            let created = *kind == E::RecordCreated;
            let word = facts.status.as_ref().map_or("COMPLETED", |status| status.as_str());
            rule(
                On::Record,
                "record",
                u8::from(!created),
                fields([
                    status(if created { "CREATED" } else { word }),
                    ("record_type", text(facts.record_type.as_ref())),
                    result_code(),
                ]),
            )
        }
        E::VerificationStarted => rule(On::Verification, "verification", 0, fields([status("STARTED")])),
        E::VerificationCompleted => rule(
            On::Verification,
            "verification",
            1,
            fields([
                status("COMPLETED"),
                result_code(),
                ("final_matches", text(facts.final_matches)),
                ("matched", list(&facts.matched)),
                ("mismatched", list(&facts.mismatched)),
            ]),
        ),
        E::Unknown(_) => return Err(Unfolded::UnknownType),
    })
}

pub(crate) fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Fields {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

pub(crate) fn text(word: Option<impl ToString>) -> Option<Value> {
    word.map(|word| Value::Text(word.to_string()))
}

fn list(words: &[String]) -> Option<Value> {
    (!words.is_empty()).then(|| Value::List(words.to_vec()))
}

/// Numbers by name, as a list that [`super::view`] takes apart.
fn counts(items: &BTreeMap<String, u64>) -> Option<Value> {
    list(&items.iter().map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>())
}
