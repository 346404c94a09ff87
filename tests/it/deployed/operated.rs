//! The operator's commands against the deployed template, with a door in between that hears every call and lets
//! some fail: what is sent before what is deleted, what stays, and what is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::id::{EventId, UserId};
use shared::job::{Job, Source};
use shared::state::BodyHash;
use shared::table::{Audited, QuarantineKey, Reason, StoredEvent, ToQuarantine};
use smile_cli::stack::Stack;

use super::{Deployed, dir, until};
use crate::binaries::program;
use crate::operations::proxy::{Proxy, Verdict};

/// A deployed receiver, and an operator whose calls go through the door.
struct Operated {
    deployed: Deployed,
    proxy: Proxy,
    dir: PathBuf,
    began: jiff::Timestamp,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the commands have the real time, too")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

impl Operated {
    async fn start() -> Self {
        let deployed = Deployed::start("operated").await;
        let proxy = Proxy::start(&deployed.stack().aws_endpoint).await;
        let dir = dir("operator");
        std::fs::create_dir_all(&dir).unwrap();
        let stack = Stack { aws_endpoint: proxy.endpoint.clone(), ..deployed.stack().clone() };
        stack.write(&dir).unwrap();
        Self { deployed, proxy, dir, began: now() }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(program("smile"));
        command.args(arguments).arg("--dir").arg(&self.dir).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    async fn smile(&self, arguments: &[&str]) -> Said {
        let child = self.spawn(arguments);
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    async fn stored(&self, id: &str) -> (StoredEvent, Option<Vec<u8>>) {
        let id = EventId::new(id).unwrap();
        until(id.as_str(), async || self.deployed.table.event(&id).await.unwrap()).await
    }

    /// All acts so far.
    async fn acts(&self) -> Vec<Audited> {
        let said = self.smile(&["audit", "--json", "--days", "2"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last act, which must have been begun in this test.
    async fn last_act(&self) -> Audited {
        let act = self.acts().await.pop().unwrap();
        assert!(act.begun_at >= self.began && act.who == "arn:aws:iam::000000000000:root", "{act:?}");
        assert_eq!(act.via, "command");
        act
    }

    /// Puts an event into quarantine, as from an address that is not listed; gives its body, too.
    async fn hold(&self, id: &str, second: i64) -> (QuarantineKey, String) {
        let body = event(id, "USER_CREATED", "u-held", &json!({}));
        let held = ToQuarantine {
            body: body.as_bytes(),
            hash: &BodyHash::of(body.as_bytes()),
            reason: Reason::UnlistedSource,
            detail: "",
            id: Some(id),
            kind: Some("USER_CREATED"),
            subjects: &[],
            source: "webhook",
            delivery: "held",
            received_at: self.began + SignedDuration::from_secs(second),
            stored_at: self.began,
            expires: now() + SignedDuration::from_hours(1),
        };
        (self.deployed.table.quarantine(held).await.unwrap(), body)
    }

    /// Puts a message among the dead letters.
    async fn bury(&self, dlq: &str, body: &str, attributes: &BTreeMap<String, MessageAttributeValue>) {
        let send = self.deployed.sqs.send_message().queue_url(dlq).message_body(body);
        send.set_message_attributes(Some(attributes.clone().into_iter().collect())).send().await.unwrap();
    }

    /// Messages that can be received, and those that are hidden.
    async fn in_queue(&self, url: &str) -> (u32, u32) {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.deployed.sqs.get_queue_attributes().queue_url(url);
        let told = ask.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        let [visible, hidden] = names.map(|name| told.attributes().unwrap()[&name].parse().unwrap());
        (visible, hidden)
    }

    /// What was sent in batches since, in the order of the calls; nothing may have been deleted before.
    fn sent_before_deleted(&self) -> Vec<Value> {
        let mut sent = Vec::new();
        for (operation, asked) in self.proxy.calls() {
            let entries = asked["Entries"].as_array().cloned().unwrap_or_default();
            match operation.as_str() {
                "AmazonSQS.SendMessageBatch" => sent.extend(entries),
                "AmazonSQS.DeleteMessageBatch" => assert!(sent.len() >= entries.len(), "deleted first"),
                "AmazonSQS.StartMessageMoveTask" => panic!("it has no filter"),
                _ => {}
            }
        }
        sent
    }
}

fn event(id: &str, kind: &str, user: &str, data: &Value) -> String {
    let mut body = json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": user, "accountId": format!("a-{user}") } });
    for (name, value) in data.as_object().unwrap() {
        body["data"][name] = value.clone();
    }
    body.to_string()
}

fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

fn attributes(body: &str) -> BTreeMap<String, MessageAttributeValue> {
    let job = Job {
        source: Source::Webhook,
        received_at: "2026-03-01T10:00:01Z".parse().unwrap(),
        delivery: "buried".to_owned(),
        held: false,
        check: false,
        session: None,
    };
    let message = job.encode(body.as_bytes()).unwrap();
    message.attributes.into_iter().map(|(name, value)| (name.to_owned(), text(&value))).collect()
}

#[tokio::test]
async fn an_operator_sends_again_what_was_lost_and_it_is_written_down() {
    let operated = Operated::start().await;
    dead_letters_go_back_and_are_deleted_after(&operated).await;
    dead_letters_of_the_bus_go_back(&operated).await;
    events_are_sent_again(&operated).await;
    a_replay_to_the_bus_goes_on_where_it_stopped(&operated).await;
    a_replay_through_the_consumer_changes_nothing(&operated).await;
    a_killed_command_leaves_its_trace(&operated).await;
    a_stopped_command_says_where_it_goes_on(&operated).await;
    what_is_released_is_written_down(&operated).await;
    bodies_are_shown_to_the_letter(&operated).await;
    what_becomes_of_a_file_is_told(&operated).await;
    tail_goes_on_after_a_failure_and_ends_in_good_order(&operated).await;
    std::fs::remove_dir_all(&operated.dir).unwrap();
    operated.deployed.stop().await;
}

/// Numbers beyond 64 bits, an order of members that is not the alphabet's, a member twice, spaces.
const ODD: &str = r#" {"id":"et-odd","version":1,"type":"INCOMES_ADDED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u-odd","accountId":"a-odd","count":1,"gross":123456789012345678901234567890.123456789,"rate":0.1000000000000000055511151231257827,"amount":-0,"x":1,"x":2}}
"#;

async fn bodies_are_shown_to_the_letter(operated: &Operated) {
    let file = operated.dir.join("odd.json");
    let path = file.to_str().unwrap();
    std::fs::write(&file, ODD).unwrap();
    let said = operated.smile(&["send", path]).await;
    assert!(said.code == Some(0) && !said.err.contains("quarantine"), "{said:?}");
    let (stored, _) = operated.stored("et-odd").await;
    // Into a pipe: the bytes that the hash is of, and no others.
    let said = operated.smile(&["show", "event", "et-odd", "--body"]).await;
    assert_eq!(said.out, ODD);
    assert_eq!(BodyHash::of(said.out.as_bytes()).as_str(), stored.hash);
    let shown = operated.smile(&["show", "event", "et-odd"]).await.out;
    assert!(shown.contains(&stored.hash) && !shown.contains("gross"), "{shown}");
    let said = operated.smile(&["show", "event", "et-odd", "--json", "--body"]).await;
    assert!(said.out.contains(ODD.trim()) && said.json()["id"] == "et-odd", "{said:?}");
    let said = operated.smile(&["show", "event", "et-odd", "--json"]).await;
    assert_eq!(said.json().get("body"), None);
    let mut tail = Stopped(operated.spawn(&["tail", "--last", "3", "--user", "u-odd"]));
    let out = tail.0.stdout.take().unwrap();
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).map(|_| line)
    });
    let line = line.await.unwrap().unwrap();
    assert!(line.contains("  et-odd  ") && line.contains("INCOMES_ADDED"), "{line}");

    // The same of what lies in quarantine: another body under the same id, and bytes that are no JSON.
    let (key, body) = operated.hold("et-held-odd", 0).await;
    let said = operated.smile(&["quarantine", "show", &key.to_string(), "--json", "--body"]).await;
    assert!(said.code == Some(0) && said.out.contains(&body), "{said:?}");
    assert_eq!(said.json()["reason"], "unlisted_source");
    let said = operated.smile(&["quarantine", "show", &key.to_string(), "--body"]).await;
    assert_eq!(said.out, body);
}

/// A process that ends with its test.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn what_becomes_of_a_file_is_told(operated: &Operated) {
    let send = async |name: &str, body: &[u8]| {
        let file = operated.dir.join(name);
        std::fs::write(&file, body).unwrap();
        operated.smile(&["send", file.to_str().unwrap()]).await
    };
    // Too much to be about: the webhook takes it, and the consumer quarantines it.
    let ids: Vec<String> = (0..9000).map(|number| format!("{number:0>200}")).collect();
    let accounts: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "accountId": id })).collect();
    let large = json!({ "id": "et-large", "version": 1, "type": "USER_SESSION_COMPLETED",
        "createdAt": "2026-03-01T10:00:00Z",
        "data": { "session": { "userId": "u-large" }, "payload": { "accounts": accounts } } });
    let said = send("large.json", large.to_string().as_bytes()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("et-large is quarantined: item_too_large"), "{said:?}");
    assert!(said.err.contains("smile quarantine show '20"), "{said:?}");
    let said = send("nothing.json", b"{\"hello\":1}").await;
    assert!(
        said.out.contains("quarantined") && said.err.contains("The body is quarantined: no_id"),
        "{said:?}"
    );
    let said =
        send("latin1.json", b"{\"id\":\"et-l1\",\"type\":\"X\",\"data\":{\"name\":\"Mu\xf1oz\"}}").await;
    assert!(said.code == Some(1) && said.err.contains("not UTF-8 from byte 43 on"), "{said:?}");
    // Nothing of a file steers the terminal.
    let steering = r#"{"id":"et-case-f7\u001b[2J\u001b]0;TITLE\u0007","version":1,"type":"X\u001b[31m","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u\u001b[2J"}}"#;
    let said = send("steering.json", steering.as_bytes()).await;
    let steers = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(said.code == Some(0) && !steers(&said.out) && !steers(&said.err), "{said:?}");
    assert!(said.out.contains("et-case-f7\\u{1b}[2J"), "{said:?}");
}

