//! What the function is told by its variables.

use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `EVENT_BUS_NAME`: the bus.
    pub bus: String,
    /// `PUBLISH_RETRY_QUEUE_URL`: where the ids of events go that the bus did not take.
    pub retry_queue_url: String,
    /// `TABLE_NAME`: where an event is read again.
    pub table: String,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 3] = ["EVENT_BUS_NAME", "PUBLISH_RETRY_QUEUE_URL", "TABLE_NAME"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            bus: variables.required("EVENT_BUS_NAME")?,
            retry_queue_url: variables.required("PUBLISH_RETRY_QUEUE_URL")?,
            table: variables.required("TABLE_NAME")?,
            function_name: variables.function_name("publish"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let full = [("EVENT_BUS_NAME", "b"), ("PUBLISH_RETRY_QUEUE_URL", "u"), ("TABLE_NAME", "t")];
        assert!(Config::read(&Variables::from_list(&full)).is_ok());
        for (at, (name, _)) in full.iter().enumerate() {
            let mut list = full.to_vec();
            list.remove(at);
            let error = Config::read(&Variables::from_list(&list)).unwrap_err().to_string();
            assert_eq!(error, format!("the variable {name} is not set"));
        }
    }
}
