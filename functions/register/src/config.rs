//! What the function is told by its variables.

use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `SMILE_WEBHOOK_SECRET_ARN`: the document of secrets that the webhook function accepts.
    pub secret_arn: String,
    /// `SMILE_CREDENTIALS_SECRET_ARN`: key and secret of Smile's API.
    pub credentials_arn: String,
}

impl Config {
    /// The names of all variables that [`Self::read`] reads.
    pub const VARIABLES: [&str; 2] = ["SMILE_WEBHOOK_SECRET_ARN", "SMILE_CREDENTIALS_SECRET_ARN"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            secret_arn: variables.required("SMILE_WEBHOOK_SECRET_ARN")?,
            credentials_arn: variables.required("SMILE_CREDENTIALS_SECRET_ARN")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let full = Config::VARIABLES.map(|name| (name, "arn"));
        assert!(Config::read(&Variables::from_list(&full)).is_ok());
        for at in 0..full.len() {
            let without: Vec<_> =
                full.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, v)| *v).collect();
            let error = Config::read(&Variables::from_list(&without)).unwrap_err().to_string();
            assert_eq!(error, format!("the variable {} is not set", full[at].0));
        }
    }
}
