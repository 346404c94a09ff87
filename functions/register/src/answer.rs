//! The answer to CloudFormation: a `PUT` to a URL that it has signed (CloudFormation, "Custom resource response
//! objects").

use std::time::Duration;

use serde::Serialize;
use shared::smile_api::SecretText;

use crate::event::Envelope;

/// The longest reason. CloudFormation takes 4,096 bytes for the whole answer.
const LONGEST_REASON: usize = 800;

/// How often the answer is tried to be given.
const TRIES: u32 = 3;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(3);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// How long it takes to give an answer, at the most.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Whether CloudFormation may go on.
    pub status: Status,
    /// Why not; stands among the stack's events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The resource's id. Another one than before would make CloudFormation delete the one before.
    pub physical_resource_id: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
}

/// Whether CloudFormation may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is CloudFormation's word of the same name")]
pub enum Status {
    Success,
    Failed,
}

impl Answer {
    /// An answer to this.
    pub fn to(envelope: &Envelope, status: Status, reason: Option<String>, physical_id: String) -> Self {
        Self {
            status,
            reason: reason.map(|reason| reason.chars().take(LONGEST_REASON).collect()),
            physical_resource_id: physical_id,
            stack_id: envelope.stack_id.clone(),
            request_id: envelope.request_id.clone(),
            logical_resource_id: envelope.logical_id.clone(),
        }
    }

    /// Gives it. Blocking; [`ANSWERED_WITHIN`]. The error says nothing of the URL.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "texts are JSON")]
    pub fn give(&self, to: &SecretText) -> Result<(), String> {
        let body = serde_json::to_vec(self).expect("an answer is JSON");
        let agent = ureq::Agent::config_builder().timeout_global(Some(TRY)).proxy(None).build().new_agent();
        let mut tries = 1;
        loop {
            // Without a content type, as the URL was signed.
            let told = match agent.put(to.expose()).send(&body[..]) {
                Ok(_) => return Ok(()),
                Err(ureq::Error::StatusCode(status)) => format!("it was answered {status}"),
                Err(ureq::Error::Timeout(_)) => "no answer in time".to_owned(),
                Err(_) => "no connection".to_owned(),
            };
            if tries == TRIES {
                return Err(told);
            }
            tries += 1;
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn an_answer(reason: Option<String>) -> Answer {
        let envelope = Envelope::read(&json!({ "ResponseURL": "u", "StackId": "s", "RequestId": "r",
            "LogicalResourceId": "l" }));
        Answer::to(&envelope.unwrap(), Status::Failed, reason, "p".to_owned())
    }

    #[test]
    fn has_the_form_that_cloudformation_takes() {
        let text = serde_json::to_value(an_answer(Some("x".repeat(5000)))).unwrap();
        assert_eq!(text["Reason"].as_str().unwrap().len(), LONGEST_REASON);
        assert_eq!(
            serde_json::to_value(an_answer(None)).unwrap(),
            json!({ "Status": "FAILED", "PhysicalResourceId": "p", "StackId": "s", "RequestId": "r",
                "LogicalResourceId": "l" })
        );
    }

    #[test]
    fn is_given_again_when_it_is_not_taken_and_without_a_content_type() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hush?signature=hush", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for status in ["503 Slow Down", "200 OK"] {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).unwrap() > 2 {
                    head += &line.to_lowercase();
                    line.clear();
                }
                let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
                asked.push((head, body));
            }
            asked
        });
        assert_eq!(an_answer(None).give(&SecretText::new(url.clone())), Ok(()));
        for (head, body) in server.join().unwrap() {
            assert!(
                head.starts_with("put /hush?signature=hush ") && !head.contains("content-type"),
                "{head}"
            );
            assert_eq!(body, serde_json::to_vec(&an_answer(None)).unwrap());
        }
        // Nobody is there any more.
        assert_eq!(an_answer(None).give(&SecretText::new(url)), Err("no connection".to_owned()));
    }
}
