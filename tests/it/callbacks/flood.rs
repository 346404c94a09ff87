//! A flood of browsers fills their own queue and their own partitions, and nothing else.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::id::UserId;
use shared::metrics::{Count, Metric};
use shared::table::MAX_OF_SESSION;

use super::{Browser, account, item, screen, walk, webhook};
use crate::support::{cases, quarantined_on};

#[tokio::test]
async fn thousands_of_tiny_batches_are_each_one_message_on_the_browsers_queue() {
    let batches = cases(2000);
    let mut browser = Browser::new().await;
    for at in 0..batches {
        let answered =
            browser.send("u-1", &[item(&format!("c-{at}"), "onClose", "10:00:00", Value::Null)]).await;
        assert_eq!(answered.status, 200);
    }
    let state = browser.receiver.cloud.state();
    assert_eq!(state.messages.len(), batches);
    assert!(state.messages.iter().all(|message| message["QueueUrl"] == crate::receiver::CALLBACK_QUEUE));
    // The secret was fetched once, not for each.
    assert_eq!(state.calls.iter().filter(|call| call.ends_with("GetSecretValue")).count(), 1);
}

/// Everything that takes a share of a partition's writes: the item's own, and those of its index entries.
async fn partitions(browser: &Browser) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for item in browser.receiver.items().await {
        for key in ["pk", "owner", "day", "erase"] {
            all.extend(item.get(key).map(|value| format!("{key} {}", value.as_s().unwrap())));
        }
    }
    all
}

/// Every kind of item that webhooks write about one user.
async fn webhooks_of_all_kinds(browser: &mut Browser) {
    let about = |id: &str, kind: &str, data: Value| {
        json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data })
            .to_string()
    };
    let large = "x".repeat(300_000) + &(0..60_000).map(|at| at.to_string()).collect::<String>();
    for body in [
        about("et-1", "USER_CREATED", json!({ "userId": "u-1" })),
        about("et-2", "ACCOUNT_CREATED", json!({ "userId": "u-1", "accountId": "a-1" })),
        about("et-3", "ACCOUNT_CONNECTED", json!({ "userId": "u-1", "accountId": "a-1" })),
        about("et-4", "INVITE_INVITED", json!({ "userId": "u-1", "inviteId": "i-1" })),
        about("et-5", "ARCHIVE_STARTED", json!({ "userId": "u-1", "archiveId": "r-1" })),
        about("et-6", "RECORD_CREATED", json!({ "userId": "u-1", "recordId": "ss-1" })),
        about(
            "et-7",
            "TASK_FINISHED",
            json!({ "userId": "u-1", "sourceId": "a-1", "sourceType": "ACCOUNT", "more": large }),
        ),
        about("et-8", "ARCHIVE_REVOKED", json!({ "userId": "u-1", "archiveId": "r-1" })),
        about("et-9", "ACCOUNT_CONNECTED", json!({ "accountId": "a-1" })),
        // Not to be filed: a body that cannot be read, and another one under a known id.
        "not json".to_owned(),
        about("et-2", "ACCOUNT_FAILED", json!({ "userId": "u-1", "accountId": "a-1" })),
    ] {
        browser.receiver.deliver(body.as_bytes()).await;
    }
}

/// Everything that a browser can have written, and more than its share of it.
async fn flood(browser: &mut Browser) {
    let mut looks = browser.say("u-1", &walk()).await;
    let padding = "x".repeat(15_000);
    for at in 0..40 {
        let made_up = format!("made-up-{at}");
        let provider = json!({ "providerId": made_up });
        let mut off = item(&format!("EVENT:et-{at}"), "onClose", "10:00:00", Value::Null);
        off["at"] = json!("1970-01-01T00:03:12.000Z");
        let batch = [
            // One id, ever other words.
            item(
                "c-same",
                "onClose",
                "10:00:00",
                json!({ "reason": "exit", "more": format!("{padding}{at}") }),
            ),
            item(&format!("s-{at}"), "onUIEvent", "10:00:01", screen("LoginPageOpened", &provider)),
            item(&format!("a-{at}"), "onAccountConnected", "10:00:01", account(&made_up)),
            item(&format!("i-{at}"), "onAccountError", "10:00:01", account("a-1")),
            item(&format!("r-{at}"), "onUploadsRemoved", "10:00:01", json!({ "uploads": [{ "id": "r-1" }] })),
            // Ids that look like those of the server.
            item(&format!("et-{at}"), "onSomethingNew", "10:00:01", json!({ "id": "et-2" })),
            off,
        ];
        looks.extend(browser.say("u-1", &batch).await);
    }
    browser.receiver.now += SignedDuration::from_mins(2);
    for look in looks {
        browser.receiver.consumer.process(&look, browser.receiver.now).await.unwrap();
    }
}