async fn dead_letters_go_back_and_are_deleted_after(operated: &Operated) {
    let dlq = operated.deployed.stack().dlq_url.clone();
    let mut buried = BTreeMap::new();
    for (id, kind) in [("d1", "TASK_FINISHED"), ("d2", "TASK_FINISHED"), ("d3", "USER_CREATED")] {
        let body = event(id, kind, "u-dead", &json!({ "taskType": "LINK_ACCOUNT", "status": "SUCCEEDED" }));
        let mut attributes = attributes(&body);
        let bytes = aws_sdk_sqs::primitives::Blob::new([0, 255, 10]);
        let binary = MessageAttributeValue::builder().data_type("Binary.x").binary_value(bytes).build();
        attributes.insert("bytes".to_owned(), binary.unwrap());
        operated.bury(&dlq, &body, &attributes).await;
        buried.insert(id, body);
    }
    operated.bury(&dlq, "no message of ours", &BTreeMap::new()).await;
    let before = operated.acts().await.len();
    operated.proxy.calls();

    // A dry run counts, and changes nothing.
    let said = operated.smile(&["redrive", "--dry-run", "--json"]).await;
    let look = said.json();
    assert_eq!((said.code, &look["wanted"], &look["other"]), (Some(0), &json!(4), &json!(0)));
    assert_eq!(look["by_type"], json!({ "(undecodable)": 1, "TASK_FINISHED": 2, "USER_CREATED": 1 }));
    assert_eq!(look["by_age"], json!({ "under 1 hour": 4 }));
    assert!(!said.out.contains("u-dead") && !said.err.contains("u-dead"), "a body was printed: {said:?}");
    assert_eq!(operated.in_queue(&dlq).await, (4, 0), "all are visible again");
    let said = operated.smile(&["redrive", "--older-than", "1h", "--yes"]).await;
    assert!(said.code == Some(0) && said.err.contains("nothing to send back"), "{said:?}");
    let said = operated.smile(&["redrive", "--older-than", "1h", "--yes", "--json"]).await;
    assert_eq!((said.code, &said.json()["moved"], &said.json()["left"]), (Some(0), &json!(0), &json!(4)));
    let said = operated.smile(&["redrive", "--type", "TASK_FINISHED", "--limit", "1", "--dry-run"]).await;
    assert!(said.err.contains("4 dead letters, 2 of them asked for, 1 by the limit"), "{said:?}");
    assert!(said.err.contains("1 would be sent back"), "{said:?}");
    let said = operated.smile(&["redrive"]).await;
    assert!(said.code == Some(2) && said.err.contains("say --yes"), "{said:?}");
    let said = operated.smile(&["redrive", "callback"]).await;
    assert!(said.code == Some(1) && said.err.contains("CallbackDeadLetterQueueUrl"), "{said:?}");
    assert!(operated.sent_before_deleted().is_empty());
    assert_eq!(operated.acts().await.len(), before, "nothing was done");

    // SQS does not take them: nothing is deleted.
    operated.proxy.refuse("AmazonSQS.SendMessageBatch");
    let some = ["redrive", "--type", "TASK_FINISHED", "--yes", "--json"];
    let said = operated.smile(&some).await;
    assert_eq!((said.code, &said.json()["failed"], &said.json()["moved"]), (Some(1), &json!(2), &json!(0)));
    assert!(said.err.contains("not sent: AccessDenied"), "{said:?}");
    assert!(!operated.proxy.heard("AmazonSQS.DeleteMessageBatch"));
    assert_eq!(operated.in_queue(&dlq).await, (4, 0));
    let act = operated.last_act().await;
    assert_eq!((act.action.as_str(), act.meant, act.done, act.left), ("redrive", 2, 0, 4));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "failed");
    assert_eq!(act.parameters["types"], "TASK_FINISHED");

    hidden_letters_are_missed(operated, &dlq, &some).await;

    // They cannot be deleted: each is sent once, stays, and that is said.
    operated.proxy.calls();
    operated.proxy.refuse("AmazonSQS.DeleteMessageBatch");
    let said = operated.smile(&some).await;
    assert_eq!((said.code, &said.json()["moved"], &said.json()["twice"]), (Some(1), &json!(2), &json!(2)));
    assert!(said.err.contains("2 sent but not deleted: not deleted: AccessDenied"), "{said:?}");
    let sent = operated.sent_before_deleted();
    assert_eq!(sent.len(), 2);
    for entry in &sent {
        let body = entry["MessageBody"].as_str().unwrap();
        assert!(buried.values().any(|buried| buried == body), "not byte for byte: {entry}");
        let attributes = entry["MessageAttributes"].as_object().unwrap();
        assert_eq!(attributes["bytes"], json!({ "DataType": "Binary.x", "BinaryValue": "AP8K" }));
        assert_eq!(attributes["delivery"]["StringValue"], "buried");
        assert_eq!(attributes.len(), 5);
    }
    for id in ["d1", "d2"] {
        assert_eq!(operated.stored(id).await.1.unwrap(), buried[id].as_bytes());
    }
    assert_eq!(operated.in_queue(&dlq).await, (4, 0));

    // Now they go, no more than asked for, and the others stay.
    let said = operated.smile(&[&some[..], &["--limit", "1"]].concat()).await;
    assert_eq!((said.code, &said.json()["moved"], &said.json()["left"]), (Some(0), &json!(1), &json!(3)));
    assert_eq!(operated.in_queue(&dlq).await, (3, 0));
    let said = operated.smile(&some).await;
    assert_eq!((said.code, &said.json()["moved"], &said.json()["left"]), (Some(0), &json!(1), &json!(2)));
    assert_eq!(operated.sent_before_deleted().len(), 2);
    assert_eq!(operated.in_queue(&dlq).await, (2, 0));
    let act = operated.last_act().await;
    assert_eq!((act.meant, act.done, act.left), (1, 1, 2));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "done");
    // What came twice is one event, of one delivery.
    assert_eq!(operated.stored("d1").await.0.deliveries.len(), 1);
    let said = operated.smile(&["redrive", "--yes"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(operated.in_queue(&dlq).await, (0, 0));
    operated.stored("d3").await;
}

/// What was looked at cannot be given back, and so not be received again: that is not all.
async fn hidden_letters_are_missed(operated: &Operated, dlq: &str, some: &[&str]) {
    operated.proxy.calls();
    operated.proxy.refuse("AmazonSQS.ChangeMessageVisibilityBatch");
    let said = operated.smile(some).await;
    let moved = said.json();
    assert_eq!((said.code, &moved["moved"], &moved["unreceived"]), (Some(1), &json!(0), &json!(2)));
    assert!(said.err.contains("4 of them could not be given back"), "{said:?}");
    assert!(said.err.contains("2 could not be received: they are hidden for up to five minutes"), "{said:?}");
    for (operation, asked) in operated.proxy.calls() {
        if operation == "AmazonSQS.ChangeMessageVisibilityBatch" {
            for entry in asked["Entries"].as_array().unwrap() {
                let give = operated.deployed.sqs.change_message_visibility().queue_url(dlq);
                let give = give.receipt_handle(entry["ReceiptHandle"].as_str().unwrap());
                give.visibility_timeout(0).send().await.unwrap();
            }
        }
    }
    assert_eq!(operated.in_queue(dlq).await, (4, 0));
    let act = operated.last_act().await;
    assert_eq!((act.meant, act.done, act.left), (2, 0, 2));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "failed");
    assert!(act.detail.unwrap().starts_with("2 could not be received"));
}

