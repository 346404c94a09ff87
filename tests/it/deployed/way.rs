//! One event's way, end to end, and what does not get in.

use std::process::Command;

use serde_json::{Value, json};
use shared::id::{EventId, UserId};
use shared::state::view::StateView;
use smile_cli::sample::{Ids, body, life};

use super::{Deployed, until};
use crate::binaries::program;
use crate::histories::{fold, view};
use crate::receiver::signature;
use crate::support::it_dir;

#[tokio::test]
async fn a_signed_webhook_becomes_event_state_and_nothing_else_gets_in() {
    let deployed = Deployed::start("way").await;
    a_whole_life_ends_in_the_right_state(&deployed).await;
    the_command_shows_it(&deployed).await;
    four_and_a_half_megabytes_arrive(&deployed).await;
    garbage_is_quarantined_and_stays(&deployed).await;
    what_is_not_the_vendors_is_refused(&deployed).await;
    secrets_rotate(&deployed).await;
    deployed.stop().await;
}

async fn a_whole_life_ends_in_the_right_state(deployed: &Deployed) {
    let mut rng = fastrand::Rng::with_seed(11);
    let ids = Ids::of_user("tenant-deployed".to_owned(), &mut rng);
    #[expect(clippy::disallowed_methods, reason = "the functions have the real time, too")]
    let now = jiff::Timestamp::now();
    let events: Vec<String> = life(&ids, now, &mut rng).iter().map(body).collect();
    assert!(events.len() >= 37);
    let mut order: Vec<&String> = events.iter().chain(events.iter().take(5)).collect();
    rng.shuffle(&mut order);
    for event in order {
        let (status, answer) = deployed.send(event.as_bytes()).await;
        assert_eq!((status, &answer["status"]), (200, &json!("queued")), "{answer}");
    }
    let user = UserId::new("tenant-deployed").unwrap();
    let expected = view(&fold(events.iter().map(String::as_str), now))["users"].clone();
    until("the whole life to be folded", async || {
        let state = deployed.table.user(&user).await.unwrap();
        (view(&state)["users"] == expected).then_some(())
    })
    .await;
    for event in &events {
        let id = serde_json::from_str::<Value>(event).unwrap()["id"].as_str().unwrap().to_owned();
        let stored =
            until(&id, async || deployed.table.event(&EventId::new(&id).unwrap()).await.unwrap()).await;
        let (stored, kept) = stored;
        assert_eq!(stored.source, "webhook");
        // Revoked in the course of this life: then no body may be there.
        let revoked = stored.body_dropped.is_some();
        assert_eq!(kept.is_none(), revoked, "{id}");
        assert!(kept.is_none_or(|kept| kept == event.as_bytes()), "{id}");
    }
    let twice = serde_json::from_str::<Value>(&events[0]).unwrap()["id"].as_str().unwrap().to_owned();
    until("the second delivery to be counted", async || {
        let (stored, _) = deployed.table.event(&EventId::new(&twice).unwrap()).await.unwrap().unwrap();
        (stored.deliveries.len() == 2).then_some(())
    })
    .await;
}

/// Runs the `smile` command against this cloud.
pub(super) fn smile(deployed: &Deployed, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program("smile"))
        .current_dir(it_dir().join("../.."))
        .args(arguments)
        .arg("--dir")
        .arg(deployed.cloud.dir())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

