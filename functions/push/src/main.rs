//! The Lambda function behind a rule of the bus. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use push::{BusEvent, Config, Detail, PATIENCE, Pushed, Pusher};
use shared::aws;
use shared::socket::Sockets;
use shared::table::Table;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let (pusher, function_name) =
        start(&variables).inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let (pusher, function_name) = (Arc::new(pusher), Arc::<str>::from(function_name));
    let handler = async |event: LambdaEvent<BusEvent>| -> Result<(), Error> {
        // A task of its own, as with the other functions: a panic says nothing but that it was one.
        let task =
            tokio::spawn(handle(Arc::clone(&pusher), Arc::clone(&function_name), event.payload.detail));
        task.await.map_err(|_| Error::from("panicked"))?
    };
    Runtime::new(service_fn(handler)).run().await
}

async fn handle(pusher: Arc<Pusher>, function_name: Arc<str>, detail: Detail) -> Result<(), Error> {
    let now = now();
    let event = detail.id();
    match pusher.push(&detail, now).await {
        Ok(done) => {
            for count in done.counts() {
                count.write(&function_name, now);
            }
            let Pushed { told, gone, failed, given_up } = done;
            tracing::info!(event, told, gone, failed, given_up, "pushed");
            if done.failed == 0 { Ok(()) } else { Err(Error::from("a page was not told")) }
        }
        Err(fault) => {
            tracing::error!(event, %fault, "not pushed; it comes again");
            Err(Error::from("not pushed"))
        }
    }
}

fn start(variables: &Variables<'_>) -> anyhow::Result<(Pusher, String)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let (table, sockets) = (Table::new(&sdk, config.table), Sockets::new(&sdk, &config.connections_url));
    Ok((Pusher::new(table, sockets), config.function_name))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
