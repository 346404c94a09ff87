//! The dead letters of one queue, on SQS: received, sent where they came from, deleted, or given back.
//!
//! What is received is hidden from others for [`HIDDEN`]. It is then either deleted or made visible again; when
//! this program is killed in between, SQS makes it visible when the time is up. In a pass that takes longer,
//! messages come again: [`super::pass`] knows them by their id.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    QueueAttributeName, SendMessageBatchRequestEntry,
};
use jiff::Timestamp;
use shared::aws::told_by_code;
use shared::job::MAX_MESSAGE_BYTES;

/// For how long a message that is looked at is hidden, in seconds.
pub(super) const HIDDEN: i32 = 300;

/// How long SQS is asked to look for a message before it says that there is none, in seconds: with more than 0 it
/// looks everywhere (Amazon SQS, "short and long polling").
const LOOKS_FOR: i32 = 2;

/// The most messages of one call.
const BATCH: usize = 10;

/// A dead letter queue and the queue that its messages came from.
#[derive(Clone)]
pub(super) struct Letters {
    client: Client,
    dead: String,
    origin: String,
}

/// A message as it was received.
pub(super) struct Received {
    /// Its id at SQS, which stays the same however often it is received.
    pub(super) id: String,
    /// What it is deleted or given back by, until it is received again.
    pub(super) handle: String,
    /// When it was sent first, before it died.
    pub(super) sent_at: Timestamp,
    /// How often it was received.
    pub(super) receives: u32,
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    trace: Option<String>,
}

impl Received {
    fn of(message: Message) -> Option<Self> {
        let system = |name| message.attributes.as_ref()?.get(&name).cloned();
        let sent = system(MessageSystemAttributeName::SentTimestamp)?.parse().ok()?;
        Some(Self {
            sent_at: Timestamp::from_millisecond(sent).ok()?,
            receives: system(MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()?,
            trace: system(MessageSystemAttributeName::AwsTraceHeader),
            id: message.message_id?,
            handle: message.receipt_handle?,
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default(),
        })
    }

    /// The message's body.
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// An attribute that is a text.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value()
    }

