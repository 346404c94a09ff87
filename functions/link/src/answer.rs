//! What is answered, and what is counted: one function from outcome to answer, one to counts.

use jiff::Timestamp;
use serde::Serialize;
use shared::id::UserId;
use shared::metrics::{Count, Metric};
use shared::problem::MEDIA_TYPE;
use shared::session::Minted;
use shared::smile_api::Token;

use crate::config::Urls;
use crate::refusal::Refusal;
use crate::request::Asked;

/// What became of a request.
#[derive(Debug)]
pub struct Outcome(pub Result<Linked, Refusal>);

/// A link: a token for the widget, and a session for what it says.
#[derive(Debug)]
pub struct Linked {
    /// What was asked for.
    pub asked: Asked,
    /// Whose it is.
    pub user: UserId,
    /// What the widget is given.
    pub token: Token,
    /// With what the browser delivers callbacks.
    pub session: Minted,
}

/// What API Gateway takes for an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, JSON. It can hold tokens: not for logs.
    pub body: String,
    is_base64_encoded: bool,
    /// Some readers of this form insist on it.
    cookies: [&'static str; 0],
}

/// The headers of every answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Headers {
    /// JSON, or problem details.
    pub content_type: &'static str,
    /// Nobody on the way may keep a token.
    pub cache_control: &'static str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    user_id: &'a UserId,
    user_token: &'a str,
    /// None if Smile's time could not be read.
    user_token_expires_at: Option<Timestamp>,
    session: Session<'a>,
    urls: Places<'a>,
    mode: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    token: &'a str,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct Places<'a> {
    callbacks: &'a str,
    live: &'a str,
    script: &'a str,
}

impl Outcome {
    /// The answer.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "texts, numbers and lists of them")]
    pub fn answer(&self, urls: &Urls) -> Answer {
        let (status_code, content_type, body, retry_after) = match &self.0 {
            Ok(linked) => {
                // A new user, or a new token, is created; a refresh is not a thing of its own.
                let status = if matches!(linked.asked, Asked::Refresh(_)) { 200 } else { 201 };
                let body = serde_json::to_string(&linked.body(urls)).expect("a link is JSON");
                (status, "application/json", body, None)
            }
            Err(refusal) => {
                let body = serde_json::to_string(&refusal.body()).expect("a problem is JSON");
                let retry_after = refusal.retry_after().map(|seconds| seconds.to_string());
                (refusal.status(), MEDIA_TYPE, body, retry_after)
            }
        };
        let headers = Headers { content_type, cache_control: "no-store", retry_after };
        Answer { status_code, headers, body, is_base64_encoded: false, cookies: [] }
    }

    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        match &self.0 {
            Ok(linked) => vec![Count::by(Metric::Linked, linked.asked.kind())],
            Err(refusal) => {
                let mut counts = vec![Count::by(Metric::LinkRefused, refusal.code())];
                counts.extend((*refusal == Refusal::NoSecret).then(|| Count::of(Metric::SecretUnavailable)));
                counts
            }
        }
    }
}

