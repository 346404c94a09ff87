//! What is told of one thing, and to whom.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use query::Request;
use serde_json::{Value, json};
use shared::id::UserId;
use shared::state::view::StateView;
use smile_cli::sample;

use super::{Api, Caller, front, seeded};
use crate::support::quarantined_on;

#[tokio::test]
async fn a_user_is_told_with_all_that_is_known() {
    let (api, ids, _) = seeded().await;
    let told = api.found(&format!("/v1/users/{}", ids.user)).await;
    let state = api.receiver.table.user(&UserId::new(&ids.user).unwrap()).await.unwrap();
    let view = serde_json::to_value(StateView::from(&state)).unwrap();
    assert_eq!(told, view["users"][&ids.user]);
    let claimed = told["accounts"].as_array().unwrap().iter().find(|one| one["account"] == "a-lost").unwrap();
    assert_eq!((&claimed["status"], &claimed["claim"]["status"]), (&json!("UNKNOWN"), &json!("CONNECTED")));
    assert_eq!(told["widget"]["funnel"]["sss_ph"].as_object().unwrap().len(), 1);
    assert_eq!(api.get("/v1/users/nobody").await.body["code"], "not_found");
}

#[tokio::test]
async fn what_has_an_id_of_its_own_is_told_with_each_user_that_has_it() {
    let (api, ids, _) = seeded().await;
    let user = api.found(&format!("/v1/users/{}", ids.user)).await;
    let of_user = |list: &str, name: &str, id: &str| -> Value {
        user[list].as_array().unwrap().iter().find(|one| one[name] == id).unwrap().clone()
    };
    let accounts = api.found(&format!("/v1/accounts/{}", ids.account)).await;
    let accounts = accounts["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    let mine = accounts.iter().find(|one| one["user"] == ids.user).unwrap();
    // With what the browser claims of it.
    assert_eq!(*mine, of_user("accounts", "account", &ids.account));
    assert!(mine["claim"].is_object());
    let theirs = accounts.iter().find(|one| one["user"] != ids.user).unwrap();
    assert_eq!((&theirs["status"], theirs.get("claim")), (&json!("PENDING"), None));
    for (list, name, id) in [("archives", "archive", &ids.archive), ("invites", "invite", &ids.invite)] {
        let told = api.found(&format!("/v1/{list}/{id}")).await;
        assert_eq!(told, json!({ list: [of_user(list, name, id)] }));
    }
    let record = api.found(&format!("/v1/records/{}", ids.record)).await;
    assert_eq!((&record["record"], &record["status"]), (&json!(ids.record), &json!("COMPLETED")));
    let verification = api.found(&format!("/v1/verifications/{}", ids.verification)).await;
    assert_eq!(
        (&verification["verification"], &verification["status"]),
        (&json!(ids.verification), &json!("COMPLETED"))
    );
    // What a browser alone claims has no answer under the account's own id: it may be somebody else's.
    for path in
        ["accounts/a-lost", "archives/x", "invites/x", "records/x", "verifications/x", "events/x", "users/x"]
    {
        let answered = api.get(&format!("/v1/{path}")).await;
        assert_eq!((answered.status, &answered.body["code"]), (404, &json!("not_found")), "{path}");
    }
}

#[tokio::test]
async fn an_event_has_its_body_when_that_is_asked_for() {
    let (api, _, events) = seeded().await;
    for event in events.iter().filter(|event| event["type"] != "ACCOUNT_DISCONNECTED") {
        let url = format!("/v1/events/{}", event["id"].as_str().unwrap());
        let alone = api.found(&url).await;
        assert_eq!(alone["type"], event["type"]);
        assert!(alone.get("body").is_none() && alone.get("encoding").is_none(), "{alone}");
        let with_body = api.get(&format!("{url}?body=true")).await;
        let mut told = with_body.body.clone();
        let body = told.as_object_mut().unwrap().remove("body");
        assert_eq!(told, alone);
        if told.get("body_dropped").is_none() {
            assert_eq!(body.as_ref(), Some(event));
            // To the letter, the large one, too.
            assert!(with_body.text.contains(&sample::body(event)), "{url}");
        } else {
            assert_eq!(body, None);
        }
    }
}

#[tokio::test]
async fn an_id_is_anything_that_the_vendor_calls_one() {
    let mut api = Api::new().await;
    let all = [
        "x", "a/b", "ü €", "100%", "100%25", "100%2525", "x/events", "a", "..", "a#b?c", "a+b&c=d", "events",
    ];
    for id in all {
        let body = json!({ "id": format!("et-{id}"), "version": 1, "type": "USER_CREATED",
            "createdAt": "2026-03-01T10:00:00Z", "data": { "userId": id } });
        api.receiver.deliver(body.to_string().as_bytes()).await;
    }
    for id in all {
        let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
        assert_eq!(api.found(&format!("/v1/users?id={encoded}")).await["user"], id);
        let page = api.found(&format!("/v1/timeline?user={encoded}")).await;
        assert_eq!((&page["user"], &page["events"][0]["id"]), (&json!(id), &json!(format!("et-{id}"))));
        let of_event = utf8_percent_encode(&format!("et-{id}"), NON_ALPHANUMERIC).to_string();
        let event = api.found(&format!("/v1/event?id={of_event}&body=true")).await;
        assert_eq!(event["body"]["data"]["userId"], id);
        // In a path: where the gateway decodes it, this very user or none; where nobody did, this very user.
        let path = format!("/v1/users/{encoded}");
        let routed = front::route("GET", &path);
        let answered = api.get(&path).await;
        match routed {
            Some(_) if id.contains('%') => assert_eq!(answered.body["code"], "id_in_path", "{id}"),
            Some(("/v1/users/{id}", _)) | None => assert_eq!(answered.body["user"], id),
            Some(other) => panic!("{id} is taken for {other:?}"),
        }
        assert_eq!(routed.is_none(), id.contains('/'), "{id}");
        let own = api.query.handle(&Request::get(path, ""), api.receiver.now).await.answer();
        assert_eq!(serde_json::from_str::<Value>(&own.body).unwrap()["user"], id);
    }
}

#[tokio::test]
async fn bodies_need_their_own_scope_and_are_kept_by_nobody() {
    let (api, _, events) = seeded().await;
    let url = format!("/v1/events/{}?body=true", events[0]["id"].as_str().unwrap());
    let ask = async |url: &str, caller| api.ask(&front::event("GET", url, &json!({}), caller)).await;
    for caller in [Caller::Iam, Caller::Jwt("smile:read smile:read:bodies")] {
        let answered = ask(&url, caller).await;
        assert_eq!(
            (answered.status, &answered.headers["cache-control"]),
            (200, &json!("no-store")),
            "{caller:?}"
        );
        assert!(answered.body["body"].is_object());
    }
    let refused = ask(&url, Caller::Jwt("smile:read")).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("scope_missing")));
    assert!(!refused.text.contains("data") && refused.headers["www-authenticate"].is_string());
    // Whether there is such an event is not told, either; the event itself is.
    assert_eq!(ask("/v1/events/x?body=true", Caller::Jwt("smile:read")).await.status, 403);
    let alone = ask(url.strip_suffix("?body=true").unwrap(), Caller::Jwt("smile:read")).await;
    assert_eq!((alone.status, &alone.headers["cache-control"]), (200, &json!("private, no-cache")));
}

