//! The Lambda function behind the webhook queue. See `lib.rs`.

use anyhow::Context;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use consumer::{Config, Consumer, PATIENCE, batch};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use shared::aws;
use shared::metrics::{Count, Metric};
use shared::table::Table;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let (consumer, function_name) =
        start(&variables).inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let handler = async |event: LambdaEvent<SqsEvent>| -> Result<SqsBatchResponse, Error> {
        let each = |message| process(consumer.clone(), function_name.clone(), message);
        let response = batch::run(event.payload, each).await?;
        // Here, since a task that panicked counts nothing.
        for _ in &response.batch_item_failures {
            Count::of(Metric::Retried).write(&function_name, now());
        }
        Ok(response)
    };
    Runtime::new(service_fn(handler)).run().await
}

fn start(variables: &Variables<'_>) -> anyhow::Result<(Consumer, String)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    Ok((
        Consumer::new(Table::new(&sdk, config.table), config.retention, config.callback_queue),
        config.function_name,
    ))
}

/// Whether the message is dealt with.
async fn process(consumer: Consumer, function_name: String, message: SqsMessage) -> bool {
    let outcome = match consumer.process(&message, now()).await {
        Ok(outcome) => outcome,
        Err(fault) => {
            let delivery = message.message_attributes.get("delivery");
            let delivery = delivery.and_then(|delivery| delivery.string_value.as_deref());
            let message_id = message.message_id.as_deref();
            tracing::error!(%fault, delivery, message_id, "not dealt with; it comes again");
            return false;
        }
    };
    for count in outcome.counts() {
        count.write(&function_name, now());
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
