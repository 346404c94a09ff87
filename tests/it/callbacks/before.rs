//! What browsers said before they had partitions of their own is still found, beside what they say now.
//!
//! `before.json` is frozen: the table as the version before wrote it. One account was created at Smile; a browser showed
//! one screen, said that the account is connected, and closed the widget, the latter twice with different words; one
//! webhook could not be read.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::event::Subject;
use shared::id::UserId;
use shared::job::Source;
use shared::table::{Confirmation, Filter};
use smile_cli::walk::Walk;

use super::{Browser, account, item, screen};
use crate::frozen::attributes;
use crate::support::{it_dir, quarantined_on, read_json};

/// A browser whose receiver has the table of before.
async fn before() -> Browser {
    let browser = Browser::new().await;
    let items: Vec<Value> = read_json(&it_dir().join("callbacks/before.json"));
    assert!(items.iter().all(|item| !item["pk"]["S"].as_str().unwrap().starts_with("WIDGET")));
    for item in &items {
        let put = browser.receiver.dynamodb.put_item().table_name("table");
        put.set_item(Some(attributes(item.as_object().unwrap()))).send().await.unwrap();
    }
    browser
}

/// What the read API answers to a path.
async fn api(browser: &Browser, path: &str, parameters: &str) -> Value {
    let query = query::Query::new(browser.receiver.table.clone());
    let request = query::Request::get(path.to_owned(), parameters);
    let answer = query.handle(&request, browser.receiver.now).await.answer();
    assert_eq!(answer.status_code, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn ids(events: &Value) -> Vec<&str> {
    events["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

async fn walked(mut walk: Walk) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(event) = walk.next().await.unwrap() {
        ids.push(event.id);
    }
    ids
}

#[tokio::test]
async fn what_was_said_before_is_found_by_every_reader_and_merged_with_what_is_said_now() {
    let mut browser = before().await;
    let user = UserId::new("u-1").unwrap();
    let of = |client: &str| event_id(&user, client).to_string();
    browser.receiver.now += SignedDuration::from_mins(1);
    let seen = api(&browser, "/v1/users/u-1", "").await;
    assert_eq!(seen["widget"]["screen"], "LoginPageOpened");
    assert_eq!(
        seen["widget"]["funnel"],
        json!({ "sss_ph": { "LoginPageOpened": "2026-03-01T10:00:01.5Z" } })
    );
    assert_eq!(seen["widget"]["closed_at"], "2026-03-01T10:00:03.5Z");
    assert_eq!(
        (&seen["accounts"][0]["status"], &seen["accounts"][0]["claim"]["status"]),
        (&json!("PENDING"), &json!("CONNECTED"))
    );
    // One look from before is still on its way when the new version takes over.
    let again = item("c-2", "onAccountConnected", "10:00:02.500", account("a-1"));
    browser.send("u-1", &[again]).await;
    let look = browser
        .receiver
        .cloud
        .receive()
        .into_iter()
        .find(|message| message.message_attributes.contains_key("check"));
    let now = browser.receiver.now;
    let outcome = browser.receiver.consumer.process(&look.unwrap(), now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::Checked(Confirmation::Missing { first: true }));
    let claim = &api(&browser, "/v1/accounts/a-1", "").await["accounts"][0]["claim"];
    assert_eq!((&claim["status"], &claim["unconfirmed_at"]), (&json!("CONNECTED"), &json!(now)));

    // What is said now lies elsewhere, and adds to it: the first time of a screen stays, the last screen is another.
    let provider = json!({ "providerId": "sss_ph" });
    browser
        .say(
            "u-1",
            &[
                item("c-4", "onUIEvent", "10:00:09", screen("LoginPageOpened", &provider)),
                item("c-5", "onUIEvent", "10:00:10", screen("MfaPageOpened", &provider)),
                item("c-6", "onAccountRemoved", "10:00:11", account("a-1")),
            ],
        )
        .await;
    let seen = api(&browser, "/v1/users/u-1", "").await;
    assert_eq!(seen["widget"]["screen"], "MfaPageOpened");
    assert_eq!(
        seen["widget"]["funnel"]["sss_ph"],
        json!({ "LoginPageOpened": "2026-03-01T10:00:01.5Z", "MfaPageOpened": "2026-03-01T10:00:10Z" })
    );
    assert_eq!(seen["widget"]["closed_at"], "2026-03-01T10:00:03.5Z");
    assert_eq!(seen["accounts"][0]["claim"]["status"], "DISCONNECTED");
    assert_eq!(api(&browser, "/v1/accounts/a-1", "").await["accounts"][0]["claim"]["status"], "DISCONNECTED");

    // Every list has all of it, in the order in which it was stored.
    let callbacks = ["c-1", "c-2", "c-3", "c-4", "c-5", "c-6"].map(of);
    let all: Vec<&str> = ["et-1"].into_iter().chain(callbacks.iter().map(String::as_str)).collect();
    assert_eq!(ids(&api(&browser, "/v1/timeline", "user=u-1").await), all);
    assert_eq!(ids(&api(&browser, "/v1/timeline", "user=u-1&source=callback").await), all[1..]);
    assert_eq!(ids(&api(&browser, "/v1/timeline", "user=u-1&source=webhook").await), all[..1]);
    assert_eq!(ids(&api(&browser, "/v1/events", "from=2026-03-01T00:00:00Z").await), all);
    let table = &browser.receiver.table;
    let newest = table.events_of(&Subject::User(user.clone()), None, 3).await.unwrap();
    assert_eq!(newest.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), all[4..]);
    let (from, until) = (now - SignedDuration::from_hours(12), now + SignedDuration::from_hours(1));
    for (source, expected) in
        [(None, &all[..]), (Some(Source::Callback), &all[1..]), (Some(Source::Webhook), &all[..1])]
    {
        let filter = || Filter { source, ..Filter::default() };
        assert_eq!(walked(Walk::of_days(table.clone(), from, until, filter())).await, expected, "{source:?}");
        let of_user = Walk::of_user(table.clone(), user.clone(), from, until, filter());
        assert_eq!(walked(of_user).await, expected, "{source:?}");
    }
}

#[tokio::test]
async fn what_lay_in_quarantine_before_is_listed_between_what_is_put_there_now_and_can_be_removed() {
    let mut browser = before().await;
    browser.receiver.now = "2026-03-01T12:00:04.500Z".parse().unwrap();
    browser.send("u-1", &[item("c-1", "onClose", "10:00:01.500", Value::Null)]).await;
    browser.consume().await;
    let day = "2026-03-01".parse().unwrap();
    let all = quarantined_on(&browser.receiver.table, day).await;
    let told: Vec<_> = all.iter().map(|item| (item.source.as_str(), item.reason.as_str())).collect();
    assert_eq!(
        told,
        [("callback", "id_conflict"), ("callback", "id_conflict"), ("webhook", "not_json")],
        "by the time of receipt"
    );
    // A page at a time it is the same list.
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let (page, reached) = browser.receiver.table.quarantine_page(day, after.as_deref(), 1).await.unwrap();
        assert!(page.len() <= 1);
        paged.extend(page);
        after = reached;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    assert_eq!(
        api(&browser, "/v1/quarantine", "day=2026-03-01").await["quarantined"].as_array().unwrap().len(),
        3
    );
    for (item, is_kept) in all.iter().zip([true, false, true]) {
        let key = item.key.parse().unwrap();
        let (found, body) = browser.receiver.table.quarantined(&key).await.unwrap().unwrap();
        assert_eq!((&found, !body.unwrap().is_empty()), (item, is_kept));
        assert!(browser.receiver.table.remove_quarantined(&key, item).await.unwrap());
        assert_eq!(browser.receiver.table.quarantined(&key).await.unwrap(), None);
    }
}
