//! What is asked for: a link for a new user, for an existing one, or a refresh.
//!
//! Read from HTTP API payload 2.0 (API Gateway developer guide, "Lambda proxy integration payload format").
//! A body of more than 4 KiB is not looked at. What is not known is refused and named: a misspelt `userId`
//! would otherwise create a user at Smile.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use shared::gateway::behind_stage;
use shared::id::UserId;

use crate::refusal::{Refusal, Wrong};

/// The longest body, in bytes.
pub const MAX_BODY_BYTES: usize = 4096;

/// The longest user id, in characters (Smile, `create-token`).
pub const MAX_USER_ID: usize = 200;

/// What cannot stand in a URI's fragment (RFC 3986), and the percent sign.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One request, as the gateway hands it over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(default)]
    route_key: Option<String>,
    #[serde(default)]
    raw_path: String,
    #[serde(default, rename = "requestContext")]
    context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    http: Http,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(Deserialize, Default)]
struct Http {
    #[serde(default)]
    method: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A new user, with a first token.
    New,
    /// A token for a user who is there.
    Existing(UserId),
    /// Another token and session, since the last ones have expired.
    Refresh(UserId),
}

impl Asked {
    /// The word that it is counted by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Existing(_) => "existing",
            Self::Refresh(_) => "refresh",
        }
    }
}

impl Request {
    /// The gateway's id of this request.
    pub fn id(&self) -> Option<&str> {
        self.context.request_id.as_deref().filter(|id| !id.is_empty())
    }

    /// Reads what is asked for.
    pub fn asked(&self) -> Result<Asked, Refusal> {
        if self.context.http.method != "POST" {
            return Err(Refusal::NoRoute);
        }
        let path = behind_stage(&self.raw_path, self.context.stage.as_deref());
        if path == "/v1/links" {
            return Ok(match self.members()?.user_id()? {
                Some(user) => Asked::Existing(user),
                None => Asked::New,
            });
        }
        let user = path
            .strip_prefix("/v1/links/")
            .and_then(|rest| rest.strip_suffix("/refresh"))
            .ok_or(Refusal::NoRoute)?;
        let user = self
            .decoded(user)
            .and_then(|id| user_id(&id))
            .map_err(|detail| Refusal::BadRequest(vec![Wrong::in_path("userId", detail)]))?;
        self.members()?.none()?;
        Ok(Asked::Refresh(user))
    }

    /// An HTTP API decodes the path before it hands it over, `%25` excepted, so that a percent sign cannot be decoded with
    /// certainty. What has no route of theirs, a function URL or `cargo lambda watch`, hands it over as it came.
    fn decoded(&self, segment: &str) -> Result<String, String> {
        if self.route_key.as_deref().is_some_and(|key| key != "$default") {
            if segment.contains(['/', '%']) {
                let instead = "a path cannot carry an id with a slash or a percent sign; POST /v1/links takes any as userId";
                return Err(instead.to_owned());
            }
            return Ok(segment.to_owned());
        }
        let decoded = percent_decode_str(segment).decode_utf8();
        decoded.map(Into::into).map_err(|_| "it is not UTF-8, percent-encoded".to_owned())
    }

    fn members(&self) -> Result<Members, Refusal> {
        let text = self.body.as_deref().unwrap_or_default().as_bytes();
        let decoded;
        let bytes = if self.is_base64_encoded {
            // A third of it goes; what is too long even so is not decoded.
            if text.len() > 2 * MAX_BODY_BYTES {
                return Err(Refusal::TooLarge);
            }
            decoded = base64_simd::STANDARD
                .decode_to_vec(text)
                .map_err(|_| not_json("nor base64, as which it came"))?;
            &decoded
        } else {
            text
        };
        match bytes {
            bytes if bytes.len() > MAX_BODY_BYTES => Err(Refusal::TooLarge),
            [] => Ok(Members::NoBody),
            bytes => serde_json::from_slice(bytes).map(Members::Some).map_err(|error| {
                // The position alone: serde's words can quote what stands there.
                let place = format!("line {}, column {}", error.line(), error.column());
                if error.is_data() {
                    Refusal::BadRequest(vec![Wrong::in_body("", "the body is not a JSON object".to_owned())])
                } else {
                    not_json(&place)
                }
            }),
        }
    }
}

fn not_json(place: &str) -> Refusal {
    Refusal::BadRequest(vec![Wrong::in_body("", format!("the body is not JSON: {place}"))])
}

/// The members of the body in their order, those that stand there twice included.
enum Members {
    NoBody,
    Some(Object),
}

