//! What browsers say adds up to the same for any order and repetition, and never to anything of the server's.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::event::Subject;
use shared::id::{AccountId, UserId};
use shared::metrics::{Count, Metric};
use shared::table::Confirmation;

use super::{Browser, account, item, screen, walk, webhook};
use crate::support::{Shuffle, cases, quarantined_on};

#[tokio::test]
async fn a_walk_through_the_widget_is_all_there_once() {
    let mut browser = Browser::new().await;
    browser.say("u-1", &walk()).await;
    let said = serde_json::to_value(browser.user("u-1").await).unwrap();
    let at = |second: usize| json!(format!("2026-03-01T10:00:{second:02}.5Z"));
    assert_eq!(
        said["widget"],
        json!({
            "screen": "RevokeArchivePageOpened", "mode": "SANDBOX", "screen_at": at(16),
            "last_error": { "error_code": "INVALID_MFA", "provider": "sss_ph", "account": "a-1", "at": at(7) },
            "closed_at": at(19), "close_reason": "exit", "token_expired_at": at(18),
            "uploads": { "change": "REMOVED", "count": 1, "at": at(17) },
            "funnel": {
                "-": {
                    "ConsentPageOpened": at(0), "ProviderListPageOpened": at(1), "LoginOptionsPageOpened": at(2),
                    "EmployerSurveyPageOpened": at(3), "FileTypeListPageOpened": at(12), "FileTypePageOpened": at(13),
                    "ArchiveSuccessPageOpened": at(14), "RevokeArchivePageOpened": at(16),
                },
                "sss_ph": {
                    "LoginPageOpened": at(4), "MfaPageOpened": at(6), "ConnectSuccessPageOpened": at(8),
                    "AccountRevokePageOpened": at(10),
                },
            },
        })
    );
    // Of the server's there is nothing: it has said nothing.
    assert_eq!(
        said["accounts"],
        json!([{ "account": "a-1", "user": "u-1", "status": "UNKNOWN",
                 "claim": { "status": "DISCONNECTED", "at": at(11), "provider": "sss_ph", "differs_since": at(11) } }])
    );
    assert_eq!(browser.truth("u-1").await.items().count(), 0);

    let user = Subject::User(UserId::new("u-1").unwrap());
    let timeline = browser.receiver.table.events_of(&user, None, 100).await.unwrap();
    assert_eq!(timeline.len(), walk().len());
    assert!(timeline.iter().all(|event| event.source == "callback" && event.id.starts_with("cb-")));
    assert_eq!(timeline[4].facts.screen.as_deref(), Some("LoginPageOpened"));
    assert_eq!(timeline[19].facts.reason.as_deref(), Some("exit"));
}

/// Webhooks and callbacks of one account, in many orders, each up to three times.
#[tokio::test]
async fn any_order_and_repetition_ends_the_same_and_webhooks_state_is_as_without_callbacks() {
    let webhooks = [
        webhook("et-1", "ACCOUNT_CREATED", "10:00:05"),
        webhook("et-2", "ACCOUNT_FAILED", "10:00:07"),
        webhook("et-3", "ACCOUNT_CONNECTED", "10:00:09"),
        webhook("et-4", "INCOMES_ADDED", "10:00:09"),
    ];
    let mut alone = Browser::new().await;
    for body in &webhooks {
        alone.receiver.deliver(body).await;
    }
    let truth = alone.truth("u-1").await;
    let mut shuffle = Shuffle::new(7);
    let mut first = None;
    for round in 0..cases(8) {
        let mut browser = Browser::new().await;
        let callbacks = walk();
        let all: Vec<usize> = (0..webhooks.len() + callbacks.len()).collect();
        for at in shuffle.with_repeats(&all) {
            match webhooks.get(at) {
                Some(body) => _ = browser.receiver.deliver(body).await,
                None => drop(browser.say("u-1", &callbacks[at - webhooks.len()..][..1]).await),
            }
        }
        assert_eq!(browser.truth("u-1").await, truth, "round {round}");
        let view = browser.user("u-1").await;
        assert_eq!(first.get_or_insert_with(|| view.clone()), &view, "round {round}");
        let quarantined = quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await;
        assert_eq!(quarantined, []);
    }
    let account = &first.unwrap().accounts[0];
    assert_eq!(account.standing.status, "CONNECTED");
    assert_eq!(account.claim.as_ref().unwrap().status, "DISCONNECTED");
}

