//! The README's table of costs is held to what is measured: log bytes, calls and write units of one user's life through the
//! real binaries, and the template's alarms, secrets and metric series.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use smile_cli::sample::{Ids, body, life};

use crate::observability::every_count;
use crate::process::Running;
use crate::receiver::{Receiver, SECRET, SMILE, request, signature};
use crate::support::{it_dir, template};

/// The events of one user's life, all types of webhooks.
fn events() -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(7);
    let ids = Ids::of_user("tenant-costs".to_owned(), &mut rng);
    life(&ids, "2026-03-01T12:00:00Z".parse().unwrap(), &mut rng).iter().map(body).collect()
}

/// A figure of the README's table: the first number in the second column of the row with this first column.
fn stated(row: &str) -> usize {
    let readme = std::fs::read_to_string(it_dir().join("../../README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with(&format!("| {row} |")));
    let line = line.unwrap_or_else(|| panic!("the README has no row {row:?}"));
    let cell = line.split('|').nth(2).unwrap().replace(',', "");
    let number: String =
        cell.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    number.parse().unwrap_or_else(|_| panic!("{line}"))
}

/// Rows of the README's table and what was measured for them.
#[derive(Default)]
struct Measured(Vec<(&'static str, usize)>);

impl Measured {
    fn add(&mut self, row: &'static str, measured: usize) {
        self.0.push((row, measured));
    }

    /// Holds the README to it. A log line's times and ids vary a little.
    fn check(&self) {
        let wrong = |(row, measured): &&(&str, usize)| stated(row).abs_diff(*measured) * 10 > *measured;
        let wrong: Vec<_> = self.0.iter().filter(wrong).collect();
        assert!(wrong.is_empty(), "the README says something else than was measured: {wrong:?}");
    }
}

/// A value's size as DynamoDB counts it (developer guide, "DynamoDB item sizes and formats").
fn size(value: &Value) -> usize {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len() / 2 + 1,
        ("B", Value::String(base64)) => base64.len() / 4 * 3,
        ("M", Value::Object(members)) => {
            3 + members.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
        ("L", Value::Array(items)) => 3 + items.iter().map(|item| 1 + size(item)).sum::<usize>(),
        ("SS", Value::Array(items)) => items.iter().map(|item| item.as_str().unwrap().len()).sum(),
        _ => 1,
    }
}

fn item_size(item: &Value) -> usize {
    item.as_object().unwrap().iter().map(|(name, value)| name.len() + size(value)).sum()
}

/// Write units: one for each KB, begun or whole.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(1024).max(1)
}

/// The size of each item after this life, by its keys.
async fn sizes(events: &[String]) -> BTreeMap<(String, String), usize> {
    fn value_size(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len() / 2 + 1,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::M(members) => {
                3 + members.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
            }
            AttributeValue::L(items) => 3 + items.iter().map(|item| 1 + value_size(item)).sum::<usize>(),
            AttributeValue::Ss(items) => items.iter().map(String::len).sum(),
            _ => 1,
        }
    }
    let mut receiver = Receiver::new().await;
    for event in events {
        receiver.deliver(event.as_bytes()).await;
    }
    let text = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
        item[name].as_s().unwrap().clone()
    };
    let size = |item: &std::collections::HashMap<String, AttributeValue>| {
        item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
    };
    receiver.items().await.iter().map(|item| ((text(item, "pk"), text(item, "sk")), size(item))).collect()
}

/// The writes among a consumer's calls of DynamoDB, their write units, read units, and the events' items.
fn written(
    calls: Vec<(String, Value)>,
    sizes: &BTreeMap<(String, String), usize>,
) -> (usize, usize, usize, Vec<Value>) {
    let (mut writes, mut write_units, mut read_units, mut stored) = (0, 0, 0, Vec::new());
    for (operation, request) in calls {
        match operation.as_str() {
            "PutItem" => {
                let item = &request["Item"];
                writes += 1;
                write_units += units(item_size(item));
                // Without the body, an entry of an index is smaller than a KB.
                let indexes = [("owner", "order"), ("day", "order"), ("erase", "order")];
                write_units += indexes.iter().filter(|(hash, _)| !item[hash].is_null()).count();
                if item["sk"]["S"] == "EVENT" {
                    stored.push(item.clone());
                }
            }
            "UpdateItem" => {
                let key = |name: &str| request["Key"][name]["S"].as_str().unwrap().to_owned();
                writes += 1;
                write_units += units(sizes.get(&(key("pk"), key("sk"))).copied().unwrap_or(1));
            }
            // One for each key, since it must not be out of date; no item here has more than 4 KB.
            "BatchGetItem" => {
                read_units += request["RequestItems"]["table"]["Keys"].as_array().unwrap().len();
            }
            "GetItem" | "Query" => read_units += 1,
            other => panic!("{other} may write, too"),
        }
    }
    (writes, write_units, read_units, stored)
}

/// Runs a function with one event each; gives its log, less what its start logs.
async fn run(
    dir: &Path,
    function: &str,
    variables: &[(&str, &str)],
    events: Vec<Value>,
    aws: impl Fn(&str, &Value) -> Value + Send + Sync + 'static,
) -> String {
    let answer = move |target: &str, request: &Value| (200, aws(target, request).to_string().into_bytes());
    let mut running = Running::start(dir, function, variables, answer).await;
    for event in events {
        let answer = running.invoke(event).await;
        assert!(answer["errorType"].is_null(), "{answer}");
    }
    running.log()
}

/// The length of a line of the access log.
fn access_log_line() -> usize {
    let format = &template()["Resources"]["WebhookStage"]["Properties"]["AccessLogSettings"]["Format"];
    let values = [
        ("$context.requestId", "JKJaXmPLvHcESHA="),
        ("$context.status", "200"),
        ("$context.routeKey", "POST /v1/webhooks/smile"),
        ("$context.identity.sourceIp", SMILE),
        ("$context.responseLength", "74"),
        ("$context.integrationLatency", "23"),
    ];
    let line = values
        .iter()
        .fold(format.as_str().unwrap().to_owned(), |line, (name, value)| line.replace(name, value));
    assert!(!line.contains('$'), "{line}");
    line.len()
}

#[tokio::test]
async fn the_readme_says_what_an_event_costs() {
    let dir = it_dir().join(format!("../../target/it/costs-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let events = events();
    let count = events.len();
    let mut measured = Measured::default();
    let sizes = sizes(&events).await;

    let calls = Arc::new(Mutex::new(Vec::<(String, Value)>::new()));
    let kept = Arc::clone(&calls);
    let keep = move |target: &str, request: &Value| {
        let operation = target.rsplit('.').next().unwrap().to_owned();
        kept.lock().unwrap().push((operation, request.clone()));
    };
    let taken = || std::mem::take(&mut *calls.lock().unwrap());

    let secret = json!({ "SecretString": json!({ "current": SECRET }).to_string() });
    let all = events.iter().map(|event| {
        let signed = signature(SECRET, event.as_bytes());
        request(event.as_bytes(), Some(&signed), SMILE, "JKJaXmPLvHcESHA=")
    });
    let record = keep.clone();
    let variables = [
        ("WEBHOOK_QUEUE_URL", "http://127.0.0.1/queue"),
        ("SMILE_WEBHOOK_SECRET_ARN", "arn"),
        ("SOURCE_ALLOW_LIST", "18.142.61.230/32"),
    ];
    let log = run(&dir, "webhook", &variables, all.collect(), move |target, request| {
        record(target, request);
        if target.starts_with("secretsmanager") { secret.clone() } else { json!({ "MessageId": "m" }) }
    })
    .await;
    measured.add("log of webhook", log.len() / count);
    let sent = taken().into_iter().filter(|(operation, _)| operation == "SendMessage").count();
    assert_eq!(sent, events.len());

    let attribute = |value: &str| json!({ "stringValue": value, "dataType": "String" });
    let batches = events.iter().map(|event| {
        json!({ "Records": [{ "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "body": event,
            "messageAttributes": { "v": attribute("1"), "source": attribute("webhook"),
                "delivery": attribute("JKJaXmPLvHcESHA="), "received_at": attribute("2026-03-01T12:00:01Z") },
            "attributes": { "SentTimestamp": "1772359200000" } }] })
    });
    let record = keep.clone();
    let variables = [("TABLE_NAME", "table"), ("RETENTION_DAYS", "365")];
    let log = run(&dir, "consumer", &variables, batches.collect(), move |target, request| {
        record(target, request);
        json!({})
    })
    .await;
    measured.add("log of consumer", log.len() / count);
    let (writes, write_units, read_units, stored) = written(taken(), &sizes);
    assert_eq!(stored.len(), events.len());
    measured.add("DynamoDB writes", 1000 * writes / count);
    measured.add("DynamoDB write units", 1000 * write_units / count);
    measured.add("DynamoDB read units", 1000 * read_units / count);

    let changes = stored.iter().enumerate().map(|(at, item)| {
        json!({ "Records": [{ "eventID": at.to_string(), "eventName": "INSERT", "eventSource": "aws:dynamodb",
            "dynamodb": { "Keys": { "pk": item["pk"], "sk": item["sk"] }, "NewImage": item,
                "SequenceNumber": format!("{at}"), "ApproximateCreationDateTime": 1_772_359_200,
                "StreamViewType": "NEW_IMAGE" } }] })
    });
    let record = keep.clone();
    let variables = [
        ("EVENT_BUS_NAME", "bus"),
        ("PUBLISH_RETRY_QUEUE_URL", "http://127.0.0.1/publish"),
        ("TABLE_NAME", "table"),
    ];
    let log = run(&dir, "publish", &variables, changes.collect(), move |target, request| {
        record(target, request);
        json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] })
    })
    .await;
    measured.add("log of publish", log.len() / count);
    let put: Vec<Value> = taken()
        .into_iter()
        .flat_map(|(_, request)| request["Entries"].as_array().unwrap().clone())
        .map(|entry| serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(put.len(), events.len());
    let largest = put.iter().map(|detail| detail.to_string().len()).max().unwrap();
    assert!(largest < 64 * 1024, "EventBridge counts 64 KB as one event: {largest}");

    let pushed = put.into_iter().map(|detail| json!({ "detail": detail }));
    let variables = [("TABLE_NAME", "table"), ("CONNECTIONS_URL", "http://127.0.0.1/connections")];
    let log =
        run(&dir, "push", &variables, pushed.collect(), |_, _| json!({ "Items": [], "Count": 0 })).await;
    measured.add("log of push", log.len() / count);
    std::fs::remove_dir_all(dir).unwrap();

    measured.add("access log", access_log_line());
    measured.check();
}

#[test]
fn the_readme_says_what_a_stack_costs_a_month() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let of_type = |kind: &'static str| resources.values().filter(move |resource| resource["Type"] == kind);
    // An alarm on a calculation is charged for each metric that it calculates with.
    let watched = |alarm: &Value| {
        alarm["Properties"]["Metrics"]
            .as_array()
            .map_or(1, |metrics| metrics.iter().filter(|metric| !metric["MetricStat"].is_null()).count())
    };
    let alarms: usize = of_type("AWS::CloudWatch::Alarm").map(watched).sum();
    assert_eq!(stated("alarms"), alarms);
    assert_eq!(of_type("AWS::CloudWatch::Dashboard").count(), 1);
    assert_eq!(stated("dashboard"), 1);
    // And the one with the key of Smile's API, which is yours.
    let secrets = of_type("AWS::SecretsManager::Secret").count() + 1;
    assert_eq!(stated("secrets"), secrets);

    // Series: one a metric and function, and one more for each value of a further dimension.
    let mut series = BTreeSet::new();
    for (function, count) in every_count()
        .into_iter()
        .flat_map(|(function, counts)| counts.into_iter().map(move |count| (function, count)))
    {
        series.insert((function, count.metric, None));
        series.insert((function, count.metric, count.by));
    }
    assert_eq!(stated("metric series, at most"), series.len());
}