struct Object(Vec<(String, Value)>);

impl Members {
    /// The user, where there is one. A null is refused: it is what becomes of an id that the caller has lost,
    /// and would create a user.
    fn user_id(self) -> Result<Option<UserId>, Refusal> {
        let Self::Some(Object(members)) = self else {
            let missing = "there is no body; {} asks for a new user".to_owned();
            return Err(Refusal::BadRequest(vec![Wrong::in_body("", missing)]));
        };
        let (mut user, mut wrong) = (None, Vec::new());
        for (name, value) in members {
            let checked = match (name.as_str(), &user, value) {
                ("userId", Some(_), _) => Err("it stands there twice".to_owned()),
                ("userId", None, Value::String(id)) => user_id(&id),
                ("userId", None, _) => Err("it is not a text".to_owned()),
                _ => Err("it is not known; userId is".to_owned()),
            };
            match checked {
                Ok(id) => user = Some(id),
                Err(detail) => wrong.push(Wrong::in_body(&name, detail)),
            }
        }
        if wrong.is_empty() { Ok(user) } else { Err(Refusal::BadRequest(wrong)) }
    }

    /// Complains of any member.
    fn none(self) -> Result<(), Refusal> {
        let Self::Some(Object(members)) = self else { return Ok(()) };
        if members.is_empty() {
            return Ok(());
        }
        let detail = || "it is not known; the user stands in the path".to_owned();
        Err(Refusal::BadRequest(members.iter().map(|(name, _)| Wrong::in_body(name, detail())).collect()))
    }
}

fn user_id(id: &str) -> Result<UserId, String> {
    let bounds = || format!("it must have 1 to {MAX_USER_ID} characters");
    if id.chars().count() > MAX_USER_ID {
        return Err(bounds());
    }
    UserId::new(id).map_err(|error| if id.is_empty() { bounds() } else { error.to_string() })
}

