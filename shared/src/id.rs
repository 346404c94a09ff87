//! Checked ids. A vendor id is opaque: 1 to 256 bytes, compared byte for byte.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest id, in bytes. Our own bound: Smile's ids have about 40, and a key in DynamoDB has room
/// for four times this.
pub const MAX_ID_BYTES: usize = 256;

/// An id of no or of too many bytes. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {MAX_ID_BYTES} bytes, this one has {0}")]
pub struct IdLength(pub usize);

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks the length.
            pub fn new(id: impl Into<String>) -> Result<Self, IdLength> {
                let id = id.into();
                if (1..=MAX_ID_BYTES).contains(&id.len()) { Ok(Self(id)) } else { Err(IdLength(id.len())) }
            }

            /// The id as the vendor wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some(concat!($($doc),*).trim()));
                text.min_length(Some(1)).max_length(Some(MAX_ID_BYTES)).into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An event's id: the key by which a repeat is known.
    EventId;
    /// A user of the tenant.
    UserId;
    /// A linked account at a provider.
    AccountId;
    /// A collection of uploaded files.
    ArchiveId;
    /// An invitation.
    InviteId;
    /// A record (social security and the like).
    RecordId;
    /// A verification.
    VerificationId;
    /// A webhook that is registered at Smile.
    WebhookId;
    /// A task. Webhooks do not name it.
    TaskId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_bytes() {
        assert_eq!(EventId::new(""), Err(IdLength(0)));
        assert!(EventId::new("x".repeat(256)).is_ok());
        assert_eq!(EventId::new("é".repeat(129)), Err(IdLength(258)));
        assert!(serde_json::from_str::<UserId>("\"\"").is_err());
    }
}
