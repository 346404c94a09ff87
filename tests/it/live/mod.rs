//! Live refresh: the functions' own code between a table and a gateway that loses connections, fails and repeats.

mod connections;
mod gateway;
mod personal;
mod pushed;
mod storm;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use live::request::Event;
use live::{Live, Outcome};
use push::{BusEvent, Detail, Pushed, Pusher};
use serde_json::{Value, json};
use shared::id::UserId;
use shared::secret_cache::Secrets;
use shared::secrets::SecretSet;
use shared::session::mint;
use shared::table::{Fault, Table};
use shared::verify::Secret;

use self::gateway::Gateway;
use crate::cloud::{database, failing};

const SESSION_SECRET: &str = "the-secret-of-sessions";
const PAGE: &str = "https://app.example.com";
/// A page of a hybrid app.
const APP: &str = "capacitor://localhost";

/// Both functions, and what they work with.
struct World {
    gateway: Gateway,
    table: Table,
    dynamodb: aws_sdk_dynamodb::Client,
    live: Live,
    pusher: Pusher,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (gateway, sdk) = (Gateway::start(seed).await, database().await);
        let table = Table::new(&sdk, "table");
        Self {
            live: live(table.clone(), &gateway),
            pusher: Pusher::new(table.clone(), gateway.sockets()),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            gateway,
            table,
        }
    }

    async fn connect(&self, connection: &str, headers: Value, now: Timestamp) -> Outcome {
        self.live.handle(&event(connection, "$connect", &headers, ""), now).await
    }

    /// Connects a page of this user, up to the handshake.
    async fn connected(&self, connection: &str, user: &str, now: Timestamp) {
        let outcome = self.connect(connection, offers(&token(user, now)), now).await;
        assert_eq!(outcome, Outcome::Connected);
    }

    /// Connects a page and has it say hello; gives what it hears.
    async fn listening(
        &self,
        connection: &str,
        user: &str,
        now: Timestamp,
    ) -> tokio::sync::mpsc::UnboundedReceiver<String> {
        self.connected(connection, user, now).await;
        let mut hears = self.gateway.establish(connection);
        assert_eq!(self.say(connection, "hello", now).await, Outcome::Listening);
        assert_eq!(hears.recv().await.unwrap(), r#"{"type":"refresh"}"#);
        hears
    }

    async fn say(&self, connection: &str, action: &str, now: Timestamp) -> Outcome {
        self.message(connection, &json!({ "action": action }).to_string(), now).await
    }

    async fn message(&self, connection: &str, body: &str, now: Timestamp) -> Outcome {
        self.live.handle(&event(connection, "$default", &Value::Null, body), now).await
    }

    async fn disconnect(&self, connection: &str, now: Timestamp) {
        let outcome = self.live.handle(&event(connection, "$disconnect", &Value::Null, ""), now).await;
        assert_eq!(outcome, Outcome::Ended);
    }

    async fn push(&self, user: &str, id: &str, now: Timestamp) -> Result<Pushed, Fault> {
        self.pusher.push(&change(user, id), now).await
    }

    async fn listeners(&self, user: &str, now: Timestamp) -> Vec<String> {
        self.table.connections(&UserId::new(user).unwrap(), Timestamp::MAX, now).await.unwrap()
    }

    /// How many items a user's partition of listeners has, expired ones too.
    async fn listener_items(&self, user: &str) -> usize {
        let query = self.dynamodb.query().table_name("table").key_condition_expression("pk = :pk");
        let user = aws_sdk_dynamodb::types::AttributeValue::S(format!("LISTENERS#{user}"));
        query.expression_attribute_values(":pk", user).send().await.unwrap().items().len()
    }
}

fn live(table: Table, gateway: &Gateway) -> Live {
    let secrets = SecretSet::from_list(&json!([SESSION_SECRET]).to_string()).unwrap();
    let origins = format!("{PAGE},{APP}").parse().unwrap();
    Live::new(origins, Secrets::Fixed(Arc::new(secrets)), table, gateway.sockets())
}

/// A table whose every call is answered like this.
fn broken_table(code: &'static str) -> Table {
    Table::new(&failing(400, code), "table")
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A session of an hour.
fn token(user: &str, now: Timestamp) -> String {
    let secret = Secret::new(SESSION_SECRET).unwrap();
    mint(&UserId::new(user).unwrap(), [7; 16], minutes(60), now, &secret).token
}

/// What a browser offers.
fn offers(token: &str) -> Value {
    json!({ "Sec-WebSocket-Protocol": format!("smile.v1, smile.session.{token}"), "Origin": PAGE })
}

fn event(connection: &str, route: &str, headers: &Value, body: &str) -> Event {
    let event = json!({
        "requestContext": { "connectionId": connection, "routeKey": route, "requestId": "request-1" },
        "headers": headers, "body": body, "isBase64Encoded": false,
    });
    serde_json::from_value(event).unwrap()
}

/// A change of a user, as the rule hands it over.
fn change(user: &str, id: &str) -> Detail {
    let event = json!({ "source": "smile.webhook", "detail-type": "USER_CREATED",
        "detail": { "id": id, "type": "USER_CREATED", "source": "webhook", "userId": user } });
    serde_json::from_value::<BusEvent>(event).unwrap().detail
}