#[tokio::test]
async fn a_connection_that_only_the_browser_knows_is_seen_counted_once_and_settled_by_the_webhook() {
    let mut browser = Browser::new().await;
    let connected = item("c-1", "onAccountConnected", "12:00:00.250", account("a-1"));
    let looks = browser.say("u-1", std::slice::from_ref(&connected)).await;
    assert_eq!(looks.len(), 1, "one look is due later");
    let look = looks[0].clone();
    let standing = |browser: &UserViewOf| browser["accounts"][0].clone();

    let before = standing(&view(&browser).await);
    assert_eq!((&before["status"], &before["claim"]["status"]), (&json!("UNKNOWN"), &json!("CONNECTED")));
    assert_eq!(before["claim"]["differs_since"], "2026-03-01T12:00:00.25Z");

    // Two minutes later nobody has confirmed it: counted once, however often the queue asks.
    browser.receiver.now += SignedDuration::from_mins(2);
    let now = browser.receiver.now;
    let outcome = browser.receiver.consumer.process(&look, now).await.unwrap();
    assert_eq!(outcome.counts(), [Count::of(Metric::UnconfirmedConnection)]);
    let outcome = browser.receiver.consumer.process(&look, now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::Checked(Confirmation::Missing { first: false }));
    assert_eq!(outcome.counts(), []);
    assert_eq!(standing(&view(&browser).await)["claim"]["unconfirmed_at"], json!(now));

    // Then it comes after all. Whole seconds: by the clock it is before what the browser said.
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_CONNECTED", "12:00:00")).await;
    let after = standing(&view(&browser).await);
    assert_eq!((&after["status"], &after["claim"]["differs_since"]), (&json!("CONNECTED"), &Value::Null));
    let outcome = browser.receiver.consumer.process(&look, now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::Checked(Confirmation::Told));
}

/// A look is about the connection that it was sent for, whatever the browser has said since.
#[tokio::test]
async fn a_later_word_of_the_browser_does_not_make_a_confirmed_connection_unconfirmed() {
    let mut browser = Browser::new().await;
    let connected = |id: &str, at: &str| item(id, "onAccountConnected", at, account("a-1"));
    let look = browser.say("u-1", &[connected("c-1", "12:00:00.250")]).await.remove(0);
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_CONNECTED", "12:00:00")).await;
    browser.say("u-1", &[item("c-2", "onAccountRemoved", "12:01:00", account("a-1"))]).await;
    let now = browser.receiver.now;
    let outcome = browser.receiver.consumer.process(&look, now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::Checked(Confirmation::Told));

    // Each claimed connection is counted by itself: the second one is lost, and a third one, too.
    browser.receiver.deliver(&webhook("et-2", "ACCOUNT_FAILED", "12:02:00")).await;
    for (id, at) in [("c-3", "12:03:00"), ("c-4", "12:04:00")] {
        let look = browser.say("u-1", &[connected(id, at)]).await.remove(0);
        assert_eq!(view(&browser).await["accounts"][0]["claim"]["unconfirmed_at"], Value::Null, "{id}");
        for first in [true, false] {
            let outcome = browser.receiver.consumer.process(&look, browser.receiver.now).await.unwrap();
            assert_eq!(outcome, consumer::Outcome::Checked(Confirmation::Missing { first }), "{id}");
        }
        assert_ne!(view(&browser).await["accounts"][0]["claim"]["unconfirmed_at"], Value::Null, "{id}");
    }
}

type UserViewOf = Value;

async fn view(browser: &Browser) -> UserViewOf {
    serde_json::to_value(browser.user("u-1").await).unwrap()
}

#[tokio::test]
async fn a_look_finds_nothing_to_complain_of_once_the_server_has_spoken() {
    for (kind, at, found) in [
        ("ACCOUNT_CONNECTED", "12:00:00", Confirmation::Told),
        // It has failed since: the server knows more than the browser.
        ("ACCOUNT_FAILED", "12:00:05", Confirmation::Told),
        ("ACCOUNT_DISCONNECTED", "12:00:05", Confirmation::Told),
        // It had failed before, and then the browser saw a success that nobody else saw.
        ("ACCOUNT_FAILED", "11:59:00", Confirmation::Missing { first: true }),
        ("ACCOUNT_CREATED", "12:00:00", Confirmation::Missing { first: true }),
    ] {
        let mut browser = Browser::new().await;
        let look =
            browser.say("u-1", &[item("c-1", "onAccountConnected", "12:00:00.250", account("a-1"))]).await;
        browser.receiver.deliver(&webhook("et-1", kind, at)).await;
        let outcome = browser.receiver.consumer.process(&look[0], browser.receiver.now).await.unwrap();
        assert_eq!(outcome, consumer::Outcome::Checked(found), "{kind} at {at}");
    }
}

#[tokio::test]
async fn a_claim_about_somebody_elses_account_is_found_nowhere_but_at_its_user() {
    let mut browser = Browser::new().await;
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_CONNECTED", "10:00:00")).await;
    let mut claim = account("a-1");
    claim["userId"] = json!("u-2");
    browser.say("u-2", &[item("c-1", "onAccountRemoved", "10:00:01", claim)]).await;
    let subject = Subject::Account(AccountId::new("a-1").unwrap());
    let state = browser.receiver.table.state_of(&subject).await.unwrap();
    let owners: Vec<String> = state.items().map(|(entity, _)| entity.to_string()).collect();
    assert_eq!(owners, ["USER#u-1/ACCOUNT#a-1"]);
    // An event that names the account alone finds its one owner, too.
    let alone = json!({ "id": "et-2", "version": 1, "type": "INCOMES_ADDED", "createdAt": "2026-03-01T10:00:02Z",
                        "data": { "accountId": "a-1" } });
    browser.receiver.deliver(alone.to_string().as_bytes()).await;
    assert_eq!(browser.user("u-1").await.accounts[0].standing.status, "CONNECTED");
}

