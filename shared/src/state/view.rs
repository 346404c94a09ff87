//! What a reader is told: the registers of one thing, merged.
//!
//! Times are UTC, ISO 8601, taken from the event that said it. What is not known is left out.

mod widget;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

pub use self::widget::{ClaimView, ErrorView, UploadsView, WidgetView};
use super::{Entity, LINKED, REVOCATION, REVOKED_UNDATED, Register, Registers, State, UNFOLDED_SINCE};
use crate::event::{MonitorStatus, TaskType};
use crate::id::{AccountId, ArchiveId, InviteId, RecordId, UserId, VerificationId};

/// Everything known of one user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserView {
    /// The user.
    pub user: UserId,
    /// When Smile created the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The session in the widget: the latest of all channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
    /// The latest session of each channel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionView>,
    /// Linked accounts, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountView>,
    /// Uploaded archives, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<ArchiveView>,
    /// Invitations, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invites: Vec<InviteView>,
    /// What the user's browser said of the widget. Never the server's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widget: Option<WidgetView>,
    /// Since when there are events about it that could not be folded, such as one of a new version: what stands here may
    /// be out of date. The events say why, under `unfolded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfolded_since: Option<Timestamp>,
}

/// A session in the widget.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// `IN_PROGRESS` or `COMPLETED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Such as `WinkSite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The channel's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The providers of the accounts that it brought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The file types of the archives that it brought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_types: Vec<String>,
    /// How many entries each inline list had. `accounts.incomes` are the incomes of all of a session's accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, u64>,
    /// Inline lists of which there may be more at Smile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// When that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One linked account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountView {
    /// The account.
    pub account: AccountId,
    /// Its user.
    pub user: UserId,
    /// `PENDING`, `ERROR`, `CONNECTED`, `DISCONNECTED`, or `UNKNOWN` when no event has said it.
    #[serde(flatten)]
    pub standing: Standing,
    /// What the user's browser claims. Never the server's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimView>,
    /// Who runs the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Whether the account is watched for changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorView>,
    /// Syncs, tasks and data.
    #[serde(flatten)]
    pub work: WorkView,
}

/// One archive of uploaded files.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArchiveView {
    /// The archive.
    pub archive: ArchiveId,
    /// Its user.
    pub user: UserId,
    /// `STARTED`, `ERROR`, `ANALYZED`, `REVOKED`, or `UNKNOWN` when no event has said it.
    #[serde(flatten)]
    pub standing: Standing,
    /// Syncs, tasks and data.
    #[serde(flatten)]
    pub work: WorkView,
}

/// Where an account or an archive stands in its life cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    /// The state's name.
    pub status: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_at: Option<Timestamp>,
    /// The vendor's code, while it stands at an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Since when there are events about it that could not be folded, such as one of a new version: what stands here may
    /// be out of date. The events say why, under `unfolded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfolded_since: Option<Timestamp>,
    /// When the user took access back, or, when Smile gave no date that can be believed, when we were told. Stays, whatever comes later: no body is kept again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What has been done about an account or an archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkView {
    /// The last sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncView>,
    /// The last task of each type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskView>,
    /// The last change of each data point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, DataView>,
}

/// Whether an account is watched.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MonitorView {
    /// The vendor's word.
    pub status: MonitorStatus,
    /// When that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One sync of an account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncView {
    /// `SUCCEEDED` or `FAILED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it brought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datapoints: Vec<String>,
    /// How many entries each inline list had. `accounts.incomes` are the incomes of all of a session's accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, u64>,
    /// Inline lists of which there may be more at Smile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    /// `STARTED` or `FINISHED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: OutcomeView,
    /// How the task before it ended, while this one has only started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<OutcomeView>,
}

/// How a task ended, or when it started.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeView {
    /// `SUCCEEDED` or `FAILED`, once it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The vendor's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What it saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datapoints: Vec<String>,
    /// How many entries each inline list had. `accounts.incomes` are the incomes of all of a session's accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, u64>,
    /// Inline lists of which there may be more at Smile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The last changes of one data point.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DataView {
    /// The last change.
    #[serde(flatten)]
    pub last: ChangeView,
    /// Before it the last change of the other kind: what was added before it was updated, or the other way round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<ChangeView>,
}

