//! The Lambda function behind `GET /v1/…`. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use query::{Answer, Config, PATIENCE, Query, Request};
use shared::aws;
use shared::table::Table;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let query = start(&variables).inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let query = Arc::new(query);
    let handler = async |event: LambdaEvent<Request>| -> Result<Answer, Error> {
        // A task of its own: what a panic says could quote what was read, and must not become the error that
        // Lambda logs.
        let query = Arc::clone(&query);
        let task = tokio::spawn(async move { query.handle(&event.payload, now()).await.answer() });
        task.await.map_err(|_| Error::from("panicked"))
    };
    Runtime::new(service_fn(handler)).run().await
}

fn start(variables: &Variables<'_>) -> anyhow::Result<Query> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let query = Query::new(Table::new(&sdk, config.table));
    Ok(query.with_bodies_scope(config.bodies_scope).with_url(config.url))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
