//! The Lambda function behind the table's stream. See `lib.rs`.

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use publish::records::{Batch, Failures};
use publish::{Config, PATIENCE, Publisher};
use shared::aws;
use shared::bus::Bus;
use shared::queue::Queue;
use shared::table::Table;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let (publisher, function_name) =
        start(&variables).inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let handler = async |event: LambdaEvent<Batch>| -> Result<Failures, Error> {
        let trace = event.context.xray_trace_id.as_deref();
        let outcome = publisher.publish(event.payload, trace).await;
        for count in outcome.counts() {
            count.write(&function_name, now());
        }
        Ok(outcome.failures)
    };
    Runtime::new(service_fn(handler)).run().await
}

fn start(variables: &Variables<'_>) -> anyhow::Result<(Publisher, String)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let publisher = Publisher::new(
        Bus::new(&sdk, config.bus),
        Queue::new(&sdk, config.retry_queue_url),
        Table::new(&sdk, config.table),
    );
    Ok((publisher, config.function_name))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
