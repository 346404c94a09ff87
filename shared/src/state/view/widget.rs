//! What the user's browser said, and where that differs from what the vendor's server said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Standing, at, text};
use crate::state::{Registers, UNCONFIRMED};

/// The widget, as the user's browser told of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WidgetView {
    /// The last screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// `SANDBOX` or `PRODUCTION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The provider of the last screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// When the last screen was shown, by the browser's clock, as all times here. Where that clock is off by more than a
    /// day backwards or five minutes forwards, the time of receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_at: Option<Timestamp>,
    /// The last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ErrorView>,
    /// When it was last closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// Why: `close`, `exit` or `error`; older widgets do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_reason: Option<String>,
    /// When a link token last expired in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expired_at: Option<Timestamp>,
    /// The last change of uploads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<UploadsView>,
    /// For each provider (`-` where a screen belongs to none), when each screen was first shown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub funnel: BTreeMap<String, BTreeMap<String, Timestamp>>,
}

/// The last error that the widget showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorView {
    /// The vendor's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// At which provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Of which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The last change of uploads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadsView {
    /// `CREATED` or `REMOVED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// How many, where the widget said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What the browser claims of an account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimView {
    /// `PENDING`, `ERROR`, `CONNECTED` or `DISCONNECTED`, in the words of the account's own status.
    pub status: &'static str,
    /// Since when, by the browser's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The provider that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The vendor's code, while it claims an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Since when the server has not said the same: there while it has said nothing, or something else and
    /// not since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs_since: Option<Timestamp>,
    /// When it was found that no webhook had confirmed the claimed connection in time. Stays, also when one
    /// has come later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed_at: Option<Timestamp>,
}

/// The claims that an account can have, and what each says, in the words of the account's status.
const CLAIMS: [(&str, &str); 4] =
    [("created", "PENDING"), ("error", "ERROR"), ("connected", "CONNECTED"), ("removed", "DISCONNECTED")];

impl WidgetView {
    pub(super) fn tell(&mut self, registers: &Registers) {
        let get = |name: &str| registers.get(name);
        if let Some(screen) = get("screen") {
            self.screen = text(screen, "screen");
            self.mode = text(screen, "mode");
            self.provider = text(screen, "provider");
            self.screen_at = at(screen);
        }
        if let Some(closed) = get("closed") {
            self.closed_at = at(closed);
            self.close_reason = text(closed, "reason");
        }
        self.token_expired_at = get("token").and_then(at);
        self.last_error = get("error").map(|error| ErrorView {
            error_code: text(error, "error_code"),
            provider: text(error, "provider"),
            account: text(error, "account"),
            at: at(error),
        });
        self.uploads = get("uploads").map(|uploads| UploadsView {
            change: text(uploads, "change"),
            count: uploads.number("count"),
            at: at(uploads),
        });
    }

    pub(super) fn funnel_of(&mut self, provider: &str, registers: &Registers) {
        let firsts = registers.iter().filter_map(|(screen, first)| Some((screen.clone(), at(first)?)));
        self.funnel.insert(provider.to_owned(), firsts.collect());
    }
}

impl ClaimView {
    /// The greatest claim, beside what the server says.
    pub(super) fn beside(registers: &Registers, server: Option<&Standing>) -> Option<Self> {
        let claims = CLAIMS.iter().filter_map(|(name, status)| Some((registers.get(*name)?, *status)));
        let (claim, status) = claims.max_by_key(|(claim, _)| (claim.v.created_at(), claim.v.rank()))?;
        let claimed_at = at(claim);
        let is_told = server.is_some_and(|server| {
            server.status == status
                || (status == "DISCONNECTED" && server.revoked_at.is_some())
                // Nothing is wrong when the server knows more than that it was begun.
                || (status == "PENDING" && server.status != "UNKNOWN")
                || (server.status_at.is_some() && server.status_at >= claimed_at)
        });
        // The mark is of one claim; a later one has not been looked at yet.
        let marked = registers.get(UNCONFIRMED).filter(|mark| {
            let of = mark.text("of");
            registers.get("connected").is_some_and(|connected| of == Some(connected.v.as_str()))
        });
        let unconfirmed = marked.and_then(|mark| mark.text("at")?.parse().ok());
        Some(Self {
            status,
            at: claimed_at,
            provider: text(claim, "provider"),
            error_code: text(claim, "error_code"),
            differs_since: claimed_at.filter(|_| !is_told),
            unconfirmed_at: unconfirmed,
        })
    }
}
