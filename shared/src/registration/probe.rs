//! Proof that the receiver answers at a URL.
//!
//! A registration is deleted in favour of another URL only with an [`Answered`] of that URL. It is the response to
//! an unsigned `POST` from outside Smile's networks: DNS and TLS work, the route exists, and the webhook function
//! refuses the request in its own words. Every receiver of this project refuses in the same words, so the proof does
//! not say which stack answered.

use std::time::Duration;

use ureq::Agent;

use crate::refusal::Refusal;
use crate::smile_api::{Fault, Pace, transport_fault};

/// The longest time that a URL is asked for, retries included. A new route or a new name at API Gateway answers after
/// some seconds.
pub const PROBED_WITHIN: Duration = Duration::from_secs(20);

/// The longest time that one request takes.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The time between two requests.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest response that is read. The receiver's own are shorter.
const MAX_RESPONSE_BYTES: u64 = 4096;

/// Proof that the receiver has answered at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    url: String,
}

/// The reason why there is no proof. Never quotes a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No response: DNS, the connection, or TLS.
    #[error("no response: {0}")]
    NoResponse(&'static str),
    /// A response that the webhook function does not give to such a request.
    #[error("status {0}, and not this receiver's response")]
    NotTheReceiver(u16),
}

impl Answered {
    /// Reads the response to an unsigned request.
    pub fn from_response(url: impl Into<String>, status: u16, body: &[u8]) -> Result<Self, Unanswered> {
        if Refusal::is_response(status, body) {
            Ok(Self { url: url.into() })
        } else {
            Err(Unanswered::NotTheReceiver(status))
        }
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Asks a URL until the receiver answers there, for [`PROBED_WITHIN`] or as long as `may_go_on`. Blocking.
pub fn probe(url: &str, pace: &dyn Pace, may_go_on: &dyn Fn() -> bool) -> Result<Answered, Unanswered> {
    let end = pace.now() + PROBED_WITHIN;
    loop {
        let unanswered = match ask(url) {
            Ok(answered) => return Ok(answered),
            Err(unanswered) => unanswered,
        };
        if pace.now() + PAUSE + ATTEMPT > end || !may_go_on() {
            return Err(unanswered);
        }
        pace.wait(PAUSE);
    }
}

fn ask(url: &str) -> Result<Answered, Unanswered> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(ATTEMPT))
        .http_status_as_error(false)
        // Smile need not follow a redirect.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("smile-receiver/", env!("CARGO_PKG_VERSION")));
    if url.starts_with("http://") {
        // This machine: a proxy of the environment would not find its ports.
        config = config.proxy(None);
    }
    let agent: Agent = config.build().into();
    let sent = agent.post(url).header("content-type", "application/json").send("{}");
    let mut response = sent.map_err(|error| no_response(&error))?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_vec();
    Answered::from_response(url, status, &body.unwrap_or_default())
}

fn no_response(error: &ureq::Error) -> Unanswered {
    match transport_fault(error) {
        Fault::Unreachable(reason) | Fault::Lost(reason) => Unanswered::NoResponse(reason),
        Fault::Refused { .. } | Fault::Unreadable { .. } => Unanswered::NoResponse("not HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::smile_api::server::{Reply, Server, answer};

    /// Waits without waiting.
    #[derive(Default)]
    struct NoWait(AtomicU64);

    impl Pace for NoWait {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }

        fn wait(&self, time: Duration) {
            self.0.fetch_add(time.as_secs(), Ordering::SeqCst);
        }

        fn chance(&self) -> f64 {
            0.5
        }
    }

    fn refuses(refusal: Refusal) -> Reply {
        answer(refusal.status, refusal.body)
    }

    #[test]
    fn takes_the_receivers_own_refusal_for_proof_and_nothing_else() {
        for refusal in [Refusal::SOURCE, Refusal::SIGNATURE] {
            let answered =
                Answered::from_response("https://h/", refusal.status, refusal.body.as_bytes()).unwrap();
            assert_eq!(answered.url(), "https://h/");
        }
        for (status, body) in [
            (200, r#"{"status":"queued","id":"x"}"#),
            (200, Refusal::SOURCE.body),
            (401, Refusal::SOURCE.body),
            // API Gateway: no route; a resource policy; a throttle. A content delivery network's own page.
            (404, r#"{"message":"Not Found"}"#),
            (403, r#"{"message":"Forbidden"}"#),
            (429, r#"{"message":"Too Many Requests"}"#),
            (403, "<html>Request blocked</html>"),
            (301, ""),
            (503, r#"{"error":"temporarily unavailable, try again"}"#),
        ] {
            let read = Answered::from_response("https://h/", status, body.as_bytes());
            assert_eq!(read, Err(Unanswered::NotTheReceiver(status)), "{body}");
        }
    }

    #[test]
    fn asks_again_until_the_receiver_answers() {
        let server = Server::start([
            answer(404, r#"{"message":"Not Found"}"#),
            Reply::HangUp,
            Reply::Answer {
                status: 307,
                headers: "location: https://elsewhere.invalid/\r\n",
                body: String::new(),
            },
            refuses(Refusal::SOURCE),
        ]);
        let url = format!("{}/webhooks/smile", server.url);
        let answered = probe(&url, &NoWait::default(), &|| true).unwrap();
        assert_eq!(answered.url(), url);
        let asked = server.finish();
        assert_eq!(asked.len(), 4);
        for asked in asked {
            assert_eq!((asked.line.as_str(), asked.body.as_str()), ("POST /v1/webhooks/smile", "{}"));
            assert!(!asked.headers.contains("smile-signature") && !asked.headers.contains("authorization"));
        }
    }

    #[test]
    fn gives_up_in_time_and_when_it_is_told_to() {
        let pace = NoWait::default();
        let nobody = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}/", listener.local_addr().unwrap())
        };
        assert!(matches!(probe(&nobody, &pace, &|| true), Err(Unanswered::NoResponse(_))));
        assert!(pace.now() <= PROBED_WITHIN);
        let stopped = NoWait::default();
        let unknown = probe("http://name.invalid:1/", &stopped, &|| false);
        assert!(matches!(unknown, Err(Unanswered::NoResponse(_))), "{unknown:?}");
        assert_eq!(stopped.now(), Duration::ZERO);
    }

    #[test]
    fn a_name_without_a_valid_certificate_is_no_proof() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        // The right words, but without TLS.
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let Refusal { status, body } = Refusal::SOURCE;
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        });
        let answer = probe(&url, &NoWait::default(), &|| false);
        assert!(matches!(answer, Err(Unanswered::NoResponse(_))), "{answer:?}");
        server.join().unwrap();
    }
}
