//! Fresh ids in the vendor's shapes.

use fastrand::Rng;

use super::person::Person;

/// The ids that a sample is about. Set those that should be known ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// The user, who decides which of the invented people the data shows.
    pub user: String,
    /// The account, also as a task's source.
    pub account: String,
    /// Who runs the account.
    pub provider: String,
    /// The archive.
    pub archive: String,
    /// The invite.
    pub invite: String,
    /// The record.
    pub record: String,
    /// The verification.
    pub verification: String,
}

impl Ids {
    /// New ids, of a new user.
    pub fn fresh(rng: &mut Rng) -> Self {
        let user = new("demo", rng);
        Self::of_user(user, rng)
    }

    /// New ids of a user who is there already.
    pub fn of_user(user: String, rng: &mut Rng) -> Self {
        Self {
            provider: Person::of(&user).providers.with_login.to_owned(),
            user,
            account: new("a", rng),
            archive: new("archive", rng),
            invite: new("iv", rng),
            record: new("ss", rng),
            verification: new("ver", rng),
        }
    }
}

/// `prefix-` and 32 hexadecimal digits.
pub(super) fn new(prefix: &str, rng: &mut Rng) -> String {
    format!("{prefix}-{:032x}", rng.u128(..))
}
