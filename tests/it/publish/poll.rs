//! What Lambda does between a stream, or a queue, and the function: batches, filters, and what comes again (AWS
//! Lambda, developer guide, "Using Lambda to process records from Amazon DynamoDB Streams", "Handling errors for an
//! SQS event source"). The local cloud ignores partial failures of streams, so they are tried with this.

use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};

use super::aws::Aws;

/// The template's `BatchSize` of the stream.
const BATCH: i32 = 100;

/// The stream of the table, of one shard, from its horizon on.
pub(super) struct Stream {
    client: aws_sdk_dynamodbstreams::Client,
    arn: String,
    shard: String,
    checkpoint: Checkpoint,
    /// How often the shard began again with what had failed, and how often with a whole batch.
    pub(super) again: (usize, usize),
}

enum Checkpoint {
    Horizon,
    At(String),
    After(String),
}

impl Stream {
    pub(super) async fn open(sdk: &SdkConfig) -> Self {
        let client = aws_sdk_dynamodbstreams::Client::new(sdk);
        let streams = client.list_streams().table_name("table").send().await.unwrap();
        let arn = streams.streams()[0].stream_arn().unwrap().to_owned();
        let described = client.describe_stream().stream_arn(&arn).send().await.unwrap();
        let [shard] = described.stream_description().unwrap().shards() else { panic!("not one shard") };
        let shard = shard.shard_id().unwrap().to_owned();
        Self { client, arn, shard, checkpoint: Checkpoint::Horizon, again: (0, 0) }
    }

    /// Hands the next batch to the function. It gives what failed, or none when it failed itself; false is at the
    /// end of the stream.
    pub(super) async fn poll(&mut self, function: impl AsyncFnOnce(Value) -> Option<Vec<String>>) -> bool {
        let iterator = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(&self.shard);
        let iterator = match &self.checkpoint {
            Checkpoint::Horizon => iterator.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Checkpoint::At(number) => {
                iterator.shard_iterator_type(ShardIteratorType::AtSequenceNumber).sequence_number(number)
            }
            Checkpoint::After(number) => {
                iterator.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(number)
            }
        };
        let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
        let read = self.client.get_records().shard_iterator(iterator).limit(BATCH).send().await.unwrap();
        let Some(last) = read.records().last() else { return false };
        let batch: Vec<Value> = read.records().iter().map(lambdas).filter(passes).collect();
        let failed =
            if batch.is_empty() { Some(Vec::new()) } else { function(json!({ "Records": batch })).await };
        match failed {
            Some(failed) if failed.is_empty() => {
                self.checkpoint = Checkpoint::After(number(&lambdas(last)));
            }
            Some(failed) => {
                // The lowest is the checkpoint. A name that is none of the batch's fails all of it.
                let numbers: Vec<String> = batch.iter().map(number).collect();
                assert!(failed.iter().all(|name| numbers.contains(name)), "{failed:?}");
                let lowest = numbers.into_iter().find(|number| failed.contains(number)).unwrap();
                self.checkpoint = Checkpoint::At(lowest);
                self.again.0 += 1;
            }
            None => self.again.1 += 1,
        }
        true
    }
}

/// The template's filter: `{"eventName":["INSERT"],"dynamodb":{"Keys":{"sk":{"S":["EVENT"]}}}}`.
fn passes(record: &Value) -> bool {
    record["eventName"] == "INSERT" && record["dynamodb"]["Keys"]["sk"]["S"] == "EVENT"
}

fn number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned()
}

/// A record as Lambda hands it over.
fn lambdas(record: &Record) -> Value {
    let change = record.dynamodb().unwrap();
    let item = |item: Option<&std::collections::HashMap<String, AttributeValue>>| -> Map<String, Value> {
        item.into_iter().flatten().map(|(name, value)| (name.clone(), attribute(value))).collect()
    };
    json!({
        "eventID": record.event_id(),
        "eventName": record.event_name().unwrap().as_str(),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "ap-southeast-1",
        "dynamodb": {
            "Keys": item(change.keys()),
            "NewImage": item(change.new_image()),
            "SequenceNumber": change.sequence_number(),
            "SizeBytes": change.size_bytes(),
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

fn attribute(value: &AttributeValue) -> Value {
    let binary = |bytes: &aws_sdk_dynamodbstreams::primitives::Blob| {
        base64_simd::STANDARD.encode_to_string(bytes.as_ref())
    };
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": binary(bytes) }),
        AttributeValue::Bool(is) => json!({ "BOOL": is }),
        AttributeValue::Null(is) => json!({ "NULL": is }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(all) => json!({ "BS": all.iter().map(binary).collect::<Vec<_>>() }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(map) => {
            let members = map.iter().map(|(name, value)| (name.clone(), attribute(value)));
            json!({ "M": members.collect::<Map<_, _>>() })
        }
        other => panic!("{other:?}"),
    }
}

/// The retry queue, in batches of ten.
#[derive(Default)]
pub(super) struct Retries {
    messages: usize,
}

impl Retries {
    /// Hands the next batch to the function; what failed goes to the queue's end. False when nothing waits.
    pub(super) async fn poll(
        &mut self,
        aws: &Aws,
        function: impl AsyncFnOnce(Value) -> Option<Vec<String>>,
    ) -> bool {
        let bodies: Vec<String> = {
            let queue = &mut aws.state().queue;
            let count = queue.len().min(10);
            queue.drain(..count).collect()
        };
        if bodies.is_empty() {
            return false;
        }
        let named: Vec<(String, String)> = bodies
            .into_iter()
            .map(|body| {
                self.messages += 1;
                (format!("m-{}", self.messages), body)
            })
            .collect();
        let records: Vec<Value> = named
            .iter()
            .map(|(id, body)| json!({ "messageId": id, "body": body, "eventSource": "aws:sqs" }))
            .collect();
        let failed = function(json!({ "Records": records })).await;
        for (id, body) in named {
            if failed.as_ref().is_none_or(|failed| failed.contains(&id)) {
                aws.state().queue.push_back(body);
            }
        }
        true
    }
}
