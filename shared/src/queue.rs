//! Our own queue, on SQS: one message at a time, accepted or not.

use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use aws_types::SdkConfig;

use crate::aws::told;
use crate::job::Message;

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
        let refused = |error: &dyn fmt::Display| NotAccepted(error.to_string());
        let mut send = self.client.send_message().queue_url(&self.url).message_body(message.body);
        for (name, value) in message.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| refused(&error))?;
            send = send.message_attributes(name, value);
        }
        if let Some(trace) = trace {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(trace)
                .build()
                .map_err(|error| refused(&error))?;
            send = send.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
        }
        send.send().await.map_err(|error| NotAccepted(told(&error)))?;
        Ok(())
    }
}
