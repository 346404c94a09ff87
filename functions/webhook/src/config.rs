//! What the function is told by its variables.

use shared::source::AllowList;
use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `WEBHOOK_QUEUE_URL`: the queue.
    pub queue_url: String,
    /// Where the secrets are.
    pub secrets: SecretSource,
    /// `SOURCE_ALLOW_LIST`: networks in CIDR form, with commas between them.
    pub allow_list: AllowList,
    /// `SOURCE_POLICY`: what becomes of a valid signature from elsewhere.
    pub policy: SourcePolicy,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

/// Smile's one static address (Smile, webhooks reference).
pub const DEFAULT_ALLOW_LIST: &str = "18.142.61.230/32";

/// Where the webhook secrets come from.
#[derive(Debug)]
pub enum SecretSource {
    /// `SMILE_WEBHOOK_SECRET_ARN`: a secret in Secrets Manager.
    Arn(String),
    /// `SMILE_WEBHOOK_SECRETS`: a JSON array, for tests and local runs.
    List(String),
}

/// What becomes of a valid signature from a source outside the allow list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePolicy {
    /// `refuse`: 403.
    Refuse,
    /// `quarantine`: kept apart until an operator releases it.
    Quarantine,
}

impl std::str::FromStr for SourcePolicy {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "refuse" => Ok(Self::Refuse),
            "quarantine" => Ok(Self::Quarantine),
            _ => Err("it is refuse or quarantine"),
        }
    }
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 5] = [
        "WEBHOOK_QUEUE_URL",
        "SMILE_WEBHOOK_SECRET_ARN",
        "SMILE_WEBHOOK_SECRETS",
        "SOURCE_ALLOW_LIST",
        "SOURCE_POLICY",
    ];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        let secrets = match variables.optional("SMILE_WEBHOOK_SECRETS") {
            Some(list) => SecretSource::List(list),
            None => SecretSource::Arn(variables.required("SMILE_WEBHOOK_SECRET_ARN")?),
        };
        Ok(Self {
            queue_url: variables.required("WEBHOOK_QUEUE_URL")?,
            secrets,
            allow_list: variables.parsed("SOURCE_ALLOW_LIST", DEFAULT_ALLOW_LIST)?,
            policy: variables.parsed("SOURCE_POLICY", "refuse")?,
            function_name: variables.function_name("webhook"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let read = |list: &[(&str, &str)]| {
            Config::read(&Variables::from_list(list)).map_err(|error| error.to_string())
        };
        let full = [("WEBHOOK_QUEUE_URL", "u"), ("SMILE_WEBHOOK_SECRET_ARN", "arn")];
        let config = read(&full).unwrap();
        assert_eq!(
            (config.allow_list, config.policy),
            (DEFAULT_ALLOW_LIST.parse().unwrap(), SourcePolicy::Refuse)
        );
        assert_eq!(read(&full[..1]).unwrap_err(), "the variable SMILE_WEBHOOK_SECRET_ARN is not set");
        assert_eq!(read(&full[1..]).unwrap_err(), "the variable WEBHOOK_QUEUE_URL is not set");
        for wrong in [("SOURCE_POLICY", "allow"), ("SOURCE_ALLOW_LIST", "smile")] {
            let error = read(&[full[0], full[1], wrong]).unwrap_err();
            assert!(error.contains(wrong.0) && error.contains("cannot be used"), "{error}");
        }
    }
}
