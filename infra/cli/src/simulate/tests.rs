use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::event::Envelope;
use shared::smile_api::{
    Client, ConnectionStatus, Credentials, Deletion, Filter, Items, NewWebhook, Pace, SecretText, Settings,
    WebhookId,
};
use shared::state::view::StateView;
use shared::state::{BodyHash, State, writes};
use shared::verify::verify;

use super::*;

pub(super) const NOW: &str = "2026-03-01T10:00:00.75Z";

/// As Smile is, without its waits and its limit, in one fixed order, at one moment.
pub(super) fn options() -> Options {
    Options {
        retry_wait: Duration::ZERO,
        at_once: 1,
        calls_a_second: 100_000,
        seed: Some(1),
        ..Options::new(Clock::new(|| NOW.parse().unwrap()))
    }
}

/// A clock that only waits move.
struct NoWaiting(Mutex<Duration>);

impl Pace for NoWaiting {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn wait(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

fn client(simulator: &Simulator) -> Client {
    let credentials = Credentials { key: SecretText::new(DEFAULT_KEY), secret: SecretText::new(DEFAULT_KEY) };
    Client::new(&Settings::new(simulator.url(), credentials), NoWaiting(Mutex::default())).unwrap()
}

pub(super) fn new_webhook(url: &str) -> NewWebhook {
    NewWebhook {
        name: "test".into(),
        url: url.into(),
        event_types: NewWebhook::all_events(),
        active: true,
        secret: SecretText::new("s3cret"),
        include_payload: true,
    }
}

fn quiet(simulator: &Simulator) {
    assert!(simulator.wait_until_quiet(Duration::from_mins(1)), "deliveries do not end");
}

/// What a receiver got: the signature and the body.
type Got = (String, Vec<u8>);

/// A receiver that answers the statuses it was given, and 200 after them. Ends with the test's process.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&got);
        let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                receive(stream.unwrap(), &kept, statuses.pop_front().unwrap_or(200));
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Every event that came, as JSON.
    fn events(&self) -> Vec<Value> {
        self.got().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn receive(stream: TcpStream, kept: &Mutex<Vec<Got>>, status: u16) {
    let mut reader = BufReader::new(stream);
    let (mut signature, mut length) = (String::new(), 0);
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 && !line.trim().is_empty() {
        match line.trim().split_once(": ") {
            Some(("smile-signature", value)) => value.clone_into(&mut signature),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    kept.lock().unwrap().push((signature, body));
    let answer =
        format!("HTTP/1.1 {status} X\r\nlocation: /x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    reader.into_inner().write_all(answer.as_bytes()).unwrap();
}

/// Posts something to the control API, and gives the status and the answer.
fn control(simulator: &Simulator, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", simulator.control_url()))
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap();
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut response = agent.run(request).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap().parse().unwrap())
}

#[test]
fn a_webhook_lives_and_dies() {
    let simulator = Simulator::start(options()).unwrap();
    let client = client(&simulator);
    let new = new_webhook("https://h/hook");
    let created = client.create_webhook(&new).unwrap();
    let again = client.create_webhook(&new).unwrap();
    assert_ne!(created.id, again.id, "Smile takes a URL twice");
    let read = client.webhook(&created.id).unwrap().unwrap();
    assert!(read.secret.as_ref().unwrap().is(&new.secret), "reading gives the secret in clear");
    assert!(read.is_for_all() && read.active && read.include_payload);
    assert_eq!(read.created_at, Some("2026-03-01T10:00:00Z".parse().unwrap()), "whole seconds");
    assert_eq!(client.webhooks_at("https://h/hook").unwrap().len(), 2);
    assert_eq!(client.delete_webhook(&created.id), Ok(Deletion::Deleted));
    assert_eq!(client.delete_webhook(&created.id), Ok(Deletion::NotThere));
    assert!(client.webhook(&created.id).unwrap().is_none());
    assert_eq!(simulator.world(|world| world.webhooks.len()), 1);
    simulator.stop();
}

#[test]
fn a_wrong_registration_is_refused_with_the_field() {
    let good = json!({
        "name": "n", "url": "https://h/hook", "eventTypes": ["USER_CREATED"], "active": true, "secret": "s",
    });
    let perform = |body: &Value, allow_http| {
        let mut world = World::new(Rng::with_seed(1));
        let request = wire::Request {
            content_type: Some("application/json; charset=utf-8".into()),
            body: body.to_string().into_bytes(),
            ..wire::Request::default()
        };
        world.perform(Operation::CreateWebhook, "", &request, allow_http, NOW.parse().unwrap())
    };
    assert_eq!(perform(&good, false).unwrap().status, 200);
    for (field, values) in [
        ("name", vec![json!(null), json!(""), json!("x".repeat(201)), json!(7)]),
        (
            "url",
            vec![
                json!("http://127.0.0.1/x"),
                json!("ftp://h"),
                json!("h"),
                json!("https://"),
                json!("x".repeat(501)),
            ],
        ),
        ("secret", vec![json!(""), json!("x".repeat(65)), json!(null)]),
        ("eventTypes", vec![json!(null), json!("USER_CREATED"), json!(["ASSETS_ADDED"]), json!([7])]),
        ("active", vec![json!(null), json!("true")]),
        ("includePayload", vec![json!(1)]),
    ] {
        for value in values {
            let mut body = good.clone();
            body[field] = value.clone();
            let refusal = perform(&body, false).unwrap_err();
            assert!(refusal.status == 400 && refusal.message.contains(field), "{field} {value}: {refusal:?}");
        }
    }
    let with_url = |url: &str| {
        let mut body = good.clone();
        body["url"] = json!(url);
        perform(&body, true).is_ok()
    };
    assert!(with_url("http://127.0.0.1:1/x") && with_url("http://localhost/x") && with_url("http://[::1]/x"));
    assert!(!with_url("http://example.com/") && !with_url("http://localhost.example.com/"));
    let mut all = good.clone();
    (all["secret"], all["eventTypes"]) = (json!("é".repeat(64)), json!(["ALL_EVENTS"]));
    assert!(perform(&all, false).is_ok());
}

#[test]
fn lists_have_pages_filters_and_days() {
    let time = Arc::new(Mutex::new("2026-03-01T23:59:59Z".parse::<Timestamp>().unwrap()));
    let clock = {
        let time = Arc::clone(&time);
        Clock::new(move || *time.lock().unwrap())
    };
    let simulator = Simulator::start(Options { clock, ..options() }).unwrap();
    let client = client(&simulator);
    let mut users: Vec<String> = (0..11).map(|_| simulator.create_user()).collect();
    *time.lock().unwrap() = "2026-03-02T00:00:00Z".parse().unwrap();
    users.push(simulator.create_user());
    let ids = |list: Items<'_, shared::smile_api::User>| -> Vec<String> {
        list.map(|user| user.unwrap().id.to_string()).collect()
    };
    assert_eq!(ids(client.users(&Filter::default()).size(5)), users);
    let day = |day: &str| Filter::between(day.parse().unwrap(), day.parse().unwrap());
    assert_eq!(ids(client.users(&day("2026-03-02"))), users[11..]);
    assert_eq!(ids(client.users(&day("2026-03-01")).size(3)), users[..11]);
    assert!(ids(client.users(&day("2026-03-03"))).is_empty());

    let linked = simulator.link(&Link::of_user(&users[0]));
    simulator.link(&Link::of_user(&users[1]));
    let of_user = Filter::of_user(shared::id::UserId::new(&*users[0]).unwrap());
    let accounts: Vec<_> = client.accounts(&of_user).map(Result::unwrap).collect();
    assert_eq!((accounts.len(), accounts[0].id.as_str()), (1, linked.account_id.as_str()));
    let of_source = Filter { source: Some(linked.account_id.clone()), ..Filter::default() };
    assert_eq!(client.tasks(&of_source).count(), 1);
    assert_eq!(client.tasks(&Filter::default()).count(), 2);
    simulator.upload(Some(&users[0]), ArchiveEnd::Analyzed);
    let file_type = |kind: &str| Filter { file_type: Some(kind.into()), ..Filter::default() };
    assert_eq!(client.archives(&file_type("PAYSLIP")).count(), 1);
    assert_eq!(client.archives(&file_type("COMPANY_ID")).count(), 0);
}

#[test]
fn a_cursor_keeps_its_filter_and_its_list() {
    let mut world = World::new(Rng::with_seed(1));
    let now = NOW.parse().unwrap();
    for user in ["a", "b", "a", "a"] {
        world.link(&Link::of_user(user), false, now);
    }
    let mut page = |operation, query: &str| world.page(operation, &wire::Query::parse(query));
    let first = page(Operation::ListAccounts, "size=2&userId=a").unwrap();
    let cursor = first["nextCursor"].as_str().unwrap().to_owned();
    let second = page(Operation::ListAccounts, &format!("userId=b&cursor={cursor}")).unwrap();
    assert_eq!((second["items"].as_array().unwrap().len(), &second["items"][0]["userId"]), (1, &json!("a")));
    assert_eq!(second.get("nextCursor"), None, "the last page has none");
    for (operation, query) in [
        (Operation::ListUsers, format!("cursor={cursor}")),
        (Operation::ListAccounts, "cursor=1".into()),
        (Operation::ListAccounts, "size=0".into()),
        (Operation::ListAccounts, "size=151".into()),
        (Operation::ListAccounts, "size=ten".into()),
        (Operation::ListAccounts, "startDate=2026-3-1".into()),
        (Operation::ListAccounts, "endDate=2026-03-01T00:00:00".into()),
    ] {
        assert_eq!(page(operation, &query).unwrap_err().status, 400, "{query}");
    }
    assert!(page(Operation::ListInvites, "startDate=never").is_ok(), "invites have no dates");
}

#[test]
fn deliveries_are_signed_and_go_to_those_who_want_them() {
    let receivers: Vec<Receiver> = (0..4).map(|_| Receiver::start(&[])).collect();
    let url = |number: usize| receivers[number].url.as_str();
    let webhooks = vec![
        new_webhook(url(0)),
        NewWebhook { include_payload: false, secret: SecretText::new("other"), ..new_webhook(url(1)) },
        NewWebhook { event_types: vec![EventType::AccountConnected], ..new_webhook(url(2)) },
        NewWebhook { active: false, ..new_webhook(url(3)) },
    ];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    simulator.link(&Link::default());
    quiet(&simulator);
    assert_eq!(
        receivers[0].kinds(),
        [
            "USER_CREATED",
            "ACCOUNT_CREATED",
            "TASK_STARTED",
            "ACCOUNT_CONNECTED",
            "IDENTITY_ADDED",
            "EMPLOYMENTS_ADDED",
            "INCOMES_ADDED",
            "DOCUMENTS_ADDED",
            "TASK_FINISHED",
        ]
    );
    assert_eq!(receivers[2].kinds(), ["ACCOUNT_CONNECTED"]);
    assert!(receivers[3].got().is_empty());
    for (receiver, secret, has_payload) in [(&receivers[0], "s3cret", true), (&receivers[1], "other", false)]
    {
        let secret = Secret::new(secret).unwrap();
        for (signature, body) in receiver.got() {
            let body = verify(&body, Some(&signature), [&secret]).unwrap();
            assert!(Envelope::parse(body).is_ok());
        }
        let finished = &receiver.events()[8];
        assert_eq!(finished["data"].get("payload").is_some(), has_payload);
        assert_eq!(finished["createdAt"], "2026-03-01T10:00:00Z", "whole seconds");
    }
    let ids = |receiver: &Receiver| -> Vec<Value> {
        receiver.events().iter().map(|event| event["id"].clone()).collect()
    };
    assert_eq!(ids(&receivers[0]), ids(&receivers[1]), "one event has one id");
}

#[test]
fn a_delivery_has_three_tries_with_the_same_bytes() {
    for (statuses, expected) in [
        (vec![204], vec![204]),
        (vec![500, 302, 299], vec![500, 302, 299]),
        (vec![404, 503, 429, 200], vec![404, 503, 429]),
    ] {
        let receiver = Receiver::start(&statuses);
        let webhooks = vec![new_webhook(&receiver.url)];
        let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
        simulator.create_user();
        quiet(&simulator);
        let deliveries = simulator.deliveries();
        let tried: Vec<(u32, u16)> =
            deliveries.iter().map(|delivery| (delivery.number, delivery.status.unwrap())).collect();
        assert_eq!(tried, (1..).zip(expected).collect::<Vec<_>>());
        let got = receiver.got();
        assert!(got.len() == tried.len() && got.iter().all(|one| *one == got[0]), "other bytes");
    }
}

#[test]
fn a_secret_that_cannot_be_is_no_start() {
    let webhooks = vec![NewWebhook { secret: SecretText::new(""), ..new_webhook("https://h") }];
    let error = Simulator::start(Options { webhooks, ..options() }).err().unwrap();
    assert!(format!("{error:#}").contains("1 to 64 characters"), "{error:#}");
}

#[test]
fn nobody_there_is_tried_three_times_too() {
    // Port 1, which nobody here may listen on.
    let webhooks = vec![new_webhook("http://127.0.0.1:1/")];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    simulator.create_user();
    quiet(&simulator);
    let statuses: Vec<_> = simulator.deliveries().iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [None, None, None]);
}

#[test]
fn a_provider_without_login_is_linked_by_its_task_alone() {
    let receiver = Receiver::start(&[]);
    let webhooks = vec![new_webhook(&receiver.url)];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    let client = client(&simulator);
    let linked = simulator.link(&Link::default().without_login());
    quiet(&simulator);
    assert_eq!(receiver.kinds(), ["USER_CREATED", "TASK_STARTED", "IDENTITY_ADDED", "TASK_FINISHED"]);
    let id = shared::id::AccountId::new(&*linked.account_id).unwrap();
    let account = client.account(&id).unwrap().unwrap();
    assert_eq!(account.connection_status, ConnectionStatus::Connected);
    assert!(["tin_ph", "npwp_id", "mst_vn", "tin_th"].contains(&account.provider_id.unwrap().as_str()));
    // The same by the provider's name.
    simulator.link(&Link { provider_id: Some("tin_ph".into()), ..Link::default() });
    quiet(&simulator);
    assert!(!receiver.kinds().iter().any(|kind| kind == "ACCOUNT_CONNECTED"));
}

#[test]
fn a_link_can_fail_and_an_account_can_be_taken_back() {
    let receiver = Receiver::start(&[]);
    let webhooks = vec![new_webhook(&receiver.url)];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    let client = client(&simulator);
    let account = |id: &str| shared::id::AccountId::new(id).unwrap();
    let failed = simulator.fail_link(&Link { error_code: Some("ACCOUNT_LOCKED".into()), ..Link::default() });
    let found = client.account(&account(&failed.account_id)).unwrap().unwrap();
    assert_eq!(found.connection_status, ConnectionStatus::Error);
    assert_eq!(found.connection.error_code.as_deref(), Some("ACCOUNT_LOCKED"));
    quiet(&simulator);
    assert_eq!(
        receiver.kinds(),
        ["USER_CREATED", "ACCOUNT_CREATED", "TASK_STARTED", "ACCOUNT_FAILED", "TASK_FINISHED"]
    );

    let linked = simulator.link(&Link::of_user(&*failed.user_id));
    let payload = || {
        let payload = client.account_payload(&account(&linked.account_id)).unwrap().unwrap();
        payload.get().parse::<Value>().unwrap()
    };
    let incomes = payload()["incomes"].as_array().unwrap().len();
    assert!(simulator.add(&linked.account_id, &EventType::IncomesAdded));
    assert!(payload()["incomes"].as_array().unwrap().len() > incomes, "what is added can be fetched");
    assert!(simulator.disconnect(&linked.account_id) && simulator.disconnect(&linked.account_id));
    let members: Vec<String> = payload().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["metadata"], "its data is gone");
    let found = client.account(&account(&linked.account_id)).unwrap().unwrap();
    assert_eq!(found.connection_status, ConnectionStatus::Disconnected);
    quiet(&simulator);
    let kinds = receiver.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "ACCOUNT_DISCONNECTED").count(), 1, "{kinds:?}");
    assert!(!simulator.disconnect("a-nobody") && !simulator.add("a-nobody", &EventType::IncomesAdded));
    assert!(!simulator.revoke("archive-nobody"));
}

