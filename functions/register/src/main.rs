//! The Lambda function behind the stack's registration at Smile. See `lib.rs`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use register::{ANSWERED_WITHIN, Config, PATIENCE, Register, Stacks, handle};
use serde_json::Value;
use shared::aws;
use shared::metrics::{Count, Metric};
use shared::variables::Variables;

/// The function's time-out (`infra/template.yaml`), for a runtime that tells no deadline.
const TIME: Duration = Duration::from_secs(90);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let function_name = variables.function_name("register");
    // A function that ended here would leave CloudFormation waiting.
    let started = start(&variables).map_err(|error| format!("{error:#}"));
    let (register, stacks) = match started {
        Ok((register, stacks)) => (Ok(register), Some(stacks)),
        Err(error) => {
            tracing::error!(error, "cannot start");
            (Err(error), None)
        }
    };
    let handler = async |event: LambdaEvent<Value>| -> Result<(), Error> {
        let time = remaining(event.context.deadline()).saturating_sub(ANSWERED_WITHIN);
        let Some(outcome) = handle(register.clone(), stacks.clone(), event.payload, time).await else {
            tracing::error!("the event says nowhere to answer to");
            return Ok(());
        };
        outcome.log();
        if outcome.orphaned.is_some() {
            Count::of(Metric::RegistrationOrphaned).write(&function_name, now());
        }
        let give = move || outcome.answer.give(&outcome.envelope.response_url);
        // Without an answer the event comes again: Lambda repeats it, and it does what is missing.
        tokio::task::spawn_blocking(give)
            .await?
            .inspect_err(|error| tracing::error!(error, "CloudFormation did not take the answer"))
            .map_err(Error::from)
    };
    Runtime::new(service_fn(handler)).run().await
}

fn start(variables: &Variables<'_>) -> anyhow::Result<(Arc<Register>, Stacks)> {
    let config = Config::read(variables)?;
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    Ok((Arc::new(Register::new(&sdk, &config)), Stacks::new(&sdk)))
}

/// How long there is. Some runtimes tell a deadline of 1970.
#[expect(clippy::disallowed_methods, reason = "the function's clock, against the runtime's deadline")]
fn remaining(deadline: SystemTime) -> Duration {
    deadline.duration_since(SystemTime::now()).map_or(TIME, |remaining| remaining.min(TIME))
}

#[expect(clippy::disallowed_methods, reason = "the function's one clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
