//! What the gateway hands over, as far as it matters: body, signature, source and request id.
//!
//! One type reads the three forms there are: HTTP API payload 2.0, which function URLs share, and
//! payload 1.0, which REST APIs share (API Gateway developer guide, "Lambda proxy integration payload
//! format"). Everything else is skipped, not built.

use std::fmt;
use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// One request.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default, rename = "requestContext")]
    context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    version: Option<String>,
}

/// The two forms of payload. The answer to each has its own members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// REST APIs, and HTTP APIs with payload 1.0.
    V1,
    /// HTTP APIs with payload 2.0, and function URLs.
    V2,
}

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    http: Option<Origin>,
    #[serde(default)]
    identity: Option<Origin>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    #[serde(default)]
    source_ip: Option<String>,
}

impl Request {
    /// The form of the payload.
    pub fn form(&self) -> Form {
        if self.version.as_deref() == Some("2.0") { Form::V2 } else { Form::V1 }
    }

    /// Where it came from, by the gateway's own record. Never from a header: anybody can write one.
    pub fn source(&self) -> Option<IpAddr> {
        let context = &self.context;
        let origin = context.http.as_ref().or(context.identity.as_ref())?;
        origin.source_ip.as_deref()?.parse().ok()
    }

    /// The gateway's id of this request.
    pub fn id(&self) -> Option<&str> {
        self.context.request_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The bytes that were sent. `None` when the gateway's base64 cannot be read.
    pub fn into_body(self) -> Option<Vec<u8>> {
        let body = self.body.unwrap_or_default().into_bytes();
        if self.is_base64_encoded { base64_simd::STANDARD.decode_to_vec(body).ok() } else { Some(body) }
    }

    /// Takes out the value of `Smile-Signature`, in whatever case the name is written.
    pub fn take_signature(&mut self) -> Option<String> {
        self.headers.as_mut()?.signature.take()
    }
}

/// The one header that is wanted.
#[derive(Default)]
struct Headers {
    signature: Option<String>,
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wanted;
        impl<'de> Visitor<'de> for Wanted {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::default();
                while let Some(Name { is_signature }) = map.next_key()? {
                    if is_signature {
                        headers.signature = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(Wanted)
    }
}

struct Name {
    is_signature: bool,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Compare;
        impl Visitor<'_> for Compare {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name { is_signature: name.eq_ignore_ascii_case(shared::verify::SIGNATURE_HEADER) })
            }
        }
        deserializer.deserialize_str(Compare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Request {
        serde_json::from_str(event).unwrap()
    }

    #[test]
    fn reads_every_form() {
        for (form, expected, event) in [
            (
                "HTTP API 2.0 and function URL",
                Form::V2,
                r#"{"version":"2.0","routeKey":"POST /","headers":{"a":"b","smile-signature":"s"},"queryStringParameters":{"x":"y"},
                    "requestContext":{"http":{"method":"POST","sourceIp":"18.142.61.230"},"requestId":"r"},"body":"{}","isBase64Encoded":false}"#,
            ),
            (
                "REST and HTTP API 1.0",
                Form::V1,
                r#"{"version":"1.0","httpMethod":"POST","headers":{"Smile-Signature":"s","X":"y"},"multiValueHeaders":{"Smile-Signature":["s"]},
                    "requestContext":{"identity":{"sourceIp":"18.142.61.230","userAgent":null},"requestId":"r"},"body":"{}","isBase64Encoded":false}"#,
            ),
            (
                "base64",
                Form::V1,
                r#"{"headers":{"SMILE-SIGNATURE":"s"},"requestContext":{"http":{"sourceIp":"18.142.61.230"},"requestId":"r"},"body":"e30=","isBase64Encoded":true}"#,
            ),
        ] {
            let mut request = read(event);
            assert_eq!(request.source(), Some("18.142.61.230".parse().unwrap()), "{form}");
            assert_eq!((request.form(), request.id()), (expected, Some("r")), "{form}");
            assert_eq!(request.take_signature().as_deref(), Some("s"), "{form}");
            assert_eq!(request.into_body().unwrap(), b"{}", "{form}");
        }
    }

    #[test]
    fn what_is_missing_is_none() {
        for event in [
            "{}",
            r#"{"headers":null,"requestContext":{},"body":null}"#,
            r#"{"headers":{"x-forwarded-for":"18.142.61.230","smile-signature":null},"requestContext":{"http":{"sourceIp":"unknown"},"requestId":""}}"#,
        ] {
            let mut request = read(event);
            assert_eq!((request.source(), request.id()), (None, None), "{event}");
            assert_eq!(request.take_signature(), None, "{event}");
            assert_eq!(request.into_body().unwrap(), b"", "{event}");
        }
        assert_eq!(read(r#"{"body":"%%%","isBase64Encoded":true}"#).into_body(), None);
    }

    #[test]
    fn a_body_keeps_its_bytes() {
        let body = "{\"name\":\"Nu\u{f1}ez \\u00f1 \u{1f600}\",\"tab\":\"\\t\"}\n";
        let event = serde_json::json!({ "body": body }).to_string();
        assert_eq!(read(&event).into_body().unwrap(), body.as_bytes());
    }
}
