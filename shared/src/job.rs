//! The message on our own queue, version 1: the body as it was received, and a few attributes.
//!
//! The body is neither parsed nor escaped again. It is wrapped only where SQS needs it (limits of
//! `SendMessage`, Amazon SQS API reference):
//!
//! | `encoding` | when |
//! |---|---|
//! | none | text that SQS takes, up to [`COMPRESS_ABOVE`] bytes |
//! | `zstd+base64` | longer ones: most then fit one billing unit of 64 KB |
//! | `base64` | bytes that are not text, or characters that SQS refuses |
//! | `empty` | no byte at all |
//!
//! What decoding gives is byte for byte what encoding got. The form is frozen by a snapshot: messages
//! can wait for fourteen days, so a newer consumer must read what an older webhook function wrote.

use std::borrow::Cow;

use base64_simd::STANDARD as BASE64;
use jiff::Timestamp;

/// A longer body is compressed. Below the billing unit of 64 KiB, with room for the attributes.
pub const COMPRESS_ABOVE: usize = 60 * 1024;

/// The most that one message may have, attributes included (Amazon SQS: 1 MiB).
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The most that a body may have when it is unpacked. More cannot come in: Lambda's event has 6 MB.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// This version of the message's form.
pub const VERSION: &str = "1";

/// Level 3 of 22: JSON shrinks to about a tenth at some hundreds of MB a second.
const ZSTD_LEVEL: i32 = 3;

/// Who said that the event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Smile's server, signed.
    Webhook,
    /// Smile's API, asked by us.
    Reconcile,
    /// The user's browser, in a session of ours.
    Callback,
}

impl Source {
    /// The word in the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Reconcile => "reconcile",
            Self::Callback => "callback",
        }
    }
}

/// What travels beside the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Who said it.
    pub source: Source,
    /// When the webhook function received it.
    pub received_at: Timestamp,
    /// The gateway's request id: one try of the vendor's.
    pub delivery: String,
    /// Stored only, until an operator releases it: it came from a source outside the allow list.
    pub held: bool,
    /// Not the event itself but a look, some time after it, whether the server has confirmed what it says.
    pub check: bool,
    /// The id of the browser session that it came in (`jti`). Callbacks alone have one.
    pub session: Option<String>,
}

/// A message as it goes to SQS.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message's body.
    pub body: Cow<'a, str>,
    /// Names and values of its attributes, all of the type `String`.
    pub attributes: Vec<(&'static str, String)>,
}

/// The body does not fit a message, not even compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a body of {bytes} bytes makes a message of {message} bytes, {MAX_MESSAGE_BYTES} are allowed")]
pub struct TooLarge {
    /// The body's length.
    pub bytes: usize,
    /// The length of the smallest message that could be made of it.
    pub message: usize,
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// From a newer version than this one. Worth trying again, after the deployment.
    #[error("the message has version {0:?}, this consumer reads {VERSION:?}")]
    Version(String),
    /// An attribute is missing or makes no sense.
    #[error("the message's attribute {0:?} is missing or cannot be read")]
    Attribute(&'static str),
    /// The body is not what `encoding` says.
    #[error("the message's body is not {0}")]
    Encoding(&'static str),
}

impl Job {
    /// Makes the message for `body`.
    pub fn encode<'a>(&self, body: &'a [u8]) -> Result<Message<'a>, TooLarge> {
        let (body_text, encoding) = wrap(body);
        let mut attributes = vec![
            ("v", VERSION.to_owned()),
            ("source", self.source.as_str().to_owned()),
            ("received_at", self.received_at.to_string()),
            ("delivery", self.delivery.clone()),
        ];
        if self.held {
            attributes.push(("held", "true".to_owned()));
        }
        if self.check {
            attributes.push(("check", "true".to_owned()));
        }
        attributes.extend(self.session.clone().map(|session| ("session", session)));
        attributes.extend(encoding.map(|encoding| ("encoding", encoding.to_owned())));
        let message = Message { body: body_text, attributes };
        match message.bytes() {
            fits if fits <= MAX_MESSAGE_BYTES => Ok(message),
            more => Err(TooLarge { bytes: body.len(), message: more }),
        }
    }

