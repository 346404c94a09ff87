//! One signed request, as Smile makes it.

use std::time::Duration;

use serde::Deserialize;
use shared::verify::SIGNATURE_HEADER;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};

use super::target::Target;
use super::usage;

/// Smile documents no time-out of its own; one that waits longer than this has an answer already.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Posts to one receiver.
pub(super) struct Post<'a> {
    agent: Agent,
    url: &'a str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the receiver said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The receiver's own word, such as `queued`, where it gives one.
    pub(super) word: Option<String>,
}

/// The receiver did not answer.
#[derive(Debug)]
pub(super) struct Unreachable {
    url: String,
    error: ureq::Error,
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cannot be reached: ", self.url)?;
        match &self.error {
            ureq::Error::Io(error) => write!(f, "{error}")?,
            error => write!(f, "{error}")?,
        }
        f.write_str(if is_loopback(&self.url) { "; is it running (smile dev)?" } else { "" })
    }
}

impl<'a> Post<'a> {
    pub(super) fn new(target: &'a Target) -> anyhow::Result<Self> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("smile-cli/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&target.url) {
            // A proxy of the environment would not find this machine's own ports.
            config = config.proxy(None);
        }
        let mut headers = Vec::new();
        for (name, value) in &target.headers {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => {
                    return usage(format!(
                        "the header {name} cannot be sent: it has characters that headers cannot have"
                    ));
                }
            }
        }
        Ok(Self { agent: config.build().new_agent(), url: &target.url, headers })
    }

    /// Posts a body. Any answer is an answer, whatever its status.
    pub(super) fn send(&self, body: Vec<u8>, signature: Option<&str>) -> Result<Answer, Unreachable> {
        #[derive(Deserialize)]
        struct Words {
            status: String,
        }
        let mut request = self.agent.post(self.url).header("content-type", "application/json");
        if let Some(signature) = signature {
            request = request.header(SIGNATURE_HEADER, signature);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let unreachable = |error| Unreachable { url: self.url.to_owned(), error };
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status().as_u16();
        let text =
            response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string().unwrap_or_default();
        let word = serde_json::from_str::<Words>(&text).ok().map(|words| words.status);
        Ok(Answer { status, word })
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost:", "localhost/", "[::1]"].iter().any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use shared::verify::{Secret, sign, verify};

    use super::*;

    /// A receiver that answers one request and gives back what it was sent.
    fn receiver(answer: &'static str) -> (String, std::thread::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let read = stream.read(&mut chunk).unwrap();
                got.extend_from_slice(&chunk[..read]);
                let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let head = String::from_utf8(got[..end].to_vec()).unwrap().to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if got.len() - end - 4 == length.parse::<usize>().unwrap() {
                    stream.write_all(answer.as_bytes()).unwrap();
                    return (head, got[end + 4..].to_vec());
                }
            }
        });
        (url, thread)
    }

    fn target(url: &str) -> Target {
        let headers = vec![("X-Mine".to_owned(), "yes".to_owned())];
        Target { url: url.to_owned(), headers, secret: Secret::new("s3cret").unwrap() }
    }

    #[test]
    fn what_arrives_is_what_was_signed() {
        let (url, thread) =
            receiver("HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\n{\"status\":\"queued\",\"id\":\"et-1\"}");
        let target = target(&url);
        let body = "{\"name\":\"Tañedo\"}".as_bytes().to_vec();
        let signature = sign(&target.secret, &body).to_string();
        let answer = Post::new(&target).unwrap().send(body.clone(), Some(&signature)).unwrap();
        assert_eq!(answer, Answer { status: 200, word: Some("queued".into()) });
        let (head, received) = thread.join().unwrap();
        assert_eq!(received, body);
        let header = head.lines().find_map(|line| line.strip_prefix("smile-signature: "));
        assert!(verify(&received, header, [&target.secret]).is_ok());
        assert!(head.contains("x-mine: yes") && head.contains("content-type: application/json"), "{head}");
    }

    #[test]
    fn a_redirect_is_an_answer_and_is_not_followed() {
        for status in ["302 Found", "307 Temporary Redirect"] {
            let answer =
                format!("HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
            let (url, thread) = receiver(answer.leak());
            let answer = Post::new(&target(&url)).unwrap().send(b"{}".to_vec(), None).unwrap();
            assert_eq!(answer.status.to_string(), status[..3]);
            assert!(!thread.join().unwrap().0.contains("smile-signature"));
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        let url = format!("http://{}/hook", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let error = Post::new(&target(&url)).unwrap().send(b"{}".to_vec(), None).unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains("smile dev"), "{error}");
    }

    #[test]
    fn knows_this_machine() {
        assert!(is_loopback("http://127.0.0.1:4566/x") && is_loopback("http://localhost:1/"));
        assert!(
            !is_loopback("https://localhost.example.com/") && !is_loopback("https://api.example.com/127.")
        );
    }
}
