//! A worked example of acting on an event of the bus, as a lender would: the data of an account have come, so an
//! application can be decided.
//!
//! The bus says that a task has finished, by ids. What is true *now* is asked of the read API: events come in no
//! order, and the user may have taken access back since. The outcome is one item in a table of the lender's, whose
//! key is the event's id: however often the bus delivers it, or an archive replays it, the lender decides once.

mod ask;
mod lender;

use anyhow::Context;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use shared::aws;
use shared::variables::Variables;

use self::ask::ReadApi;
use self::lender::{BusEvent, Lender, PATIENCE};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    shared::log::start(&variables);
    let lender = start(&variables).inspect_err(|error| tracing::error!("cannot start: {error:#}"))?;
    let handler = async |event: LambdaEvent<BusEvent>| -> Result<(), Error> {
        lender.act(&event.payload.detail).await.inspect_err(|error| tracing::error!("{error:#}"))?;
        Ok(())
    };
    Runtime::new(service_fn(handler)).run().await
}

fn start(variables: &Variables<'_>) -> anyhow::Result<Lender> {
    let sdk = aws::config(aws::Settings::read(variables)?, PATIENCE).context("the variable AWS_CA_BUNDLE")?;
    Ok(Lender {
        dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
        table: variables.required("TO_BE_DECIDED_TABLE")?,
        read_api: ReadApi::new(sdk, variables.required("BACKEND_URL")?),
    })
}
