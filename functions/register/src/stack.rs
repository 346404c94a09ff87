//! What CloudFormation is doing with the stack: the one adapter to it.

use aws_sdk_cloudformation::Client;
use aws_types::SdkConfig;
use shared::aws::told;

/// Asks for the state of a stack.
#[derive(Clone)]
pub struct Stacks(Client);

/// What a stack is going through, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Forward: what fails is rolled back.
    Forward,
    /// Back from an update, to the stack as it was before.
    UpdateBack,
    /// Back from a creation, or deleted: to nothing.
    Ending,
    /// CloudFormation did not say.
    Unknown,
}

impl Course {
    /// From a stack's status (CloudFormation, "Stack status codes").
    fn of(status: &str) -> Self {
        if status.starts_with("UPDATE_ROLLBACK") {
            Self::UpdateBack
        } else if status.starts_with("ROLLBACK") || status.starts_with("DELETE") {
            Self::Ending
        } else {
            Self::Forward
        }
    }

    /// Whether a failure may be told to CloudFormation. One in a rollback would leave the stack stuck between
    /// two states, and one in a deletion would leave it undeleted.
    pub fn may_fail(self) -> bool {
        self == Self::Forward
    }
}

impl Stacks {
    /// A client.
    pub fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }

    /// What this stack is going through. It is the stack's own function that asks: its role allows no other.
    pub async fn course(&self, stack_id: &str) -> Course {
        match self.0.describe_stacks().stack_name(stack_id).send().await {
            Ok(answer) => {
                let status = answer.stacks().first().and_then(|stack| stack.stack_status());
                status.map_or(Course::Unknown, |status| Course::of(status.as_str()))
            }
            Err(error) => {
                tracing::warn!(error = told(&error), "what the stack is going through is not known");
                Course::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rollback_and_no_deletion_is_made_to_fail() {
        for (status, course) in [
            ("CREATE_IN_PROGRESS", Course::Forward),
            ("UPDATE_IN_PROGRESS", Course::Forward),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Course::Forward),
            ("IMPORT_IN_PROGRESS", Course::Forward),
            ("ROLLBACK_IN_PROGRESS", Course::Ending),
            ("DELETE_IN_PROGRESS", Course::Ending),
            ("UPDATE_ROLLBACK_IN_PROGRESS", Course::UpdateBack),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", Course::UpdateBack),
        ] {
            assert_eq!(Course::of(status), course, "{status}");
            assert_eq!(course.may_fail(), !status.contains("ROLLBACK") && !status.contains("DELETE"));
        }
        assert!(!Course::Unknown.may_fail());
    }
}