/// What the receiver makes of the webhooks, and what the API says: the same.
#[test]
fn a_whole_life_is_one_story() {
    let receiver = Receiver::start(&[]);
    let webhooks = vec![new_webhook(&receiver.url)];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    let client = client(&simulator);
    let user = simulator.life(None);
    quiet(&simulator);
    let kinds: BTreeSet<String> = receiver.kinds().into_iter().collect();
    assert_eq!(kinds.len(), 37);
    let mut state = State::default();
    let secret = Secret::new("s3cret").unwrap();
    for (signature, body) in receiver.got() {
        let envelope = Envelope::parse(verify(&body, Some(&signature), [&secret]).unwrap()).unwrap();
        let facts = envelope.facts().unwrap();
        let hash = BodyHash::of(&body);
        writes(&envelope, &facts, &hash, NOW.parse().unwrap())
            .unwrap()
            .into_iter()
            .for_each(|write| state.apply(write));
    }
    let view = serde_json::to_value(StateView::from(&state)).unwrap();
    let told = |list: &str, id: &str| -> BTreeSet<(String, String)> {
        let pair = |item: &Value| {
            (item[id].as_str().unwrap().to_owned(), item["status"].as_str().unwrap().to_owned())
        };
        view["users"][&user][list].as_array().unwrap().iter().map(pair).collect()
    };
    let word = |word: Value| word.as_str().unwrap().to_owned();
    let filter = Filter::of_user(shared::id::UserId::new(&*user).unwrap());
    let accounts = client.accounts(&filter).map(Result::unwrap).map(|account| {
        (account.id.to_string(), word(serde_json::to_value(account.connection_status).unwrap()))
    });
    assert_eq!(accounts.collect::<BTreeSet<_>>(), told("accounts", "account"));
    let archives = client
        .archives(&filter)
        .map(Result::unwrap)
        .map(|archive| (archive.id.to_string(), word(serde_json::to_value(archive.state.status).unwrap())));
    assert_eq!(archives.collect::<BTreeSet<_>>(), told("archives", "archive"));
    let invites = client
        .invites()
        .map(Result::unwrap)
        .map(|invite| (invite.id.to_string(), word(serde_json::to_value(invite.status).unwrap())));
    assert_eq!(invites.collect::<BTreeSet<_>>(), told("invites", "invite"));
}