async fn the_command_shows_it(deployed: &Deployed) {
    let (ok, shown, said) = smile(deployed, &["show", "user", "tenant-deployed", "--json"]);
    assert!(ok, "{said}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let state = deployed.table.user(&UserId::new("tenant-deployed").unwrap()).await.unwrap();
    assert_eq!(shown["users"], serde_json::to_value(StateView::from(&state)).unwrap()["users"]);
    assert_eq!(shown["events"].as_array().unwrap().len(), 20);
    let account = shown["users"]["tenant-deployed"]["accounts"][0]["account"].as_str().unwrap().to_owned();
    let (ok, page, said) = smile(deployed, &["show", "account", &account]);
    assert!(ok && page.contains(&format!("account {account}")), "{page}{said}");
    let (ok, _, said) = smile(deployed, &["show", "user", "nobody"]);
    assert!(!ok && said.contains("nothing is known of the user nobody"), "{said}");
    let (ok, sent, said) = smile(deployed, &["send", "ACCOUNT_CONNECTED", "--tamper", "--json"]);
    assert!(ok && sent.contains("401"), "{sent}{said}");
}

async fn four_and_a_half_megabytes_arrive(deployed: &Deployed) {
    let body = crate::kept::large_body(4_500_000);
    let (status, answer) = deployed.send(&body).await;
    assert_eq!(status, 200, "{answer}");
    let kept = until("the large event", async || {
        deployed.table.event(&EventId::new("et-large").unwrap()).await.unwrap()
    })
    .await;
    assert!(kept.1.unwrap() == body, "not the bytes that were sent");
}

async fn garbage_is_quarantined_and_stays(deployed: &Deployed) {
    let (status, answer) = deployed.send(b"authentic garbage").await;
    assert_eq!((status, &answer["status"]), (200, &json!("quarantined")));
    let list = async || {
        let (ok, list, said) = smile(deployed, &["quarantine", "list", "--json"]);
        assert!(ok, "{said}");
        list.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap())
    };
    let item = until("the garbage in quarantine", list).await;
    assert_eq!(item["reason"], "not_json");
    let key = item["key"].as_str().unwrap();
    let (ok, body, said) = smile(deployed, &["quarantine", "show", key, "--body"]);
    assert!(ok && body == "authentic garbage", "{body}{said}");
    // It would be back at once: it is left, and that is said.
    let (ok, _, said) = smile(deployed, &["quarantine", "release", key]);
    assert!(!ok && said.contains("it still cannot be read") && said.contains("0 released, 1 left"), "{said}");
    assert_eq!(list().await.unwrap(), item);
}

async fn what_is_not_the_vendors_is_refused(deployed: &Deployed) {
    let body = br#"{"id":"et-forged","version":1,"type":"USER_CREATED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u"}}"#;
    let good = signature(&deployed.stack().webhook_secret, body);
    let wrong = signature("wrong", body);
    for headers in [&[][..], &[("smile-signature", wrong.as_str())], &[("smile-signature", &good[1..])]] {
        let (status, answer) = deployed.post(body, headers).await;
        assert_eq!((status, answer), (401, json!({ "error": "signature missing or wrong" })));
    }
    let (status, _) = deployed.post(b"{}", &[("smile-signature", &good)]).await;
    assert_eq!(status, 401);
    // A JSON body that is no UTF-8 does not survive an HTTP API, and so it cannot be authentic there.
    let no_text = b"{\"id\":\"\xff\"}";
    let signed = signature(&deployed.stack().webhook_secret, no_text);
    assert_eq!(deployed.post(no_text, &[("smile-signature", &signed)]).await.0, 401);
}

async fn secrets_rotate(deployed: &Deployed) {
    let body = |id: &str| {
        format!(
            r#"{{"id":"{id}","version":1,"type":"USER_CREATED","createdAt":"2026-03-01T10:00:00Z","data":{{"userId":"u"}}}}"#
        )
    };
    let send = async |id: &str, secret: &str| {
        let body = body(id);
        deployed.post(body.as_bytes(), &[("smile-signature", &signature(secret, body.as_bytes()))]).await.0
    };
    let old = &deployed.stack().webhook_secret;
    let put = async |document: Value| {
        let put = deployed.secrets.put_secret_value().secret_id(&deployed.stack().secret_arn);
        put.secret_string(document.to_string()).send().await.unwrap();
    };
    put(json!({ "current": old, "pending": "the next secret" })).await;
    // Warm functions look again at most every ten seconds.
    until("the pending secret to be taken", async || {
        (send("et-r1", "the next secret").await == 200).then_some(())
    })
    .await;
    assert_eq!(send("et-r2", old).await, 200);
    put(json!({ "current": "the next secret" })).await;
    until("a stranger's signature to be refused", async || {
        (send("et-r3", "a stranger").await == 401).then_some(())
    })
    .await;
    assert_eq!(send("et-r4", "the next secret").await, 200);
}
