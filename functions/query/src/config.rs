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
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 2] = ["TABLE_NAME", "BODIES_SCOPE"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        let bodies_scope = variables.optional("BODIES_SCOPE").unwrap_or_else(|| BODIES.to_owned());
        Ok(Self { table: variables.required("TABLE_NAME")?, bodies_scope })
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
        assert_eq!(of(&[("TABLE_NAME", "t")]), ("t".to_owned(), BODIES.to_owned()));
        let own = [("TABLE_NAME", "t"), ("BODIES_SCOPE", "smile/bodies")];
        assert_eq!(of(&own), ("t".to_owned(), "smile/bodies".to_owned()));
        assert_eq!(read(&[]).unwrap_err(), "the variable TABLE_NAME is not set");
    }
}
