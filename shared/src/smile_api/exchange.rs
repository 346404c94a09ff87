//! One call: its tries, its waits, and the envelope `{code, message, requestId, data}` that every answer has.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64_simd::STANDARD as BASE64;
use jiff::fmt::rfc2822;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue, Request, Uri};
use ureq::{Agent, Proxy};

use super::error::{Code, Error, Fault, Unusable};
use super::pace::{Bucket, Pace, backoff};
use super::{Patience, Settings};

/// The longest answer that is read. An account's payload has hundreds of KB.
const LONGEST_ANSWER: u64 = 32 * 1024 * 1024;

/// How much of an error's answer is read: enough for its code and request id.
const LONGEST_REFUSAL: u64 = 64 * 1024;

/// What stands for itself in a URL (RFC 3986, unreserved), less the dot, which can mean the parent.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// What is asked.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
}

impl Call {
    pub(super) fn new(name: &'static str, method: Method, path: String) -> Self {
        Self { name, method, path, query: Vec::new(), body: None }
    }

    fn is_idempotent(&self) -> bool {
        self.method != Method::Post
    }

    pub(super) fn failed(&self, tries: u32, fault: Fault) -> Error {
        Error { call: self.name, tries, fault, creates: !self.is_idempotent() }
    }
}

/// An answer of success, its envelope read.
pub(super) struct Answer {
    call: &'static str,
    tries: u32,
    creates: bool,
    status: u16,
    request_id: Option<String>,
    data: Option<Box<RawValue>>,
}

impl Answer {
    /// Reads the data.
    pub(super) fn data<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Error> {
        let data =
            self.data.as_deref().ok_or_else(|| self.unreadable("data, which is missing".to_owned()))?;
        serde_json::from_str(data.get()).map_err(|error| self.unreadable(place(&error)))
    }

    pub(super) fn unreadable(&self, place: String) -> Error {
        let fault = Fault::Unreadable { status: self.status, request_id: self.request_id.clone(), place };
        Error { call: self.call, tries: self.tries, fault, creates: self.creates }
    }
}

/// Line and column: serde's own words would quote what stands there.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// For a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Who makes the calls.
pub(super) struct Exchange {
    /// Keeps connections. A `GET` on one that the other side has closed is simply made again.
    pooled: Agent,
    /// Opens a new connection each time. A `POST` on a closed one would be an unclear outcome for nothing.
    fresh: Agent,
    base_url: String,
    authorization: HeaderValue,
    patience: Patience,
    bucket: Mutex<Bucket>,
    pace: Box<dyn Pace>,
}

impl Exchange {
    pub(super) fn new(settings: &Settings, pace: Box<dyn Pace>) -> Result<Self, Unusable> {
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        if !may_have_credentials(&base_url) {
            return Err(Unusable::BaseUrl);
        }
        let credentials = &settings.credentials;
        let pair = format!("{}:{}", credentials.key.expose(), credentials.secret.expose());
        let header = format!("Basic {}", BASE64.encode_to_string(pair.as_bytes()));
        let mut authorization = HeaderValue::try_from(header).map_err(|_| Unusable::Credentials)?;
        authorization.set_sensitive(true);
        let proxy = settings.proxy.as_deref().map(Proxy::new).transpose().map_err(|_| Unusable::Proxy)?;
        let agent = |idle: usize| -> Agent {
            Agent::config_builder()
                .timeout_connect(Some(settings.patience.connect))
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections(idle)
                .user_agent(concat!("smile-receiver/", env!("CARGO_PKG_VERSION")))
                .proxy(proxy.clone())
                .build()
                .into()
        };
        Ok(Self {
            pooled: agent(4),
            fresh: agent(0),
            base_url,
            authorization,
            patience: settings.patience,
            bucket: Mutex::default(),
            pace,
        })
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Makes a call, again and again where that is right, until the patience is used up.
    pub(super) fn call(&self, call: &Call) -> Result<Answer, Error> {
        let end = self.pace.now() + self.patience.total;
        let mut tries = 0;
        loop {
            self.take_token();
            tries += 1;
            let left = end.saturating_sub(self.pace.now()).max(Duration::from_millis(1));
            let fault = match self.attempt(call, tries, left.min(self.patience.attempt)) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let again = fault.is_transient()
                && (call.is_idempotent() || !fault.may_have_happened())
                && tries < self.patience.tries;
            let asked = asked_wait(&fault).unwrap_or_default();
            let wait = backoff(tries, self.pace.chance()).max(asked);
            if !again || asked > self.patience.longest_retry_after || self.pace.now() + wait >= end {
                return Err(call.failed(tries, fault));
            }
            self.pace.wait(wait);
        }
    }

    fn take_token(&self) {
        // Waits outside the lock; the token is already taken.
        let wait = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(self.pace.now());
        if !wait.is_zero() {
            self.pace.wait(wait);
        }
    }

    fn attempt(&self, call: &Call, tries: u32, time: Duration) -> Result<Answer, Fault> {
        let mut url = format!("{}{}", self.base_url, call.path);
        for (index, (name, value)) in call.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.extend([*name, "=", &encoded(value)]);
        }
        let request = Request::builder().uri(url).header(AUTHORIZATION, self.authorization.clone());
        let agent = if call.is_idempotent() { &self.pooled } else { &self.fresh };
        let sent = match (call.method, &call.body) {
            (Method::Post, Some(body)) => {
                let request = request.method("POST").header(CONTENT_TYPE, "application/json");
                request.body(body.as_slice()).map(|request| {
                    agent.run(agent.configure_request(request).timeout_global(Some(time)).build())
                })
            }
            (method, _) => {
                let name = match method {
                    Method::Get => "GET",
                    Method::Post => "POST",
                    Method::Delete => "DELETE",
                };
                request.method(name).body(()).map(|request| {
                    agent.run(agent.configure_request(request).timeout_global(Some(time)).build())
                })
            }
        };
        let mut response = sent
            .map_err(|_| Fault::Unreachable("the address cannot be written as a URL"))?
            .map_err(|error| transport(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let is_success = response.status().is_success();
        let longest = if is_success { LONGEST_ANSWER } else { LONGEST_REFUSAL };
        let body = response.body_mut().with_config().limit(longest).read_to_vec();
        if !is_success {
            // What cannot be read of a refusal does not make it less of one.
            let envelope = body.map(|body| Envelope::lenient(&body)).unwrap_or_default();
            return Err(envelope.refused(status, retry_after));
        }
        let body = match body {
            Ok(body) => body,
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                let place = "its end, which is too far away".to_owned();
                return Err(Fault::Unreadable { status, request_id: None, place });
            }
            Err(error) => return Err(transport(&error).after_the_status()),
        };
        let envelope: Envelope = serde_json::from_slice(&body).map_err(|error| Fault::Unreadable {
            status,
            request_id: Envelope::lenient(&body).request_id,
            place: place(&error),
        })?;
        let code = envelope.code();
        if !matches!(code, None | Some(Code::Ok | Code::Created)) {
            return Err(envelope.refused(status, retry_after));
        }
        let request_id = envelope.request_id();
        let creates = !call.is_idempotent();
        Ok(Answer { call: call.name, tries, creates, status, request_id, data: envelope.data })
    }
}

/// What every answer is wrapped in. The message is not read: it may say anything.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl Envelope {
    fn lenient(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The code, if it looks like one. A proxy's page could say anything there.
    fn code(&self) -> Option<Code> {
        let word = self.code.as_deref().filter(|word| is_plain(word, 64))?;
        serde_json::from_value(word.into()).ok()
    }

    fn request_id(&self) -> Option<String> {
        self.request_id.clone().filter(|id| is_plain(id, 128))
    }

    fn refused(&self, status: u16, retry_after: Option<Duration>) -> Fault {
        Fault::Refused { status, code: self.code(), request_id: self.request_id(), retry_after }
    }
}

fn is_plain(word: &str, longest: usize) -> bool {
    (1..=longest).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
}

impl Fault {
    /// The same fault, when the answer's head has already come: then the call was surely sent.
    fn after_the_status(self) -> Self {
        match self {
            Self::Unreachable(reason) => Self::Lost(reason),
            other => other,
        }
    }
}

/// Whether credentials may be sent there.
fn may_have_credentials(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let is_plain = !authority.as_str().contains('@') && uri.query().is_none();
    is_plain && (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_loopback))
}

