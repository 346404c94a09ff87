//! From events to what is known: whatever happens here happens as an event, and the world follows from it.

use jiff::Timestamp;
use serde_json::{Map, Value};
use shared::event::{EventType as E, MonitorStatus, SourceType, TaskType};
use shared::smile_api::{ArchiveStatus, ConnectionStatus, InviteStatus, SessionStatus};

use super::world::{Account, Archive, Invite, Problem, Task, User, World};
use crate::sample;

/// Where the data of each type of event lies in a payload.
const SECTIONS: &[(&str, &str)] = &[
    ("IDENTITY", "identity"),
    ("RATING", "rating"),
    ("DOCUMENTS", "documents"),
    ("EMPLOYMENTS", "employments"),
    ("INCOMES", "incomes"),
    ("EINCOMES", "eincomes"),
    ("CONTRIBUTIONS", "contributions"),
    ("LIABILITIES", "liabilities"),
    ("TRANSACTIONS", "transactions"),
    ("LINK", "links"),
    ("INSIGHT", "insight"),
];

impl World {
    /// Takes one event in.
    pub(super) fn fold(&mut self, event: &Value) {
        let kind = E::from(text(&event["type"]));
        let at = text(&event["createdAt"]).parse().unwrap_or_default();
        let data = &event["data"];
        match kind {
            E::UserCreated => {
                self.user_of(data, at);
            }
            E::UserSessionCompleted => {
                let user = self.user_of(data, at);
                user.session = SessionStatus::Completed;
                user.payload = Some(data["payload"].clone());
            }
            E::UserSessionReset => {
                let user = self.user_of(data, at);
                user.session = SessionStatus::InProgress;
                user.payload = None;
            }
            E::AccountCreated => {
                self.account_of(data, at);
            }
            E::AccountConnected => {
                let account = self.account_of(data, at);
                account.connected(at);
                account.watched(MonitorStatus::Active, at);
            }
            E::AccountFailed => {
                let problem = problem(data);
                self.account_of(data, at).is_now(ConnectionStatus::Error, problem, at);
            }
            E::AccountDisconnected => {
                let account = self.account_of(data, at);
                account.is_now(ConnectionStatus::Disconnected, None, at);
                account.payload = Map::new();
            }
            E::TaskStarted => self.task_started(data, at),
            E::TaskFinished => self.task_finished(data, at),
            E::AccountSyncTaskFinished => {
                let account = self.account_of(data, at);
                let monitor = text(&data["monitorStatus"]);
                if !monitor.is_empty() {
                    account.watched(MonitorStatus::from(monitor), at);
                }
                account.learns(&data["payload"]);
            }
            E::ArchiveStarted => self.archive_is(data, ArchiveStatus::Started, at),
            E::ArchiveAnalyzed => self.archive_is(data, ArchiveStatus::Analyzed, at),
            E::ArchiveFailed => self.archive_is(data, ArchiveStatus::Error, at),
            E::ArchiveRevoked => self.archive_is(data, ArchiveStatus::Revoked, at),
            E::InviteInvited => self.invite_is(data, InviteStatus::Invited, at),
            E::InviteLinked => self.invite_is(data, InviteStatus::Linked, at),
            other => self.data_came(&other, data, at),
        }
    }

    fn user_of(&mut self, data: &Value, at: Timestamp) -> &mut User {
        let id = text(&data["userId"]);
        let id = if id.is_empty() { text(&data["session"]["userId"]) } else { id };
        let index = self.users.iter().position(|user| user.id == id).unwrap_or_else(|| {
            let number = self.number();
            self.users.push(User {
                number,
                id: id.to_owned(),
                created_at: at,
                metadata: std::collections::BTreeMap::new(),
                session: SessionStatus::InProgress,
                payload: None,
            });
            self.users.len() - 1
        });
        &mut self.users[index]
    }

    fn account_of(&mut self, data: &Value, at: Timestamp) -> &mut Account {
        self.user_of(data, at);
        let id = text(&data["accountId"]);
        let id = if id.is_empty() { text(&data["sourceId"]) } else { id };
        let index = self.accounts.iter().position(|account| account.id == id).unwrap_or_else(|| {
            let number = self.number();
            self.accounts.push(Account {
                number,
                id: id.to_owned(),
                user: text(&data["userId"]).to_owned(),
                provider: text(&data["providers"][0]).to_owned(),
                created_at: at,
                linked_at: None,
                status: ConnectionStatus::Pending,
                error: None,
                status_at: at,
                monitor: MonitorStatus::Unsupported,
                monitor_at: None,
                payload: Map::new(),
            });
            self.accounts.len() - 1
        });
        &mut self.accounts[index]
    }

