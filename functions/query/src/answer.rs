//! What is answered: one function from outcome to answer.

use serde::Serialize;
use shared::etag;
use shared::problem::MEDIA_TYPE;

use crate::operation::Operation;
use crate::refusal::{MAX_ANSWER_BYTES, Refusal, WAIT};

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked for, where that could be told.
    pub operation: Option<Operation>,
    /// What was found.
    pub found: Result<Found, Refusal>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    json: String,
    tag: String,
    keep: Keep,
    is_known: bool,
}

/// Whether the caller may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The caller alone, if it asks each time whether it is still the same.
    Checked,
    /// Nobody: it holds a body.
    Never,
}

/// What API Gateway takes for an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, JSON. It can hold personal data: not for logs.
    pub body: String,
    is_base64_encoded: bool,
    /// Some readers of this form insist on it.
    cookies: [&'static str; 0],
}

/// The headers of an answer.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Headers {
    /// JSON, or problem details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<&'static str>,
    /// Who may keep it.
    pub cache_control: &'static str,
    /// Its tag; the same as long as its body is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What the path takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// What is missing in the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub www_authenticate: Option<&'static str>,
    /// What it is, it is.
    pub x_content_type_options: &'static str,
}

impl Found {
    /// What was found, as it is given. `has` says whether the caller has what has this tag.
    pub fn new(json: String, keep: Keep, has: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        // In Lambda's own JSON each quotation mark takes two bytes.
        let is_large = json.len() > MAX_ANSWER_BYTES / 6
            && serde_json::to_vec(&json).map_or(usize::MAX, |wrapped| wrapped.len()) > MAX_ANSWER_BYTES;
        if is_large {
            return Err(Refusal::TooLarge);
        }
        let tag = etag::of(json.as_bytes());
        let is_known = has(&tag);
        Ok(Self { json, tag, keep, is_known })
    }
}

impl Outcome {
    /// The status.
    pub fn status(&self) -> u16 {
        match &self.found {
            Ok(found) if found.is_known => 304,
            Ok(_) => 200,
            Err(refusal) => refusal.status(),
        }
    }

    /// The answer.
    ///
    /// # Panics
    ///
    /// Never: a problem is texts and numbers.
    #[expect(clippy::expect_used, reason = "see above")]
    pub fn answer(self) -> Answer {
        let status_code = self.status();
        let mut headers =
            Headers { x_content_type_options: "nosniff", cache_control: "no-store", ..Headers::default() };
        let body = match self.found {
            Ok(found) => {
                headers.etag = Some(found.tag);
                if found.keep == Keep::Checked {
                    headers.cache_control = "private, no-cache";
                }
                headers.content_type = (!found.is_known).then_some("application/json");
                if found.is_known { String::new() } else { found.json }
            }
            Err(refusal) => {
                headers.content_type = Some(MEDIA_TYPE);
                match refusal {
                    Refusal::NotGet => headers.allow = Some("GET"),
                    Refusal::Unavailable => headers.retry_after = Some(WAIT.to_string()),
                    Refusal::ScopeMissing => {
                        headers.www_authenticate = Some("Bearer error=\"insufficient_scope\"");
                    }
                    _ => {}
                }
                serde_json::to_string(&refusal.problem()).expect("a problem is JSON")
            }
        };
        Answer { status_code, headers, body, is_base64_encoded: false, cookies: [] }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(found: Result<Found, Refusal>) -> Value {
        serde_json::to_value(Outcome { operation: None, found }.answer()).unwrap()
    }

    #[test]
    fn what_is_found_has_a_tag_by_which_it_is_known() {
        let found = |has: &str, keep| Found::new(r#"{"a":1}"#.to_owned(), keep, |tag| tag == has);
        let first = answer(found("", Keep::Checked));
        assert_eq!((&first["statusCode"], &first["body"]), (&json!(200), &json!(r#"{"a":1}"#)));
        assert_eq!((&first["isBase64Encoded"], &first["cookies"]), (&json!(false), &json!([])));
        let tag = first["headers"]["etag"].as_str().unwrap();
        assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        assert_eq!(
            first["headers"],
            json!({ "content-type": "application/json", "cache-control": "private, no-cache", "etag": tag,
                "x-content-type-options": "nosniff" })
        );
        let again = answer(found(tag, Keep::Checked));
        assert_eq!((&again["statusCode"], &again["body"]), (&json!(304), &json!("")));
        assert_eq!(
            again["headers"],
            json!({ "cache-control": "private, no-cache", "etag": tag, "x-content-type-options": "nosniff" })
        );
        assert_eq!(answer(found("", Keep::Never))["headers"]["cache-control"], "no-store");
    }

    #[test]
    fn every_refusal_is_a_problem_with_a_code_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for refusal in Refusal::ALL {
            let told = answer(Err(*refusal));
            let body: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&told["statusCode"], &body["status"]),
                (&json!(refusal.status()), &json!(refusal.status()))
            );
            assert_eq!((&body["type"], &body["code"]), (&json!("about:blank"), &json!(refusal.code())));
            assert_ne!(body["title"], "Error", "{body}");
            assert!(body["detail"].as_str().unwrap().ends_with('.'), "{body}");
            assert!(codes.insert(refusal.code()), "{refusal:?}");
            let headers = &told["headers"];
            assert_eq!(
                (&headers["content-type"], &headers["cache-control"]),
                (&json!(MEDIA_TYPE), &json!("no-store"))
            );
            assert_eq!(headers["allow"].is_string(), refusal.status() == 405);
            assert_eq!(headers["retry-after"].is_string(), refusal.status() == 503);
            assert_eq!(headers["www-authenticate"].is_string(), refusal.status() == 403);
        }
    }

    #[test]
    fn what_lambda_cannot_hand_over_is_refused() {
        let of = |json: String| Found::new(json, Keep::Checked, |_| false).map(|found| found.json.len());
        assert_eq!(of("x".repeat(5_800_000)), Ok(5_800_000));
        assert_eq!(of("x".repeat(6_000_000)), Err(Refusal::TooLarge));
        assert_eq!(of("\"".repeat(3_000_000)), Err(Refusal::TooLarge), "escaped, it is twice as long");
        assert_eq!(of("\u{1}".repeat(990_000)), Err(Refusal::TooLarge), "escaped, it is six times as long");
    }
}
