//! Which register an event writes, and where it stands in its life cycle.

use jiff::Timestamp;

use super::{BodyHash, Entity, Fields, LINKED, MAX_AHEAD, REVOCATION, Register, Value, Version, Write};
use crate::event::{Envelope, EventType, Facts, Status, TaskType};

/// Why an event is stored and published but changes no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfolded {
    /// A version of the schema other than 1.
    Version,
    /// `createdAt` is missing or no date.
    CreatedAtUnreadable,
    /// `createdAt` lies more than a day after the receipt.
    CreatedAtAhead,
    /// A type that is not known yet.
    UnknownType,
    /// The ids that name the state item are not there.
    NoEntity,
}

impl Unfolded {
    /// A stable word for the stored event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::CreatedAtUnreadable => "created_at_unreadable",
            Self::CreatedAtAhead => "created_at_ahead",
            Self::UnknownType => "unknown_type",
            Self::NoEntity => "no_entity",
        }
    }
}

/// The one register that this event writes, or why it writes none.
pub fn write(
    envelope: &Envelope<'_>,
    facts: &Facts,
    hash: &BodyHash,
    received_at: Timestamp,
) -> Result<Write, Unfolded> {
    if !envelope.is_known_version() {
        return Err(Unfolded::Version);
    }
    let created_at = envelope.occurred_at().ok_or(Unfolded::CreatedAtUnreadable)?;
    if created_at.duration_since(received_at) > MAX_AHEAD {
        return Err(Unfolded::CreatedAtAhead);
    }
    let rule = rule(&envelope.kind, facts)?;
    let entity = entity(rule.on, facts).ok_or(Unfolded::NoEntity)?;
    Ok(Write {
        entity,
        register: rule.register,
        value: Register { v: Version::new(created_at, rule.rank, &envelope.id, hash), fields: rule.fields },
    })
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
        ])
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
        let register = if linked && state == "FINISHED" { LINKED.to_owned() } else { format!("task#{kind}") };
        rule(
            On::Source,
            &register,
            rank,
            fields([
                ("state", text(Some(state))),
                ("status", text(facts.status.as_ref())),
                error_code(),
                ("datapoints", list(&facts.datapoints)),
                providers(),
            ]),
        )
    };
    let data = |point: &str, change: &str| {
        rule(
            On::Account,
            &format!("dp#{point}"),
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
        E::UserSessionCompleted => rule(On::User, "session", 1, session()),
        E::UserSessionReset => rule(On::User, "session", 2, session()),
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
        E::VerificationCompleted => {
            rule(On::Verification, "verification", 1, fields([status("COMPLETED"), result_code()]))
        }
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