#[test]
fn events_can_be_dropped_repeated_mixed_and_grown() {
    let receiver = Receiver::start(&[]);
    let webhooks = vec![new_webhook(&receiver.url)];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    let mut seen = 0;
    let mut sent = |mischief: Mischief| {
        simulator.set_mischief(mischief);
        simulator.link(&Link::of_user("demo-1"));
        quiet(&simulator);
        let events = receiver.events().split_off(seen);
        seen += events.len();
        let ids: Vec<String> = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        let kinds: Vec<String> =
            events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        (ids, kinds, receiver.got()[seen - events.len()..].iter().map(|(_, body)| body.len()).max())
    };
    let (first, ..) = sent(Mischief::default());
    assert_eq!(first.len(), 9);
    let (none, ..) = sent(Mischief { drop: 1.0, ..Mischief::default() });
    assert!(none.is_empty());
    let (thrice, ..) = sent(Mischief { repeat: 2, delay_ms: 1, ..Mischief::default() });
    assert_eq!((thrice.len(), thrice.iter().collect::<BTreeSet<_>>().len()), (24, 8));
    let (_, plain, small) = sent(Mischief::default());
    let (_, mixed, _) = sent(Mischief { reorder: true, ..Mischief::default() });
    assert_ne!(plain, mixed);
    let sorted = |kinds: &[String]| kinds.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&plain), sorted(&mixed));
    let (.., large) = sent(Mischief { grow_kb: Some(60), ..Mischief::default() });
    assert!(small.unwrap() < 40_000 && large.unwrap() > 60_000, "{small:?} {large:?}");
    let dropped = simulator.deliveries().iter().filter(|delivery| delivery.number == 0).count();
    assert_eq!(dropped, 8);
}