    /// Reads a message back: what travelled beside the body, and the body.
    pub fn decode<'a, 'b>(
        body: &'a str,
        attribute: impl Fn(&str) -> Option<&'b str>,
    ) -> Result<(Self, Cow<'a, [u8]>), Undecodable> {
        match attribute("v") {
            Some(VERSION) => {}
            Some(other) => return Err(Undecodable::Version(other.to_owned())),
            None => return Err(Undecodable::Attribute("v")),
        }
        let source = match attribute("source") {
            Some("webhook") => Source::Webhook,
            Some("reconcile") => Source::Reconcile,
            Some("callback") => Source::Callback,
            _ => return Err(Undecodable::Attribute("source")),
        };
        let job = Self {
            source,
            received_at: attribute("received_at")
                .and_then(|time| time.parse().ok())
                .ok_or(Undecodable::Attribute("received_at"))?,
            delivery: attribute("delivery").ok_or(Undecodable::Attribute("delivery"))?.to_owned(),
            held: attribute("held") == Some("true"),
            check: attribute("check") == Some("true"),
            session: attribute("session").map(str::to_owned),
        };
        let body = match attribute("encoding") {
            None => Cow::Borrowed(body.as_bytes()),
            Some("empty") => Cow::Borrowed(&b""[..]),
            Some("base64") => Cow::Owned(unwrap_base64(body)?),
            Some("zstd+base64") => Cow::Owned(
                zstd::bulk::decompress(&unwrap_base64(body)?, MAX_BODY_BYTES)
                    .map_err(|_| Undecodable::Encoding("zstd"))?,
            ),
            Some(_) => return Err(Undecodable::Attribute("encoding")),
        };
        Ok((job, body))
    }
}

impl Message<'_> {
    /// What SQS counts: the body, and each attribute's name, type and value.
    pub fn bytes(&self) -> usize {
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        self.body.len() + attributes
    }
}

fn wrap(body: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    if body.is_empty() {
        return (Cow::Borrowed("-"), Some("empty"));
    }
    let text = std::str::from_utf8(body).ok().filter(|text| !text.contains(is_refused_by_sqs));
    if body.len() > COMPRESS_ABOVE
        && let Ok(packed) = zstd::bulk::compress(body, ZSTD_LEVEL)
        && BASE64.encoded_length(packed.len()) < body.len()
    {
        return (Cow::Owned(BASE64.encode_to_string(packed)), Some("zstd+base64"));
    }
    match text {
        Some(text) => (Cow::Borrowed(text), None),
        None => (Cow::Owned(BASE64.encode_to_string(body)), Some("base64")),
    }
}

