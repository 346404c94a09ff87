use jiff::Timestamp;
use serde_json::{Value, json};

use super::rotation::{self, Obstacle, Run, SECRET_LENGTH, Step, fresh_secret};
use super::*;
use crate::smile_api::{SecretText, Webhook};

const URL: &str = "https://hooks.example.com/v1/webhooks/smile";

fn secret(text: &str) -> SecretText {
    SecretText::new(text)
}

fn desired() -> Desired {
    Desired::new("receiver", URL, EventTypes::all(), false, secret("hush-a")).unwrap()
}

fn document(value: &Value) -> Document {
    Document::parse(&value.to_string()).unwrap()
}

/// A registration as it should be, but for the given fields.
fn webhook(id: &str, but: Value) -> Webhook {
    let mut webhook = json!({
        "id": id, "name": "receiver", "url": URL, "eventTypes": ["ALL_EVENTS"], "active": true,
        "includePayload": false, "secret": "hush-a", "createdAt": "2026-03-01T10:00:00Z",
    });
    let Value::Object(but) = but else { panic!("fields") };
    webhook.as_object_mut().unwrap().extend(but);
    serde_json::from_value(webhook).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn refuses_what_smile_would_refuse() {
    let new = |name: &str, url: &str, secret: &str| {
        Desired::new(name, url, EventTypes::all(), false, SecretText::new(secret)).map(|_| ())
    };
    assert_eq!(new("n", URL, "s"), Ok(()));
    assert_eq!(new("n", "http://127.0.0.1:4566/x", "s"), Ok(()));
    for url in ["http://example.com", "https://", "ftp://x", "", "http://127.0.0.1.example.com:80/"] {
        assert_eq!(new("n", url, "s"), Err(Unregistrable::Url), "{url}");
    }
    assert_eq!(new("", URL, "s"), Err(Unregistrable::Name));
    assert_eq!(new("n", URL, &"s".repeat(65)), Err(Unregistrable::Secret));
    let types = |text: &str| text.parse::<EventTypes>().map(|types| types.to_string());
    assert_eq!(types("USER_CREATED, ACCOUNT_FAILED").as_deref(), Ok("USER_CREATED,ACCOUNT_FAILED"));
    assert_eq!(types("USER_CREATED,ALL_EVENTS").as_deref(), Ok("ALL_EVENTS"));
    assert_eq!(types("A_NEW_ONE").as_deref(), Ok("A_NEW_ONE"), "Smile knows");
    for wrong in ["", "USER_CREATED,", "user_created"] {
        assert!(matches!(types(wrong), Err(Unregistrable::EventTypes(_))), "{wrong}");
    }
}

#[test]
fn tells_every_difference() {
    let document = document(&json!({ "current": "hush-a", "pending": "hush-b",
        "previous": { "secret": "hush-0", "not_after": "2026-03-01T10:00:00Z" } }));
    for (found, told) in [
        (vec![webhook("w", json!({}))], vec![]),
        (vec![], vec!["nothing is registered"]),
        (vec![webhook("w", json!({ "active": false }))], vec!["w is switched off"]),
        (
            vec![webhook("w", json!({ "eventTypes": ["USER_CREATED"] }))],
            vec!["missing: ALL_EVENTS; not wanted: USER_CREATED"],
        ),
        (vec![webhook("w", json!({ "includePayload": true }))], vec!["w includes payloads"]),
        (vec![webhook("w", json!({ "secret": "hush-b" }))], vec!["than it should (pending)"]),
        (vec![webhook("w", json!({ "secret": "hush-0" }))], vec!["than it should (previous)"]),
        (vec![webhook("w", json!({ "secret": "hush-x" }))], vec!["than it should (not ours)"]),
        (vec![webhook("w", json!({ "secret": null }))], vec!["than it should (not shown)"]),
        (vec![webhook("w", json!({})), webhook("v", json!({}))], vec!["2 registrations", "v, w"]),
        (
            vec![webhook("w", json!({})), webhook("v", json!({ "name": "other" }))],
            vec!["v goes to this URL under another name, \"other\""],
        ),
        (
            vec![webhook("w", json!({})), webhook("v", json!({ "url": "https://old/" }))],
            vec!["v has this name and goes to another URL, https://old/"],
        ),
        (vec![webhook("w", json!({})), webhook("v", json!({ "name": "o", "url": "https://o/" }))], vec![]),
    ] {
        let drift = drift(&found, &desired(), &document);
        let all: Vec<String> = drift.iter().map(ToString::to_string).collect();
        assert_eq!(drift.is_empty(), told.is_empty(), "{all:?}");
        for words in told {
            assert!(all.iter().any(|drift| drift.contains(words)), "{words} is not in {all:?}");
        }
        assert!(!format!("{drift:?}{}", serde_json::to_string(&drift).unwrap()).contains("hush"));
    }
}

#[test]
fn a_document_changes_without_losing_anything() {
    let plain = Document::parse(" hush-a\n").unwrap();
    assert_eq!(plain.to_text(), r#"{"current":"hush-a"}"#);
    let document = document(&json!({ "current": "hush-a", "note": { "by": "me" } }));
    let begun = document.begun(secret("hush-b"));
    assert!(begun.target().is(&secret("hush-b")) && document.target().is(&secret("hush-a")));
    let promoted = begun.promoted(at("2026-03-01T10:00:00Z")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&promoted.to_text()).unwrap(),
        json!({ "current": "hush-b", "note": { "by": "me" },
            "previous": { "secret": "hush-a", "not_after": "2026-03-01T10:10:00Z" } })
    );
    assert!(promoted.promoted(at("2026-03-01T10:00:00Z")).is_none(), "there is nothing to promote");
    // The functions read what is written here.
    let read = crate::secrets::SecretSet::from_document(&promoted.to_text()).unwrap();
    assert_eq!(read.at(at("2026-03-01T10:10:00Z")).count(), 2);
    assert_eq!(read.at(at("2026-03-01T10:10:01Z")).count(), 1);
    assert_eq!(promoted.without_previous().to_text(), r#"{"current":"hush-b","note":{"by":"me"}}"#);
    let debug = format!("{begun:?} {promoted:?} {:?}", desired());
    assert!(!debug.contains("hush") && !debug.contains("me\""), "{debug}");
    assert!(Document::parse(&json!({ "current": "x".repeat(65) }).to_string()).is_err());
}

#[test]
fn a_registration_with_the_pending_secret_is_right_while_a_rotation_is_under_way() {
    let document = document(&json!({ "current": "hush-a", "pending": "hush-b" }));
    let (old, new) = (webhook("old", json!({})), webhook("new", json!({ "secret": "hush-b" })));
    for (found, wanted) in [(vec![], "hush-a"), (vec![old.clone()], "hush-a"), (vec![old, new], "hush-b")] {
        assert_eq!(document.wanted(&desired(), &found).secret().expose(), wanted);
    }
}

#[test]
fn the_next_step_follows_from_the_document_and_from_what_is_registered() {
    let settled = Json(json!({ "current": "hush-a" }));
    let begun = Json(json!({ "current": "hush-a", "pending": "hush-b" }));
    let promoted = Json(json!({ "current": "hush-b",
        "previous": { "secret": "hush-a", "not_after": "2026-03-01T10:10:00Z" } }));
    let a = || webhook("a", json!({}));
    let b = || webhook("b", json!({ "secret": "hush-b" }));
    let b_again = || webhook("c", json!({ "secret": "hush-b" }));
    let stranger = || webhook("s", json!({ "name": "by hand" }));
    let (early, late) = ("2026-03-01T10:05:00Z", "2026-03-01T10:10:01Z");
    let delete = |ids: &[&str]| {
        Ok(Step::Delete(ids.iter().map(|id| crate::smile_api::WebhookId::new(*id).unwrap()).collect()))
    };
    for (document, found, may_begin, has_settled, now, step) in [
        (&settled, vec![a()], true, false, early, Ok(Step::Begin)),
        (&settled, vec![a()], false, false, early, Ok(Step::Done)),
        (&settled, vec![], true, false, early, Err(Obstacle::NotRegistered)),
        (&settled, vec![webhook("a", json!({ "active": false }))], true, false, early, Ok(Step::Create)),
        (&settled, vec![a(), webhook("d", json!({}))], true, false, early, delete(&["d"])),
        (&begun, vec![a()], true, false, early, Ok(Step::Settle)),
        (&begun, vec![a()], true, true, early, Ok(Step::Create)),
        (&begun, vec![], false, true, early, Ok(Step::Create)),
        (&begun, vec![a(), b()], true, false, early, delete(&["a"])),
        (&begun, vec![a(), b(), b_again()], true, true, early, delete(&["a", "c"])),
        (&begun, vec![b()], false, false, early, Ok(Step::Promote)),
        (&promoted, vec![b()], true, true, early, Ok(Step::Done)),
        (&promoted, vec![b(), b_again()], true, true, early, delete(&["c"])),
        (&promoted, vec![b()], false, true, late, Ok(Step::RemovePrevious)),
        (&promoted, vec![b()], true, true, late, Ok(Step::RemovePrevious)),
        (&begun, vec![b(), stranger()], true, true, early, Err(Obstacle::Stranger(stranger().id))),
    ] {
        let run = Run { may_begin, has_settled };
        let next = rotation::next(&super::tests::document(&document.0), &found, &desired(), run, at(now));
        assert_eq!(next, step, "{} {found:?} {run:?}", document.0);
    }
}

struct Json(Value);

#[test]
fn a_fresh_secret_has_letters_and_digits_evenly() {
    let secret = fresh_secret((0..=255).rev().cycle());
    let text = secret.expose();
    assert_eq!(text.len(), SECRET_LENGTH);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let many: String = (0..4)
        .map(|skip| fresh_secret((0..=255).skip(skip * SECRET_LENGTH).cycle()).expose().to_owned())
        .collect();
    assert_eq!(many.matches('A').count(), many.matches('9').count() + 1, "{many}");
}