#[test]
fn a_lost_answer_is_found_by_looking() {
    let simulator = Simulator::start(options()).unwrap();
    let client = client(&simulator);
    let new = new_webhook("https://h/hook");
    let failing = Failing::next(Operation::CreateWebhook, 1, 504);
    for failing in [failing.clone().with_effect(), failing.clone().with_effect().by_hanging_up()] {
        simulator.fail(failing);
        let before = client.webhooks_at(&new.url).unwrap().len();
        let error = client.create_webhook(&new).unwrap_err();
        assert!(error.may_have_happened(), "{error}");
        assert_eq!(client.webhooks_at(&new.url).unwrap().len(), before + 1);
    }
    simulator.fail(failing);
    let before = client.webhooks_at(&new.url).unwrap().len();
    assert!(client.create_webhook(&new).unwrap_err().may_have_happened(), "nobody can know");
    assert_eq!(client.webhooks_at(&new.url).unwrap().len(), before);
    let calls = simulator.calls();
    let hung_up = calls.iter().filter(|call| call.status.is_none()).count();
    assert_eq!(hung_up, 1);
}

/// How a test of registration goes about it.
#[test]
fn every_call_can_fail_in_turn() {
    let simulator = Simulator::start(options()).unwrap();
    let client = client(&simulator);
    let new = new_webhook("https://h/hook");
    let script = || -> Result<(), shared::smile_api::Error> {
        let old = client.create_webhook(&new)?.id;
        let found = client.webhooks_at(&new.url)?;
        assert!(found.iter().any(|webhook| webhook.id == old));
        client.create_webhook(&NewWebhook { name: "next".into(), ..new.clone() })?;
        client.delete_webhook(&old)?;
        Ok(())
    };
    let failed: Vec<&str> = (0..4)
        .map(|number| {
            // 403 is not tried again.
            simulator.fail(Failing::nth(number, 403));
            let failed = script().unwrap_err().call;
            simulator.world(|world| world.webhooks.clear());
            failed
        })
        .collect();
    assert_eq!(failed, ["POST /webhooks", "GET /webhooks", "POST /webhooks", "DELETE /webhooks/{id}"]);
    assert_eq!(script(), Ok(()));
}