/// One change of a data point.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeView {
    /// `ADDED` or `UPDATED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// How many entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The id of the one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The ids of what was updated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updated_ids: Vec<String>,
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_from: Option<String>,
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_to: Option<String>,
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One invitation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InviteView {
    /// The invite.
    pub invite: InviteId,
    /// Its user.
    pub user: UserId,
    /// `INVITED` or `LINKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Since when there are events about it that could not be folded, such as one of a new version: what stands here may
    /// be out of date. The events say why, under `unfolded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfolded_since: Option<Timestamp>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordView {
    /// The record.
    pub record: RecordId,
    /// Such as `SOCIAL_SECURITY`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `CREATED`, `COMPLETED` or `ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The vendor's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Since when there are events about it that could not be folded, such as one of a new version: what stands here may
    /// be out of date. The events say why, under `unfolded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfolded_since: Option<Timestamp>,
}

/// One verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerificationView {
    /// The verification.
    pub verification: VerificationId,
    /// `STARTED` or `COMPLETED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The vendor's code. `SUCCESS` says only that the verification was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
    /// Whether the verification passed: Smile's own conclusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_matches: Option<bool>,
    /// What matched, such as `firstName`, `dob` or `id:tin_ph`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<String>,
    /// What did not match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatched: Vec<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Since when there are events about it that could not be folded, such as one of a new version: what stands here may
    /// be out of date. The events say why, under `unfolded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfolded_since: Option<Timestamp>,
}

/// All that a state holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StateView {
    /// Users and what is theirs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<UserId, UserView>,
    /// Records.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<RecordId, RecordView>,
    /// Verifications.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub verifications: BTreeMap<VerificationId, VerificationView>,
}

impl From<&State> for StateView {
    fn from(state: &State) -> Self {
        let mut view = Self::default();
        for (entity, registers) in state.items() {
            view.add(entity, registers);
        }
        view
    }
}

impl StateView {
    fn add(&mut self, entity: &Entity, registers: &Registers) {
        match entity {
            Entity::User(user) => {
                let created = registers.get("created");
                let view = self.user(user);
                view.created_at = created.and_then(at);
                view.unfolded_since = unfolded_since(registers);
                let mut sessions: Vec<&Register> = registers
                    .iter()
                    .filter(|(name, _)| *name == "session" || name.starts_with("session#"))
                    .map(|(_, register)| register)
                    .collect();
                if sessions.is_empty() {
                    sessions.extend(created.filter(|created| created.text("status").is_some()));
                }
                sessions.sort_by_key(|register| &register.v);
                view.session = sessions.last().map(|register| session(register));
                let channel = |register: &Register| (text(register, "channel"), text(register, "channel_id"));
                let by_channel: BTreeMap<_, _> =
                    sessions.into_iter().map(|register| (channel(register), register)).collect();
                view.sessions = by_channel.into_values().map(session).collect();
            }
            Entity::Account(user, account) => {
                self.user(user).accounts.push(AccountView::new(user, account, registers));
            }
            Entity::Archive(user, archive) => self.user(user).archives.push(ArchiveView {
                archive: archive.clone(),
                user: user.clone(),
                standing: standing(registers, registers.get("analysis").and_then(claim)),
                work: work(registers),
            }),
            Entity::Invite(user, invite) => {
                let register = registers.get("invite");
                self.user(user).invites.push(InviteView {
                    invite: invite.clone(),
                    user: user.clone(),
                    status: register.and_then(|register| text(register, "status")),
                    at: register.and_then(at),
                    unfolded_since: unfolded_since(registers),
                });
            }
            Entity::Record(record) => {
                let register = registers.get("record");
                let text = |field| register.and_then(|register| text(register, field));
                let view = RecordView {
                    record: record.clone(),
                    kind: text("record_type"),
                    status: text("status"),
                    result_code: text("result_code"),
                    at: register.and_then(at),
                    unfolded_since: unfolded_since(registers),
                };
                self.records.insert(record.clone(), view);
            }
            Entity::Verification(verification) => {
                let register = registers.get("verification");
                let text = |field| register.and_then(|register| text(register, field));
                let list = |field| register.map(|register| register.list(field).to_vec()).unwrap_or_default();
                let view = VerificationView {
                    verification: verification.clone(),
                    status: text("status"),
                    result_code: text("result_code"),
                    final_matches: text("final_matches").and_then(|matches| matches.parse().ok()),
                    matched: list("matched"),
                    mismatched: list("mismatched"),
                    at: register.and_then(at),
                    unfolded_since: unfolded_since(registers),
                };
                self.verifications.insert(verification.clone(), view);
            }
            Entity::Widget(user) => self.widget(user).tell(registers),
            Entity::Funnel(user, provider) => self.widget(user).funnel_of(provider, registers),
            Entity::Claim(user, account) => {
                let accounts = &mut self.user(user).accounts;
                // Accounts come before claims.
                let known = accounts.iter().position(|known| known.account == *account);
                let beside = known.map(|known| &accounts[known].standing);
                let Some(claim) = ClaimView::beside(registers, beside) else { return };
                let account = match known {
                    Some(known) => &mut accounts[known],
                    None => accounts.push_mut(AccountView::new(user, account, &Registers::new())),
                };
                account.claim = Some(claim);
            }
        }
    }

