//! What can go wrong with a write: try again, or this message can never work.

use std::fmt;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws::told;

/// Why a message was not dealt with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// May work later: the message goes back to its queue. The default for whatever is not known.
    #[error("{0}")]
    Retry(String),
    /// Can never work: the message is quarantined. An allow list.
    #[error("{0}")]
    Poison(Poison),
}

/// Why a message can never be stored as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// The event is about more than 500 things, or its facts make an item of more than 400 KB.
    ItemTooLarge,
    /// The event does not say in a form that is known what it is about, so that something revoked might hide in it.
    Unattributed,
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ItemTooLarge => f.write_str("the event is about too many things to fit an item"),
            Self::Unattributed => {
                f.write_str("the event does not say in a form that is known what it is about")
            }
        }
    }
}

impl Fault {
    /// Tells the two kinds apart. The text has the code of the answer and, but for complaints about
    /// values, its message: those could quote what was written.
    pub(super) fn of<E>(doing: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let Some(answer) = error.as_service_error() else {
            return Self::Retry(format!("{doing}: {}", told(error)));
        };
        let code = answer.code().unwrap_or("unknown");
        let message = answer.message().unwrap_or_default();
        match code {
            "ValidationException" if message.contains("Item size") => Self::Poison(Poison::ItemTooLarge),
            "ValidationException" => Self::Retry(format!("{doing}: {code}")),
            _ => Self::Retry(format!("{doing}: {code}: {message}")),
        }
    }
}
