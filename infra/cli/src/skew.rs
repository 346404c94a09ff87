//! AWS's clock, as its answers tell it. This machine's may be off, as after it was suspended, and no call fails
//! of that: AWS takes what is signed up to five minutes off, and the SDK corrects more by itself. But what is
//! asked for by the time would be the wrong thing, and a tail that believes itself in the future tells nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use crate::clock;

/// What is no difference: an answer's way, and its time in whole seconds.
const SMALL: SignedDuration = SignedDuration::from_secs(5);

/// The clock of the cloud that answers. Before its first answer, and for a local cloud, it is this machine's.
#[derive(Debug, Clone, Default)]
pub struct CloudClock(Arc<Mutex<Option<Heard>>>);

/// What time it was there, and when that was heard, by a clock that nobody sets: this machine's may be set right at any
/// moment.
#[derive(Debug, Clone, Copy)]
struct Heard {
    there: Timestamp,
    at: Instant,
}

impl CloudClock {
    /// What time it is there.
    pub fn now(&self) -> Timestamp {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = heard.map(|heard| (heard.there, heard.at.elapsed()));
        let there = since.and_then(|(there, since)| there.checked_add(since).ok());
        or_ours(there, clock::now())
    }

    /// The same client, whose answers set this clock.
    pub fn hearing(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Hearing { of: client, clock: self.clone() })
    }

    /// Hears an answer's `Date`.
    fn hear(&self, date: &str, at: Instant) {
        let Ok(date) = rfc2822::parse(date) else { return };
        let heard = Heard { there: date.timestamp(), at };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
    }
}

/// Which time to go by: ours, which has no whole seconds, unless it is off.
fn or_ours(there: Option<Timestamp>, ours: Timestamp) -> Timestamp {
    there.filter(|there| there.duration_since(ours).abs() > SMALL).unwrap_or(ours)
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
                clock.hear(date, Instant::now());
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_that_is_off_is_not_gone_by() {
        let ours = at("2026-03-01T10:01:30.25Z");
        for off in ["2026-03-01T10:00:00Z", "2026-03-01T10:03:00Z"] {
            assert_eq!(or_ours(Some(at(off)), ours), at(off));
        }
        assert_eq!(or_ours(Some(at("2026-03-01T10:01:28Z")), ours), ours, "that is the answer's way");
        assert_eq!(or_ours(None, ours), ours);
    }

    #[test]
    fn what_an_answer_says_goes_on_by_itself() {
        let clock = CloudClock::default();
        let heard = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        clock.hear("yesterday", heard);
        assert!(clock.now().duration_since(clock::now()).abs() < SMALL);
        clock.hear("Sun, 01 Mar 2026 10:00:00 GMT", heard);
        let now = clock.now();
        assert!(now >= at("2026-03-01T10:01:00Z") && now < at("2026-03-01T10:02:00Z"), "{now}");
    }
}