impl Linked {
    fn body<'a>(&'a self, urls: &'a Urls) -> Body<'a> {
        Body {
            user_id: &self.user,
            user_token: self.token.access_token.expose(),
            user_token_expires_at: self.token.expires_at,
            session: Session { token: &self.session.token, expires_at: self.session.expires_at },
            urls: Places { callbacks: &urls.callbacks, live: &urls.live, script: &urls.script },
            mode: self.token.mode.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::smile_api::SecretText;

    use super::*;
    use crate::refusal::{Smile, Wrong};

    fn urls() -> Urls {
        Urls {
            callbacks: "https://h/v1/callbacks".into(),
            live: "wss://l/live".into(),
            script: "https://h/v1/wink-events.js".into(),
        }
    }

    fn linked(asked: Asked) -> Outcome {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let token = Token {
            access_token: SecretText::new("t"),
            expires_at: Some(time("2026-03-01T15:00:00Z")),
            mode: Some("SANDBOX".into()),
        };
        let session = Minted { token: "s".into(), expires_at: time("2026-03-01T11:00:00Z") };
        Outcome(Ok(Linked { asked, user: UserId::new("u-1").unwrap(), token, session }))
    }

    fn told(outcome: &Outcome) -> Vec<String> {
        let word = |count: &Count| match &count.by {
            Some(value) => format!("{}/{value}", count.metric.name()),
            None => count.metric.name().to_owned(),
        };
        outcome.counts().iter().map(word).collect()
    }

    #[test]
    fn a_link_has_the_form_of_the_contract() {
        let user = UserId::new("u-1").unwrap();
        for (asked, status, counted) in [
            (Asked::New, 201, "Linked/new"),
            (Asked::Existing(user.clone()), 201, "Linked/existing"),
            (Asked::Refresh(user), 200, "Linked/refresh"),
        ] {
            let outcome = linked(asked);
            let answer = serde_json::to_value(outcome.answer(&urls())).unwrap();
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                body,
                json!({
                    "userId": "u-1", "userToken": "t", "userTokenExpiresAt": "2026-03-01T15:00:00Z",
                    "session": { "token": "s", "expiresAt": "2026-03-01T11:00:00Z" },
                    "urls": {
                        "callbacks": "https://h/v1/callbacks", "live": "wss://l/live",
                        "script": "https://h/v1/wink-events.js",
                    },
                    "mode": "SANDBOX",
                })
            );
            let headers = json!({ "content-type": "application/json", "cache-control": "no-store" });
            assert_eq!((&answer["statusCode"], &answer["headers"]), (&json!(status), &headers));
            assert_eq!(
                (&answer["isBase64Encoded"], &answer["cookies"]),
                (&json!(false), &json!([])),
                "as payload 2.0 has it"
            );
            assert_eq!(told(&outcome), [counted]);
            // What is logged of it by mistake shows neither token.
            assert!(!format!("{outcome:?}").contains("\"t\"") && !format!("{outcome:?}").contains("\"s\""));
        }
    }

    #[test]
    fn every_refusal_has_its_status_code_and_counts() {
        let smile = || Smile { request_id: Some("r-1".into()), retry_after: None };
        let waits = |seconds| Smile { request_id: None, retry_after: Some(seconds) };
        let wrong = || vec![Wrong::in_body("a/b", "it is not known; userId is".into())];
        for (refusal, status, code, retry_after, words) in [
            (Refusal::NoRoute, 404, "not_found", None, "POST /v1/links"),
            (Refusal::BadRequest(wrong()), 400, "bad_request", None, "in errors"),
            (Refusal::TooLarge, 413, "too_large", None, "4096 bytes"),
            (Refusal::UserNotFound(smile()), 404, "user_not_found", None, "no user"),
            (Refusal::SmileRateLimited(waits(7)), 429, "smile_rate_limited", Some("7"), "later"),
            (Refusal::SmileRateLimited(smile()), 429, "smile_rate_limited", Some("5"), "later"),
            (Refusal::SmileRefused(smile()), 502, "smile_refused", None, "refused"),
            (Refusal::SmileUnclear(smile()), 502, "smile_unclear", None, "may create a second one"),
            (Refusal::SmileUnavailable(waits(9)), 503, "smile_unavailable", Some("9"), "Nothing was created"),
            (Refusal::SmileTimeout(smile(), true), 504, "smile_timeout", None, "may create a second one"),
            (Refusal::SmileTimeout(smile(), false), 504, "smile_timeout", None, "in time. Try again."),
            (Refusal::NoSecret, 503, "unavailable", Some("5"), "secret"),
        ] {
            let has_request = format!("{refusal:?}").contains("r-1");
            let errors = matches!(refusal, Refusal::BadRequest(_));
            let outcome = Outcome(Err(refusal));
            let answer = outcome.answer(&urls());
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status_code, &body["status"]), (status, &json!(status)), "{body}");
            assert_eq!((&body["code"], &body["type"]), (&json!(code), &json!("about:blank")), "{body}");
            assert_eq!(body["requestId"], if has_request { json!("r-1") } else { Value::Null }, "{body}");
            assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
            assert_eq!(
                body["errors"],
                if errors {
                    json!([{ "pointer": "#/a~1b", "detail": "it is not known; userId is" }])
                } else {
                    Value::Null
                }
            );
            let headers = &answer.headers;
            assert_eq!(headers.retry_after.as_deref(), retry_after, "{body}");
            assert_eq!(
                (headers.content_type, headers.cache_control),
                ("application/problem+json", "no-store"),
                "{body}"
            );
            let mut counts = vec![format!("LinkRefused/{code}")];
            counts.extend((code == "unavailable").then(|| "SecretUnavailable".to_owned()));
            assert_eq!(told(&outcome), counts);
        }
    }
}
