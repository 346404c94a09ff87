//! What the function is told by its variables.

use jiff::SignedDuration;
use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `SMILE_SESSION_SECRET_ARN`: what session tokens are signed with.
    pub session_secret_arn: String,
    /// `SMILE_CREDENTIALS_SECRET_ARN`: key and secret of Smile's API.
    pub credentials_arn: String,
    /// `SMILE_API_URL`: where that API is.
    pub smile_url: String,
    /// `SESSION_MINUTES`: how long a session token is good.
    pub session: Lifetime,
    /// `CALLBACK_URL`, `LIVE_URL` and `SCRIPT_URL`: handed on with every link.
    pub urls: Urls,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

/// Where a browser that has a session goes.
#[derive(Debug, Clone)]
pub struct Urls {
    /// Where it posts callbacks.
    pub callbacks: String,
    /// Where it hears of changes.
    pub live: String,
    /// The script that does the former.
    pub script: String,
}

/// How long a session token is good: 5 to 300 minutes. Smile's own token lasts about 300.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(SignedDuration);

impl Lifetime {
    /// As a duration.
    pub fn duration(self) -> SignedDuration {
        self.0
    }
}

impl std::str::FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(minutes @ 5..=300) => Ok(Self(SignedDuration::from_mins(minutes))),
            _ => Err("it is a whole number of minutes from 5 to 300"),
        }
    }
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 7] = [
        "SMILE_SESSION_SECRET_ARN",
        "SMILE_CREDENTIALS_SECRET_ARN",
        "SMILE_API_URL",
        "SESSION_MINUTES",
        "CALLBACK_URL",
        "LIVE_URL",
        "SCRIPT_URL",
    ];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            session_secret_arn: variables.required("SMILE_SESSION_SECRET_ARN")?,
            credentials_arn: variables.required("SMILE_CREDENTIALS_SECRET_ARN")?,
            smile_url: variables.required("SMILE_API_URL")?,
            session: variables.parsed("SESSION_MINUTES", "60")?,
            urls: Urls {
                callbacks: variables.required("CALLBACK_URL")?,
                live: variables.required("LIVE_URL")?,
                script: variables.required("SCRIPT_URL")?,
            },
            function_name: variables.function_name("link"),
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
        let full = Config::VARIABLES.map(|name| (name, if name == "SESSION_MINUTES" { "5" } else { "x" }));
        assert_eq!(read(&full).unwrap().session.duration(), SignedDuration::from_mins(5));
        for (at, (name, _)) in full.iter().enumerate() {
            let without: Vec<_> =
                full.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, value)| *value).collect();
            match *name {
                "SESSION_MINUTES" => {
                    assert_eq!(read(&without).unwrap().session.duration(), SignedDuration::from_hours(1));
                }
                name => {
                    assert_eq!(read(&without).unwrap_err(), format!("the variable {name} is not set"));
                }
            }
        }
        for wrong in ["4", "301", "1.5", "an hour"] {
            let mut list = full;
            list[3].1 = wrong;
            let error = read(&list).unwrap_err();
            assert!(error.starts_with("the variable SESSION_MINUTES cannot be used"), "{error}");
        }
    }
}
