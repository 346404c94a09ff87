//! The worked example (`infra/examples/task-finished`), deployed on top of a receiver: a rule of its own on the bus, a
//! role of its own that asks the read API, and its table, which shows that it acts.
//!
//! Not its dead letter queue: the local cloud tries no target again.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::{Value, json};
use smile_cli::dev::{BUCKET, LocalS3, pack};
use smile_cli::template;

use super::{Deployed, sdk, until};
use crate::binaries::program;
use crate::support::it_dir;

const STACK: &str = "smile-example";

impl Deployed {
    /// Deploys the example as its README says, but for what SAM does on this side; gives the stack's outputs.
    async fn example(&self) -> BTreeMap<String, String> {
        let mut template =
            template::load(it_dir().join("../../infra/examples/task-finished/template.yaml")).unwrap();
        let functions = template::functions(&template);
        let [function] = functions.as_slice() else { panic!("{functions:?}") };
        let code = pack(&std::fs::read(program(&function.binary)).unwrap()).unwrap();
        LocalS3::of_stack(self.stack()).put("example.zip", code).await.unwrap();
        template::set_code(&mut template, function, BUCKET, "example.zip");
        let url = self.stack().back_end_url().unwrap().trim_end_matches('/').to_owned();
        let parameters = [
            ("BusName", self.stack().outputs["BusName"].as_str()),
            ("BackendUrl", &url),
            ("BackendApiId", url.rsplit('/').next().unwrap()),
            ("Architecture", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }),
        ];
        self.deploy_beside(STACK, &template, &parameters).await
    }

    /// What is to be decided, by the event's id.
    async fn to_be_decided(&self, table: &str) -> BTreeMap<String, HashMap<String, AttributeValue>> {
        let items = self.dynamodb.scan().table_name(table).send().await.unwrap().items.unwrap();
        items.into_iter().map(|item| (item["event"].as_s().unwrap().clone(), item)).collect()
    }

    async fn tell(&self, event: &Value) {
        assert_eq!(self.send(event.to_string().as_bytes()).await.0, 200);
        let id = shared::id::EventId::new(event["id"].as_str().unwrap()).unwrap();
        until("the event", async || self.table.event(&id).await.unwrap()).await;
    }
}

fn event(id: &str, kind: &str, account: &str) -> Value {
    json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": "u-1", "accountId": account, "providers": ["sss_ph"] } })
}

/// A task that has brought an account's incomes; `change` makes it another one.
fn task(id: &str, account: &str, change: (&str, Value)) -> Value {
    let mut task = event(id, "TASK_FINISHED", account);
    let data = task["data"].as_object_mut().unwrap();
    data.remove("accountId");
    for (name, value) in [
        ("sourceId", json!(account)),
        ("sourceType", json!("ACCOUNT")),
        ("taskType", json!("LINK_ACCOUNT")),
        ("status", json!("SUCCEEDED")),
        ("datapoints", json!(["IDENTITIES", "INCOMES"])),
        change,
    ] {
        data.insert(name.to_owned(), value);
    }
    task
}

#[tokio::test]
async fn a_lender_acts_on_a_finished_task_once() {
    let deployed = Deployed::start("example").await;
    let outputs = deployed.example().await;
    let table = &outputs["ToBeDecidedTable"];
    let same = || ("status", json!("SUCCEEDED"));

    // Nothing of these is to be decided: no success, no incomes, no task, and an account that was taken back.
    deployed.tell(&task("et-failed", "a-1", ("status", json!("FAILED")))).await;
    deployed.tell(&task("et-other", "a-1", ("datapoints", json!(["IDENTITIES"])))).await;
    deployed.tell(&event("et-incomes", "INCOMES_ADDED", "a-1")).await;
    deployed.tell(&event("et-gone", "ACCOUNT_DISCONNECTED", "a-gone")).await;
    deployed.tell(&task("et-late", "a-gone", same())).await;
    // This is.
    deployed.tell(&task("et-1", "a-1", same())).await;
    let item =
        until("what is to be decided", async || deployed.to_be_decided(table).await.remove("et-1")).await;
    let said = |item: &HashMap<String, AttributeValue>, name: &str| item[name].as_s().unwrap().clone();
    assert_eq!(
        (said(&item, "user"), said(&item, "account"), said(&item, "account_status")),
        ("u-1".to_owned(), "a-1".to_owned(), "CONNECTED".to_owned())
    );

    // The lender marks it as decided. That the bus delivers it again, as a replay does, changes nothing.
    let decided = deployed.dynamodb.update_item().table_name(table);
    let decided =
        decided.key("event", AttributeValue::S("et-1".to_owned())).update_expression("SET decided = :yes");
    decided.expression_attribute_values(":yes", AttributeValue::Bool(true)).send().await.unwrap();
    let detail = json!({ "id": "et-1", "userId": "u-1", "accountId": "a-1", "status": "SUCCEEDED",
        "datapoints": ["INCOMES"] });
    let again = PutEventsRequestEntry::builder()
        .event_bus_name(&deployed.stack().outputs["BusName"])
        .source("smile.webhook")
        .detail_type("TASK_FINISHED")
        .detail(detail.to_string())
        .build();
    let events = aws_sdk_eventbridge::Client::new(&sdk(deployed.stack()));
    events.put_events().entries(again).send().await.unwrap();
    // What a browser says has the same words, and decides nothing.
    let forged = PutEventsRequestEntry::builder()
        .event_bus_name(&deployed.stack().outputs["BusName"])
        .source("smile.callback")
        .detail_type("TASK_FINISHED")
        .detail(detail.to_string().replace("et-1", "cb-1"))
        .build();
    events.put_events().entries(forged).send().await.unwrap();
    // Each has been looked at by then.
    deployed.tell(&task("et-2", "a-2", same())).await;
    let all = until("the next one", async || {
        let all = deployed.to_be_decided(table).await;
        all.contains_key("et-2").then_some(all)
    })
    .await;
    let log = until("that it is known already", async || {
        let log = deployed.log_at(&outputs["LogGroup"]).await.concat();
        (log.contains("known already") && log.contains("taken access back")).then_some(log)
    })
    .await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["et-1", "et-2"], "{log}");
    assert_eq!(all["et-1"]["decided"], AttributeValue::Bool(true), "it was put there anew");
    assert!(!log.contains("u-1") && !log.contains("\"ERROR\""), "{log}");

    // One whom the receiver does not know is no one who has taken access back: it fails, and comes again.
    let strange = PutEventsRequestEntry::builder()
        .event_bus_name(&deployed.stack().outputs["BusName"])
        .source("smile.webhook")
        .detail_type("TASK_FINISHED")
        .detail(detail.to_string().replace("u-1", "u-strange").replace("et-1", "et-strange"))
        .build();
    events.put_events().entries(strange).send().await.unwrap();
    until("the failure", async || {
        let log = deployed.log_at(&outputs["LogGroup"]).await.concat();
        log.contains("event et-strange: the read API did not tell of a user: the status is 404").then_some(())
    })
    .await;
    assert!(!deployed.to_be_decided(table).await.contains_key("et-strange"));
    deployed.stop().await;
}
