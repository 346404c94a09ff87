//! The rehearsal behind `infra/restore.md`. The local cloud restores no point in time, so a copy of the items
//! stands in for what DynamoDB restores; everything after that is as on AWS: a table without the
//! settings that a restore does not bring along, the switch by the parameter, the checks, and the way back.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use serde_json::{Value, json};
use shared::id::{EventId, UserId};
use shared::table::Table;

use super::way::smile;
use super::{Deployed, sdk, until};
use crate::histories::view;
use crate::support::{quarantined_on, template};

const RESTORED: &str = "smile-restored";

fn event(id: &str) -> Vec<u8> {
    json!({ "id": id, "version": 1, "type": "ACCOUNT_CONNECTED", "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": "u-1", "accountId": "a-1" } })
    .to_string()
    .into_bytes()
}

fn keys(schema: &Value) -> Vec<KeySchemaElement> {
    let key = |key: &Value| {
        KeySchemaElement::builder()
            .attribute_name(key["AttributeName"].as_str().unwrap())
            .key_type(KeyType::from(key["KeyType"].as_str().unwrap()))
            .build()
            .unwrap()
    };
    schema.as_array().unwrap().iter().map(key).collect()
}

impl Deployed {
    /// What a restore leaves: the table with its indexes and items, and nothing else.
    async fn restore(&self) {
        let table = &template()["Resources"]["Table"]["Properties"];
        let texts = |list: &Value| -> Option<Vec<String>> {
            Some(list.as_array()?.iter().map(|text| text.as_str().unwrap().to_owned()).collect())
        };
        let attributes = table["AttributeDefinitions"].as_array().unwrap().iter().map(|attribute| {
            AttributeDefinition::builder()
                .attribute_name(attribute["AttributeName"].as_str().unwrap())
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap()
        });
        let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter().map(|index| {
            let projection = &index["Projection"];
            let projection = Projection::builder()
                .projection_type(ProjectionType::from(projection["ProjectionType"].as_str().unwrap()))
                .set_non_key_attributes(texts(&projection["NonKeyAttributes"]))
                .build();
            GlobalSecondaryIndex::builder()
                .index_name(index["IndexName"].as_str().unwrap())
                .set_key_schema(Some(keys(&index["KeySchema"])))
                .projection(projection)
                .build()
                .unwrap()
        });
        self.dynamodb
            .create_table()
            .table_name(RESTORED)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(keys(&table["KeySchema"])))
            .set_attribute_definitions(Some(attributes.collect()))
            .set_global_secondary_indexes(Some(indexes.collect()))
            .send()
            .await
            .unwrap();
        let items = self.dynamodb.scan().table_name(&self.stack().table).into_paginator().items().send();
        for item in items.collect::<Result<Vec<_>, _>>().await.unwrap() {
            self.dynamodb.put_item().table_name(RESTORED).set_item(Some(item)).send().await.unwrap();
        }
    }

    /// Of step 3 what the bus needs; gives the stream's ARN.
    async fn switch_stream_on(&self) -> String {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewImage)
            .build()
            .unwrap();
        let table = self.dynamodb.update_table().table_name(RESTORED).stream_specification(stream);
        table.send().await.unwrap();
        let told = self.dynamodb.describe_table().table_name(RESTORED).send().await.unwrap();
        told.table.unwrap().latest_stream_arn.unwrap()
    }
}

