//! The vendor's words: enums that grow with the vendor. What is not known yet is a value, too, and
//! survives a round trip to the letter.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident { $($variant:ident = $word:literal,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
        pub enum $name {
            $($variant,)*
            Unknown(String),
        }

        impl $name {
            /// Every word that was known when this was written.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// The vendor's spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let known: &[&str] = &[$($word),*];
                $crate::event::words::schema(concat!($($doc),*), known)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(Cow::<str>::deserialize(deserializer)?.as_ref()))
            }
        }
    )*};
}

pub(crate) use words;

/// A text, with the words that are known for examples: no list that ends, since the vendor's grows.
#[cfg(feature = "openapi")]
pub(crate) fn schema(doc: &str, known: &[&str]) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(doc.trim()));
    text.examples(known.iter().map(|word| serde_json::json!(word))).into()
}

words! {
    /// What happened: the 37 types of 2026 and whatever comes after them
    /// (Smile, `RefWebhookEventType`).
    EventType {
        UserCreated = "USER_CREATED",
        UserSessionCompleted = "USER_SESSION_COMPLETED",
        UserSessionReset = "USER_SESSION_RESET",
        AccountCreated = "ACCOUNT_CREATED",
        AccountConnected = "ACCOUNT_CONNECTED",
        AccountDisconnected = "ACCOUNT_DISCONNECTED",
        AccountFailed = "ACCOUNT_FAILED",
        AccountSyncTaskFinished = "ACCOUNT_SYNC_TASK_FINISHED",
        TaskStarted = "TASK_STARTED",
        TaskFinished = "TASK_FINISHED",
        ArchiveStarted = "ARCHIVE_STARTED",
        ArchiveAnalyzed = "ARCHIVE_ANALYZED",
        ArchiveFailed = "ARCHIVE_FAILED",
        ArchiveRevoked = "ARCHIVE_REVOKED",
        InviteInvited = "INVITE_INVITED",
        InviteLinked = "INVITE_LINKED",
        IdentityAdded = "IDENTITY_ADDED",
        RatingAdded = "RATING_ADDED",
        TransactionsAdded = "TRANSACTIONS_ADDED",
        DocumentsAdded = "DOCUMENTS_ADDED",
        DocumentsUpdated = "DOCUMENTS_UPDATED",
        EmploymentsAdded = "EMPLOYMENTS_ADDED",
        EmploymentsUpdated = "EMPLOYMENTS_UPDATED",
        IncomesAdded = "INCOMES_ADDED",
        IncomesUpdated = "INCOMES_UPDATED",
        EincomesAdded = "EINCOMES_ADDED",
        EincomesUpdated = "EINCOMES_UPDATED",
        ContributionsAdded = "CONTRIBUTIONS_ADDED",
        ContributionsUpdated = "CONTRIBUTIONS_UPDATED",
        LiabilitiesAdded = "LIABILITIES_ADDED",
        LiabilitiesUpdated = "LIABILITIES_UPDATED",
        InsightAdded = "INSIGHT_ADDED",
        LinkAdded = "LINK_ADDED",
        VerificationStarted = "VERIFICATION_STARTED",
        VerificationCompleted = "VERIFICATION_COMPLETED",
        RecordCreated = "RECORD_CREATED",
        RecordCompleted = "RECORD_COMPLETED",
    }

    /// What `sourceId` is an id of (Smile, `RefSourceType`).
    SourceType {
        Account = "ACCOUNT",
        Archive = "ARCHIVE",
        Upload = "UPLOAD",
        SocialSecurity = "SOCIAL_SECURITY",
    }

    /// What a task does (Smile, `TaskType`).
    TaskType {
        LinkAccount = "LINK_ACCOUNT",
        UpdateAccount = "UPDATE_ACCOUNT",
        AnalyzeArchive = "ANALYZE_ARCHIVE",
        ClassifyArchive = "CLASSIFY_ARCHIVE",
    }

    /// How a task ended, or how a record or a session stands (Smile, `TaskFinishedEventData`,
    /// `RecordCompletedEventData`, `UserSessionStatus`).
    Status {
        Succeeded = "SUCCEEDED",
        Failed = "FAILED",
        Completed = "COMPLETED",
        Error = "ERROR",
        InProgress = "IN_PROGRESS",
    }

    /// Whether an account is still watched for changes (Smile, `AccountMonitorStatus`).
    MonitorStatus {
        Active = "ACTIVE",
        UserActionRequired = "USER_ACTION_REQUIRED",
        Unsupported = "UNSUPPORTED",
        CustomerDisabled = "CUSTOMER_DISABLED",
    }
}

impl EventType {
    /// A bounded set of words for metrics: the type, or `UNKNOWN`.
    pub fn metric_word(&self) -> &str {
        match self {
            Self::Unknown(_) => "UNKNOWN",
            known => known.as_str(),
        }
    }
}

/// A short word that may stand in state, on the bus, on a page or in a metric: 1 to 64 of `A-Za-z0-9_.:-`. Any other
/// text stays in the body: it could be anything.
pub(crate) fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && is_of_word(text)
}

/// Whether it has no other characters than a word, however long it is.
pub(crate) fn is_of_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

/// The text of a JSON value, if it is one.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    /// `Cow` alone would always be owned.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw?.get()).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_words_survive() {
        assert_eq!(EventType::KNOWN.len(), 37);
        for kind in EventType::KNOWN {
            assert_eq!(&EventType::from(kind.as_str()), kind);
        }
        for word in ["ASSETS_ADDED", "account_created", "", "ACCOUNT_CREATED "] {
            let json = serde_json::to_string(word).unwrap();
            let kind: EventType = serde_json::from_str(&json).unwrap();
            assert_eq!(kind, EventType::Unknown(word.to_owned()));
            assert_eq!(serde_json::to_string(&kind).unwrap(), json);
            assert_eq!(kind.metric_word(), "UNKNOWN");
        }
    }
}
