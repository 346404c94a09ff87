//! The operator's commands, as far as they need no cloud: how they walk through what is stored, what tail tells,
//! what is written down of an act, and what a restored table is given. `deployed::operated` has the rest.

mod audit;
mod bring_over;
pub(crate) mod proxy;
mod tail;
mod walk;
