//! A flood of browsers fills their own queue, and nothing else.

use serde_json::Value;

use super::{Browser, item};
use crate::support::cases;

#[tokio::test]
async fn thousands_of_tiny_batches_are_each_one_message_on_the_browsers_queue() {
    let batches = cases(2000);
    let mut browser = Browser::new().await;
    for at in 0..batches {
        let answered =
            browser.send("u-1", &[item(&format!("c-{at}"), "onClose", "10:00:00", Value::Null)]).await;
        assert_eq!(answered.status, 200);
    }
    let state = browser.receiver.cloud.state();
    assert_eq!(state.messages.len(), batches);
    assert!(state.messages.iter().all(|message| message["QueueUrl"] == crate::receiver::CALLBACK_QUEUE));
    // The secret was fetched once, not for each.
    assert_eq!(state.calls.iter().filter(|call| call.ends_with("GetSecretValue")).count(), 1);
}
