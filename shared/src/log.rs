//! Logs: one JSON object a line on standard output, which Lambda hands to CloudWatch.
//!
//! Ids and types only. No body, signature, token, secret or login name may become a field, and of a
//! panic only its place is told. What libraries tell of what they were given is left out, at any level.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::variables::Variables;

/// Libraries through which bodies, secrets and signatures pass: below `info` they tell them.
const CARRIERS: [&str; 7] = ["aws_", "h2", "hyper", "lambda_runtime", "reqwest", "rustls", "ureq"];

/// Quotes, as an error, what cannot be read as the function's event.
const QUOTES: &str = "lambda_runtime::layers::api_response";

/// Starts logging at the level in `LOG_LEVEL` (default `info`; a filter such as `info,webhook=debug`).
pub fn start(variables: &Variables<'_>) {
    let filter: Targets = variables
        .optional("LOG_LEVEL")
        .and_then(|filter| filter.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    tracing_subscriber::registry().with(lines).with(filter).with(filter_fn(may_be_told)).init();
    // A panic's own words can quote what was being read.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "panicked");
    }));
}

fn may_be_told(what: &Metadata<'_>) -> bool {
    let from = what.target();
    let carrier = CARRIERS.iter().any(|carrier| from.starts_with(carrier));
    !from.starts_with(QUOTES) && (!carrier || *what.level() <= Level::INFO)
}
