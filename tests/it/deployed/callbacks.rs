//! What a user does in the widget, on the deployed template: from a link by the back end to the table, beside
//! the webhooks of the same user; and a flood of browsers that delays no webhook.

use std::time::Instant;

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use serde_json::{Value, json};
use shared::event::Subject;
use shared::id::{EventId, UserId};
use shared::state::view::{AccountView, StateView};
use smile_cli::dev::Beside;
use smile_cli::simulate::Link;

use super::{Deployed, ask, until};

/// What a page has after its back end has asked for a link.
pub(super) struct Page {
    pub(super) origin: String,
    callbacks: String,
    pub(super) token: String,
    pub(super) user: String,
}

impl Page {
    pub(super) async fn open(deployed: &Deployed) -> Self {
        let origin = deployed.stack().site_url.clone().unwrap();
        let headers = vec![("content-type", "application/json".to_owned()), ("origin", origin.clone())];
        let (status, _, link) = ask("POST", format!("{origin}/api/links"), headers, "{}".to_owned()).await;
        assert_eq!(status, 201, "{link}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(link["urls"]["callbacks"], deployed.stack().outputs["CallbackUrl"]);
        Self {
            origin,
            callbacks: text(&link["urls"]["callbacks"]),
            token: text(&link["session"]["token"]),
            user: text(&link["userId"]),
        }
    }

    pub(super) async fn send(
        &self,
        origin: &str,
        token: &str,
        items: &Value,
    ) -> (u16, http::HeaderMap, Value) {
        let headers = vec![
            ("origin", origin.to_owned()),
            ("content-type", "application/json".to_owned()),
            ("authorization", format!("Bearer {token}")),
        ];
        ask("POST", self.callbacks.clone(), headers, json!({ "callbacks": items }).to_string()).await
    }

    /// A callback, now.
    pub(super) fn item(&self, id: &str, name: &str, mut data: Value) -> Value {
        #[expect(clippy::disallowed_methods, reason = "the functions have the real time, too")]
        let now = jiff::Timestamp::now();
        data["userId"] = json!(self.user);
        json!({ "id": id, "name": name, "at": format!("{now:.3}"), "data": data })
    }
}

async fn account(deployed: &Deployed, user: &str, account: &str) -> Option<AccountView> {
    let state = deployed.table.user(&UserId::new(user).unwrap()).await.unwrap();
    let users = StateView::from(&state).users;
    users.into_values().flat_map(|user| user.accounts).find(|known| known.account.as_str() == account)
}

#[tokio::test]
async fn a_browsers_word_is_shown_and_only_the_webhook_connects_the_account() {
    let deployed = Deployed::beside("callbacks", Beside::Here { site_port: 0, console_port: 0 }).await;
    let page = Page::open(&deployed).await;
    let simulator = deployed.cloud.simulator().unwrap();

    // Before it sends, a browser asks; and a page that is not listed is told no.
    let preflight = |origin: &str| {
        let headers =
            vec![("origin", origin.to_owned()), ("access-control-request-method", "POST".to_owned())];
        ask("OPTIONS", page.callbacks.clone(), headers, String::new())
    };
    let (status, headers, _) = preflight(&page.origin).await;
    assert_eq!(
        (status, headers["access-control-allow-origin"].to_str().unwrap()),
        (204, page.origin.as_str())
    );
    assert_eq!(preflight("https://evil.example").await.0, 403);
    let closed = json!([page.item("c-0", "onClose", json!({}))]);
    assert_eq!(page.send("https://evil.example", &page.token, &closed).await.0, 403);
    assert_eq!(page.send(&page.origin, "rubbish", &closed).await.0, 401);
    let mut theirs = page.item("c-0", "onClose", json!({}));
    theirs["data"]["userId"] = json!("somebody-else");
    let (status, _, answer) = page.send(&page.origin, &page.token, &json!([theirs])).await;
    assert_eq!((status, &answer["refused"][0]["code"]), (422, &json!("wrong_user")));

    // The user links an account: the browser says connected before the server does.
    let linked = simulator.begin_link(&Link { user_id: Some(page.user.clone()), ..Link::default() });
    let about = json!({ "accountId": linked.account_id, "providerId": "sss_ph" });
    let items = json!([
        page.item(
            "c-1",
            "onUIEvent",
            json!({ "eventName": "LoginPageOpened", "account": { "providerId": "sss_ph" } })
        ),
        page.item("c-2", "onAccountCreated", about.clone()),
        page.item("c-3", "onAccountConnected", about),
    ]);
    for _ in 0..2 {
        let (status, headers, answer) = page.send(&page.origin, &page.token, &items).await;
        assert_eq!((status, &answer), (200, &json!({ "accepted": 3, "refused": [] })));
        assert_eq!(headers["access-control-allow-origin"].to_str().unwrap(), page.origin);
    }
    let claimed = until("the browser's claim", async || {
        let account = account(&deployed, &page.user, &linked.account_id).await?;
        account.claim.as_ref().is_some_and(|claim| claim.status == "CONNECTED").then_some(account)
    })
    .await;
    assert_ne!(claimed.standing.status, "CONNECTED", "a browser's word connects nothing");
    assert!(claimed.claim.unwrap().differs_since.is_some());

    assert!(simulator.end_link(&linked.account_id, None));
    until("the webhook's word", async || {
        let account = account(&deployed, &page.user, &linked.account_id).await?;
        (account.standing.status == "CONNECTED" && account.claim.unwrap().differs_since.is_none())
            .then_some(())
    })
    .await;

    // One timeline, each callback once, though each was sent twice.
    let user = Subject::User(UserId::new(&page.user).unwrap());
    let callbacks = until("all callbacks", async || {
        let events = deployed.table.events_of(&user, None, 100).await.unwrap();
        let callbacks: Vec<_> = events.into_iter().filter(|event| event.source == "callback").collect();
        callbacks.iter().all(|event| event.deliveries.len() == 2).then_some(callbacks)
    })
    .await;
    let mut kinds: Vec<&str> = callbacks.iter().map(|event| event.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["onAccountConnected", "onAccountCreated", "onUIEvent"]);

    a_flood_of_browsers_delays_no_webhook(&deployed, &page).await;
    deployed.stop().await;
}

/// Thousands of callbacks wait on their queue; a webhook that comes then does not wait behind them.
async fn a_flood_of_browsers_delays_no_webhook(deployed: &Deployed, page: &Page) {
    const FLOOD: usize = 3000;
    let queue = &deployed.stack().outputs["CallbackQueueUrl"];
    let attribute = |value: &str| {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    };
    let user = UserId::new(&page.user).unwrap();
    for start in (0..FLOOD).step_by(10) {
        let entry = |at: usize| {
            let client = format!("flood-{at}");
            let id = shared::callback::event_id(&user, &client);
            let body = json!({ "id": id, "version": 1, "type": "onClose", "createdAt": "2026-03-01T10:00:00Z",
                               "data": { "userId": user, "clientId": client, "value": null } });
            SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(body.to_string())
                .message_attributes("v", attribute("1"))
                .message_attributes("source", attribute("callback"))
                .message_attributes("received_at", attribute("2026-03-01T10:00:00Z"))
                .message_attributes("delivery", attribute("flood"))
                .build()
                .unwrap()
        };
        let entries = (start..start + 10).map(entry).collect();
        deployed.sqs.send_message_batch().queue_url(queue).set_entries(Some(entries)).send().await.unwrap();
    }
    let waiting = async || -> usize {
        let asked = deployed.sqs.get_queue_attributes().queue_url(queue);
        let asked =
            asked.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await.unwrap();
        asked.attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessages].parse().unwrap()
    };
    assert!(waiting().await > 500, "the flood is over before it began");
    let since = Instant::now();
    let body = json!({ "id": "et-in-the-flood", "version": 1, "type": "USER_CREATED", "createdAt": "2026-03-01T10:00:00Z",
                       "data": { "userId": page.user } });
    assert_eq!(deployed.send(body.to_string().as_bytes()).await.0, 200);
    let id = EventId::new("et-in-the-flood").unwrap();
    until("the webhook in the flood", async || deployed.table.event(&id).await.unwrap()).await;
    let left = waiting().await;
    assert!(left > 0, "after {:?} the flood was over", since.elapsed());
}
