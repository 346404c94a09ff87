//! The floor: the same work with nothing between it and the system. Blocking sockets, hand-made SigV4,
//! rustls with ring, the connection opened in INIT, and the body's JSON text handed on as it came. It has
//! no retries, no time-outs and one connection: a measure, not a receiver.

use std::env::var;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256, Sha512};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    headers: Headers<'a>,
    #[serde(borrow)]
    request_context: Context<'a>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Headers<'a> {
    #[serde(rename = "smile-signature")]
    signature: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    http: Origin<'a>,
    request_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin<'a> {
    source_ip: &'a str,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    _kind: &'a str,
}

struct App {
    sqs: Http<StreamOwned<ClientConnection, TcpStream>>,
    host: String,
    queue_url: String,
    secret: String,
    source: IpAddr,
    region: String,
    key_id: String,
    secret_key: String,
    session_token: String,
}

fn main() -> Result<(), Failure> {
    let mut app = App::new()?;
    let mut runtime = Http::new(TcpStream::connect(var("AWS_LAMBDA_RUNTIME_API")?)?);
    runtime.stream.set_nodelay(true)?;
    loop {
        runtime.send(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: r\r\n\r\n")?;
        let (head, event) = runtime.receive()?;
        let id = header(&head, "lambda-runtime-aws-request-id").ok_or("no request id")?.to_owned();
        let (kind, answer) = match app.handle(&event) {
            Ok((status, body)) => {
                let body = serde_json::to_string(&body)?;
                let headers = r#"{"content-type":"application/json"}"#;
                ("response", format!(r#"{{"statusCode":{status},"headers":{headers},"body":{body}}}"#))
            }
            Err(error) => ("error", format!(r#"{{"errorMessage":{:?}}}"#, error.to_string())),
        };
        let head = format!(
            "POST /2018-06-01/runtime/invocation/{id}/{kind} HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        runtime.send((head + &answer).as_bytes())?;
        runtime.receive()?;
    }
}

impl App {
    fn new() -> Result<Self, Failure> {
        let endpoint = var("AWS_ENDPOINT_URL")?;
        let host = endpoint.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(var("AWS_CA_BUNDLE")?)? {
            roots.add(root?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.split(':').next().unwrap_or_default().to_owned())?;
        let socket = TcpStream::connect(&host)?;
        socket.set_nodelay(true)?;
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Self {
            sqs: Http::new(tls),
            host,
            queue_url: var("WEBHOOK_QUEUE_URL")?,
            secret: var("WEBHOOK_SECRET")?,
            source: var("WEBHOOK_SOURCE")?.parse()?,
            region: var("AWS_REGION")?,
            key_id: var("AWS_ACCESS_KEY_ID")?,
            secret_key: var("AWS_SECRET_ACCESS_KEY")?,
            session_token: var("AWS_SESSION_TOKEN")?,
        })
    }

    fn handle(&mut self, event: &[u8]) -> Result<(u16, String), Failure> {
        let event: Event<'_> = serde_json::from_slice(event)?;
        if event.request_context.http.source_ip.parse() != Ok(self.source) {
            return Ok((403, r#"{"error":"source not allowed"}"#.to_owned()));
        }
        let body: String = serde_json::from_str(event.body.get())?;
        let mut mac = Hmac::<Sha512>::new_from_slice(self.secret.as_bytes())?;
        mac.update(body.as_bytes());
        let signed = unhex(event.headers.signature.unwrap_or_default());
        if mac.verify_slice(&signed.unwrap_or_default()).is_err() {
            return Ok((401, r#"{"error":"signature missing or wrong"}"#.to_owned()));
        }
        let envelope: Envelope<'_> = serde_json::from_str(&body)?;
        let delivery = event.request_context.request_id;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut message = String::with_capacity(event.body.get().len() + 512);
        write!(message, r#"{{"QueueUrl":"{}","MessageAttributes":{{"#, self.queue_url)?;
        let received_at = now.as_millis().to_string();
        let attributes =
            [("v", "1"), ("source", "webhook"), ("received_at", &received_at), ("delivery", delivery)];
        for (at, (name, value)) in attributes.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(message, r#"{comma}"{name}":{{"DataType":"String","StringValue":"{value}"}}"#)?;
        }
        // The text as the gateway escaped it is what SQS takes, too.
        write!(message, r#"}},"MessageBody":{}}}"#, event.body.get())?;
        let request = self.signed(&message, now.as_secs())?;
        self.sqs.send(request.as_bytes())?;
        let (head, _) = self.sqs.receive()?;
        if !head.starts_with("HTTP/1.1 200") {
            return Ok((503, r#"{"error":"temporarily unavailable, try again"}"#.to_owned()));
        }
        Ok((200, format!(r#"{{"status":"queued","id":{}}}"#, serde_json::to_string(envelope.id)?)))
    }

    /// The request to SQS, signed (AWS Signature Version 4).
    fn signed(&self, message: &str, now: u64) -> Result<String, Failure> {
        const SIGNED: &str = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let (day, time) = utc(now);
        let at = format!("{day}T{time}Z");
        let headers = format!(
            "content-type:application/x-amz-json-1.0\nhost:{}\nx-amz-date:{at}\nx-amz-security-token:{}\nx-amz-target:AmazonSQS.SendMessage\n",
            self.host, self.session_token
        );
        let canonical = format!("POST\n/\n\n{headers}\n{SIGNED}\n{}", hex(&Sha256::digest(message)));
        let scope = format!("{day}/{}/sqs/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [day.as_str(), &self.region, "sqs", "aws4_request", &to_sign] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
            mac.update(part.as_bytes());
            key = mac.finalize().into_bytes().to_vec();
        }
        let mut request = String::with_capacity(message.len() + 1024);
        write!(request, "POST / HTTP/1.1\r\n{}", headers.replace('\n', "\r\n"))?;
        write!(
            request,
            "authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, Signature={}\r\n",
            self.key_id,
            hex(&key)
        )?;
        write!(request, "content-length: {}\r\n\r\n{message}", message.len())?;
        Ok(request)
    }
}

/// One connection that speaks HTTP/1.1, one call after the other.
struct Http<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Http<S> {
    fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(request)?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self) -> Result<(String, Vec<u8>), Failure> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(16 * 1024)?;
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect())?;
        let length: usize = header(&head, "content-length").unwrap_or("0").parse()?;
        while self.buffer.len() < length {
            self.more(length - self.buffer.len())?;
        }
        Ok((head, self.buffer.drain(..length).collect()))
    }

    fn more(&mut self, at_most: usize) -> Result<(), Failure> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + at_most, 0);
        let read = self.stream.read(&mut self.buffer[filled..])?;
        self.buffer.truncate(filled + read);
        if read == 0 { Err("the other side has hung up".into()) } else { Ok(()) }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Day and time as SigV4 writes them (the day by Howard Hinnant's `civil_from_days`).
fn utc(seconds: u64) -> (String, String) {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (
        format!("{year:04}{month:02}{day:02}"),
        format!("{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60),
    )
}
