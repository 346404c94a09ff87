//! Logs: one JSON object a line on standard output, which Lambda hands to CloudWatch.
//!
//! Ids and types only. No body, signature, token, secret or login name may become a field, and of a
//! panic only its place is told.

use tracing_subscriber::EnvFilter;

use crate::variables::Variables;

/// Starts logging at the level in `LOG_LEVEL` (default `info`; a filter such as `info,webhook=debug`).
pub fn start(variables: &Variables<'_>) {
    let filter = variables.optional("LOG_LEVEL").unwrap_or_else(|| "info".to_owned());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
    // A panic's own words can quote what was being read.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "panicked");
    }));
}
