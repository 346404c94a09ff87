//! A little AWS inside the test: SQS and Secrets Manager as state behind the SDK's own wire format, and
//! DynamoDB on SQLite (`dynoxide`), with the table as the template describes it.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use shared::aws::{Patience, Settings, config};
use shared::table::Table;

use crate::support::template;

/// Long time-outs, so that a busy machine fails no call.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(30),
    attempt: Duration::from_mins(2),
    operation: Duration::from_mins(4),
    attempts: 2,
};

pub(crate) fn sdk(endpoint: &str) -> SdkConfig {
    config(Settings::at(endpoint, "ap-southeast-1", "test", "test"), PATIENCE).unwrap()
}

/// What the fake AWS holds, and whether its parts work.
#[derive(Default)]
pub(crate) struct State {
    /// Messages on the queue, as SQS was given them.
    pub(crate) messages: Vec<Value>,
    /// Calls of each operation.
    pub(crate) calls: Vec<String>,
    /// The webhook secret's value.
    pub(crate) secret: String,
    /// What SQS answers with instead of taking a message.
    pub(crate) sqs_fails: Option<(u16, &'static str)>,
    /// How many messages SQS still takes out of batches, if not all.
    pub(crate) batches_take: Option<usize>,
    /// What Secrets Manager answers with instead of the secret.
    pub(crate) secrets_fail: Option<(u16, &'static str)>,
}

/// The fake AWS.
#[derive(Clone, Default)]
pub(crate) struct Cloud(Arc<Mutex<State>>);

impl Cloud {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A configuration whose every call ends here.
    pub(crate) fn sdk(&self) -> SdkConfig {
        let cloud = self.clone();
        let client = infallible_client_fn(move |request| {
            let target = request.headers().get("x-amz-target").unwrap().to_str().unwrap().to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = cloud.answer(&target, body);
            http::Response::builder().status(status).body(SdkBody::from(answer.to_string())).unwrap()
        });
        sdk("http://fake.invalid").to_builder().http_client(client).build()
    }

    fn answer(&self, target: &str, request: Value) -> (u16, Value) {
        let mut state = self.state();
        state.calls.push(target.to_owned());
        let failed =
            |(status, code): (u16, &str)| (status, json!({ "__type": code, "message": "on purpose" }));
        match target {
            "AmazonSQS.SendMessage" => {
                if let Some(failure) = state.sqs_fails {
                    failed(failure)
                } else {
                    state.messages.push(request);
                    (200, json!({ "MessageId": format!("m-{}", state.messages.len()) }))
                }
            }
            "AmazonSQS.SendMessageBatch" => {
                if let Some(failure) = state.sqs_fails {
                    return failed(failure);
                }
                let (mut successful, mut refused) = (Vec::new(), Vec::new());
                for entry in request["Entries"].as_array().unwrap() {
                    if state.batches_take == Some(0) {
                        refused.push(
                            json!({ "Id": entry["Id"], "Code": "InternalError", "SenderFault": false }),
                        );
                        continue;
                    }
                    state.batches_take = state.batches_take.map(|left| left - 1);
                    let mut message = entry.clone();
                    message["QueueUrl"] = request["QueueUrl"].clone();
                    state.messages.push(message);
                    successful.push(json!({
                        "Id": entry["Id"], "MessageId": format!("m-{}", state.messages.len()), "MD5OfMessageBody": "",
                    }));
                }
                (200, json!({ "Successful": successful, "Failed": refused }))
            }
            "AmazonSQS.GetQueueAttributes" => (200, json!({})),
            "secretsmanager.GetSecretValue" => match state.secrets_fail {
                Some(failure) => failed(failure),
                None => (200, json!({ "SecretString": state.secret })),
            },
            other => panic!("nobody should call {other}"),
        }
    }

    /// Takes all messages off the queue, as the event source hands them to the consumer.
    pub(crate) fn receive(&self) -> Vec<SqsMessage> {
        self.state().messages.drain(..).enumerate().map(|(at, sent)| received(at, &sent)).collect()
    }
}

/// A message as Lambda gets it, from what SQS was given.
fn received(at: usize, sent: &Value) -> SqsMessage {
    let attributes: serde_json::Map<String, Value> = sent["MessageAttributes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (name.clone(), json!({ "stringValue": value["StringValue"], "dataType": value["DataType"] }))
        })
        .collect();
    serde_json::from_value(json!({
        "messageId": format!("m-{at}"),
        "body": sent["MessageBody"],
        "messageAttributes": attributes,
        "attributes": { "SentTimestamp": "1772359200000" },
        "eventSourceARN": queue_arn(sent["QueueUrl"].as_str().unwrap()),
    }))
    .unwrap()
}

/// The ARN of the queue that has this URL.
pub(crate) fn queue_arn(url: &str) -> String {
    format!("arn:aws:sqs:ap-southeast-1:000000000000:{}", url.rsplit('/').next().unwrap())
}

/// A configuration that fails every call with this answer.
pub(crate) fn failing(status: u16, code: &'static str) -> SdkConfig {
    let client = infallible_client_fn(move |_| {
        let answer = json!({ "__type": code, "message": "on purpose" }).to_string();
        http::Response::builder().status(status).body(SdkBody::from(answer)).unwrap()
    });
    sdk("http://fake.invalid").to_builder().http_client(client).build()
}

/// An empty table of this test's own, and a client for looking behind it. The server lives as long as
/// the test's runtime.
pub(crate) async fn table() -> (Table, aws_sdk_dynamodb::Client) {
    let sdk = database().await;
    (Table::new(&sdk, "table"), aws_sdk_dynamodb::Client::new(&sdk))
}

/// The same for any client: the table is called `table`, and has its stream.
pub(crate) async fn database() -> SdkConfig {
    let database = dynoxide::Database::memory().unwrap();
    database.create_table(serde_json::from_value(CREATE_TABLE.clone()).unwrap()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    sdk(&endpoint)
}

/// The template's table, as `CreateTable` takes it. Read once: most tests have a table of their own.
static CREATE_TABLE: LazyLock<Value> = LazyLock::new(|| {
    let mut properties = template()["Resources"]["Table"]["Properties"].clone();
    let table = properties.as_object_mut().unwrap();
    table.insert("TableName".to_owned(), json!("table"));
    for not_of_create_table in
        ["PointInTimeRecoverySpecification", "SSESpecification", "TimeToLiveSpecification"]
    {
        table.remove(not_of_create_table).unwrap();
    }
    table["StreamSpecification"]["StreamEnabled"] = json!(true);
    properties
});