    fn user(&mut self, user: &UserId) -> &mut UserView {
        self.users.entry(user.clone()).or_insert_with(|| UserView {
            user: user.clone(),
            created_at: None,
            session: None,
            sessions: Vec::new(),
            accounts: Vec::new(),
            archives: Vec::new(),
            invites: Vec::new(),
            widget: None,
            unfolded_since: None,
        })
    }

    fn widget(&mut self, user: &UserId) -> &mut WidgetView {
        self.user(user).widget.get_or_insert_default()
    }
}

impl AccountView {
    fn new(user: &UserId, account: &AccountId, registers: &Registers) -> Self {
        Self {
            account: account.clone(),
            user: user.clone(),
            standing: account_standing(registers),
            claim: None,
            providers: providers(registers),
            monitor: registers.get("sync").and_then(monitor),
            work: work(registers),
        }
    }
}

/// One register's word on where a thing stands. Of two with the same time, the one further in the life cycle wins: its
/// rank, doubled, so that there is room between two ranks.
struct Claim<'a> {
    when: (Option<Timestamp>, u8),
    status: &'a str,
    register: &'a Register,
}

fn claim(register: &Register) -> Option<Claim<'_>> {
    let when = (register.v.created_at(), 2 * register.v.rank());
    Some(Claim { when, status: register.text("status")?, register })
}

/// A link task that succeeded says what `ACCOUNT_CONNECTED` says, and says it with the same rank:
/// providers without a login never send the latter (Smile, webhooks reference).
fn linked(register: &Register) -> Claim<'_> {
    Claim { when: (register.v.created_at(), 4), status: "CONNECTED", register }
}

/// A link task that failed is all that such a provider says of a failure. It comes after `ACCOUNT_CREATED` and counts
/// for less than `ACCOUNT_FAILED`.
fn link_failed(register: &Register) -> Option<Claim<'_>> {
    let is_failed = register.text("status") == Some("FAILED");
    is_failed.then(|| Claim { when: (register.v.created_at(), 1), status: "ERROR", register })
}

fn account_standing(registers: &Registers) -> Standing {
    let of = |name: &str| registers.get(name);
    let claims = [of("connection").and_then(claim), of(LINKED).map(linked)];
    let latest = claims.into_iter().flatten().max_by_key(|claim| claim.when);
    let failures = [of("task#LINK_ACCOUNT#FINISHED"), of("task#LINK_ACCOUNT")];
    let failed = failures.into_iter().flatten().filter_map(link_failed).max_by_key(|claim| claim.when);
    // A link that succeeded stays so, whatever a further task says: only an event of the account ends it.
    let is_connected = latest.as_ref().is_some_and(|claim| claim.status == "CONNECTED");
    let claims = [latest, failed.filter(|_| !is_connected)];
    standing(registers, claims.into_iter().flatten().max_by_key(|claim| claim.when))
}

fn standing(registers: &Registers, latest: Option<Claim<'_>>) -> Standing {
    let revocation = registers.get(REVOCATION);
    let winner = [latest, revocation.and_then(claim)].into_iter().flatten().max_by_key(|claim| claim.when);
    Standing {
        status: winner.as_ref().map_or("UNKNOWN", |claim| claim.status).to_owned(),
        status_at: winner.as_ref().and_then(|claim| at(claim.register)),
        error_code: winner
            .filter(|claim| claim.status == "ERROR")
            .and_then(|claim| text(claim.register, "error_code")),
        unfolded_since: unfolded_since(registers),
        revoked_at: revocation.or_else(|| registers.get(REVOKED_UNDATED)).and_then(at),
    }
}

