//! AWS's clock, as its answers tell it. This machine's may be off, as after it was suspended, and no call fails
//! of that: AWS takes what is signed up to five minutes off, and the SDK corrects more by itself. But what is
//! asked for by the time would be the wrong thing, and a tail that believes itself in the future tells nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use crate::clock;

/// What is no difference, in milliseconds: an answer's way, and its time in whole seconds.
const SMALL: i64 = 5_000;

/// The clock of the cloud that answers. Before its first answer, and for a local cloud, it is this machine's.
#[derive(Debug, Clone, Default)]
pub struct CloudClock {
    /// How far it is ahead of this machine's, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl CloudClock {
    /// What time it is there.
    pub fn now(&self) -> Timestamp {
        let (now, ahead) = (clock::now(), SignedDuration::from_millis(self.ahead.load(Ordering::Relaxed)));
        now.checked_add(ahead).unwrap_or(now)
    }

    /// The same client, whose answers set this clock.
    pub fn hearing(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Hearing { of: client, clock: self.clone() })
    }

    /// Hears an answer's `Date`.
    fn hear(&self, date: &str, now: Timestamp) {
        let Ok(date) = rfc2822::parse(date) else { return };
        let ahead = date.timestamp().as_millisecond() - now.as_millisecond();
        self.ahead.store(if ahead.abs() > SMALL { ahead } else { 0 }, Ordering::Relaxed);
    }
}

/// Passes calls on, and hears the `Date` of their answers.
#[derive(Debug)]
struct Hearing<T> {
    of: T,
    clock: CloudClock,
}

impl HttpClient for Hearing<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let of = self.of.http_connector(settings, components);
        SharedHttpConnector::new(Hearing { of, clock: self.clock.clone() })
    }
}

impl HttpConnector for Hearing<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, clock) = (self.of.call(request), self.clock.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if let Some(date) = answer.headers().get("date") {
                clock.hear(date, clock::now());
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_set_by_what_answers_say() {
        let now: Timestamp = "2026-03-01T10:01:30Z".parse().unwrap();
        let ahead = |date| {
            let clock = CloudClock::default();
            clock.hear(date, now);
            clock.ahead.load(Ordering::Relaxed)
        };
        assert_eq!(ahead("Sun, 01 Mar 2026 10:00:00 GMT"), -90_000);
        assert_eq!(ahead("Sun, 01 Mar 2026 10:03:00 GMT"), 90_000);
        assert_eq!(ahead("Sun, 01 Mar 2026 10:01:28 GMT"), 0, "that is the answer's way");
        assert_eq!(ahead("yesterday"), 0);
    }
}
