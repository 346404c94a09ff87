//! The `smile` command: the local cloud, a simulator of the vendor, and the operator's tool.
//!
//! | module | what it holds |
//! |---|---|
//! | [`again`] | stored events once more, to the bus or the consumer |
//! | [`audit`] | who acts, written down before; `smile audit` |
//! | [`bring_over`] | `smile bring-over`: after a restore, what came in between |
//! | [`cli`] | the command line |
//! | [`clock`] | what time it is, and times as they are typed |
//! | [`confirm`] | asks before an act that is about many |
//! | [`mod@console`] | `smile console`: a page for operators, on loopback |
//! | [`dev`] | `smile dev`: this project's cloud on this machine; for tests, too |
//! | [`doctor`] | `smile doctor`: whether the AWS account has what a stack needs |
//! | [`events`] | `smile events resend`: single events once more |
//! | [`interrupt`] | Ctrl-C, for commands that end in good order |
//! | [`loopback`] | pages for this machine alone: who gets an answer there |
//! | [`operator`] | which receiver an operator's command is about |
//! | [`quarantine`] | `smile quarantine`: what could not be filed |
//! | [`redrive`] | `smile redrive`: dead letters back to their queue |
//! | [`register`] | `smile register`: the registration at Smile, and the rotation of its secret |
//! | [`replay`] | `smile replay`: a span of time once more |
//! | [`send`] | `smile send`: signed events, as Smile would send them |
//! | [`sample`] | what it sends |
//! | [`session`] | `smile session`: the secret that browsers' sessions are signed with |
//! | [`show`] | `smile show`: what the receiver knows |
//! | [`sigv4`] | signs requests for services whose SDK crate is not worth its build time |
//! | [`simulate`] | `smile simulate`: Smile itself, its API and its webhooks; for tests, too |
//! | [`site`] | a customer's web site to try with: part of `smile dev` |
//! | [`skew`] | AWS's clock, as its answers tell it |
//! | [`stack`] | what is known of a running local cloud: `target/dev/stack.json` |
//! | [`tail`] | `smile tail`: events as they are stored |
//! | [`template`] | the CloudFormation template, read into one long form |
//! | [`ui`] | steps, panels and colours on the terminal |
//! | [`walk`] | stored events one after the other |
//! | [`workspace`] | where the project lies |

pub mod again;
pub mod audit;
pub mod bring_over;
pub mod cli;
pub mod clock;
pub mod confirm;
pub mod console;
pub mod dev;
pub mod doctor;
pub mod events;
pub mod interrupt;
pub mod loopback;
pub mod operator;
pub mod quarantine;
pub mod redrive;
pub mod register;
pub mod replay;
pub mod sample;
pub mod send;
pub mod session;
pub mod show;
pub mod sigv4;
pub mod simulate;
pub mod site;
pub mod skew;
pub mod stack;
pub mod tail;
pub mod template;
pub mod ui;
pub mod walk;
pub mod workspace;
