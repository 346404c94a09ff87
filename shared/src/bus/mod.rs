//! The bus on which others hear of events: EventBridge, and what may stand on it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`detail`] | what stands on the bus, and its schemas |
//! | `allowed` | which members a type's detail can have |
//! | `member` | each member's name, value and schema |
//!
//! An event has the source `smile.webhook`, `smile.callback` or `smile.reconcile`, its type as the detail type,
//! and a [`Detail`]. Its time is when it was stored: the same however often it is put, and a clock of ours, by
//! which an archive replays. When it happened stands in the detail. Delivery is at least once, in no order; `id`
//! tells a repeat. The body is not on the bus: it is fetched by id.

mod allowed;
pub mod detail;
mod member;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_types::SdkConfig;

pub use self::detail::Detail;
use crate::aws::told_by_code;

/// The most entries of one call (Amazon EventBridge API reference, `PutEvents`). All of them together may have
/// 256 KB, or 1 MB since 2026: ten of the largest details stay below either.
pub const MAX_ENTRIES: usize = 10;

/// One bus.
#[derive(Clone)]
pub struct Bus {
    client: Client,
    name: String,
}

impl Bus {
    /// The bus of this name or ARN.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self { client: Client::new(config), name: name.into() }
    }

    /// Puts up to [`MAX_ENTRIES`] events on the bus, in one call. Says of each, in their order, whether the
    /// bus has it: a call can succeed in part.
    pub async fn put(&self, details: &[Detail], trace: Option<&str>) -> Vec<bool> {
        self.put_told(details, trace).await.iter().map(Result::is_ok).collect()
    }

    /// The same; of what the bus has not, it says why.
    pub async fn put_told(&self, details: &[Detail], trace: Option<&str>) -> Vec<Result<(), String>> {
        let mut entries = Vec::with_capacity(details.len());
        for detail in details {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(format!("smile.{}", detail.source()))
                .detail_type(detail.detail_type())
                .detail(detail.to_json())
                .set_time(DateTime::from_nanos(detail.stored_at().as_nanosecond()).ok())
                .set_trace_header(trace.map(str::to_owned));
            entries.push(entry.build());
        }
        match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => {
                let told = answer.entries();
                for refused in told.iter().filter(|entry| entry.event_id().is_none()) {
                    tracing::error!(code = refused.error_code(), "the bus refused an event");
                }
                // An answer for another number of events says nothing of any.
                let is_ours = told.len() == details.len();
                let of = |at: usize| match told.get(at).filter(|_| is_ours) {
                    Some(entry) if entry.event_id().is_some() => Ok(()),
                    entry => Err(entry.and_then(|entry| entry.error_code()).unwrap_or("unclear").to_owned()),
                };
                (0..details.len()).map(of).collect()
            }
            Err(error) => {
                let why = told_by_code(&error);
                tracing::error!(error = why, "the bus took nothing");
                vec![Err(why); details.len()]
            }
        }
    }
}
