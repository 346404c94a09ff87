//! Configuration from variables, read once and named in every complaint.

use std::str::FromStr;

/// Where a function's variables come from: the environment, or a test.
pub struct Variables<'a>(Box<Lookup<'a>>);

type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A variable that is not there, or that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Not set, or empty.
    #[error("the variable {0} is not set")]
    Unset(&'static str),
    /// Set to something that makes no sense there.
    #[error("the variable {name} cannot be used: {reason}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl<'a> Variables<'a> {
    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// Variables from a list of names and values.
    pub fn from_list(list: &'a [(&'a str, &'a str)]) -> Self {
        Self(Box::new(|name| list.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())))
    }

    /// The value, where an empty one counts as none.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The function's name, which Lambda sets; where there is no Lambda, `otherwise`.
    pub fn function_name(&self, otherwise: &str) -> String {
        self.optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| otherwise.to_owned())
    }

    /// The value, or a complaint that names the variable.
    pub fn required(&self, name: &'static str) -> Result<String, Missing> {
        self.optional(name).ok_or(Missing::Unset(name))
    }

    /// The value read as a `T`, or `default` where it is not set.
    pub fn parsed<T>(&self, name: &'static str, default: &str) -> Result<T, Missing>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.optional(name);
        text.as_deref()
            .unwrap_or(default)
            .parse()
            .map_err(|error: T::Err| Missing::Unusable { name, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_variable() {
        let variables = Variables::from_list(&[("A", "7"), ("B", ""), ("C", "x")]);
        assert_eq!(variables.required("A").unwrap(), "7");
        assert_eq!(variables.required("B").unwrap_err().to_string(), "the variable B is not set");
        assert_eq!(variables.parsed::<u8>("A", "1"), Ok(7));
        assert_eq!(variables.parsed::<u8>("B", "1"), Ok(1));
        let error = variables.parsed::<u8>("C", "1").unwrap_err().to_string();
        assert!(error.starts_with("the variable C cannot be used"), "{error}");
    }
}
