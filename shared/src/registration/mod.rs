//! The webhook's registration at Smile: what it should be, how it comes to be so, and how its secret changes.
//!
//! Smile has calls to create, list, read and delete a registration, and none to change one. So whatever is to
//! change is created anew, and only then the old one is deleted: in between an event comes twice, which the
//! receiver knows how to take, and at no time it comes not at all. A registration is *ours* when it has our
//! URL **and** our name; nothing else is ever deleted. One at another URL is deleted in favour of ours only when the
//! receiver has answered at ours ([`Answered`]).
//!
//! All of this is idempotent: every run looks first, adopts what fits exactly, and does what is missing. It
//! needs no memory of its own, so that it can be killed at any call and run again.
//!
//! | module | what it holds |
//! |---|---|
//! | [`desired`] | what is wanted |
//! | [`drift()`] | how what is there differs from it |
//! | [`mod@probe`] | proof that the receiver answers at a URL |
//! | [`registrar`] | from what is there to what is wanted |
//! | [`document`] | the secrets, as one document that can be changed |
//! | [`rotation`] | from one secret to the next, step by step |
//! | `vault` | that document in Secrets Manager, behind `secret-store` |

pub mod desired;
pub mod document;
pub mod drift;
pub mod probe;
pub mod registrar;
pub mod rotation;
#[cfg(test)]
mod tests;
#[cfg(feature = "secret-store")]
pub mod vault;

pub use self::desired::{Desired, EventTypes, Unregistrable};
pub use self::document::{Document, Previous};
pub use self::drift::{Drift, SecretFound, drift};
pub use self::probe::{Answered, PROBED_WITHIN, Unanswered, probe};
pub use self::registrar::{Call, Cause, Ensured, Failure, Left, Registrar};
#[cfg(feature = "secret-store")]
pub use self::vault::{NoVault, Vault, Version};
