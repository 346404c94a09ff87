//! A flood of browsers fills their own queue, and nothing else.

use serde_json::Value;

use super::{Browser, item};

#[tokio::test]
async fn ten_thousand_tiny_batches_are_each_one_message_on_the_browsers_queue() {
    let mut browser = Browser::new().await;
    for at in 0..10_000 {
        let answered =
            browser.send("u-1", &[item(&format!("c-{at}"), "onClose", "10:00:00", Value::Null)]).await;
        assert_eq!(answered.status, 200);
    }
    let state = browser.receiver.cloud.state();
    assert_eq!(state.messages.len(), 10_000);
    assert!(state.messages.iter().all(|message| message["QueueUrl"] == crate::receiver::CALLBACK_QUEUE));
    // The secret was fetched once, not for each.
    assert_eq!(state.calls.iter().filter(|call| call.ends_with("GetSecretValue")).count(), 1);
}
