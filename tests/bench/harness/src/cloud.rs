//! The stand-in for AWS: SQS, Secrets Manager and DynamoDB over TLS on loopback, each call answered as
//! the service answers when all is well, and counted.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use md5::{Digest, Md5};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http::{self, Reader, Request};
use crate::samples::SECRET;

/// A connection on which nothing comes for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// The stand-in. Its threads end with the process.
#[derive(Clone)]
pub struct Cloud {
    /// `https://localhost:<port>`.
    pub endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What DynamoDB waits before it answers, in microseconds.
    table_latency: AtomicU64,
    seen: Mutex<Seen>,
}

/// What was seen since it was last taken.
#[derive(Default)]
pub struct Seen {
    /// Calls by operation, such as `AmazonSQS.SendMessage`.
    pub calls: BTreeMap<String, u64>,
    /// The last `SendMessage`.
    pub message: Option<Vec<u8>>,
}

impl Seen {
    /// How often this operation was called.
    pub fn count(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }
}

impl Cloud {
    /// Listens on loopback. Writes the certificate of its authority into `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let authority_key = rcgen::KeyPair::generate()?;
        let mut authority = rcgen::CertificateParams::new(Vec::new())?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "benchmark authority");
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate()?;
        let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
        leaf.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer)?;
        std::fs::write(folder.join("authority.pem"), authority_certificate.pem())?;

        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("localhost:0").context("no loopback address")?;
        let cloud = Self {
            endpoint: format!("https://localhost:{}", listener.local_addr()?.port()),
            shared: Arc::default(),
        };
        let serving = cloud.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, cloud) = (Arc::clone(&config), serving.clone());
                // An error is a function that went away, or a call that cannot be read: the function,
                // whose call fails, says so.
                std::thread::spawn(move || cloud.serve(socket, config));
            }
        });
        Ok(cloud)
    }

    /// The address of the queue.
    pub fn queue_url(&self) -> String {
        format!("{}/123456789012/webhook", self.endpoint)
    }

    /// What DynamoDB waits before each answer.
    pub fn set_table_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.table_latency.store(micros, Ordering::Relaxed);
    }

    /// Takes what was seen since the last time.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.seen())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, socket: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(IDLE))?;
        let mut stream = StreamOwned::new(ServerConnection::new(config)?, socket);
        let mut reader = Reader::new();
        let mut digests = Digests::default();
        while let Some(request) = reader.read(&mut stream)? {
            let operation = request.header("x-amz-target").unwrap_or_default().to_owned();
            let (status, body) = self.answer(&operation, &request, &mut digests);
            let headers = "content-type: application/x-amz-json-1.0\r\nx-amzn-requestid: 5f1f0d3e-8d5c-5c0e-9d5b-50a1b2c3d4e5\r\n";
            // The one before is dropped after the answer, so as not to stand in a measured time.
            let _before = match operation.as_str() {
                "AmazonSQS.SendMessage" => self.seen().message.replace(request.body),
                _ => None,
            };
            stream.write_all(&http::answer(status, headers, body.as_bytes()))?;
            stream.flush()?;
        }
        Ok(())
    }

    fn answer(&self, operation: &str, request: &Request, digests: &mut Digests) -> (&'static str, String) {
        {
            let mut seen = self.seen();
            match seen.calls.get_mut(operation) {
                Some(count) => *count += 1,
                None => {
                    seen.calls.insert(operation.to_owned(), 1);
                }
            }
        }
        let answer = match operation {
            "AmazonSQS.SendMessage" => {
                return (
                    "200 OK",
                    format!(
                        r#"{{"MessageId":"5fea7756-0ea4-451a-a703-a558b933e274","MD5OfMessageBody":"{}"}}"#,
                        digests.of(&request.body)
                    ),
                );
            }
            "AmazonSQS.GetQueueAttributes" => json!({}),
            "secretsmanager.GetSecretValue" => json!({
                "ARN": "arn",
                "Name": "webhook",
                "SecretString": json!({ "current": SECRET }).to_string(),
            }),
            table if table.starts_with("DynamoDB_20120810.") => {
                std::thread::sleep(Duration::from_micros(self.shared.table_latency.load(Ordering::Relaxed)));
                match table.trim_start_matches("DynamoDB_20120810.") {
                    "Query" => json!({ "Items": [], "Count": 0, "ScannedCount": 0 }),
                    "BatchGetItem" => json!({ "Responses": {}, "UnprocessedKeys": {} }),
                    _ => json!({}),
                }
            }
            _ => return ("400 Bad Request", json!({ "__type": "UnknownOperationException" }).to_string()),
        };
        ("200 OK", answer.to_string())
    }
}

/// The MD5 that SQS answers with, and that the JavaScript SDK checks. The same body comes again and
/// again: its digest is made once, so that the stand-in's own work does not stand in the measured times.
#[derive(Default)]
struct Digests {
    last: Option<(Vec<u8>, String)>,
}

impl Digests {
    fn of(&mut self, request: &[u8]) -> String {
        const NAME: &[u8] = br#""MessageBody":"#;
        let Some(at) = memchr::memmem::find(request, NAME) else { return String::new() };
        let text = request[at + NAME.len()..].trim_ascii_start();
        if let Some((body, digest)) = &self.last
            && text.starts_with(body)
        {
            return digest.clone();
        }
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let body = request["MessageBody"].as_str().unwrap_or_default();
        let digest: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        // As it stands in the request: the text up to its closing quote.
        let mut strings = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        let _ = strings.next();
        self.last = Some((text[..strings.byte_offset()].to_vec(), digest.clone()));
        digest
    }
}