#[tokio::test]
async fn what_the_caller_has_is_not_sent_again() {
    let (mut api, ids, _) = seeded().await;
    let url = format!("/v1/users/{}", ids.user);
    let first = api.get(&url).await;
    let tag = first.headers["etag"].as_str().unwrap().to_owned();
    let again = |tag: &str| front::event("GET", &url, &json!({ "If-None-Match": tag }), Caller::Iam);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answered = api.ask(&again(&known)).await;
        assert_eq!((answered.status, answered.text.as_str()), (304, ""), "{known}");
        assert_eq!(answered.headers["etag"], json!(tag));
    }
    api.say(&ids.user, "8", "onClose", json!({ "reason": "error" })).await;
    let changed = api.ask(&again(&tag)).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.headers["etag"], json!(tag));
}

#[tokio::test]
async fn the_quarantine_is_told_in_pages_and_without_bodies() {
    let (mut api, ..) = seeded().await;
    for number in 0..12 {
        api.receiver.deliver(format!("unreadable {number}").as_bytes()).await;
    }
    let all = quarantined_on(&api.receiver.table, "2026-03-01".parse().unwrap()).await;
    assert_eq!(all.len(), 15);
    for limit in [1, 4, 15, 200] {
        let (mut told, mut after) = (Vec::new(), String::new());
        loop {
            let page = api.found(&format!("/v1/quarantine?limit={limit}{after}")).await;
            let quarantined = page["quarantined"].as_array().unwrap();
            assert!(quarantined.len() <= limit && !page.to_string().contains("unreadable 1"));
            told.extend(quarantined.iter().cloned());
            assert_eq!(page["more"], page.get("next").is_some());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(Value::from(told), serde_json::to_value(&all).unwrap(), "{limit}");
    }
    assert_eq!(api.found("/v1/quarantine?day=2026-02-28").await, json!({ "quarantined": [], "more": false }));
}