#[tokio::test]
async fn what_a_browser_makes_up_grows_nothing_without_bound() {
    let mut browser = Browser::new().await;
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_CONNECTED", "10:00:00")).await;
    let made_up = |at: usize| {
        let more = json!({ "providerId": format!("p-{at}") });
        [
            item(&format!("s-{at}"), "onUIEvent", "10:00:01", screen(&format!("Page{at}"), &more)),
            item(&format!("k-{at}"), "onUIEvent", "10:00:01", screen("LoginPageOpened", &more)),
            item(&format!("a-{at}"), "onAccountCreated", "10:00:01", account(&format!("made-up-{at}"))),
        ]
    };
    let all: Vec<Value> = (0..310).flat_map(made_up).collect();
    for batch in all.chunks(48) {
        browser.say("u-1", batch).await;
    }
    let state = browser.receiver.table.user(&UserId::new("u-1").unwrap()).await.unwrap();
    // The server's is all there, and of the browser's a bounded part.
    assert_eq!(browser.truth("u-1").await.items().count(), 1);
    assert_eq!(state.items().count(), 301);
    let largest = browser.receiver.items().await.iter().map(std::collections::HashMap::len).max().unwrap();
    assert!(largest < 40, "an item has {largest} attributes");
}

/// A device whose clock was never set, or runs ahead: its user's progress is shown, in its order, and the clock is first
/// or last for nobody.
#[tokio::test]
async fn a_clock_at_1970_or_in_2099_spoils_nothing_for_good() {
    let provider = json!({ "providerId": "sss_ph" });
    let off = |id: &str, at: &str, page: &str| {
        let mut item = item(id, "onUIEvent", "10:00:00", screen(page, &provider));
        item["at"] = json!(at);
        item
    };
    let batches = [
        // One batch is in the order in which it was sent, whatever the ids.
        vec![
            off("c-9", "1970-01-01T00:03:12.000Z", "LoginPageOpened"),
            off("c-1", "1970-01-01T00:03:15.000Z", "MfaPageOpened"),
        ],
        vec![off("c-3", "2099-01-01T00:00:00Z", "ConnectSuccessPageOpened")],
    ];
    let mut first = None;
    let mut shuffle = Shuffle::new(11);
    for _ in 0..cases(6) {
        let mut browser = Browser::new().await;
        for batch in &batches {
            assert_eq!(browser.send("u-1", batch).await.status, 200);
            browser.receiver.now += SignedDuration::from_mins(1);
        }
        let messages = browser.receiver.cloud.receive();
        for at in shuffle.with_repeats(&[0, 1, 2]) {
            browser.receiver.consumer.process(&messages[at], browser.receiver.now).await.unwrap();
        }
        let widget = serde_json::to_value(browser.user("u-1").await.widget).unwrap();
        assert_eq!(first.get_or_insert_with(|| widget.clone()), &widget);
        assert_eq!(
            widget["funnel"]["sss_ph"],
            json!({ "LoginPageOpened": "2026-03-01T12:00:00Z", "MfaPageOpened": "2026-03-01T12:00:00.000001Z",
                    "ConnectSuccessPageOpened": "2026-03-01T12:01:00Z" })
        );
        assert_eq!(
            (&widget["screen"], &widget["screen_at"]),
            (&json!("ConnectSuccessPageOpened"), &json!("2026-03-01T12:01:00Z"))
        );
        // A clock that is right counts as it says: earlier for the first time, later for the last screen.
        let right = [
            item("d-1", "onUIEvent", "11:30:00", screen("LoginPageOpened", &provider)),
            item("d-2", "onUIEvent", "12:02:00", screen("MfaPageOpened", &provider)),
        ];
        browser.say("u-1", &right).await;
        let widget = serde_json::to_value(browser.user("u-1").await.widget).unwrap();
        assert_eq!(widget["funnel"]["sss_ph"]["LoginPageOpened"], "2026-03-01T11:30:00Z");
        assert_eq!(widget["screen"], "MfaPageOpened");
        // What the browser wrote is kept beside the time of receipt.
        let id = event_id(&UserId::new("u-1").unwrap(), "c-9");
        let event = browser.receiver.table.event_alone(&id).await.unwrap().unwrap();
        assert_eq!(event.created_at.as_deref(), Some("1970-01-01T00:03:12Z"));
        assert_eq!((event.received_at.to_string().as_str(), event.unfolded), ("2026-03-01T12:00:00Z", None));
    }
}
