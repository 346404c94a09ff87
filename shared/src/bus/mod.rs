//! The bus on which others hear of events: EventBridge, and what may stand on it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`detail`] | the allow list: which members a type's detail has, and nothing else |
//!
//! An event has the source `smile.webhook`, `smile.callback` or `smile.reconcile`, its type as the detail type,
//! and a [`Detail`]. Delivery is at least once, in no order; `id` tells a repeat. The body is not on the bus: it
//! is fetched by id.

pub mod detail;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_types::SdkConfig;

pub use self::detail::Detail;
use crate::aws::told_by_code;

/// The most entries of one call (Amazon EventBridge API reference, `PutEvents`).
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
        let mut entries = Vec::with_capacity(details.len());
        for detail in details {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(format!("smile.{}", detail.source()))
                .detail_type(detail.detail_type())
                .detail(detail.to_json())
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
                (0..details.len()).map(|at| is_ours && told[at].event_id().is_some()).collect()
            }
            Err(error) => {
                tracing::error!(error = told_by_code(&error), "the bus took nothing");
                vec![false; details.len()]
            }
        }
    }
}
