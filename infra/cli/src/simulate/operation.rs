//! The operations of Smile's API that are played, by the names that Smile's specification gives them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// An operation (Smile, `operationId`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Operation {
            $($(#[$doc])* #[serde(rename = $id)] $name,)*
        }

        impl Operation {
            /// All that are played.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in Smile's specification.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }
        }
    };
}

operations! {
    /// `GET /users`
    ListUsers = "list-users",
    /// `POST /users`
    CreateUser = "create-user",
    /// `GET /users/{id}`
    GetUser = "get-user",
    /// `GET /users/{id}/payload`
    GetUserPayload = "get-user-session-payload",
    /// `POST /users/{id}/resetSession`
    ResetUserSession = "reset-user-session",
    /// `POST /tokens`
    CreateToken = "create-token",
    /// `GET /webhooks`
    ListWebhooks = "list-webhooks",
    /// `POST /webhooks`
    CreateWebhook = "create-webhook",
    /// `GET /webhooks/{id}`
    GetWebhook = "get-webhook",
    /// `DELETE /webhooks/{id}`
    DeleteWebhook = "delete-webhook",
    /// `GET /tasks`
    ListTasks = "list-tasks",
    /// `GET /tasks/{id}`
    GetTask = "get-task",
    /// `GET /accounts`
    ListAccounts = "list-accounts",
    /// `GET /accounts/{id}`
    GetAccount = "get-account",
    /// `DELETE /accounts/{id}`: the user's data is withdrawn.
    DeleteAccount = "delete-account",
    /// `GET /accounts/{id}/payload`
    GetAccountPayload = "get-account-payload",
    /// `GET /invites`
    ListInvites = "list-invites",
    /// `POST /invites`
    CreateInvite = "create-invite",
    /// `GET /invites/{id}`
    GetInvite = "get-invite",
    /// `GET /archives`
    ListArchives = "list-archives",
    /// `GET /archives/{id}`
    GetArchive = "get-archive",
    /// `DELETE /archives/{id}`: the files are withdrawn.
    DeleteArchive = "delete-archive",
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|operation| operation.id() == id);
        found.ok_or_else(|| format!("{id} is no operation that is played here"))
    }
}

/// What of Smile's API is not played at all.
const NOT_PLAYED: &[&str] = &[
    "providers",
    "consentTemplates",
    "inviteTemplates",
    "uploads",
    "fileTypes",
    "identities",
    "ratings",
    "documents",
    "employments",
    "incomes",
    "contributions",
    "liabilities",
    "transactions",
    "eincomes",
    "insights",
    "links",
    "alpha",
    "beta",
];

/// Where a request leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// To an operation, with the id in its path.
    To(Operation, String),
    /// To something that Smile has and the simulator has not, or to a method that there is not.
    Unsupported,
    /// Nowhere.
    Nowhere,
}

/// Finds the operation. The path begins after `/v1`.
pub(super) fn route(method: &str, path: &str) -> Route {
    use Operation as O;
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (operation, id) = match (method, segments.as_slice()) {
        ("GET", ["users"]) => (O::ListUsers, ""),
        ("POST", ["users"]) => (O::CreateUser, ""),
        ("GET", ["users", id]) => (O::GetUser, *id),
        ("GET", ["users", id, "payload"]) => (O::GetUserPayload, *id),
        ("POST", ["users", id, "resetSession"]) => (O::ResetUserSession, *id),
        ("POST", ["tokens"]) => (O::CreateToken, ""),
        ("GET", ["webhooks"]) => (O::ListWebhooks, ""),
        ("POST", ["webhooks"]) => (O::CreateWebhook, ""),
        ("GET", ["webhooks", id]) => (O::GetWebhook, *id),
        ("DELETE", ["webhooks", id]) => (O::DeleteWebhook, *id),
        ("GET", ["tasks"]) => (O::ListTasks, ""),
        ("GET", ["tasks", id]) => (O::GetTask, *id),
        ("GET", ["accounts"]) => (O::ListAccounts, ""),
        ("GET", ["accounts", id]) => (O::GetAccount, *id),
        ("DELETE", ["accounts", id]) => (O::DeleteAccount, *id),
        ("GET", ["accounts", id, "payload"]) => (O::GetAccountPayload, *id),
        ("GET", ["invites"]) => (O::ListInvites, ""),
        ("POST", ["invites"]) => (O::CreateInvite, ""),
        ("GET", ["invites", id]) => (O::GetInvite, *id),
        ("GET", ["archives"]) => (O::ListArchives, ""),
        ("GET", ["archives", id]) => (O::GetArchive, *id),
        ("DELETE", ["archives", id]) => (O::DeleteArchive, *id),
        (_, ["users" | "tokens" | "webhooks" | "tasks" | "accounts" | "invites" | "archives", ..]) => {
            return Route::Unsupported;
        }
        (_, [first, ..]) if NOT_PLAYED.contains(first) => return Route::Unsupported,
        _ => return Route::Nowhere,
    };
    Route::To(operation, super::wire::decoded(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_to_operations_and_says_what_it_has_not() {
        assert_eq!(route("GET", "/webhooks/a%2Fb"), Route::To(Operation::GetWebhook, "a/b".into()));
        assert_eq!(route("PUT", "/webhooks/x"), Route::Unsupported, "there is no update");
        assert_eq!(route("GET", "/incomes"), Route::Unsupported);
        assert_eq!(route("GET", "/nothing"), Route::Nowhere);
        assert_eq!("create-webhook".parse(), Ok(Operation::CreateWebhook));
        assert!("update-webhook".parse::<Operation>().is_err());
    }
}
