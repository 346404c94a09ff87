//! Our own queues, on SQS: a message is accepted or not.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};
use aws_types::SdkConfig;

use crate::aws::told_by_code;
use crate::job::{MAX_MESSAGE_BYTES, Message};

/// One queue.
#[derive(Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// SQS did not accept, or was not reached.
#[derive(Debug, thiserror::Error)]
#[error("SQS did not accept the message: {0}")]
pub struct NotAccepted(String);

impl Queue {
    /// The queue with this URL.
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(config), url: url.into() }
    }

    /// Opens the connection, so that the first message need not. Whether that worked does not matter:
    /// a message that cannot be sent says so itself.
    pub async fn open(&self) {
        let _ = self.client.get_queue_attributes().queue_url(&self.url).send().await;
    }

    /// Sends a message. `trace` is the X-Ray header that ties it to what caused it. `Ok` means that SQS
    /// holds the message.
    pub async fn send(&self, message: Message<'_>, trace: Option<&str>) -> Result<(), NotAccepted> {
        let mut send = self.client.send_message().queue_url(&self.url).message_body(message.body);
        for (name, value) in message.attributes {
            send = send.message_attributes(name, attribute(value)?);
        }
        if let Some(trace) = trace {
            send = send.message_system_attributes(TRACE, trace_header(trace)?);
        }
        send.send().await.map_err(|error| NotAccepted(told_by_code(&error)))?;
        Ok(())
    }

    /// Sends several messages, each with the seconds after which it may be read, in as few calls as SQS allows.
    /// Says of each whether SQS holds it. No call is begun after one that failed, nor after [`BEGINS_WITHIN`]: so
    /// this takes that long at most, and as long as one call may.
    pub async fn send_all(&self, messages: &[(Message<'_>, u16)], trace: Option<&str>) -> Vec<bool> {
        let mut held = vec![false; messages.len()];
        let mut rest = messages;
        let since = Instant::now();
        while !rest.is_empty() && since.elapsed() < BEGINS_WITHIN {
            let start = messages.len() - rest.len();
            let (call, after) = rest.split_at(fitting(rest));
            rest = after;
            match self.send_call(call, start, trace).await {
                Ok(taken) => taken.into_iter().for_each(|at| held[at] = true),
                Err(error) => {
                    tracing::error!(%error, "a batch was not queued");
                    break;
                }
            }
        }
        held
    }

    /// One call; gives the places of those that SQS holds.
    async fn send_call(
        &self,
        messages: &[(Message<'_>, u16)],
        start: usize,
        trace: Option<&str>,
    ) -> Result<Vec<usize>, NotAccepted> {
        let mut entries = Vec::with_capacity(messages.len());
        for (at, (message, delay)) in messages.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder()
                .id((start + at).to_string())
                .message_body(message.body.as_ref())
                .delay_seconds(i32::from(*delay));
            for (name, value) in &message.attributes {
                entry = entry.message_attributes(*name, attribute(value)?);
            }
            if let Some(trace) = trace {
                entry = entry.message_system_attributes(TRACE, trace_header(trace)?);
            }
            entries.push(entry.build().map_err(|error| NotAccepted(error.to_string()))?);
        }
        let send = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = send.send().await.map_err(|error| NotAccepted(told_by_code(&error)))?;
        for failed in answer.failed() {
            tracing::error!(code = failed.code(), "a message of a batch was not queued");
        }
        let taken = answer.successful().iter().filter_map(|taken| taken.id().parse().ok());
        Ok(taken.filter(|at| (start..start + messages.len()).contains(at)).collect())
    }
}

const TRACE: MessageSystemAttributeNameForSends = MessageSystemAttributeNameForSends::AwsTraceHeader;

/// How long [`Queue::send_all`] begins further calls.
pub const BEGINS_WITHIN: Duration = Duration::from_secs(4);

/// The most messages of one call (Amazon SQS API reference, `SendMessageBatch`).
const MAX_BATCH: usize = 10;

/// How many of the messages, from the first on, one call takes: at least one.
fn fitting(messages: &[(Message<'_>, u16)]) -> usize {
    let mut bytes = 0;
    let fits = messages.iter().take(MAX_BATCH).take_while(|(message, _)| {
        bytes += message.bytes();
        bytes <= MAX_MESSAGE_BYTES
    });
    fits.count().max(1)
}

fn attribute(value: impl Into<String>) -> Result<MessageAttributeValue, NotAccepted> {
    let value = MessageAttributeValue::builder().data_type("String").string_value(value);
    value.build().map_err(|error| NotAccepted(error.to_string()))
}

fn trace_header(trace: &str) -> Result<MessageSystemAttributeValue, NotAccepted> {
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(trace);
    value.build().map_err(|error| NotAccepted(error.to_string()))
}