fn providers(registers: &Registers) -> Vec<String> {
    registers
        .values()
        .filter(|register| !register.list("providers").is_empty())
        .max_by_key(|register| &register.v)
        .map(|register| register.list("providers").to_vec())
        .unwrap_or_default()
}

fn monitor(register: &Register) -> Option<MonitorView> {
    Some(MonitorView { status: MonitorStatus::from(register.text("monitor_status")?), at: at(register) })
}

fn work(registers: &Registers) -> WorkView {
    WorkView {
        sync: registers.get("sync").map(|register| SyncView {
            status: text(register, "status"),
            datapoints: register.list("datapoints").to_vec(),
            items: items(register),
            cut: register.list("cut").to_vec(),
            at: at(register),
        }),
        tasks: tasks(registers),
        data: named(registers, "dp#")
            .into_iter()
            .filter_map(|(name, changes)| Some((name, data(&changes)?)))
            .collect(),
    }
}

/// The registers whose names begin with `prefix`, in the order of their versions, by what comes after it up to the next
/// `#`: the register that an older release wrote under the bare name, and those for each step.
fn named<'a>(registers: &'a Registers, prefix: &str) -> BTreeMap<String, Vec<&'a Register>> {
    let mut named: BTreeMap<String, Vec<&Register>> = BTreeMap::new();
    for (name, register) in registers {
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let name = rest.split_once('#').map_or(rest, |(name, _)| name);
        named.entry(name.to_owned()).or_default().push(register);
    }
    for of in named.values_mut() {
        of.sort_by_key(|register| &register.v);
    }
    named
}

/// The last task of each type; for links, the last of all and the last that succeeded are kept apart.
fn tasks(registers: &Registers) -> BTreeMap<String, TaskView> {
    let mut all = named(registers, "task#");
    if let Some(linked) = registers.get(LINKED) {
        let links = all.entry(TaskType::LinkAccount.to_string()).or_default();
        links.push(linked);
        links.sort_by_key(|register| &register.v);
    }
    all.into_iter().filter_map(|(name, of)| Some((name, task(&of)?))).collect()
}

fn task(steps: &[&Register]) -> Option<TaskView> {
    let (last, before) = steps.split_last()?;
    let is_finished = |register: &&&Register| register.text("state") == Some("FINISHED");
    let previous = before.iter().rfind(is_finished).filter(|_| !is_finished(&last));
    Some(TaskView {
        state: text(last, "state"),
        outcome: outcome(last),
        previous: previous.map(|register| outcome(register)),
    })
}

fn outcome(register: &Register) -> OutcomeView {
    OutcomeView {
        status: text(register, "status"),
        error_code: text(register, "error_code"),
        datapoints: register.list("datapoints").to_vec(),
        items: items(register),
        cut: register.list("cut").to_vec(),
        at: at(register),
    }
}

/// Numbers by name, as [`super::rules`] wrote them.
fn items(register: &Register) -> BTreeMap<String, u64> {
    let item = |item: &String| {
        let (name, count) = item.split_once('=')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    register.list("items").iter().filter_map(item).collect()
}

fn data(changes: &[&Register]) -> Option<DataView> {
    let (last, before) = changes.split_last()?;
    let previous = before.iter().rfind(|register| register.text("change") != last.text("change"));
    Some(DataView { last: change(last), previous: previous.map(|register| change(register)) })
}

fn change(register: &Register) -> ChangeView {
    ChangeView {
        change: text(register, "change"),
        count: register.number("count"),
        item: text(register, "item"),
        updated_ids: register.list("updated_ids").to_vec(),
        updated_from: text(register, "updated_from"),
        updated_to: text(register, "updated_to"),
        updated_at: text(register, "updated_at"),
        at: at(register),
    }
}

fn session(register: &Register) -> SessionView {
    SessionView {
        status: text(register, "status"),
        channel: text(register, "channel"),
        channel_id: text(register, "channel_id"),
        providers: register.list("providers").to_vec(),
        file_types: register.list("file_types").to_vec(),
        items: items(register),
        cut: register.list("cut").to_vec(),
        at: at(register),
    }
}

fn unfolded_since(registers: &Registers) -> Option<Timestamp> {
    registers.get(UNFOLDED_SINCE).and_then(at)
}

fn text(register: &Register, field: &str) -> Option<String> {
    register.text(field).map(str::to_owned)
}

fn at(register: &Register) -> Option<Timestamp> {
    register.v.created_at()
}
