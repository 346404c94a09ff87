//! The `smile` command: the local cloud, a simulator of the vendor, and the operator's tool.
//!
//! | module | what it holds |
//! |---|---|
//! | [`bring_over`] | `smile bring-over`: after a restore, what came in between |
//! | [`cli`] | the command line |
//! | [`dev`] | `smile dev`: this project's cloud on this machine; for tests, too |
//! | [`operator`] | which receiver an operator's command is about |
//! | [`quarantine`] | `smile quarantine`: what could not be filed |
//! | [`register`] | `smile register`: the registration at Smile, and the rotation of its secret |
//! | [`send`] | `smile send`: signed events, as Smile would send them |
//! | [`sample`] | what it sends |
//! | [`session`] | `smile session`: the secret that browsers' sessions are signed with |
//! | [`show`] | `smile show`: what the receiver knows |
//! | [`simulate`] | `smile simulate`: Smile itself, its API and its webhooks; for tests, too |
//! | [`site`] | a customer's web site to try with: part of `smile dev` |
//! | [`stack`] | what is known of a running local cloud: `target/dev/stack.json` |
//! | [`template`] | the CloudFormation template, read into one long form |
//! | [`ui`] | steps, panels and colours on the terminal |
//! | [`workspace`] | where the project lies |

pub mod bring_over;
pub mod cli;
pub mod dev;
pub mod operator;
pub mod quarantine;
pub mod register;
pub mod sample;
pub mod send;
pub mod session;
pub mod show;
pub mod simulate;
pub mod site;
pub mod stack;
pub mod template;
pub mod ui;
pub mod workspace;