#[test]
fn too_many_calls_are_refused_and_retried() {
    let simulator = Simulator::start(Options { calls_a_second: 0, ..options() }).unwrap();
    let error = client(&simulator).webhook(&WebhookId::new("w").unwrap()).unwrap_err();
    assert_eq!((error.status(), error.tries), (Some(429), 4));
    assert_eq!(error.code().unwrap().to_string(), "REQUEST_LIMIT_EXCEEDED");
    assert_eq!(error.request_id().unwrap().len(), 36);
}

#[test]
fn deliveries_can_take_a_detour() {
    let receiver = Receiver::start(&[]);
    let detour = Detour {
        from: "https://api.example.com/".into(),
        to: receiver.url.trim_end_matches("hook").into(),
        headers: vec![("x-here".into(), "1".into())],
    };
    let webhooks = vec![new_webhook("https://api.example.com/v1")];
    let simulator = Simulator::start(Options { webhooks, detours: vec![detour], ..options() }).unwrap();
    simulator.create_user();
    quiet(&simulator);
    assert_eq!(receiver.kinds(), ["USER_CREATED"]);
    assert_eq!(simulator.deliveries()[0].url, "https://api.example.com/v1");
}

#[test]
fn all_of_it_can_be_told_over_http() {
    let receiver = Receiver::start(&[]);
    let webhooks = vec![new_webhook(&receiver.url)];
    let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
    let post = |path: &str, body: Value| {
        let (status, answer) = control(&simulator, "POST", path, &body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    assert_eq!(post("/users", json!({ "userId": "demo-1" }))["userId"], "demo-1");
    let linked = post("/link", json!({ "userId": "demo-1", "login": false }));
    post("/add", json!({ "accountId": linked["accountId"], "type": "incomes-updated" }));
    post("/disconnect", json!({ "accountId": linked["accountId"] }));
    post("/fail-link", json!({ "providerId": "upwork", "errorCode": "INVALID_MFA" }));
    let archive = post("/archive", json!({ "end": "failed" }));
    post("/revoke", json!({ "archiveId": archive["archiveId"] }));
    post("/life", json!({}));
    post("/send", json!({ "type": "ASSETS_ADDED", "userId": "demo-1" }));
    post("/fail", json!({ "operation": "list-users", "status": 503 }));
    quiet(&simulator);
    let (_, state) = control(&simulator, "GET", "/state", &json!({}));
    assert_eq!(state["webhooks"][0]["secret"], "Secret(..)");
    assert_eq!(state["failures"][0]["operation"], "list-users");
    assert_eq!(state["accounts"][0]["status"], "DISCONNECTED");
    assert_eq!(control(&simulator, "GET", "/quiet", &json!({})).1, json!({ "quiet": true }));
    let (_, deliveries) = control(&simulator, "GET", "/deliveries", &json!({}));
    assert_eq!(deliveries.as_array().unwrap().len(), receiver.got().len());
    assert_eq!(control(&simulator, "DELETE", "/fail", &json!({})).1, json!([]));
    assert_eq!(control(&simulator, "PUT", "/mischief", &json!({ "drop": 0.5 })).1["drop"], 0.5);
    for (path, body, status) in [
        ("/link", json!({ "user": "x" }), 400),
        ("/add", json!({ "accountId": linked["accountId"], "type": "ASSETS_ADDED" }), 400),
        ("/disconnect", json!({ "accountId": "a-nobody" }), 404),
        ("/nothing", json!({}), 404),
    ] {
        assert_eq!(control(&simulator, "POST", path, &body).0, status, "{path}");
    }
}
