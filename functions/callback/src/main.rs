//! The Lambda function behind `POST /v1/callbacks` and the script. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use callback::{Arrival, Callbacks, Config, PATIENCE};
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use shared::aws;
use shared::queue::Queue;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::variables::Variables;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let (callbacks, function_name) =
        start(&variables).await.inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let (callbacks, function_name) = (Arc::new(callbacks), Arc::<str>::from(function_name));
    let handler = async |request: Request| -> Result<Response<Body>, Error> {
        // A task of its own: what a panic says could quote the body, and must not become the error that
        // Lambda logs.
        let task = tokio::spawn(handle(Arc::clone(&callbacks), Arc::clone(&function_name), request));
        task.await.map_err(|_| Error::from("panicked"))
    };
    lambda_http::run(service_fn(handler)).await
}

async fn handle(callbacks: Arc<Callbacks>, function_name: Arc<str>, request: Request) -> Response<Body> {
    let context = request.lambda_context();
    let id = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(gateway)) => gateway.request_id.clone(),
        _ => None,
    };
    let arrival = Arrival {
        now: now(),
        trace: context.xray_trace_id.as_deref(),
        // Where the gateway gave no id, Lambda's own of this invocation.
        delivery: id.as_deref().unwrap_or(&context.request_id),
    };
    let outcome = callbacks.handle(&request, request.raw_http_path(), arrival).await;
    for count in outcome.counts() {
        count.write(&function_name, arrival.now);
    }
    outcome.answer()
}

/// Builds the clients, fetches the secret and opens the queue's connection: all before the first request.
async fn start(variables: &Variables<'_>) -> anyhow::Result<(Callbacks, String)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let queue = Queue::new(&sdk, config.queue_url);
    let secret = SecretStore::new(&sdk, config.secret_arn).called("the session secret");
    let (secrets, ()) = tokio::join!(Secrets::fetch(secret, now()), queue.open());
    Ok((Callbacks::new(config.origins, secrets?, queue, config.unconfirmed_after), config.function_name))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
