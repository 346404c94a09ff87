//! The allow list: which members the detail of each type can have, besides the envelope.

use super::member::Member as M;
use crate::callback::Name;
use crate::event::EventType;

const ACCOUNT: &[M] = &[M::User, M::Account, M::Providers];
const FAILED: &[M] = &[M::User, M::Account, M::Providers, M::ErrorCode];
const ARCHIVE: &[M] = &[M::User, M::Archive];
const ARCHIVE_FAILED: &[M] = &[M::User, M::Archive, M::ErrorCode];
const TASK: &[M] = &[M::User, M::Account, M::Archive, M::SourceType, M::TaskType, M::Providers];
const TASK_FINISHED: &[M] = &[
    M::User,
    M::Account,
    M::Archive,
    M::SourceType,
    M::TaskType,
    M::Providers,
    M::Status,
    M::ErrorCode,
    M::Datapoints,
    M::Items,
    M::Cut,
];
const SYNC: &[M] = &[
    M::User,
    M::Account,
    M::Archive,
    M::SourceType,
    M::Providers,
    M::Status,
    M::MonitorStatus,
    M::Datapoints,
    M::Items,
    M::Cut,
];
const SESSION: &[M] = &[M::User, M::Status, M::Providers, M::FileTypes, M::Items, M::Cut];
const ONE_ADDED: &[M] = &[M::User, M::Account, M::Providers, M::Item];
const MANY_ADDED: &[M] = &[M::User, M::Account, M::Providers, M::Count];
const IDS_UPDATED: &[M] = &[M::User, M::Account, M::Providers, M::Count, M::UpdatedIds, M::UpdatedAt];
const SPAN_UPDATED: &[M] =
    &[M::User, M::Account, M::Providers, M::Count, M::UpdatedFrom, M::UpdatedTo, M::UpdatedAt];
const INVITE: &[M] = &[M::User, M::Invite];

/// What a type that is not known yet has.
pub(super) const IDS: &[M] = &[M::User, M::Account, M::Archive, M::Invite, M::Record, M::Verification];

pub(super) fn of_webhook(kind: &EventType) -> &'static [M] {
    use EventType as E;
    match kind {
        E::UserCreated => &[M::User],
        E::UserSessionCompleted => SESSION,
        E::UserSessionReset => &[M::User, M::Status],
        E::AccountCreated | E::AccountConnected | E::AccountDisconnected => ACCOUNT,
        E::AccountFailed => FAILED,
        E::AccountSyncTaskFinished => SYNC,
        E::TaskStarted => TASK,
        E::TaskFinished => TASK_FINISHED,
        E::ArchiveStarted | E::ArchiveAnalyzed | E::ArchiveRevoked => ARCHIVE,
        E::ArchiveFailed => ARCHIVE_FAILED,
        E::InviteInvited | E::InviteLinked => INVITE,
        E::IdentityAdded | E::RatingAdded | E::InsightAdded | E::LinkAdded => ONE_ADDED,
        E::TransactionsAdded
        | E::DocumentsAdded
        | E::EmploymentsAdded
        | E::IncomesAdded
        | E::EincomesAdded
        | E::ContributionsAdded
        | E::LiabilitiesAdded => MANY_ADDED,
        E::DocumentsUpdated | E::EmploymentsUpdated | E::LiabilitiesUpdated => IDS_UPDATED,
        E::IncomesUpdated | E::EincomesUpdated | E::ContributionsUpdated => SPAN_UPDATED,
        E::VerificationStarted => &[M::Verification],
        E::VerificationCompleted => {
            &[M::Verification, M::ResultCode, M::FinalMatches, M::Matched, M::Mismatched]
        }
        E::RecordCreated => &[M::Record, M::RecordType],
        E::RecordCompleted => &[M::Record, M::RecordType, M::Status, M::ResultCode],
        E::Unknown(_) => IDS,
    }
}

pub(super) fn of_callback(name: &Name) -> &'static [M] {
    match name {
        Name::AccountCreated | Name::AccountConnected | Name::AccountRemoved => ACCOUNT,
        Name::AccountError => FAILED,
        Name::TokenExpired => &[M::User],
        Name::Close => &[M::User, M::Reason],
        Name::UploadsCreated | Name::UploadsRemoved => &[M::User, M::Count],
        Name::UiEvent => &[M::User, M::Account, M::Providers, M::Screen],
        Name::Unknown(_) => IDS,
    }
}