async fn dead_letters_of_the_bus_go_back(operated: &Operated) {
    let outputs = &operated.deployed.stack().outputs;
    let dlq = outputs["PublishDeadLetterQueueUrl"].clone();
    operated.bury(&dlq, &json!({ "id": "d1" }).to_string(), &BTreeMap::new()).await;
    operated.bury(&dlq, "for nobody", &BTreeMap::new()).await;
    // What Lambda gave up of the stream names its time alone: every event of it goes.
    let gave_up = json!({ "version": "1.0", "DDBStreamBatchInfo": { "shardId": "s", "batchSize": 2,
        "approximateArrivalOfFirstRecord": operated.began, "approximateArrivalOfLastRecord": now() } });
    operated.bury(&dlq, &gave_up.to_string(), &BTreeMap::new()).await;
    // A second one about the same time is no reason to send them again.
    operated.bury(&dlq, &gave_up.to_string(), &BTreeMap::new()).await;
    operated.proxy.calls();
    let look = operated.smile(&["redrive", "publish", "--dry-run", "--json"]).await.json();
    assert_eq!(look["by_type"], json!({ "(stream)": 2, "(unreadable)": 1, "TASK_FINISHED": 1 }));
    assert_eq!((&look["wanted"], &look["stuck"]), (&json!(3), &json!(1)));
    a_look_that_is_stopped_is_no_success(operated, &dlq, 4).await;
    let said = operated.smile(&["redrive", "publish", "--yes", "--json"]).await;
    assert_eq!((said.code, &said.json()["moved"], &said.json()["left"]), (Some(0), &json!(3), &json!(1)));
    let sent = operated.sent_before_deleted();
    let ids: BTreeSet<String> = sent
        .iter()
        .map(|entry| serde_json::from_str::<Value>(entry["MessageBody"].as_str().unwrap()).unwrap())
        .map(|body| body["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["d1", "d2", "d3"].map(str::to_owned).into());
    assert_eq!(sent.len(), 4);
    assert_eq!(operated.in_queue(&dlq).await, (1, 0));
    operated.deployed.sqs.purge_queue().queue_url(&dlq).send().await.unwrap();
}

async fn a_look_that_is_stopped_is_no_success(operated: &Operated, dlq: &str, all: u32) {
    let child = Arc::new(OnceLock::new());
    let known = Arc::clone(&child);
    let mut is_stopped = false;
    operated.proxy.judge(move |operation, _| {
        // While it receives. It is known by then: nothing is awaited in between.
        if operation == "AmazonSQS.ReceiveMessage" && !std::mem::replace(&mut is_stopped, true) {
            signal(*known.get().unwrap(), "INT");
        }
        Verdict::Pass
    });
    let mut looking = operated.spawn(&["redrive", "publish", "--dry-run"]);
    child.set(looking.id()).unwrap();
    assert_eq!(ended(&mut looking).await, Some(1));
    operated.proxy.calls();
    assert_eq!(operated.in_queue(dlq).await, (all, 0), "all are visible again");
}

fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The events that the bus was given since, by id.
fn put_on_bus(operated: &Operated) -> Vec<String> {
    let mut ids = Vec::new();
    for (operation, asked) in operated.proxy.calls() {
        if operation == "AWSEvents.PutEvents" {
            for entry in asked["Entries"].as_array().unwrap() {
                let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
                assert_eq!(entry["Source"], "smile.webhook");
                ids.push(detail["id"].as_str().unwrap().to_owned());
            }
        }
    }
    ids
}

async fn events_are_sent_again(operated: &Operated) {
    let said = operated.smile(&["events", "resend", "d1", "d2", "--dry-run"]).await;
    assert!(said.code == Some(0) && said.err.contains("would be sent  d2"), "{said:?}");
    assert!(put_on_bus(operated).is_empty());
    let said = operated.smile(&["events", "resend", "d1", "nobody", "d2"]).await;
    assert!(
        said.code == Some(1) && said.err.contains("left  nobody: no event of this id is stored"),
        "{said:?}"
    );
    assert_eq!(put_on_bus(operated), ["d1", "d2"]);
    let act = operated.last_act().await;
    assert_eq!((act.action.as_str(), act.meant, act.done, act.left), ("events resend", 3, 2, 1));
    assert_eq!(act.parameters["ids"], "d1 nobody d2");
    // Through the consumer it is a repeat of the delivery that is known.
    let before = operated.stored("d1").await;
    let said = operated.smile(&["events", "resend", "d1", "--to", "consumer", "--json"]).await;
    assert_eq!(said.json(), json!({ "id": "d1", "outcome": "sent" }));
    let sends = |(operation, asked): &(String, Value)| {
        operation == "AmazonSQS.SendMessage"
            && asked["MessageAttributes"]["source"]["StringValue"] == "webhook"
    };
    assert_eq!(operated.proxy.calls().iter().filter(|call| sends(call)).count(), 1);
    until("the queue to be empty", async || {
        (operated.in_queue(&operated.deployed.stack().queue_url).await == (0, 0)).then_some(())
    })
    .await;
    assert_eq!(operated.stored("d1").await, before);
    // A refusal is told with its code.
    operated.proxy.refuse("AWSEvents.PutEvents");
    let said = operated.smile(&["events", "resend", "d1"]).await;
    operated.proxy.calls();
    assert!(said.code == Some(1) && said.err.contains("the bus: AccessDenied"), "{said:?}");
    assert_eq!(operated.last_act().await.detail.unwrap(), "the bus: AccessDeniedException");
    // An end that cannot be written down takes nothing away of what is told.
    operated.proxy.refuse("DynamoDB_20120810.UpdateItem");
    let said = operated.smile(&["events", "resend", "d1"]).await;
    assert!(said.code == Some(1) && said.err.contains("sent  d1"), "{said:?}");
    assert!(said.err.contains("1 done, but smile audit will show it as begun"), "{said:?}");
    // Nor does a table that fails when ten are sent.
    let nobody: Vec<String> = (0..10).map(|number| format!("nobody{number}")).collect();
    let mut reads = 0;
    operated.proxy.judge(move |operation, _| {
        reads += u32::from(operation == "DynamoDB_20120810.GetItem");
        if operation == "DynamoDB_20120810.GetItem" && reads > 10 { Verdict::Refuse } else { Verdict::Pass }
    });
    let ids = nobody.iter().map(String::as_str);
    let said = operated.smile(&["events", "resend", "d1"].into_iter().chain(ids).collect::<Vec<_>>()).await;
    operated.proxy.calls();
    assert!(said.code == Some(1) && said.err.contains("sent  d1"), "{said:?}");
    assert!(said.err.contains("left  nobody8") && said.err.contains("failed  nobody9: "), "{said:?}");
    let act = operated.last_act().await;
    assert_eq!((act.meant, act.done, act.left), (11, 1, 10));
}

async fn a_replay_to_the_bus_goes_on_where_it_stopped(operated: &Operated) {
    let from = now();
    let mut ids = BTreeSet::new();
    for number in 0..25 {
        let id = format!("r{number}");
        let body = event(&id, "TASK_STARTED", "u-replay", &json!({ "taskType": "LINK_ACCOUNT" }));
        assert_eq!(operated.deployed.send(body.as_bytes()).await.0, 200);
        ids.insert(id);
    }
    for id in &ids {
        operated.stored(id).await;
    }
    let (from, to) = (from.to_string(), now().to_string());
    let span = ["replay", "--from", &from, "--to", &to, "--type", "TASK_STARTED"];
    let count = until("the index to have all", async || {
        let said = operated.smile(&[&span[..], &["--dry-run", "--json"]].concat()).await;
        Some(said.json()).filter(|count| count["total"] == 25)
    })
    .await;
    assert_eq!(count["by_type"], json!({ "TASK_STARTED": 25 }));
    let said = operated.smile(&span).await;
    assert!(
        said.code == Some(2) && said.err.contains("Send 25 events to the bus of the local cloud in"),
        "{said:?}"
    );
    assert!(put_on_bus(operated).is_empty());

    // The bus takes one call, and no more.
    let mut taken = 0;
    operated.proxy.judge(move |operation, _| {
        taken += u32::from(operation == "AWSEvents.PutEvents");
        if operation == "AWSEvents.PutEvents" && taken > 1 { Verdict::Refuse } else { Verdict::Pass }
    });
    let said = operated.smile(&[&span[..], &["--yes", "--rate", "1000"]].concat()).await;
    assert!(said.code == Some(1) && said.err.contains("stopped: the bus: AccessDenied"), "{said:?}");
    assert!(said.err.contains("once more? yes"), "what is done is said, and where: {said:?}");
    let first: BTreeSet<String> = put_on_bus(operated).into_iter().take(10).collect();
    let act = operated.last_act().await;
    assert_eq!((act.action.as_str(), act.meant, act.done), ("replay", 25, 10));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "failed");
    assert!(act.detail.unwrap().starts_with("go on from 20"), "where it goes on is not written down");
    let none = operated.smile(&[&span[..5], &["--type", "NONE", "--yes", "--json"]].concat()).await;
    assert_eq!((none.code, none.json()), (Some(0), json!({ "sent": 0, "left": 0 })));
    // And it goes on with what it says.
    let command = said.err.lines().find_map(|line| line.trim().strip_prefix("smile ")).unwrap();
    let words: Vec<&str> = command
        .split(' ')
        .filter(|word| *word != operated.dir.to_str().unwrap() && *word != "--dir")
        .collect();
    let said = operated.smile(&[&words[..], &["--yes"]].concat()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let rest = put_on_bus(operated);
    assert!(rest.len() < 25, "it began anew");
    assert_eq!(first.into_iter().chain(rest).collect::<BTreeSet<_>>(), ids);
}

async fn a_replay_through_the_consumer_changes_nothing(operated: &Operated) {
    let from = now();
    let user = "u-revoked";
    let sent = [
        event("v1", "ACCOUNT_CREATED", user, &json!({})),
        event("v2", "TASK_FINISHED", user, &json!({ "taskType": "LINK_ACCOUNT", "status": "SUCCEEDED" })),
        event("v3", "ACCOUNT_DISCONNECTED", user, &json!({})),
        event("v4", "INCOMES_ADDED", user, &json!({ "count": 2 })),
        event("v5", "INVITE_INVITED", "u-other", &json!({ "inviteId": "i-1", "accountId": null })),
    ];
    for (body, id) in sent.iter().zip(["v1", "v2", "v3", "v4", "v5"]) {
        assert_eq!(operated.deployed.send(body.as_bytes()).await.0, 200);
        operated.stored(id).await;
    }
    let user = UserId::new(user).unwrap();
    let mark = async || {
        let items = operated.deployed.dynamodb.query().table_name(&operated.deployed.stack().table);
        let items = items.key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
        let items = items.expression_attribute_values(
            ":pk",
            aws_sdk_dynamodb::types::AttributeValue::S(format!("USER#{user}")),
        );
        let items = items.expression_attribute_values(
            ":sk",
            aws_sdk_dynamodb::types::AttributeValue::S("ACCOUNT#".into()),
        );
        items.send().await.unwrap().items.unwrap()
    };
    let (state, marked) = (operated.deployed.table.user(&user).await.unwrap(), mark().await);
    assert!(marked[0].contains_key("erase_due"));
    let (from, to) = (from.to_string(), now().to_string());
    let span = ["replay", "--from", &from, "--to", &to, "--into", "consumer", "--yes", "--json"];
    until("the index to have all", async || {
        let said = operated.smile(&[&span[..], &["--dry-run"]].concat()).await;
        (said.json()["total"] == 5).then_some(())
    })
    .await;
    for round in 0..2 {
        operated.proxy.calls();
        let said = operated.smile(&span).await;
        let told = said.json();
        // A second time more is left: the first one has taken the bodies of what was revoked.
        let (went, left) = if round == 0 { (3, 2) } else { (1, 4) };
        assert_eq!(
            (said.code, &told["sent"], &told["left"]),
            (Some(0), &json!(went), &json!(left)),
            "{said:?}"
        );
        until("the queue to be empty", async || {
            (operated.in_queue(&operated.deployed.stack().queue_url).await == (0, 0)).then_some(())
        })
        .await;
        assert_eq!(operated.deployed.table.user(&user).await.unwrap(), state, "round {round}");
        assert_eq!(mark().await, marked, "nothing is to be erased again");
        for id in ["v1", "v2", "v3", "v4"] {
            let (event, body) = operated.stored(id).await;
            assert!(body.is_none() && event.body_dropped.is_some(), "{id} has a body");
            assert_eq!(event.deliveries.len(), 1);
        }
        assert_eq!(operated.stored("v5").await.1.unwrap(), sent[4].as_bytes());
        let act = operated.last_act().await;
        assert_eq!((act.done, act.left, act.parameters["into"].as_str()), (went, left, "consumer"));
    }
    let said = operated.smile(&["quarantine", "list", "--json"]).await;
    let ours = said
        .out
        .lines()
        .filter(|line| ["v1", "v2", "v3", "v4", "v5"].iter().any(|id| line.contains(&format!("\"{id}\""))));
    assert_eq!(ours.count(), 0, "{said:?}");
}

async fn a_killed_command_leaves_its_trace(operated: &Operated) {
    operated.proxy.judge(|operation, _| match operation {
        "AWSEvents.PutEvents" => Verdict::Silence,
        _ => Verdict::Pass,
    });
    let mut child = operated.spawn(&["replay", "--from", "1h", "--type", "TASK_STARTED", "--yes"]);
    until("the replay to be under way", async || operated.proxy.heard("AWSEvents.PutEvents").then_some(()))
        .await;
    child.kill().unwrap();
    child.wait().unwrap();
    operated.proxy.calls();
    let act = operated.last_act().await;
    assert_eq!((act.action.as_str(), act.meant, act.done, act.ended_at), ("replay", 25, 0, None));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "begun");

    // It pauses for five seconds after ten events. After twenty it has noted where it is.
    let replay = ["replay", "--from", "1h", "--type", "TASK_STARTED", "--yes", "--rate"];
    let mut child = operated.spawn(&[&replay[..], &["2"]].concat());
    until("it to note how far it is", async || {
        operated.proxy.heard("DynamoDB_20120810.UpdateItem").then_some(())
    })
    .await;
    // Its answer, too.
    tokio::time::sleep(Duration::from_millis(500)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    operated.proxy.calls();
    let act = operated.last_act().await;
    assert_eq!((act.done, act.ended_at), (20, None));
    assert!(act.detail.unwrap().starts_with("go on from 20"), "where it goes on is not written down");
}

/// Ctrl-C, whoever ends processes, and a terminal that is closed: also while it waits, and while nothing is found.
async fn a_stopped_command_says_where_it_goes_on(operated: &Operated) {
    for name in ["INT", "HUP", "TERM"] {
        // It pauses for ten seconds.
        let mut child =
            operated.spawn(&["replay", "--from", "1h", "--type", "TASK_STARTED", "--yes", "--rate", "1"]);
        until("ten to be sent", async || operated.proxy.heard("AWSEvents.PutEvents").then_some(())).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let since = Instant::now();
        signal(child.id(), name);
        assert_eq!(ended(&mut child).await, Some(1), "{name}");
        assert!(since.elapsed() < Duration::from_secs(9), "{name} was not heard in the pause");
        assert_eq!(put_on_bus(operated).len(), 10, "{name}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("to go on:\n  smile replay --from 20"), "{name}: {said}");
        let act = operated.last_act().await;
        assert_eq!((act.done, serde_json::to_value(act.standing).unwrap()), (10, json!("stopped")), "{name}");
        assert!(act.detail.unwrap().starts_with("go on from 20"), "{name}");
    }
    // The audit asks, too.
    operated.proxy.calls();
    operated.proxy.judge(|operation, _| match operation {
        "DynamoDB_20120810.Query" => Verdict::Silence,
        _ => Verdict::Pass,
    });
    let mut child = operated.spawn(&["replay", "--from", "1h", "--type", "NONE", "--dry-run"]);
    until("it to count", async || operated.proxy.heard("DynamoDB_20120810.Query").then_some(())).await;
    let since = Instant::now();
    signal(child.id(), "TERM");
    assert_eq!(ended(&mut child).await, Some(1));
    assert!(since.elapsed() < Duration::from_secs(30), "nothing was heard while it counted");
    operated.proxy.calls();
}

async fn what_is_released_is_written_down(operated: &Operated) {
    assert_eq!(operated.deployed.send(b"authentic garbage").await.0, 200);
    until("the garbage in quarantine", async || {
        let said = operated.smile(&["quarantine", "list", "--json"]).await;
        said.out.contains("not_json").then_some(())
    })
    .await;
    let before = operated.acts().await.len();
    let release = ["quarantine", "release", "--reason", "not_json"];
    let said = operated.smile(&[&release[..], &["--dry-run"]].concat()).await;
    assert!(said.err.contains("0 would be released, 1 left"), "{said:?}");
    assert_eq!(operated.acts().await.len(), before, "a dry run is no act");
    let said = operated.smile(&release).await;
    assert!(
        said.code == Some(2) && said.err.contains("Send 1 from quarantine to the webhook queue of"),
        "{said:?}"
    );
    assert!(said.err.contains("say --yes") && said.err.contains("not_json  1"), "{said:?}");
    assert_eq!(operated.acts().await.len(), before, "nothing was done");
    let release = [&release[..], &["--yes"]].concat();
    let said = operated.smile(&release).await;
    assert!(said.code == Some(1) && said.err.contains("0 released, 1 left"), "{said:?}");
    let act = operated.last_act().await;
    assert_eq!((act.action.as_str(), act.meant, act.done, act.left), ("quarantine release", 1, 0, 1));
    assert_eq!(act.parameters["reason"], "not_json");
    // What was held goes to the queue, and is in quarantine no more.
    let (key, body) = operated.hold("q1", 0).await;
    let said = operated.smile(&["quarantine", "release", &key.to_string()]).await;
    assert!(said.code == Some(0) && said.err.contains("1 released, 0 left"), "{said:?}");
    assert_eq!(operated.stored("q1").await.1.unwrap(), body.as_bytes());
    assert!(operated.deployed.table.quarantined(&key).await.unwrap().is_none());
    let act = operated.last_act().await;
    assert_eq!((act.done, act.left, &act.parameters["keys"]), (1, 0, &key.to_string()));
    one_that_fails_is_told_and_the_rest_goes_on(operated).await;
    // When it cannot be written down, it is not done.
    let before = operated.acts().await.len();
    operated.proxy.refuse("DynamoDB_20120810.PutItem");
    let said = operated.smile(&release).await;
    assert!(said.code == Some(1) && said.err.contains("nothing was done"), "{said:?}");
    operated.proxy.calls();
    assert_eq!(operated.acts().await.len(), before);
}

async fn one_that_fails_is_told_and_the_rest_goes_on(operated: &Operated) {
    let mut keys = Vec::new();
    for (id, second) in [("q2", 1), ("q3", 2), ("q4", 3)] {
        keys.push(operated.hold(id, second).await.0.to_string());
    }
    // Several are asked about, too.
    let said = operated.smile(&["quarantine", "release", &keys[0], &keys[1]]).await;
    assert!(said.code == Some(2) && said.err.contains("Send 2 from quarantine"), "{said:?}");
    let said = operated.smile(&["quarantine", "release", &keys[0], "--day", "2026-03-01"]).await;
    assert!(said.code == Some(2) && said.err.contains("either keys, or --reason or --day"), "{said:?}");
    let release = ["quarantine", "release", "--reason", "unlisted_source", "--yes", "--json"];
    operated.proxy.judge(|operation, asked| {
        let is_second = asked["MessageBody"].as_str().is_some_and(|body| body.contains("\"q3\""));
        if operation == "AmazonSQS.SendMessage" && is_second { Verdict::Refuse } else { Verdict::Pass }
    });
    let said = operated.smile(&release).await;
    operated.proxy.calls();
    let told: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fates = told.iter().map(|one| ["key", "fate"].map(|name| one[name].as_str().unwrap()));
    let expected = [[&keys[0], "released"], [&keys[1], "failed"], [&keys[2], "released"]];
    assert_eq!((said.code, &fates.collect::<Vec<_>>()[..]), (Some(1), &expected[..]), "{said:?}");
    assert!(told[1]["why"].as_str().unwrap().contains("AccessDenied"), "{said:?}");
    assert!(said.err.contains("unlisted_source  3") && said.err.contains("oldest"), "{said:?}");
    assert!(said.err.contains("2 released, 0 left, 1 failed"), "{said:?}");
    let act = operated.last_act().await;
    assert_eq!((act.meant, act.done, act.left, &act.parameters["reason"][..]), (3, 2, 1, "unlisted_source"));
    assert_eq!(serde_json::to_value(act.standing).unwrap(), "failed");
    let dry = [&release[..4], &["--dry-run", "--json"]].concat();
    let would = json!({ "key": keys[1], "fate": "would_be_released" });
    assert_eq!(operated.smile(&dry).await.json(), would);
    assert_eq!(operated.smile(&release).await.code, Some(0));
    let said = operated.smile(&release).await;
    assert!(said.code == Some(0) && said.err.contains("nothing to release"), "{said:?}");
    for id in ["q2", "q3", "q4"] {
        operated.stored(id).await;
    }
}

/// Lines of a child's output, as they come.
fn lines(child: &mut Child) -> std::sync::mpsc::Receiver<Value> {
    let (send, receive) = std::sync::mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines() {
            if send.send(serde_json::from_str(&line.unwrap()).unwrap()).is_err() {
                break;
            }
        }
    });
    receive
}

async fn ended(child: &mut Child) -> Option<i32> {
    until("the command to end", async || child.try_wait().unwrap()).await.code()
}

async fn tail_goes_on_after_a_failure_and_ends_in_good_order(operated: &Operated) {
    // Only what this tail asks is counted.
    operated.proxy.calls();
    let mut child = operated.spawn(&["tail", "--json", "--type", "LINK_ADDED"]);
    let told = lines(&mut child);
    // Each time that is eight, one a shard: here the second time has begun.
    let mut queries = 0;
    until("the tail to ask twice", async || {
        queries += operated.proxy.calls().iter().filter(|(called, _)| called.ends_with(".Query")).count();
        (queries > 8).then_some(())
    })
    .await;
    // A throttled table for some seconds is no end.
    operated.proxy.refuse("DynamoDB_20120810.Query");
    until("the tail to be refused", async || operated.proxy.heard("DynamoDB_20120810.Query").then_some(()))
        .await;
    let ids = ["t1", "t2", "t3"];
    for id in ids {
        let body = event(id, "LINK_ADDED", "u-tail", &json!({}));
        assert_eq!(operated.deployed.send(body.as_bytes()).await.0, 200);
        operated.stored(id).await;
        // From the first on its calls pass again: it would give up after 30 seconds.
        operated.proxy.calls();
    }
    let mut seen = BTreeSet::new();
    until("all to be told", async || {
        for line in told.try_iter() {
            assert!(seen.insert(line["id"].as_str().unwrap().to_owned()), "told twice: {line}");
        }
        (seen.len() == ids.len()).then_some(())
    })
    .await;
    // Ctrl-C, as a terminal sends it.
    signal(child.id(), "INT");
    assert_eq!(ended(&mut child).await, Some(0));
    assert!(told.try_recv().is_err(), "told twice");

    // As `smile tail | head -1` would: the reader goes, and nothing more comes.
    let mut child = operated.spawn(&["tail", "--since", "1h", "--user", "u-tail"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    // Its calls are answered by this test's own runtime, which must not wait for it.
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    });
    let line = line.await.unwrap();
    assert!(line.contains("LINK_ADDED") && line.contains("u-tail"), "{line}");
    assert_eq!(ended(&mut child).await, Some(0));
}
