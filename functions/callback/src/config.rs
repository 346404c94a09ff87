//! What the function is told by its variables.

use shared::origin::Origins;
use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `CALLBACK_QUEUE_URL`: the queue.
    pub queue_url: String,
    /// `SMILE_SESSION_SECRET_ARN`: the secret that sessions are signed with.
    pub secret_arn: String,
    /// `ALLOWED_ORIGINS`: origins of the pages that may send, with commas between them.
    pub origins: Origins,
    /// `UNCONFIRMED_SECONDS`: how long after a browser's word it is looked whether the server has said so, too.
    pub unconfirmed_after: Seconds,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

/// A delay that SQS can keep: up to 900 seconds (Amazon SQS API reference, `DelaySeconds`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u16);

impl std::str::FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(seconds @ 1..=900) => Ok(Self(seconds)),
            _ => Err("it is a whole number of seconds from 1 to 900"),
        }
    }
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 4] =
        ["CALLBACK_QUEUE_URL", "SMILE_SESSION_SECRET_ARN", "ALLOWED_ORIGINS", "UNCONFIRMED_SECONDS"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            queue_url: variables.required("CALLBACK_QUEUE_URL")?,
            secret_arn: variables.required("SMILE_SESSION_SECRET_ARN")?,
            origins: variables.parsed("ALLOWED_ORIGINS", "")?,
            unconfirmed_after: variables.parsed("UNCONFIRMED_SECONDS", "120")?,
            function_name: variables.function_name("callback"),
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
        let full = [("CALLBACK_QUEUE_URL", "u"), ("SMILE_SESSION_SECRET_ARN", "arn")];
        assert_eq!(read(&full).unwrap().unconfirmed_after, Seconds(120));
        assert_eq!(read(&full[..1]).unwrap_err(), "the variable SMILE_SESSION_SECRET_ARN is not set");
        assert_eq!(read(&full[1..]).unwrap_err(), "the variable CALLBACK_QUEUE_URL is not set");
        for wrong in [
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "https://a.example/"),
            ("UNCONFIRMED_SECONDS", "901"),
            ("UNCONFIRMED_SECONDS", "0"),
        ] {
            let error = read(&[full[0], full[1], wrong]).unwrap_err();
            assert!(error.contains(wrong.0) && error.contains("cannot be used"), "{error}");
        }
    }
}
