//! The Lambda function behind the WebSocket API. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use live::request::Event;
use live::{Config, Live, PATIENCE};
use serde_json::Value;
use shared::aws;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::socket::Sockets;
use shared::table::Table;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let (live, function_name) =
        start(&variables).await.inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let (live, function_name) = (Arc::new(live), Arc::<str>::from(function_name));
    let handler = async |event: LambdaEvent<Event>| -> Result<Value, Error> {
        // A task of its own: what a panic says could quote a token, and must not become the error that Lambda
        // logs.
        let task = tokio::spawn(handle(Arc::clone(&live), Arc::clone(&function_name), event.payload));
        task.await.map_err(|_| Error::from("panicked"))
    };
    Runtime::new(service_fn(handler)).run().await
}

async fn handle(live: Arc<Live>, function_name: Arc<str>, event: Event) -> Value {
    let now = now();
    let outcome = live.handle(&event, now).await;
    for count in outcome.counts() {
        count.write(&function_name, now);
    }
    outcome.answer()
}

async fn start(variables: &Variables<'_>) -> anyhow::Result<(Live, String)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let secret = SecretStore::new(&sdk, config.secret_arn).called("the session secret");
    let secrets = Secrets::fetch(secret, now()).await?;
    let (table, sockets) = (Table::new(&sdk, config.table), Sockets::new(&sdk, &config.connections_url));
    Ok((Live::new(config.origins, secrets, table, sockets), config.function_name))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
