//! The Lambda function behind `POST /v1/links`. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use link::{Answer, Arrival, Config, Link, PATIENCE, Request};
use shared::aws;
use shared::session::SESSION_ID_BYTES;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let config = Config::read(&variables).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let link =
        start(&config, &variables).await.inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let (link, function_name) = (Arc::new(link), Arc::<str>::from(config.function_name));
    let handler = async |event: LambdaEvent<Request>| -> Result<Answer, Error> {
        // A task of its own: what a panic says could quote a token, and must not become the error that Lambda
        // logs.
        let task = tokio::spawn(handle(Arc::clone(&link), Arc::clone(&function_name), event.payload));
        task.await.map_err(|_| Error::from("panicked"))?
    };
    Runtime::new(service_fn(handler)).run().await
}

async fn handle(link: Arc<Link>, function_name: Arc<str>, request: Request) -> Result<Answer, Error> {
    let mut session = [0; SESSION_ID_BYTES];
    getrandom::getrandom(&mut session).map_err(|_| Error::from("the machine gives nothing random"))?;
    let arrival = Arrival { now: now(), session };
    let outcome = link.handle(&request, arrival).await;
    for count in outcome.counts() {
        count.write(&function_name, arrival.now);
    }
    Ok(outcome.answer(link.urls()))
}

async fn start(config: &Config, variables: &Variables<'_>) -> anyhow::Result<Link> {
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    Link::start(&sdk, config, now()).await
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
