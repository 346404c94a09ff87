//! How the webhook function refuses a request that Smile did not send. By these responses the receiver is
//! recognised from outside, without a secret.

/// A response of the webhook function: a status and a fixed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: &'static str,
}

impl Refusal {
    /// The source is not in the allow list.
    pub const SOURCE: Self = Self { status: 403, body: r#"{"error":"source not allowed"}"# };

    /// The source is in the allow list, and the signature is missing or wrong.
    pub const SIGNATURE: Self = Self { status: 401, body: r#"{"error":"signature missing or wrong"}"# };

    /// Whether a response is one of these, to the letter. A gateway or a stranger's server that answers 403 has
    /// another body.
    pub fn is_response(status: u16, body: &[u8]) -> bool {
        [Self::SOURCE, Self::SIGNATURE]
            .iter()
            .any(|refusal| refusal.status == status && refusal.body.as_bytes() == body)
    }
}
