//! What every part of the receiver shares: the vendor's types and the proof that bytes are the vendor's.
//!
//! By default this crate is pure: no AWS, no async runtime, no environment and no clock (time is an
//! argument). An adapter comes with the feature that names it, so that a binary links only what it uses.
//!
//! | module | what it holds |
//! |---|---|
//! | [`verify`] | signing and checking `Smile-Signature`; [`verify::Verified`], the proof |
//! | [`secrets`] | the secrets that are valid at one moment |
//! | [`source`] | the allow list of networks |
//! | [`origin`] | the allow list of pages |
//! | [`id`] | checked ids |
//! | [`event`] | the envelope, the 37 event types and what is read of their data |
//! | [`job`] | the message on the queue |
//! | [`callback`] | what the Wink Widget says in the user's browser |
//! | [`problem`] | what the HTTP functions answer when something is wrong |
//! | [`gateway`] | how API Gateway hands a request over |
//! | [`refusal`] | by which responses the webhook function is recognised from outside |
//! | [`etag`] | what a representation is known by |
//! | [`state`] | registers, versions, the fold and the read view |
//! | `session` | the token of a browser's session, behind `session` |
//! | `aws`, `queue`, `secret_store`, `socket`, `table` | adapters, behind features of these names |
//! | `bus` | the event bus, and the allow list of what may stand on it; behind `bus` |
//! | `secret_cache` | secrets at hand, and when they are fetched again; behind `secret-store` |
//! | `smile_api` | a client of Smile's own API, behind `smile-api` |
//! | `registration` | the webhook's registration at Smile and the rotation of its secret, behind `smile-api` |
//! | `variables`, `metrics`, `log` | what a function's `main` needs, behind `lambda` |

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "bus")]
pub mod bus;
pub mod callback;
pub mod etag;
pub mod event;
pub mod gateway;
pub mod id;
pub mod job;
#[cfg(feature = "lambda")]
pub mod log;
#[cfg(feature = "lambda")]
pub mod metrics;
pub mod origin;
pub mod problem;
#[cfg(feature = "queue")]
pub mod queue;
pub mod refusal;
#[cfg(feature = "smile-api")]
pub mod registration;
#[cfg(feature = "secret-store")]
pub mod secret_cache;
#[cfg(feature = "secret-store")]
pub mod secret_store;
pub mod secrets;
#[cfg(feature = "session")]
pub mod session;
#[cfg(feature = "smile-api")]
pub mod smile_api;
#[cfg(feature = "socket")]
pub mod socket;
pub mod source;
pub mod state;
#[cfg(feature = "table")]
pub mod table;
#[cfg(any(feature = "aws", feature = "lambda"))]
pub mod variables;
pub mod verify;
