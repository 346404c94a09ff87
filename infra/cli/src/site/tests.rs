use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::callback::{Name, Screen};
use shared::smile_api::{Credentials, SecretText};

use super::*;
use crate::simulate::{Clock, Options};
use crate::stack::tests::a_stack;

/// What the stand-in calls back on its way. Each word is what a person does; `act=outcome` is something that
/// Smile does, and what came of it. Walks by the same data as the stand-in itself, with the same rules.
fn walked(words: &str) -> String {
    let walk: Value = serde_json::from_str(page::WALK).unwrap();
    let (mut screen, mut said) = (String::new(), Vec::new());
    for word in words.split_whitespace() {
        let to = if let Some((act, outcome)) = word.split_once('=') {
            let is_there = act == "open" || walk["screens"][&screen]["acts"].to_string().contains(act);
            assert!(is_there, "{act} on {screen}");
            let known = &walk["acts"][act][outcome];
            let came = if known.is_null() { &walk["anyAct"][outcome] } else { known };
            assert!(came.is_object(), "{word} on {screen}");
            said.extend(
                came["fires"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()),
            );
            came["to"].as_str().unwrap_or(&screen).to_owned()
        } else if let Some(reason) = walk["closes"][word].as_str() {
            said.push(format!("onClose:{reason}"));
            continue;
        } else {
            walk["screens"][&screen]["goes"][word]
                .as_str()
                .unwrap_or_else(|| panic!("{word} on {screen}"))
                .to_owned()
        };
        // A screen that is there already is not shown again.
        if to != screen
            && let Some(event) = walk["screens"][&to]["event"].as_str()
        {
            said.push(event.trim_end_matches("PageOpened").to_owned());
        }
        screen = to;
    }
    said.join(" ")
}

#[test]
fn the_stand_in_calls_back_in_the_vendor_s_order() {
    for (way, said) in [
        (
            "open=done agree choose link=mfa code=connected finish",
            "Consent ProviderList Login onAccountCreated Mfa onAccountConnected ConnectSuccess onClose:exit",
        ),
        (
            "open=done agree chooseWithOptions choose link=connected finish",
            "Consent ProviderList LoginOptions Login onAccountCreated onAccountConnected ConnectSuccess onClose:exit",
        ),
        // Without a login.
        (
            "open=done agree link=connected more cross",
            "Consent ProviderList onAccountCreated onAccountConnected ConnectSuccess ProviderList onClose:close",
        ),
        // Refused, and tried again.
        (
            "open=done agree choose link=failed link=mfa code=failed link=connected",
            "Consent ProviderList Login onAccountCreated onAccountError onAccountCreated Mfa onAccountError Login onAccountCreated onAccountConnected ConnectSuccess",
        ),
        (
            "open=done agree account disconnect=done cross",
            "Consent ProviderList AccountRevoke onAccountRemoved ProviderList onClose:close",
        ),
        (
            "open=done agree link=connected revoke disconnect=done",
            "Consent ProviderList onAccountCreated onAccountConnected ConnectSuccess AccountRevoke onAccountRemoved ProviderList",
        ),
        (
            "open=done agree upload choose upload=done revoke revoke=done",
            "Consent ProviderList FileTypeList FileType onUploadsCreated ArchiveSuccess RevokeArchive onUploadsRemoved ProviderList",
        ),
        ("open=done agree notListed back", "Consent ProviderList EmployerSurvey ProviderList"),
        ("open=done finish", "Consent onClose:exit"),
        ("open=expired problem", "onTokenExpired onClose:error"),
        (
            "open=done agree choose link=expired problem",
            "Consent ProviderList Login onTokenExpired onClose:error",
        ),
        ("open=done agree choose link=broken problem", "Consent ProviderList Login onClose:error"),
    ] {
        assert_eq!(walked(way), said, "{way}");
    }
}

