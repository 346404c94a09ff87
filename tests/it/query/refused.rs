//! What is refused, and how it is said.

use query::Query;
use serde_json::json;
use shared::table::Table;

use super::{Api, Caller, answered, front, seeded};
use crate::cloud::failing;

#[tokio::test]
async fn what_is_wrong_is_a_clear_400() {
    let (api, ids, _) = seeded().await;
    let long = "x".repeat(257);
    let timeline = format!("/v1/timeline?user={}", ids.user);
    let cursor = |page: &serde_json::Value| page["next"].as_str().unwrap().to_owned();
    let next = cursor(&api.found(&format!("{timeline}&limit=2")).await);
    let of_day = cursor(&api.found("/v1/events?limit=2").await);
    let (cut, altered) = (&next[..next.len() - 1], format!("{}A", &next[..next.len() - 1]));
    for (url, code) in [
        (format!("/v1/users/{long}"), "bad_id"),
        (format!("/v1/events/{long}"), "bad_id"),
        (format!("/v1/timeline?user={long}"), "bad_id"),
        (format!("/v1/users?id={long}"), "bad_id"),
        ("/v1/users?id=".to_owned(), "bad_id"),
        ("/v1/users".to_owned(), "missing_id"),
        ("/v1/event?body=true".to_owned(), "missing_id"),
        ("/v1/timeline?limit=1".to_owned(), "missing_id"),
        ("/v1/timeline?id=u".to_owned(), "unknown_parameter"),
        ("/v1/users?id=a&id=b".to_owned(), "repeated_parameter"),
        ("/v1/users/100%25".to_owned(), "id_in_path"),
        ("/v1/users?id=%FF".to_owned(), "bad_encoding"),
        (format!("{timeline}&type=%C3"), "bad_encoding"),
        (format!("{timeline}&limit=0"), "bad_limit"),
        (format!("{timeline}&limit=201"), "bad_limit"),
        (format!("{timeline}&limit=ten"), "bad_limit"),
        (format!("{timeline}&limit="), "bad_limit"),
        (format!("{timeline}&type="), "bad_type"),
        (format!("{timeline}&type={long}"), "bad_type"),
        (format!("{timeline}&source=smile"), "bad_source"),
        (format!("{timeline}&after="), "bad_cursor"),
        (format!("{timeline}&after={cut}"), "bad_cursor"),
        (format!("{timeline}&after={altered}"), "bad_cursor"),
        (format!("{timeline}&after={of_day}"), "bad_cursor"),
        (format!("{timeline}&after={next}&type=X"), "bad_cursor"),
        (format!("/v1/timeline?user=other&after={next}"), "bad_cursor"),
        (format!("/v1/events?after={next}"), "bad_cursor"),
        (format!("/v1/events?after={of_day}&from=2026-03-01T10:00:00Z"), "bad_cursor"),
        (format!("/v1/quarantine?after={of_day}"), "bad_cursor"),
        (format!("{timeline}&typ=X"), "unknown_parameter"),
        (format!("{timeline}&from=2026-03-01T10:00:00Z"), "unknown_parameter"),
        (format!("/v1/users/{}?limit=1", ids.user), "unknown_parameter"),
        ("/v1/openapi.json?x".to_owned(), "unknown_parameter"),
        ("/v1/events?source=webhook".to_owned(), "unknown_parameter"),
        (format!("{timeline}&limit=1&limit=2"), "repeated_parameter"),
        ("/v1/events?from=yesterday".to_owned(), "bad_time"),
        ("/v1/events?from=2026-03-01".to_owned(), "bad_time"),
        ("/v1/events?to=2026-03-01T10:00:00+08:00".to_owned(), "bad_time"),
        ("/v1/events?to=2026-02-29T10:00:00Z".to_owned(), "bad_time"),
        ("/v1/quarantine?day=2026-02-29".to_owned(), "bad_day"),
        ("/v1/quarantine?day=today".to_owned(), "bad_day"),
        ("/v1/events/x?body=yes".to_owned(), "bad_body"),
    ] {
        let answered = api.get(&url).await;
        assert_eq!((answered.status, &answered.body["code"]), (400, &json!(code)), "{url}");
        assert_eq!(answered.headers["content-type"], "application/problem+json", "{url}");
        assert!(
            !answered.text.contains(&long[..20]) && !answered.text.contains("yesterday"),
            "{url}: nothing is quoted"
        );
    }
    // The same cursor where it belongs, with another limit.
    let page = api.found(&format!("{timeline}&after={next}&limit=7")).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let api = Api::new().await;
    for path in
        ["/", "/v1", "/v1/users/", "/v1/users/a/b", "/v1/users/a/events", "/v2/users/a", "/v1/events/a/body"]
    {
        let answered = api.get(path).await;
        assert_eq!((answered.status, &answered.body["code"]), (404, &json!("no_such_path")), "{path}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        for path in ["/v1/users/a", "/v1/events", "/v1/openapi.json"] {
            let answered = api.ask(&front::event(method, path, &json!({}), Caller::Iam)).await;
            assert_eq!(
                (answered.status, &answered.headers["allow"]),
                (405, &json!("GET")),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_fails_is_our_trouble_and_says_nothing_of_it() {
    let query = Query::new(Table::new(&failing(400, "AccessDeniedException"), "table"));
    for path in [
        "/v1/users/u",
        "/v1/users?id=u",
        "/v1/timeline?user=u",
        "/v1/accounts/a",
        "/v1/records/r",
        "/v1/events",
        "/v1/events/e",
        "/v1/events/e?body=true",
        "/v1/quarantine",
    ] {
        let event = front::event("GET", path, &json!({}), Caller::Iam);
        let answered = answered(&query, &event, "2026-03-01T12:00:00Z".parse().unwrap()).await;
        assert_eq!((answered.status, &answered.headers["retry-after"]), (503, &json!("5")), "{path}");
        assert!(
            !answered.text.contains("Denied") && !answered.text.contains("purpose"),
            "{path}: {answered:?}"
        );
    }
}