/// A member's place, as a JSON pointer in a URI's fragment (RFC 6901, section 6).
pub(crate) fn pointer(member: &str) -> String {
    if member.is_empty() {
        return "#".to_owned();
    }
    let escaped = member.replace('~', "~0").replace('/', "~1");
    format!("#/{}", utf8_percent_encode(&escaped, FRAGMENT))
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(path: &str, route_key: &str, body: &str) -> Request {
        serde_json::from_value(json!({
            "version": "2.0", "routeKey": route_key, "rawPath": path, "body": body,
            "requestContext": { "http": { "method": "POST" }, "stage": "$default", "requestId": "r" },
        }))
        .unwrap()
    }

    fn asked(path: &str, body: &str) -> Result<Asked, Refusal> {
        request(path, "$default", body).asked()
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    #[test]
    fn three_things_can_be_asked_for() {
        assert_eq!(asked("/v1/links", "{}"), Ok(Asked::New));
        assert_eq!(asked("/v1/links", r#" {"userId":"u-1"} "#), Ok(Asked::Existing(user("u-1"))));
        for body in ["", "{}"] {
            assert_eq!(asked("/v1/links/u-1/refresh", body), Ok(Asked::Refresh(user("u-1"))));
        }
        let encoded = r#"{"routeKey":"x","rawPath":"/live/v1/links","body":"e30=","isBase64Encoded":true,
            "requestContext":{"http":{"method":"POST"},"stage":"live"}}"#;
        assert_eq!(serde_json::from_str::<Request>(encoded).unwrap().asked(), Ok(Asked::New));
    }

    #[test]
    fn the_user_in_the_path_is_decoded_once() {
        // What is not an HTTP API's route comes as it was sent; an HTTP API has decoded it.
        let refresh = |path: &str, route_key| request(path, route_key, "").asked();
        let of = "POST /v1/links/{userId}/refresh";
        for (path, route_key, id) in [
            ("/v1/links/tenant%2D1/refresh", "$default", "tenant-1"),
            ("/v1/links/%C3%B1%2F%2541/refresh", "$default", "ñ/%41"),
            ("/v1/links/ñ &/refresh", of, "ñ &"),
            ("/v1/links/refresh/refresh", of, "refresh"),
        ] {
            assert_eq!(refresh(path, route_key), Ok(Asked::Refresh(user(id))), "{path}");
        }
        let wrong_of = |path: &str, route_key: &str| match request(path, route_key, "").asked() {
            Err(Refusal::BadRequest(wrong)) => serde_json::to_value(wrong).unwrap(),
            other => panic!("{other:?}"),
        };
        let wrong = |path| wrong_of(path, "$default");
        for id in ["50%25", "%41", "a/b"] {
            let path = format!("/v1/links/{id}/refresh");
            let told = wrong_of(&path, of);
            assert!(told[0]["detail"].as_str().unwrap().contains("POST /v1/links"), "{told}");
        }
        assert_eq!(
            wrong("/v1/links/%FF/refresh"),
            json!([{ "parameter": "userId", "detail": "it is not UTF-8, percent-encoded" }])
        );
        let long = format!("/v1/links/{}/refresh", "x".repeat(201));
        for path in ["/v1/links//refresh", &long] {
            let bounds = "it must have 1 to 200 characters";
            assert_eq!(wrong(path), json!([{ "parameter": "userId", "detail": bounds }]));
        }
    }

    #[test]
    fn what_is_wrong_with_the_body_is_told_by_its_place() {
        let longest = format!(r#"{{"userId":"{}"}}"#, "ñ".repeat(100));
        assert!(asked("/v1/links", &longest).is_ok());
        let long = format!(r#"{{"userId":"{}"}}"#, "x".repeat(201));
        let many_bytes = format!(r#"{{"userId":"{}"}}"#, "ñ".repeat(200));
        for (body, expected) in [
            ("", json!([["#", "there is no body; {} asks for a new user"]])),
            ("nope", json!([["#", "the body is not JSON: line 1, column 2"]])),
            ("{\"userId\":\n", json!([["#", "the body is not JSON: line 2, column 0"]])),
            ("[]", json!([["#", "the body is not a JSON object"]])),
            ("null", json!([["#", "the body is not a JSON object"]])),
            ("{} {}", json!([["#", "the body is not JSON: line 1, column 4"]])),
            (r#"{"userId":null}"#, json!([["#/userId", "it is not a text"]])),
            (r#"{"userId":7}"#, json!([["#/userId", "it is not a text"]])),
            (r#"{"userId":""}"#, json!([["#/userId", "it must have 1 to 200 characters"]])),
            (&long, json!([["#/userId", "it must have 1 to 200 characters"]])),
            (&many_bytes, json!([["#/userId", "an id has 1 to 256 bytes, this one has 400"]])),
            (r#"{"userId":"a","userId":"b"}"#, json!([["#/userId", "it stands there twice"]])),
            (
                r#"{"user_id":"a","a/ñ \u0000":{},"__proto__":1}"#,
                json!([
                    ["#/user_id", "it is not known; userId is"],
                    ["#/a~1%C3%B1%20%00", "it is not known; userId is"],
                    ["#/__proto__", "it is not known; userId is"],
                ]),
            ),
        ] {
            let Err(Refusal::BadRequest(wrong)) = asked("/v1/links", body) else { panic!("{body}") };
            let wrong = serde_json::to_value(wrong).unwrap();
            let told: Vec<Value> = wrong
                .as_array()
                .unwrap()
                .iter()
                .map(|wrong| json!([wrong["pointer"], wrong["detail"]]))
                .collect();
            assert_eq!(json!(told), expected, "{body}");
        }
        let Err(Refusal::BadRequest(wrong)) = asked("/v1/links/u/refresh", r#"{"userId":"v"}"#) else {
            panic!("a refresh of two users")
        };
        assert_eq!(serde_json::to_value(wrong).unwrap()[0]["pointer"], "#/userId");
    }

    #[test]
    fn nothing_long_is_read_and_nothing_else_is_there() {
        let body = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
        assert_eq!(asked("/v1/links", &body(MAX_BODY_BYTES)), Ok(Asked::New));
        assert_eq!(asked("/v1/links", &body(MAX_BODY_BYTES + 1)), Err(Refusal::TooLarge));
        let base64 = |text: &str| {
            let body = base64_simd::STANDARD.encode_to_string(text);
            Request { is_base64_encoded: true, ..request("/v1/links", "$default", &body) }
        };
        assert_eq!(base64(&body(MAX_BODY_BYTES)).asked(), Ok(Asked::New));
        for bytes in [MAX_BODY_BYTES + 1, 1 << 20] {
            assert_eq!(base64(&body(bytes)).asked(), Err(Refusal::TooLarge));
        }
        for path in ["/", "/v1/links/", "/v1/links/u", "/v1/links/u/refresh/", "/v2/links"] {
            assert_eq!(asked(path, "{}"), Err(Refusal::NoRoute), "{path}");
        }
        assert_eq!(serde_json::from_str::<Request>("{}").unwrap().asked(), Err(Refusal::NoRoute));
    }
}