#[test]
fn the_stand_in_has_every_screen_and_every_callback_and_no_dead_end() {
    let walk: Value = serde_json::from_str(page::WALK).unwrap();
    let screens = walk["screens"].as_object().unwrap();
    let events: BTreeSet<&str> = screens.values().filter_map(|screen| screen["event"].as_str()).collect();
    assert_eq!(events, Screen::KNOWN.iter().map(Screen::as_str).collect());
    // Two are the stand-in's own way of calling back.
    let mut fired: BTreeSet<&str> = ["onUIEvent", "onClose"].into();
    let outcomes = walk["acts"].as_object().unwrap().values().chain([&walk["anyAct"]]);
    for outcome in outcomes.flat_map(|act| act.as_object().unwrap().values()) {
        fired.extend(outcome["fires"].as_array().into_iter().flatten().filter_map(Value::as_str));
        assert!(outcome["to"].as_str().is_none_or(|to| screens.contains_key(to)), "{outcome}");
    }
    assert_eq!(fired, Name::KNOWN.iter().map(Name::as_str).collect());
    let looks = include_str!("../../site/screens.js");
    for (name, screen) in screens {
        assert!(looks.contains(&format!("\n      {name}: (w")), "{name} has no look");
        for (way, to) in screen["goes"].as_object().into_iter().flatten() {
            assert!(screens.contains_key(to.as_str().unwrap()), "{name} {way}");
            assert!(looks.contains(&format!("'{way}'")), "nobody goes {way}");
        }
    }
}

/// A site without a stack behind it, and a simulator without webhooks.
struct Trial {
    url: String,
    simulator: Arc<Simulator>,
    _site: Site,
}

impl Trial {
    fn start() -> Self {
        let hush = SecretText::new("hush-api");
        let credentials = Credentials { key: hush.clone(), secret: hush };
        let options = Options { credentials, ..Options::new(Clock::of_system()) };
        let simulator = Arc::new(Simulator::start(options).unwrap());
        let door = door(0).unwrap();
        let url = door.url();
        let site = Site::start(door, Arc::clone(&simulator), &a_stack()).unwrap();
        Self { url, simulator, _site: site }
    }

    fn post_as(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let mut request = agent().post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send(body.to_string()).unwrap();
        (answer.status().as_u16(), parsed(&mut answer))
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_as(path, &[("content-type", "application/json")], body)
    }

    /// What the widget asks.
    fn ask(&self, token: &str, call: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post_as(&format!("/v2/{call}"), &headers, body)
    }

    fn link(&self) -> (String, String) {
        let (status, link) = self.post("/api/links", &json!({}));
        assert_eq!(status, 201, "{link}");
        let text = |name: &str| link[name].as_str().unwrap().to_owned();
        (text("userId"), text("userToken"))
    }
}