/// In fixed words, since a library's own could quote an address or a header.
pub(crate) fn transport(error: &ureq::Error) -> Fault {
    use std::io::ErrorKind;
    use ureq::Timeout;
    match error {
        ureq::Error::HostNotFound => Fault::Unreachable("its host name is not found"),
        ureq::Error::ConnectionFailed => Fault::Unreachable("it cannot be connected to"),
        ureq::Error::Timeout(Timeout::Resolve) => Fault::Unreachable("its host name is not found in time"),
        ureq::Error::Timeout(Timeout::Connect) => Fault::Unreachable("it does not connect in time"),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Fault::Unreachable("it refuses to connect")
        }
        ureq::Error::Timeout(_) => Fault::Lost("not within the time"),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Fault::Lost("TLS failed"),
        ureq::Error::Io(_) => Fault::Lost("the connection broke"),
        _ => Fault::Lost("not HTTP that can be understood"),
    }
}

fn asked_wait(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Refused { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Seconds, or a date, which is measured by the server's own `Date`: no clock is needed.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let wait = date(value)?.duration_since(date(text(DATE)?)?);
    Some(wait.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_https_or_stay_on_this_machine() {
        for good in
            ["https://open.smileapi.io/v1", "http://127.0.0.1:1/v1", "http://[::1]:1", "http://localhost:9"]
        {
            assert!(may_have_credentials(good), "{good}");
        }
        for bad in [
            "",
            "open.smileapi.io/v1",
            "http://open.smileapi.io/v1",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "ftp://127.0.0.1/",
            "https://user:pass@example.com/",
            "https://example.com/?a=b",
            "https://",
        ] {
            assert!(!may_have_credentials(bad), "{bad}");
        }
    }

    #[test]
    fn reads_both_forms_of_retry_after() {
        let read = |retry: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).unwrap());
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_str(date).unwrap());
            }
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(read("7", None), Some(7));
        let date = Some("Sun, 01 Mar 2026 10:00:00 GMT");
        assert_eq!(read("Sun, 01 Mar 2026 10:00:12 GMT", date), Some(12));
        assert_eq!(read("Sun, 01 Mar 2026 09:00:00 GMT", date), Some(0), "already over");
        assert_eq!(read("Sun, 01 Mar 2026 10:00:12 GMT", None), None);
        assert_eq!(read("soon", date), None);
    }

    #[test]
    fn ids_are_opaque_in_a_path() {
        assert_eq!(encoded("a/../b?c=ñ_-1"), "a%2F%2E%2E%2Fb%3Fc%3D%C3%B1_-1");
    }
}