/// SQS takes the characters of XML 1.0 (Amazon SQS API reference, `SendMessage`).
fn is_refused_by_sqs(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn unwrap_base64(body: &str) -> Result<Vec<u8>, Undecodable> {
    BASE64.decode_to_vec(body).map_err(|_| Undecodable::Encoding("base64"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job() -> Job {
        Job {
            source: Source::Webhook,
            received_at: "2026-03-01T10:00:00.123Z".parse().unwrap(),
            delivery: "JKJaXmPLvHcESHA=".to_owned(),
            held: false,
            check: false,
            session: None,
        }
    }

    fn decode(message: &Message<'_>) -> Result<(Job, Vec<u8>), Undecodable> {
        let attribute =
            |name: &str| message.attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        Job::decode(&message.body, attribute).map(|(job, body)| (job, body.into_owned()))
    }

    fn encoding(message: &Message<'_>) -> Option<String> {
        message.attributes.iter().find(|(name, _)| *name == "encoding").map(|(_, value)| value.clone())
    }

    #[test]
    fn the_form_is_frozen() {
        let held = Job { held: true, ..job() };
        let message = held.encode(br#"{"id":"et-1"}"#).unwrap();
        insta::assert_debug_snapshot!(message, @r#"
        Message {
            body: "{\"id\":\"et-1\"}",
            attributes: [
                (
                    "v",
                    "1",
                ),
                (
                    "source",
                    "webhook",
                ),
                (
                    "received_at",
                    "2026-03-01T10:00:00.123Z",
                ),
                (
                    "delivery",
                    "JKJaXmPLvHcESHA=",
                ),
                (
                    "held",
                    "true",
                ),
            ],
        }
        "#);
        // Messages of the first day, as text: they must be read for ever.
        let packed = "KLUv/SAFKQAAaGVsbG8=";
        let read = |encoding: &'static str, body: &str| {
            let attributes = [
                ("v", "1"),
                ("source", "reconcile"),
                ("received_at", "2026-03-01T10:00:00Z"),
                ("delivery", "d"),
                ("encoding", encoding),
            ];
            let (job, body) =
                Job::decode(body, |name| attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
                    .unwrap();
            assert_eq!((job.source, job.held), (Source::Reconcile, false));
            String::from_utf8(body.into_owned()).unwrap()
        };
        assert_eq!(read("zstd+base64", packed), "hello");
        assert_eq!(read("base64", "AGhp"), "\0hi");
        assert_eq!(read("empty", "-"), "");
    }

    #[test]
    fn wraps_only_what_must_be_wrapped() {
        for (body, expected) in [
            (&b"{}"[..], None),
            ("é \u{10ffff} \u{fffd}\t\r\n".as_bytes(), None),
            (b"", Some("empty")),
            (b"\x00", Some("base64")),
            (b"\xff\xfe", Some("base64")),
            ("\u{fffe}".as_bytes(), Some("base64")),
            (&vec![b' '; COMPRESS_ABOVE], None),
            (&vec![b' '; COMPRESS_ABOVE + 1], Some("zstd+base64")),
            (&vec![0; COMPRESS_ABOVE + 1], Some("zstd+base64")),
        ] {
            let message = job().encode(body).unwrap();
            assert_eq!(encoding(&message).as_deref(), expected);
            assert_eq!(decode(&message).unwrap(), (job(), body.to_vec()));
        }
    }

    #[test]
    fn noise_that_does_not_compress_goes_as_it_is_or_is_too_large() {
        let mut seed = 1_u64;
        let mut noise = |bytes: usize| -> Vec<u8> {
            (0..bytes)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    u8::try_from(seed >> 56).unwrap()
                })
                .collect()
        };
        let fits = noise(700_000);
        let message = job().encode(&fits).unwrap();
        assert_eq!(encoding(&message).as_deref(), Some("base64"));
        assert_eq!(decode(&message).unwrap().1, fits);
        let TooLarge { bytes, message } = job().encode(&noise(800_000)).unwrap_err();
        assert!(bytes == 800_000 && message > MAX_MESSAGE_BYTES);
    }

    #[test]
    fn says_what_cannot_be_read() {
        let read = |change: (&'static str, Option<&'static str>), body: &str| {
            let attribute = |name: &str| {
                if name == change.0 {
                    return change.1;
                }
                match name {
                    "v" => Some("1"),
                    "source" => Some("webhook"),
                    "received_at" => Some("2026-03-01T10:00:00Z"),
                    "delivery" => Some("d"),
                    _ => None,
                }
            };
            Job::decode(body, attribute).map(|_| ()).unwrap_err()
        };
        assert_eq!(read(("v", Some("2")), "{}"), Undecodable::Version("2".into()));
        for name in ["v", "source", "received_at", "delivery"] {
            assert_eq!(read((name, None), "{}"), Undecodable::Attribute(name));
        }
        assert_eq!(read(("source", Some("somebody")), "{}"), Undecodable::Attribute("source"));
        assert_eq!(read(("encoding", Some("gzip")), "{}"), Undecodable::Attribute("encoding"));
        assert_eq!(read(("encoding", Some("base64")), "{}"), Undecodable::Encoding("base64"));
        assert_eq!(read(("encoding", Some("zstd+base64")), "AGhp"), Undecodable::Encoding("zstd"));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            body in proptest::collection::vec(any::<u8>(), 0..2000),
            held: bool,
            check: bool,
            session in prop::option::of("[0-9a-f]{32}"),
            source in prop::sample::select(vec![Source::Webhook, Source::Reconcile, Source::Callback]),
        ) {
            let job = Job { source, held, check, session, ..job() };
            prop_assert_eq!(decode(&job.encode(&body).unwrap()).unwrap(), (job, body));
        }

        #[test]
        fn what_sqs_takes_goes_as_it_is(body in "[\t\n\r -\u{d7ff}\u{e000}-\u{fffd}]{1,300}") {
            prop_assert_eq!(encoding(&job().encode(body.as_bytes()).unwrap()), None);
        }
    }
}
