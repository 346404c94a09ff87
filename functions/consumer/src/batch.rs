//! A batch from SQS: every message is a task of its own, so that none waits for another, and a panic or
//! a failure takes nothing with it. Only what failed goes back.

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long one message may take: below the function's time-out of 30 seconds (`infra/template.yaml`), so that
/// a slow message goes back alone and takes no neighbour with it.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// A message without an id could not be given back alone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of the batch has no id")]
pub struct NoMessageId;

/// Runs `process` on every message at once and names those that must come again: the ones for which it
/// gave false, the ones on which it panicked, and the ones on which it took longer than [`PATIENCE`].
pub async fn run<P, F>(batch: SqsEvent, process: P) -> Result<SqsBatchResponse, NoMessageId>
where
    P: Fn(SqsMessage) -> F,
    F: Future<Output = bool> + Send + 'static,
{
    let ids: Vec<String> = batch
        .records
        .iter()
        .map(|message| message.message_id.clone())
        .collect::<Option<_>>()
        .ok_or(NoMessageId)?;
    let mut tasks = JoinSet::new();
    let mut left: std::collections::BTreeMap<_, _> = batch
        .records
        .into_iter()
        .zip(ids)
        .map(|(message, id)| {
            let work = timeout(PATIENCE, process(message));
            let task = tasks.spawn(async {
                work.await.inspect_err(|_| tracing::error!("a message took too long")).unwrap_or(false)
            });
            (task.id(), id)
        })
        .collect();
    while let Some(ended) = tasks.join_next_with_id().await {
        match ended {
            Ok((task, true)) => {
                left.remove(&task);
            }
            Ok((_, false)) => {}
            Err(error) => {
                let message_id = left.get(&error.id()).map_or("", String::as_str);
                tracing::error!(message_id, "a message's task panicked; it comes again");
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = left
        .into_values()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ids: &[&str]) -> SqsEvent {
        let records: Vec<_> =
            ids.iter().map(|id| serde_json::json!({ "messageId": id, "body": id })).collect();
        serde_json::from_value(serde_json::json!({ "Records": records })).unwrap()
    }

    #[tokio::test]
    async fn only_what_failed_goes_back() {
        let response =
            run(batch(&["a", "b", "c", "d"]), async |message: SqsMessage| match message.body.as_deref() {
                Some("b") => false,
                Some("c") => panic!("on purpose"),
                _ => true,
            })
            .await
            .unwrap();
        let mut failed: Vec<_> =
            response.batch_item_failures.iter().map(|item| item.item_identifier.as_str()).collect();
        failed.sort_unstable();
        assert_eq!(failed, ["b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_message_waits_for_another() {
        let start = tokio::time::Instant::now();
        let response =
            run(batch(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]), async |_: SqsMessage| {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                true
            });
        assert!(response.await.unwrap().batch_item_failures.is_empty());
        assert_eq!(start.elapsed().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_message_goes_back_alone() {
        let response = run(batch(&["a", "slow", "c"]), async |message: SqsMessage| {
            if message.body.as_deref() == Some("slow") {
                tokio::time::sleep(PATIENCE * 2).await;
            }
            true
        });
        let failed = response.await.unwrap().batch_item_failures;
        assert_eq!(failed.iter().map(|item| item.item_identifier.as_str()).collect::<Vec<_>>(), ["slow"]);
    }

    #[tokio::test]
    async fn a_message_without_an_id_fails_the_batch() {
        let batch = serde_json::from_str(r#"{"Records":[{"body":"x"}]}"#).unwrap();
        assert_eq!(run(batch, async |_: SqsMessage| true).await.unwrap_err(), NoMessageId);
    }
}