#[tokio::test]
async fn a_restored_table_takes_over_and_gives_back() {
    let deployed = Deployed::start("restored").await;
    let restored = Table::new(&sdk(deployed.stack()), RESTORED);
    let in_table = async |table: &Table, id: &str| table.event(&EventId::new(id).unwrap()).await.unwrap();
    let stored = async |table: &Table, id: &str| until(id, async || in_table(table, id).await).await;
    assert_eq!(deployed.send(&event("et-before")).await.0, 200);
    stored(&deployed.table, "et-before").await;
    deployed.restore().await;
    // After the point in time, before the switch: the old table alone has them.
    assert_eq!(deployed.send(&event("et-between")).await.0, 200);
    let revocation = json!({ "id": "et-revoked", "version": 1, "type": "ACCOUNT_DISCONNECTED",
        "createdAt": "2026-03-01T11:00:00Z", "data": { "userId": "u-2", "accountId": "a-2" } });
    assert_eq!(deployed.send(revocation.to_string().as_bytes()).await.0, 200);
    stored(&deployed.table, "et-between").await;
    assert!(stored(&deployed.table, "et-revoked").await.1.is_none(), "a revocation's body is not kept");
    // What it carries was revoked, so that its register is there, and its body is not.
    let late = json!({ "id": "et-late", "version": 1, "type": "INCOMES_ADDED", "createdAt": "2026-03-01T10:30:00Z",
        "data": { "userId": "u-2", "accountId": "a-2" } });
    assert_eq!(deployed.send(late.to_string().as_bytes()).await.0, 200);
    assert!(stored(&deployed.table, "et-late").await.1.is_none());
    assert_eq!(deployed.send(b"authentic garbage").await.0, 200);
    #[expect(clippy::disallowed_methods, reason = "the local cloud has the real time, too")]
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let in_quarantine = async |table: &Table| {
        let mut found = quarantined_on(table, today.yesterday().unwrap()).await;
        found.extend(quarantined_on(table, today).await);
        found
    };
    let garbage =
        until("the garbage in quarantine", async || in_quarantine(&deployed.table).await.pop()).await;
    let old = deployed.stack().table.clone();
    let bring_over = |more: &[&str]| {
        let (ok, _, said) =
            smile(&deployed, &[&["bring-over", &old, "--since", "2026-01-01"], more].concat());
        (ok, said)
    };
    let (ok, said) = bring_over(&[]);
    assert!(!ok && said.contains("is the table in use"), "{said}");

    let stream = deployed.switch_stream_on().await;
    let parameters = [("RestoredTable", RESTORED), ("RestoredTableStreamArn", stream.as_str())];
    deployed.update(None, &parameters).await;
    assert_eq!(deployed.send(&event("et-after")).await.0, 200);
    stored(&restored, "et-after").await;
    assert!(in_table(&deployed.table, "et-after").await.is_none(), "the old table is left alone");
    assert!(in_table(&restored, "et-between").await.is_none(), "this is what a restore loses");
    // But the old table is there, and what it alone has is sent again.
    let (ok, said) = bring_over(&["--dry-run"]);
    assert!(ok && said.contains("1 is there, 4 would be sent, 0 left"), "{said}");
    assert!(in_table(&restored, "et-between").await.is_none());
    let (ok, said) = bring_over(&[]);
    assert!(ok && said.contains("1 is there, 4 sent, 0 left"), "{said}");
    assert_eq!(stored(&restored, "et-between").await.1.unwrap(), event("et-between"));
    for id in ["et-revoked", "et-late"] {
        assert_eq!(stored(&restored, id).await, stored(&deployed.table, id).await, "as it was there");
    }
    assert_eq!(in_quarantine(&restored).await, [garbage]);
    let user = UserId::new("u-2").unwrap();
    let (before, after) = (deployed.table.user(&user).await.unwrap(), restored.user(&user).await.unwrap());
    assert_eq!(view(&after)["users"]["u-2"]["accounts"][0]["revoked_at"], "2026-03-01T11:00:00Z");
    assert_eq!(view(&before), view(&after), "the register of what has no body, too");
    let (ok, said) = bring_over(&[]);
    assert!(ok && said.contains("5 are there, 0 sent, 0 left"), "{said}");
    // What was there is known, body and all, and a further delivery of it is a repeat.
    assert_eq!(deployed.send(&event("et-before")).await.0, 200);
    let again = until("the second delivery", async || {
        in_table(&restored, "et-before").await.filter(|(event, _)| event.deliveries.len() == 2)
    })
    .await;
    assert_eq!(again.1.unwrap(), event("et-before"));
    let outputs = deployed.cloudformation.describe_stacks().stack_name("smile").send().await.unwrap();
    let name = outputs.stacks()[0].outputs().iter().find(|output| output.output_key() == Some("TableName"));
    assert_eq!(name.unwrap().output_value(), Some(RESTORED), "operators' commands follow");
    // The index's permission has followed, too: an account of an unknown user is looked up there.
    let by_index = json!({ "id": "et-index", "version": 1, "type": "INCOMES_ADDED",
        "createdAt": "2026-03-01T10:00:00Z", "data": { "accountId": "a-1" } });
    assert_eq!(deployed.send(by_index.to_string().as_bytes()).await.0, 200);
    stored(&restored, "et-index").await;

    // So has the bus: what is stored there is published.
    until("et-index on the bus", async || {
        let log = deployed.log_of("smile-publish").await;
        log.iter().any(|line| line.contains("et-index") && line.contains("\"published\"")).then_some(())
    })
    .await;

    // And back.
    deployed.update(None, &[]).await;
    assert_eq!(deployed.send(&event("et-back")).await.0, 200);
    stored(&deployed.table, "et-back").await;
    assert!(in_table(&restored, "et-back").await.is_none());
    deployed.stop().await;
}
