//! What the function is told by its variables.

use shared::origin::Origins;
use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `SMILE_SESSION_SECRET_ARN`: the secret that sessions are signed with.
    pub secret_arn: String,
    /// `TABLE_NAME`: where connections are written down.
    pub table: String,
    /// `CONNECTIONS_URL`: where the gateway takes messages for its connections.
    pub connections_url: String,
    /// `ALLOWED_ORIGINS`: origins of the pages that may listen, with commas between them.
    pub origins: Origins,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 4] =
        ["SMILE_SESSION_SECRET_ARN", "TABLE_NAME", "CONNECTIONS_URL", "ALLOWED_ORIGINS"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            secret_arn: variables.required("SMILE_SESSION_SECRET_ARN")?,
            table: variables.required("TABLE_NAME")?,
            connections_url: variables.required("CONNECTIONS_URL")?,
            origins: variables.parsed("ALLOWED_ORIGINS", "")?,
            function_name: variables.function_name("live"),
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
        let full = [("SMILE_SESSION_SECRET_ARN", "arn"), ("TABLE_NAME", "t"), ("CONNECTIONS_URL", "u")];
        assert_eq!(read(&full).unwrap().function_name, "live");
        for (at, (name, _)) in full.iter().enumerate() {
            let mut without = full.to_vec();
            without.remove(at);
            assert_eq!(read(&without).unwrap_err(), format!("the variable {name} is not set"));
        }
        let error = read(&[full[0], full[1], full[2], ("ALLOWED_ORIGINS", "*")]).unwrap_err();
        assert!(error.starts_with("the variable ALLOWED_ORIGINS cannot be used"), "{error}");
    }
}