    fn task_started(&mut self, data: &Value, at: Timestamp) {
        if is_about_an_account(data) {
            self.account_of(data, at);
        }
        let id = self.fresh("task");
        let number = self.number();
        let provider = data["providers"][0].as_str().unwrap_or("user-provided");
        self.tasks.push(Task {
            number,
            id,
            kind: TaskType::from(text(&data["taskType"])),
            user: text(&data["userId"]).to_owned(),
            source: text(&data["sourceId"]).to_owned(),
            source_type: SourceType::from(text(&data["sourceType"])),
            provider: provider.to_owned(),
            started_at: at,
            finished_at: None,
            datapoints: Vec::new(),
        });
    }

    fn task_finished(&mut self, data: &Value, at: Timestamp) {
        let kind = TaskType::from(text(&data["taskType"]));
        let is_it =
            |task: &Task| task.kind == kind && task.source == data["sourceId"] && task.finished_at.is_none();
        if !self.tasks.iter().any(is_it) {
            self.task_started(data, at);
        }
        if let Some(task) = self.tasks.iter_mut().rfind(|task| is_it(task)) {
            task.finished_at = Some(at);
            let found = data["datapoints"].as_array().into_iter().flatten();
            task.datapoints = found.filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if !is_about_an_account(data) {
            return;
        }
        let has_succeeded = data["status"] == "SUCCEEDED";
        let account = self.account_of(data, at);
        if has_succeeded {
            account.learns(&data["payload"]);
        }
        if kind == TaskType::LinkAccount {
            match (has_succeeded, &account.status) {
                // An event of its own has said so already.
                (true, ConnectionStatus::Connected) | (false, ConnectionStatus::Error) => {}
                (true, _) => account.connected(at),
                (false, _) => account.is_now(ConnectionStatus::Error, problem(data), at),
            }
        }
    }

    fn archive_is(&mut self, data: &Value, status: ArchiveStatus, at: Timestamp) {
        self.user_of(data, at);
        let id = text(&data["archiveId"]);
        let error = problem(data);
        if let Some(archive) = self.archives.iter_mut().find(|archive| archive.id == id) {
            (archive.status, archive.error, archive.status_at) = (status, error, at);
            return;
        }
        let number = self.number();
        self.archives.push(Archive {
            number,
            id: id.to_owned(),
            user: text(&data["userId"]).to_owned(),
            file_type: "PAYSLIP".to_owned(),
            created_at: at,
            status,
            error,
            status_at: at,
        });
    }

    fn invite_is(&mut self, data: &Value, status: InviteStatus, at: Timestamp) {
        self.user_of(data, at);
        let id = text(&data["inviteId"]);
        if let Some(invite) = self.invites.iter_mut().find(|invite| invite.id == id) {
            (invite.status, invite.updated_at) = (status, at);
            return;
        }
        let number = self.number();
        let template = self.fresh("tpl");
        self.invites.push(Invite {
            number,
            id: id.to_owned(),
            user: text(&data["userId"]).to_owned(),
            full_name: "Somebody Invited".to_owned(),
            first_name: None,
            last_name: None,
            email: "somebody@example.com".to_owned(),
            template,
            wink_template: None,
            status,
            created_at: at,
            updated_at: at,
        });
    }

    /// New data of an account, which this event only counts: a sample of it.
    fn data_came(&mut self, kind: &E, data: &Value, at: Timestamp) {
        let Some((word, _)) = kind.as_str().rsplit_once('_') else { return };
        let Some((_, section)) = SECTIONS.iter().find(|(name, _)| *name == word) else { return };
        let id = self.account_of(data, at).id.clone();
        let Some(ids) = self.ids_of(&id) else { return };
        let sample = sample::event(&E::TaskFinished, &ids, at, &mut self.rng);
        let fresh = sample["data"]["payload"][*section].clone();
        let account = self.account_of(data, at);
        let known = account.payload.entry(*section).or_insert(Value::Null);
        match (known["items"].as_array_mut(), &fresh["items"]) {
            (Some(items), Value::Array(more)) if kind.as_str().ends_with("_ADDED") => {
                items.extend(more.iter().cloned());
            }
            _ => *known = fresh,
        }
    }
}

impl Account {
    fn is_now(&mut self, status: ConnectionStatus, error: Option<Problem>, at: Timestamp) {
        (self.status, self.error, self.status_at) = (status, error, at);
    }

    fn connected(&mut self, at: Timestamp) {
        self.is_now(ConnectionStatus::Connected, None, at);
        self.linked_at.get_or_insert(at);
    }

    fn watched(&mut self, monitor: MonitorStatus, at: Timestamp) {
        if self.monitor != monitor {
            (self.monitor, self.monitor_at) = (monitor, Some(at));
        }
    }

    fn learns(&mut self, payload: &Value) {
        let sections = payload.as_object().into_iter().flatten();
        for (name, section) in sections.filter(|(_, section)| !section.is_null()) {
            self.payload.insert(name.clone(), section.clone());
        }
    }
}

fn is_about_an_account(data: &Value) -> bool {
    data["sourceType"] == "ACCOUNT"
}

fn problem(data: &Value) -> Option<Problem> {
    let code = data["errorCode"].as_str()?.to_owned();
    Some(Problem { code, message: data["errorMessage"].as_str().map(str::to_owned) })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