#[tokio::test]
async fn no_item_and_no_index_entry_of_a_browser_lies_where_those_of_webhooks_do() {
    let (mut one, mut other, mut both) = (Browser::new().await, Browser::new().await, Browser::new().await);
    webhooks_of_all_kinds(&mut one).await;
    flood(&mut other).await;
    let (of_webhooks, of_browsers) = (partitions(&one).await, partitions(&other).await);
    let shared: Vec<_> = of_webhooks.intersection(&of_browsers).collect();
    assert!(shared.is_empty(), "{shared:?}");
    let is_browsers = |partition: &&String| {
        let (_, key) = partition.split_once(' ').unwrap();
        key.starts_with("WIDGET") || (key.starts_with("EVENT#cb-") && key.len() == "EVENT#cb-".len() + 32)
    };
    assert_eq!(of_browsers.iter().filter(|key| !is_browsers(key)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(of_webhooks.iter().filter(is_browsers).collect::<Vec<_>>(), Vec::<&String>::new());
    // This shows something: there is every kind of both.
    for kind in [
        "pk USER#u-1",
        "pk RECORD#ss-1",
        "pk QUARANTINE#",
        "pk EVENT#et-1",
        "owner USER#u-1",
        "owner ACCOUNT#a-1",
        "owner ARCHIVE#r-1",
        "owner INVITE#i-1",
        "day DAY#",
        "erase DUE",
    ] {
        assert!(of_webhooks.iter().any(|key| key.starts_with(kind)), "{kind}: {of_webhooks:?}");
    }
    for kind in [
        "pk WIDGET#u-1",
        "pk WIDGET_QUARANTINE#",
        "pk WIDGET_SESSION#",
        "pk EVENT#cb-",
        "owner WIDGET#u-1",
        "day WIDGET_DAY#",
    ] {
        assert!(of_browsers.iter().any(|key| key.starts_with(kind)), "{kind}: {of_browsers:?}");
    }
    // Beside each other, too.
    flood(&mut both).await;
    webhooks_of_all_kinds(&mut both).await;
    flood(&mut both).await;
    let both = partitions(&both).await;
    let kept_apart = |key: &&String| !of_webhooks.contains(*key) && !of_browsers.contains(*key);
    assert_eq!(both.iter().filter(kept_apart).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn a_webhook_beside_a_flood_is_stored_as_without_it_and_the_quarantine_stays_readable() {
    let mut alone = Browser::new().await;
    let mut browser = Browser::new().await;
    flood(&mut browser).await;
    for receiver in [&mut alone, &mut browser] {
        for (id, kind, at) in
            [("et-1", "ACCOUNT_CREATED", "10:00:00"), ("et-2", "ACCOUNT_CONNECTED", "10:00:05")]
        {
            let stored = receiver.receiver.deliver(&webhook(id, kind, at)).await;
            assert!(matches!(stored, consumer::Outcome::Stored { .. }), "{stored:?}");
        }
        assert_eq!(
            receiver.receiver.deliver(b"not json").await.counts(),
            [Count::by(Metric::Quarantined, "not_json")]
        );
    }
    flood(&mut browser).await;
    assert_eq!(browser.truth("u-1").await, alone.truth("u-1").await);
    let view = browser.user("u-1").await;
    let account = view.accounts.iter().find(|account| account.account.as_str() == "a-1").unwrap();
    assert_eq!(account.standing.status, "CONNECTED");
    // Conflicts are told, and take no room for bodies.
    let quarantined = quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await;
    let (webhooks, callbacks): (Vec<_>, Vec<_>) =
        quarantined.into_iter().partition(|item| item.source == "webhook");
    assert_eq!(webhooks.iter().map(|item| item.bytes).collect::<Vec<_>>(), [8]);
    assert!(callbacks.len() >= 39 && callbacks.iter().all(|item| item.bytes == 0), "{callbacks:?}");
}

async fn stored(browser: &Browser) -> usize {
    let items = browser.receiver.items().await;
    items.iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk == "EVENT")).count()
}

#[tokio::test]
async fn a_session_has_its_share_however_its_messages_come_and_others_are_not_concerned() {
    let mut browser = Browser::new().await;
    let share = usize::try_from(MAX_OF_SESSION).unwrap();
    for batch in 0..share / 50 + 2 {
        let items: Vec<Value> =
            (0..50).map(|at| item(&format!("c-{batch}-{at}"), "onClose", "10:00:00", Value::Null)).collect();
        assert_eq!(browser.send("u-1", &items).await.status, 200);
    }
    // Side by side, as several instances take them.
    let mut tasks = tokio::task::JoinSet::new();
    let messages = browser.receiver.cloud.receive();
    let all = messages.len();
    for message in messages {
        let (consumer, now) = (browser.receiver.consumer.clone(), browser.receiver.now);
        tasks.spawn(async move { consumer.process(&message, now).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    let over: Vec<_> = outcomes.iter().filter(|outcome| **outcome == consumer::Outcome::OverLimit).collect();
    assert_eq!((all, over.len()), (share + 100, 100));
    assert!(over.iter().all(|outcome| outcome.counts() == [Count::of(Metric::CallbackOverLimit)]));
    assert_eq!(stored(&browser).await, share);
    // A repeat, a conflict and a look count, too: none of them comes through any more.
    let connected = item("c-9", "onAccountConnected", "10:00:00", account("a-1"));
    browser.send("u-1", &[item("c-0-0", "onClose", "10:00:09", Value::Null), connected]).await;
    for message in browser.receiver.cloud.receive() {
        let outcome = browser.receiver.consumer.process(&message, browser.receiver.now).await.unwrap();
        assert_eq!(outcome, consumer::Outcome::OverLimit);
    }
    assert_eq!(quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await, []);
    // The same user with another session, and another user.
    browser.session = 2;
    browser.say("u-1", &[item("d-1", "onClose", "10:00:00", Value::Null)]).await;
    browser.session = 3;
    browser.say("u-2", &[item("d-1", "onClose", "10:00:00", Value::Null)]).await;
    assert_eq!(stored(&browser).await, share + 2);
    for user in ["u-1", "u-2"] {
        let id = event_id(&UserId::new(user).unwrap(), "d-1");
        assert!(browser.receiver.table.event_alone(&id).await.unwrap().is_some(), "{user}");
    }
}