fn parsed(answer: &mut ureq::http::Response<ureq::Body>) -> Value {
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

#[test]
fn what_a_person_does_in_the_widget_happens_at_the_simulator() {
    let trial = Trial::start();
    let (user, token) = trial.link();
    let ask = |call: &str, body: Value| trial.ask(&token, call, &body);
    let (_, me) = ask("me", json!({}));
    assert_eq!((&me["userId"], &me["accounts"]), (&json!(user), &json!([])));
    let logins: BTreeSet<bool> =
        me["providers"].as_array().unwrap().iter().map(|it| it["login"] == true).collect();
    assert_eq!(logins.len(), 2, "with and without a login");

    // A code first.
    let (_, begun) = ask("begin", json!({ "providerId": "sss_ph", "turn": "mfa" }));
    assert_eq!(begun["turn"], "mfa");
    let account = begun["accountId"].as_str().unwrap();
    let status = |account: &str| trial.simulator.world(|world| json!(world.account(account).unwrap().status));
    assert_eq!(status(account), "PENDING");
    assert_eq!(
        ask("finish", json!({ "accountId": account, "errorCode": "INVALID_MFA" })).1["turn"],
        "failed"
    );
    assert_eq!(status(account), "ERROR");

    // Refused at once, connected at once, without a login.
    let (_, failed) =
        ask("begin", json!({ "providerId": "sss_ph", "turn": "failed", "errorCode": "ACCOUNT_LOCKED" }));
    let code = |account: &Value| {
        let account = account.as_str().unwrap();
        trial.simulator.world(|world| world.account(account).unwrap().error.clone().unwrap().code)
    };
    assert_eq!(code(&failed["accountId"]), "ACCOUNT_LOCKED");
    let (_, linked) = ask("begin", json!({ "providerId": "tin_ph", "turn": "connected" }));
    let linked = linked["accountId"].as_str().unwrap();
    assert_eq!(status(linked), "CONNECTED");
    assert_eq!(ask("me", json!({})).1["accounts"], json!([{ "accountId": linked, "providerId": "tin_ph" }]));

    // Taken back.
    assert_eq!(ask("disconnect", json!({ "accountId": linked })).0, 200);
    assert_eq!(status(linked), "DISCONNECTED");
    let (_, upload) = ask("upload", json!({ "fileType": "BANK_STATEMENT", "end": "analyzed" }));
    assert_eq!(ask("me", json!({})).1["archives"], json!([upload]));
    assert_eq!(ask("revoke", json!({ "archiveId": upload["archiveId"] })).0, 200);
    assert_eq!(ask("me", json!({})).1["archives"], json!([]));
}

#[test]
fn a_token_opens_its_user_s_things_until_it_expires() {
    let trial = Trial::start();
    let (user, token) = trial.link();
    let (_, other) = trial.link();
    let (_, linked) = trial.ask(&token, "begin", &json!({ "providerId": "tin_ph", "turn": "connected" }));
    let (_, upload) = trial.ask(&token, "upload", &json!({ "fileType": "PAYSLIP", "end": "started" }));
    let account = json!({ "accountId": linked["accountId"] });
    assert_eq!(trial.ask(&other, "disconnect", &account).0, 404);
    assert_eq!(trial.ask(&other, "finish", &account).0, 404);
    assert_eq!(trial.ask(&other, "revoke", &json!({ "archiveId": upload["archiveId"] })).0, 404);
    assert_eq!(trial.ask("made up", "me", &json!({})).0, 401);
    assert_eq!(trial.post("/trouble", &json!({ "expire": user })).0, 200);
    assert_eq!(trial.ask(&token, "me", &json!({})).0, 401);
    let (status, fresh) = trial.post("/api/refresh", &json!({ "userId": user }));
    assert_eq!((status, &fresh["userId"]), (201, &json!(user)));
    assert_eq!(trial.ask(fresh["userToken"].as_str().unwrap(), "me", &json!({})).0, 200);
    assert_eq!(trial.ask(&other, "me", &json!({})).0, 200, "another user's goes on");
    assert_eq!(trial.post("/api/refresh", &json!({ "userId": "nobody" })).0, 404);
}

#[test]
fn only_this_machine_s_own_pages_are_let_in() {
    let trial = Trial::start();
    let port = trial.url.rsplit_once(':').unwrap().1;
    let (json, text) = (("content-type", "application/json"), ("content-type", "text/plain"));
    let status = |headers: &[(&str, &str)]| trial.post_as("/api/links", headers, &json!({})).0;
    let (ours, foreign) = (format!("http://localhost:{port}"), format!("localhost.evil:{port}"));
    assert_eq!(status(&[json, ("origin", &ours)]), 201);
    assert_eq!(status(&[json, ("origin", "https://evil.example")]), 403);
    assert_eq!(status(&[json, ("origin", "null")]), 403);
    assert_eq!(status(&[text]), 403, "what a form can send");
    assert_eq!(status(&[json, ("host", &foreign)]), 421, "a name that was made to lead here");
    let get = |host: &str| {
        agent().get(format!("{}/watch?user=u-1", trial.url)).header("host", host).call().unwrap()
    };
    assert_eq!(get(&foreign).status(), 421);
    let users = trial.simulator.world(|world| world.users.len());
    assert_eq!(users, 1, "what was refused did nothing");
}

#[test]
fn the_page_shows_no_secret_and_says_when_something_is_missing() {
    let trial = Trial::start();
    for path in ["/", "/site.js", "/site.css", "/v2/smile.v2.js"] {
        let mut answer = agent().get(format!("{}{path}", trial.url)).call().unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(
            (header("cache-control").as_str(), header("x-content-type-options").as_str()),
            ("no-store", "nosniff")
        );
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(!text.contains("hush"), "{path}");
    }
    // No table is there.
    let (user, _) = trial.link();
    let mut seen = agent().get(format!("{}/watch?user={user}", trial.url)).call().unwrap();
    let seen = parsed(&mut seen);
    assert!(seen["table"].is_null() && seen["unreadable"].is_string(), "{seen}");
    assert!(!seen.to_string().contains("hush"));
    assert_eq!(agent().get(format!("{}/nowhere", trial.url)).call().unwrap().status(), 404);
    assert_eq!(trial.post("/trouble", &json!({ "mischief": { "drop": 1, "wrong": 2 } })).0, 400);
}
