//! What the function is told by its variables.

use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `TABLE_NAME`: where connections are written down.
    pub table: String,
    /// `CONNECTIONS_URL`: where the gateway takes messages for its connections.
    pub connections_url: String,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 2] = ["TABLE_NAME", "CONNECTIONS_URL"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            table: variables.required("TABLE_NAME")?,
            connections_url: variables.required("CONNECTIONS_URL")?,
            function_name: variables.function_name("push"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let read = |list: &[(&str, &str)]| {
            Config::read(&Variables::from_list(list)).map_err(|error| error.to_string())
        };
        let full = [("TABLE_NAME", "t"), ("CONNECTIONS_URL", "u")];
        assert_eq!(read(&full).unwrap().function_name, "push");
        assert_eq!(read(&full[..1]).unwrap_err(), "the variable CONNECTIONS_URL is not set");
        assert_eq!(read(&full[1..]).unwrap_err(), "the variable TABLE_NAME is not set");
    }
}
