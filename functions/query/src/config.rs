//! What the function is told by its variables.

use shared::variables::{Missing, Variables};

use crate::scope::BODIES;

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `TABLE_NAME`: the table.
    pub table: String,
    /// `BODIES_SCOPE`: the scope that a JWT needs to read bodies; [`BODIES`] where it is not set.
    pub bodies_scope: String,
    /// `BACKEND_URL`: where this API is, for its own document.
    pub url: String,
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 3] = ["TABLE_NAME", "BODIES_SCOPE", "BACKEND_URL"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        let bodies_scope = variables.optional("BODIES_SCOPE").unwrap_or_else(|| BODIES.to_owned());
        Ok(Self {
            table: variables.required("TABLE_NAME")?,
            bodies_scope,
            url: variables.required("BACKEND_URL")?,
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
        let of = |list| read(list).map(|config| (config.table, config.bodies_scope)).unwrap();
        let needed = [("TABLE_NAME", "t"), ("BACKEND_URL", "https://x.invalid")];
        assert_eq!(of(&needed), ("t".to_owned(), BODIES.to_owned()));
        let own = [needed[0], needed[1], ("BODIES_SCOPE", "smile/bodies")];
        assert_eq!(of(&own), ("t".to_owned(), "smile/bodies".to_owned()));
        assert_eq!(read(&[]).unwrap_err(), "the variable TABLE_NAME is not set");
        assert_eq!(read(&needed[..1]).unwrap_err(), "the variable BACKEND_URL is not set");
    }
}