    /// What SQS counts: the body, and each attribute's name, type and value.
    pub(super) fn bytes(&self) -> usize {
        let attribute = |(name, value): (&String, &MessageAttributeValue)| {
            let binary = value.binary_value().map_or(0, |binary| binary.as_ref().len());
            name.len() + value.data_type().len() + value.string_value().map_or(0, str::len) + binary
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

impl Letters {
    pub(super) fn new(sdk: &SdkConfig, dead: &str, origin: &str) -> Self {
        Self { client: Client::new(sdk), dead: dead.to_owned(), origin: origin.to_owned() }
    }

    /// How many there are, by SQS's own estimate: those that can be received, and those that are hidden.
    pub(super) async fn about(&self) -> anyhow::Result<(u64, u64)> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.client.get_queue_attributes().queue_url(&self.dead);
        let answer = ask.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| {
            anyhow::anyhow!("the dead letter queue cannot be asked: {}", told_by_code(&error))
        })?;
        let told = |name| {
            let value = answer.attributes().and_then(|told| told.get(name)?.parse().ok());
            value.context("SQS does not say how many messages there are")
        };
        Ok((told(&names[0])?, told(&names[1])?))
    }

    /// Receives some, up to 10. None: there is none that is not hidden.
    pub(super) async fn receive(&self) -> anyhow::Result<Vec<Received>> {
        let names = [
            MessageSystemAttributeName::SentTimestamp,
            MessageSystemAttributeName::ApproximateReceiveCount,
            MessageSystemAttributeName::AwsTraceHeader,
        ];
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.dead)
            .max_number_of_messages(i32::try_from(BATCH).unwrap_or(1))
            .visibility_timeout(HIDDEN)
            .wait_time_seconds(LOOKS_FOR)
            .message_attribute_names("All")
            .set_message_system_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("dead letters cannot be received: {}", told_by_code(&error)))?;
        let received = answer.messages.unwrap_or_default().into_iter().map(Received::of);
        received.collect::<Option<_>>().context("SQS gave a message without its id, handle, time or count")
    }

    /// Sends messages to their origin, as they are. Says for each whether SQS holds it, and else why not.
    pub(super) async fn send(&self, letters: &[Received]) -> Vec<Result<(), String>> {
        let mut told = Vec::with_capacity(letters.len());
        let mut rest = letters;
        while !rest.is_empty() {
            let (call, after) = rest.split_at(fitting(rest));
            rest = after;
            told.extend(self.send_call(call).await);
        }
        told
    }

    async fn send_call(&self, letters: &[Received]) -> Vec<Result<(), String>> {
        let entries =
            letters.iter().enumerate().map(|(at, letter)| entry(at, letter)).collect::<Result<_, _>>();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return vec![Err(error); letters.len()],
        };
        let send = self.client.send_message_batch().queue_url(&self.origin);
        match send.set_entries(Some(entries)).send().await {
            Err(error) => vec![Err(told_by_code(&error)); letters.len()],
            Ok(answer) => {
                let taken = answer.successful().iter().map(|taken| (taken.id(), Ok(())));
                let failed =
                    answer.failed().iter().map(|failed| (failed.id(), Err(failed.code().to_owned())));
                by_place(letters.len(), taken.chain(failed))
            }
        }
    }

    /// Deletes messages; says for each whether it is gone, and else why not.
    pub(super) async fn delete(&self, handles: &[&str]) -> Vec<Result<(), String>> {
        let mut told = Vec::with_capacity(handles.len());
        for call in handles.chunks(BATCH) {
            let entry = |(at, handle): (usize, &&str)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
                entry.receipt_handle(*handle).build().ok()
            };
            let entries = call.iter().enumerate().filter_map(entry).collect();
            let delete = self.client.delete_message_batch().queue_url(&self.dead).set_entries(Some(entries));
            told.extend(match delete.send().await {
                Err(error) => vec![Err(told_by_code(&error)); call.len()],
                Ok(answer) => {
                    let gone = answer.successful().iter().map(|gone| (gone.id(), Ok(())));
                    let failed =
                        answer.failed().iter().map(|failed| (failed.id(), Err(failed.code().to_owned())));
                    by_place(call.len(), gone.chain(failed))
                }
            });
        }
        told
    }

    /// Makes messages visible again. Says why that failed, and for how many: they become so by themselves, after
    /// [`HIDDEN`].
    pub(super) async fn give_back(&self, handles: &[&str]) -> BTreeMap<String, u64> {
        let mut hidden = BTreeMap::new();
        for call in handles.chunks(BATCH) {
            let entry = |(at, handle): (usize, &&str)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(at.to_string());
                entry.receipt_handle(*handle).visibility_timeout(0).build().ok()
            };
            let entries = call.iter().enumerate().filter_map(entry).collect();
            let give = self.client.change_message_visibility_batch().queue_url(&self.dead);
            match give.set_entries(Some(entries)).send().await {
                Err(error) => *hidden.entry(told_by_code(&error)).or_default() += call.len() as u64,
                Ok(answer) => {
                    for failed in answer.failed().iter().filter(|failed| !is_visible(failed.code())) {
                        *hidden.entry(failed.code().to_owned()).or_default() += 1;
                    }
                }
            }
        }
        hidden
    }
}

/// Whether a message could not be made visible since it is not hidden any more: its time was up, or somebody has
/// deleted it.
fn is_visible(code: &str) -> bool {
    code.ends_with("MessageNotInflight") || code.ends_with("InvalidParameterValue")
}

fn entry(at: usize, letter: &Received) -> Result<SendMessageBatchRequestEntry, String> {
    let mut entry = SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(&letter.body);
    if !letter.attributes.is_empty() {
        entry = entry.set_message_attributes(Some(letter.attributes.clone()));
    }
    if let Some(trace) = &letter.trace {
        let value = MessageSystemAttributeValue::builder().data_type("String").string_value(trace).build();
        let value = value.map_err(|error| error.to_string())?;
        entry = entry.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
    }
    entry.build().map_err(|error| error.to_string())
}

/// How many of the messages, from the first on, one call takes: at least one.
fn fitting(letters: &[Received]) -> usize {
    let mut bytes = 0;
    let fits = letters.iter().take(BATCH).take_while(|letter| {
        bytes += letter.bytes();
        bytes <= MAX_MESSAGE_BYTES
    });
    fits.count().max(1)
}

/// What was told of each of the entries of a call, whose ids are their places. Of one that nothing was told of,
/// nothing is believed.
fn by_place<'a>(
    count: usize,
    told: impl Iterator<Item = (&'a str, Result<(), String>)>,
) -> Vec<Result<(), String>> {
    let told: BTreeMap<&str, Result<(), String>> = told.collect();
    let of = |at: usize| told.get(at.to_string().as_str()).cloned();
    (0..count).map(|at| of(at).unwrap_or_else(|| Err("SQS did not say".to_owned()))).collect()
}
