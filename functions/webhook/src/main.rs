//! The Lambda function behind `POST /v1/webhooks/smile`. See `lib.rs`.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use shared::aws;
use shared::queue::Queue;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::secrets::SecretSet;
use shared::variables::Variables;
use webhook::config::SecretSource;
use webhook::{Answer, Arrival, Config, PATIENCE, Request, Webhook};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let config = Config::read(&variables).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let (webhook, function_name) =
        start(config, &variables).await.inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let (webhook, function_name) = (Arc::new(webhook), Arc::<str>::from(function_name));
    let handler = async |event: LambdaEvent<Request>| -> Result<Answer, Error> {
        // A task of its own: what a panic says could quote the body, and must not become the error that
        // Lambda logs.
        let task = tokio::spawn(handle(Arc::clone(&webhook), Arc::clone(&function_name), event));
        task.await.map_err(|_| Error::from("panicked"))
    };
    Runtime::new(service_fn(handler)).run().await
}

async fn handle(webhook: Arc<Webhook>, function_name: Arc<str>, event: LambdaEvent<Request>) -> Answer {
    let context = event.context;
    let arrival =
        Arrival { now: now(), trace: context.xray_trace_id.as_deref(), invocation: &context.request_id };
    let form = event.payload.form();
    let outcome = webhook.handle(event.payload, arrival).await;
    for count in outcome.counts() {
        count.write(&function_name, arrival.now);
    }
    outcome.answer(form)
}

/// Builds the clients, fetches the secret and opens the queue's connection: all before the first request.
async fn start(config: Config, variables: &Variables<'_>) -> anyhow::Result<(Webhook, String)> {
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    let queue = Queue::new(&sdk, config.queue_url);
    let secrets = async {
        Ok::<_, anyhow::Error>(match config.secrets {
            SecretSource::Arn(arn) => {
                Secrets::fetch(SecretStore::new(&sdk, arn).called("the webhook secret"), now()).await?
            }
            SecretSource::List(list) => Secrets::Fixed(Arc::new(
                SecretSet::from_list(&list).context("the variable SMILE_WEBHOOK_SECRETS cannot be used")?,
            )),
        })
    };
    let (secrets, ()) = tokio::join!(secrets, queue.open());
    Ok((Webhook::new(config.allow_list, config.policy, secrets?, queue), config.function_name))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
