//! The operator's commands, as far as they need no cloud: how they walk through what is stored, what tail tells, and
//! what is written down of an act. `deployed::operated` has the rest.

mod audit;
pub(crate) mod proxy;
mod tail;
mod walk;
