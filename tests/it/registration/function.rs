//! The stack's own function, called as CloudFormation calls it: a creation that fails is followed by a deletion,
//! an update that fails by one back to what was there. Whichever call fails, the stack's outcome is right, and
//! what is orphaned is reported.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use register::{Config, Envelope, Kind, Outcome, Register, Stacks, Status};
use serde_json::{Value, json};
use shared::refusal::Refusal;
use shared::registration::{Answered, Unanswered};
use shared::smile_api::{Client, Patience};
use smile_cli::simulate::{Failing, Operation, Simulator};

use super::aws::{Aws, CutOff};
use super::{A, NAME, NoWait, TestClock, URL, client, desired, for_good, registered, simulator, ways};

const SECRET: &str = "arn:webhook";
const CREDENTIALS: &str = "arn:credentials";
const OTHER_URL: &str = "https://other.example.com/v1/webhooks/smile";
const TIME: Duration = Duration::from_mins(1);

/// A stack, Smile, and CloudFormation's part.
struct Scene {
    aws: Aws,
    simulator: Simulator,
    /// What goes wrong with AWS in the next request.
    cut_off: Option<CutOff>,
    physical_id: Option<String>,
    /// Whether anything was reported.
    reported: bool,
    /// Every answer.
    answers: Vec<(Kind, Status)>,
    /// The URLs at which the receiver does not answer.
    silent: Arc<Mutex<BTreeSet<String>>>,
    /// The URLs that were asked for.
    probed: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        let aws = Aws::default();
        let simulator = simulator(&TestClock::start());
        aws.set_secret(SECRET, &json!({ "current": A }));
        aws.set_secret(CREDENTIALS, &json!({ "key": "simulator", "secret": "simulator" }));
        Self {
            aws,
            simulator,
            cut_off: None,
            physical_id: None,
            reported: false,
            answers: Vec::new(),
            silent: Arc::default(),
            probed: Arc::default(),
        }
    }

    /// The function, and a world outside in which every URL answers but those that are silent.
    fn function(&self, sdk: &aws_types::SdkConfig) -> Arc<Register> {
        let (silent, probed) = (Arc::clone(&self.silent), Arc::clone(&self.probed));
        let probe = move |url: &str, _: &dyn Fn() -> bool| {
            probed.lock().unwrap().push(url.to_owned());
            if silent.lock().unwrap().contains(url) {
                return Err(Unanswered::NoResponse("its host name is not found"));
            }
            Answered::from_response(url, Refusal::SOURCE.status, Refusal::SOURCE.body.as_bytes())
        };
        let client = |settings: &_| Client::new(settings, NoWait::default());
        let patience = Patience { tries: 1, ..Patience::default() };
        Arc::new(Register::with_client(sdk, &config(), patience, client, Arc::new(probe)))
    }

    fn silence(&self, url: &str) {
        self.silent.lock().unwrap().insert(url.to_owned());
    }

    fn properties(&self, url: &str, types: &str) -> Value {
        json!({ "ServiceToken": "arn:function", "ServiceTimeout": "300", "ApiUrl": self.simulator.url(),
            "CredentialsSecretArn": CREDENTIALS, "Name": NAME, "Url": url, "EventTypes": types,
            "IncludePayload": "false" })
    }

    fn event(&self, kind: Kind, properties: &Value, old: Option<&Value>) -> Value {
        let mut event = json!({ "RequestType": kind.word(), "ResponseURL": "https://hush.example.com/",
            "StackId": "arn:stack", "RequestId": "request", "LogicalResourceId": "Registration",
            "ResourceType": "AWS::CloudFormation::CustomResource", "ResourceProperties": properties });
        if let Some(id) = &self.physical_id {
            event["PhysicalResourceId"] = json!(id);
        }
        if let Some(old) = old {
            event["OldResourceProperties"] = old.clone();
        }
        event
    }

    /// One request while the stack is in this state.
    async fn request(
        &mut self,
        kind: Kind,
        status: &str,
        properties: &Value,
        old: Option<&Value>,
    ) -> Outcome {
        self.aws.state().stack = Some(status.to_owned());
        let sdk = self.aws.cut_off(self.cut_off.take());
        let event = self.event(kind, properties, old);
        let outcome =
            register::handle(Ok(self.function(&sdk)), Some(Stacks::new(&sdk)), event, TIME).await.unwrap();
        outcome.log();
        let answer = &outcome.answer;
        assert_eq!(
            answer.reason.is_some() && answer.status == Status::Failed,
            answer.status == Status::Failed
        );
        let told = format!("{answer:?} {outcome:?}");
        assert!(!told.contains(A) && !told.contains("hush"), "{told}");
        if kind != Kind::Create {
            assert_eq!(Some(&answer.physical_resource_id), self.physical_id.as_ref(), "it stays the same");
        }
        self.physical_id = Some(answer.physical_resource_id.clone());
        self.reported |= outcome.orphaned.is_some();
        self.answers.push((kind, answer.status));
        outcome
    }

    /// A creation of the stack, as far as it concerns the resource. Whether the stack is there.
    async fn create(&mut self, properties: &Value) -> bool {
        let outcome = self.request(Kind::Create, "CREATE_IN_PROGRESS", properties, None).await;
        if outcome.answer.status == Status::Success {
            return true;
        }
        let undone = self.request(Kind::Delete, "ROLLBACK_IN_PROGRESS", properties, None).await;
        assert_eq!(undone.answer.status, Status::Success, "a rollback never fails");
        self.physical_id = None;
        false
    }

    /// An update of the stack. Whether the stack is the new one.
    async fn update(&mut self, old: &Value, new: &Value) -> bool {
        let outcome = self.request(Kind::Update, "UPDATE_IN_PROGRESS", new, Some(old)).await;
        if outcome.answer.status == Status::Success {
            return true;
        }
        let undone = self.request(Kind::Update, "UPDATE_ROLLBACK_IN_PROGRESS", old, Some(new)).await;
        assert_eq!(undone.answer.status, Status::Success, "a rollback never fails");
        false
    }

    async fn delete(&mut self, properties: &Value) {
        let outcome = self.request(Kind::Delete, "DELETE_IN_PROGRESS", properties, None).await;
        assert_eq!(outcome.answer.status, Status::Success, "a deletion never fails");
        self.physical_id = None;
    }

    /// Smile has exactly these, or what it has too much was reported.
    fn has(&self, right: &[(&str, usize)], what: &str) {
        let found: Vec<(String, usize)> =
            registered(&self.simulator).into_iter().map(|found| (found.1, found.2)).collect();
        let right: Vec<(String, usize)> =
            right.iter().map(|(url, types)| ((*url).to_owned(), *types)).collect();
        assert!(found == right || self.reported, "{what}: {found:?} instead of {right:?}, unreported");
    }
}

fn config() -> Config {
    Config { secret_arn: SECRET.to_owned(), credentials_arn: CREDENTIALS.to_owned() }
}

/// What goes wrong.
#[derive(Debug, Clone)]
enum Trouble {
    Smile(Vec<Failing>),
    Aws(CutOff),
}

/// One call of Smile's after so many, alone or with all after it, in every way; and one of AWS's.
fn troubles(at: u32) -> Vec<Trouble> {
    let once = ways(at).into_iter().map(|failing| Trouble::Smile(vec![failing]));
    let for_good = ways(at).into_iter().map(|failing| Trouble::Smile(for_good(failing).into()));
    let aws = Trouble::Aws(CutOff { after: at, effect: false });
    once.chain(for_good).chain([aws]).collect()
}

impl Scene {
    fn make(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Smile(all) => all.iter().for_each(|failing| self.simulator.fail(failing.clone())),
            Trouble::Aws(at) => self.cut_off = Some(*at),
        }
    }
}

#[tokio::test]
async fn a_stack_is_created_changed_rotated_and_deleted() {
    let mut scene = Scene::new();
    let (first, types, moved) = (
        scene.properties(URL, "ALL_EVENTS"),
        scene.properties(URL, "USER_CREATED,ACCOUNT_CREATED"),
        scene.properties(OTHER_URL, "USER_CREATED,ACCOUNT_CREATED"),
    );
    assert!(scene.create(&first).await);
    scene.has(&[(URL, 1)], "created");
    let id = scene.physical_id.clone();
    assert_eq!(id.as_deref(), Some("smile-registration:smile-receiver"));
    assert!(scene.update(&first, &types).await);
    scene.has(&[(URL, 2)], "other types");
    // A rotation is half done when the URL changes: what is registered is accepted, whichever it is.
    scene.aws.set_secret(SECRET, &json!({ "current": A, "pending": "b" }));
    assert!(scene.update(&types, &moved).await);
    scene.has(&[(OTHER_URL, 2)], "another URL");
    scene.aws.set_secret(SECRET, &json!({ "current": "b" }));
    assert!(scene.update(&moved, &first).await);
    scene.has(&[(URL, 1)], "back, after the rotation");
    assert_eq!(registered(&scene.simulator)[0].4, "b");
    assert_eq!(scene.physical_id, id);
    scene.delete(&first).await;
    scene.has(&[], "deleted");
    assert!(!scene.reported);
}

#[tokio::test]
async fn what_a_rotation_brings_in_is_left_alone() {
    let mut scene = Scene::new();
    let properties = scene.properties(URL, "ALL_EVENTS");
    scene.create(&properties).await;
    scene.aws.set_secret(SECRET, &json!({ "current": A, "pending": "b" }));
    let pending = desired(URL).with_secret(&shared::smile_api::SecretText::new("b"));
    client(&scene.simulator, 1).create_webhook(&pending.request()).unwrap();
    assert!(scene.update(&properties, &properties).await);
    let secrets: Vec<String> = registered(&scene.simulator).into_iter().map(|found| found.4).collect();
    assert_eq!(secrets, ["b"], "the rotation's next step, done by the way");
}

#[tokio::test]
async fn whichever_call_fails_a_creation_is_whole_or_undone() {
    let (mut made, mut undone, mut reported) = (0, 0, 0);
    for at in 0..8 {
        for trouble in troubles(at) {
            let mut scene = Scene::new();
            let properties = scene.properties(URL, "ALL_EVENTS");
            scene.make(&trouble);
            let what = format!("{trouble:?}");
            if scene.create(&properties).await {
                made += 1;
                scene.has(&[(URL, 1)], &what);
                assert!(!scene.reported, "{what}");
            } else {
                undone += 1;
                scene.has(&[], &what);
            }
            reported += usize::from(scene.reported);
        }
    }
    assert!(made > 10 && undone > 15 && reported > 5, "{made} {undone} {reported}");
}

#[tokio::test]
async fn whichever_call_fails_an_update_is_whole_or_undone() {
    let (mut made, mut undone, mut reported) = (0, 0, 0);
    for change in [(URL, "USER_CREATED,ACCOUNT_CREATED", 2), (OTHER_URL, "ALL_EVENTS", 1)] {
        for at in 0..10 {
            for trouble in troubles(at) {
                let mut scene = Scene::new();
                let old = scene.properties(URL, "ALL_EVENTS");
                let new = scene.properties(change.0, change.1);
                assert!(scene.create(&old).await);
                scene.make(&trouble);
                let what = format!("{change:?} {trouble:?}");
                if scene.update(&old, &new).await {
                    made += 1;
                    scene.has(&[(change.0, change.2)], &what);
                } else {
                    undone += 1;
                    scene.has(&[(URL, 1)], &what);
                }
                reported += usize::from(scene.reported);
            }
        }
    }
    assert!(made > 20 && undone > 30 && reported > 10, "{made} {undone} {reported}");
}

#[tokio::test]
async fn whichever_call_fails_a_deletion_goes_on_and_reports() {
    let (mut clean, mut reported) = (0, 0);
    for at in 0..5 {
        for trouble in troubles(at) {
            let mut scene = Scene::new();
            let properties = scene.properties(URL, "ALL_EVENTS");
            assert!(scene.create(&properties).await);
            scene.make(&trouble);
            scene.delete(&properties).await;
            scene.has(&[], &format!("{trouble:?}"));
            if scene.reported { reported += 1 } else { clean += 1 }
        }
    }
    assert!(clean > 10 && reported > 10, "{clean} {reported}");
}

#[tokio::test]
async fn the_rollback_of_the_update_that_added_the_resource_leaves_what_was_there() {
    for failing in [None, Some(0), Some(1), Some(2)] {
        let mut scene = Scene::new();
        client(&scene.simulator, 1).create_webhook(&desired(URL).request()).unwrap();
        let properties = scene.properties(URL, "ALL_EVENTS");
        if let Some(at) = failing {
            scene.simulator.fail(Failing::nth(at, 500));
        }
        scene.request(Kind::Create, "UPDATE_IN_PROGRESS", &properties, None).await;
        scene.simulator.stop_failing();
        let outcome = scene
            .request(Kind::Delete, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", &properties, None)
            .await;
        assert_eq!((outcome.answer.status, outcome.orphaned), (Status::Success, None));
        assert_eq!(registered(&scene.simulator).len(), 1, "{failing:?}");
        // With the stack's end it goes.
        scene.delete(&properties).await;
        scene.has(&[], "deleted");
    }
    // One that this update made goes with it.
    let mut scene = Scene::new();
    let properties = scene.properties(URL, "ALL_EVENTS");
    scene.request(Kind::Create, "UPDATE_IN_PROGRESS", &properties, None).await;
    scene.request(Kind::Delete, "UPDATE_ROLLBACK_IN_PROGRESS", &properties, None).await;
    scene.has(&[], "made and undone");
    assert!(!scene.reported);
}

#[tokio::test]
async fn no_registration_goes_before_the_new_url_has_answered() {
    let mut scene = Scene::new();
    let (old, new) = (scene.properties(URL, "ALL_EVENTS"), scene.properties(OTHER_URL, "ALL_EVENTS"));
    // The first deployment has nothing to lose, and a new name need not answer at once.
    scene.silence(URL);
    assert!(scene.create(&old).await);
    assert!(scene.probed.lock().unwrap().is_empty());
    // No DNS yet: the update fails before anything is changed, and its rollback has nothing to do.
    scene.silence(OTHER_URL);
    assert!(!scene.update(&old, &new).await);
    scene.has(&[(URL, 1)], "the new URL does not answer");
    assert_eq!(*scene.probed.lock().unwrap(), [OTHER_URL]);
    let reason = scene.request(Kind::Update, "UPDATE_IN_PROGRESS", &new, Some(&old)).await.answer.reason;
    let reason = reason.unwrap();
    for words in [URL, OTHER_URL, "host name is not found", "DNS"] {
        assert!(reason.contains(words), "{reason}");
    }
    // It answers: the registration moves.
    scene.silent.lock().unwrap().remove(OTHER_URL);
    assert!(scene.update(&old, &new).await);
    scene.has(&[(OTHER_URL, 1)], "the new URL answers");
    assert!(!scene.reported);
    // What follows fails, and the stack goes back to a URL that does not answer now: both stay, and that is reported.
    let back = scene.request(Kind::Update, "UPDATE_ROLLBACK_IN_PROGRESS", &old, Some(&new)).await;
    assert_eq!(back.answer.status, Status::Success, "a rollback never fails");
    assert_eq!(back.orphaned.unwrap().ids.len(), 1);
    let urls: BTreeSet<String> = registered(&scene.simulator).into_iter().map(|found| found.1).collect();
    assert_eq!(urls, [URL.to_owned(), OTHER_URL.to_owned()].into());
    // Nothing else than the URL is asked about: a change of types at a URL that is silent for a moment goes through.
    let probes = scene.probed.lock().unwrap().len();
    assert!(scene.update(&old, &scene.properties(URL, "USER_CREATED")).await);
    assert_eq!(scene.probed.lock().unwrap().len(), probes);
}

#[tokio::test]
async fn a_resource_or_a_domain_name_that_goes_takes_no_registration_with_it() {
    let mut scene = Scene::new();
    let mut with_domain = scene.properties(URL, "ALL_EVENTS");
    with_domain["DomainName"] = json!("hooks.example.com");
    assert!(scene.create(&with_domain).await);
    // The domain name is taken away, or exchanged, and the URL still has it.
    for domain in ["", "other.example.com"] {
        let mut without = with_domain.clone();
        without["DomainName"] = json!(domain);
        let outcome = scene.request(Kind::Update, "UPDATE_IN_PROGRESS", &without, Some(&with_domain)).await;
        assert_eq!(outcome.answer.status, Status::Failed);
        assert!(outcome.answer.reason.unwrap().contains("hooks.example.com"));
        let back = Status::Success;
        let undone = scene.request(Kind::Update, "UPDATE_ROLLBACK_IN_PROGRESS", &with_domain, Some(&without));
        assert_eq!(undone.await.answer.status, back);
        scene.has(&[(URL, 1)], "as before");
    }
    // Together with the URL it may go.
    let elsewhere = scene.properties(OTHER_URL, "ALL_EVENTS");
    assert!(scene.update(&with_domain, &elsewhere).await);
    scene.has(&[(OTHER_URL, 1)], "switched");
    // The resource goes, and the stack with its receiver stays.
    for status in ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        let outcome = scene.request(Kind::Delete, status, &elsewhere, None).await;
        assert_eq!((outcome.answer.status, outcome.orphaned), (Status::Success, None), "{status}");
        scene.has(&[(OTHER_URL, 1)], status);
    }
    assert!(!scene.reported);
}

#[tokio::test]
async fn a_registration_is_replaced_without_a_call_in_between() {
    let mut scene = Scene::new();
    let old = scene.properties(URL, "ALL_EVENTS");
    let mut new = old.clone();
    new["IncludePayload"] = json!("true");
    scene.create(&old).await;
    let before = scene.simulator.calls().len();
    assert!(scene.update(&old, &new).await);
    let calls: Vec<Operation> =
        scene.simulator.calls().into_iter().skip(before).filter_map(|call| call.operation).collect();
    let created = calls.iter().position(|call| *call == Operation::CreateWebhook).unwrap();
    // In between every event comes twice, with two bodies.
    assert_eq!(calls[created + 1], Operation::DeleteWebhook, "{calls:?}");
    assert!(registered(&scene.simulator)[0].3);
}

#[tokio::test]
async fn another_account_or_another_api_is_gone_to_and_what_cannot_be_reached_is_reported() {
    let mut scene = Scene::new();
    let old = scene.properties(URL, "ALL_EVENTS");
    scene.create(&old).await;
    // Another environment of Smile's, with credentials that the first does not take.
    let other = Scene::new();
    let mut new = other.properties(URL, "ALL_EVENTS");
    new["CredentialsSecretArn"] = json!("arn:other");
    let outcome = scene.request(Kind::Update, "UPDATE_IN_PROGRESS", &new, Some(&old)).await;
    assert_eq!(outcome.answer.status, Status::Success);
    other.has(&[(URL, 1)], "the new one");
    // These credentials do work there, so that nothing is left.
    scene.has(&[], "the old one");
    assert!(!scene.reported);
    // The same API and other credentials: whose they are is not known.
    let mut again = new.clone();
    again["CredentialsSecretArn"] = json!("arn:third");
    let outcome = scene.request(Kind::Update, "UPDATE_IN_PROGRESS", &again, Some(&new)).await;
    assert_eq!((outcome.answer.status, outcome.orphaned), (Status::Success, None), "the same account");
    other.simulator.world(|world| world.webhooks.clear());
    let outcome = scene.request(Kind::Update, "UPDATE_IN_PROGRESS", &new, Some(&again)).await;
    assert!(outcome.orphaned.unwrap().unknown, "another account: it had to be made there");
}

#[tokio::test]
async fn it_answers_whatever_happens() {
    let scene = Scene::new();
    let sdk = scene.aws.sdk();
    let good = scene.properties(URL, "ALL_EVENTS");
    let handle = async |register, stacks, event, time| register::handle(register, stacks, event, time).await;
    let cases = [
        // What makes no sense.
        (json!({ "ResponseURL": "u" }), Status::Success),
        (json!({ "ResponseURL": "u", "RequestType": "Create" }), Status::Failed),
        (json!({ "ResponseURL": "u", "RequestType": "Delete" }), Status::Success),
        (scene.event(Kind::Create, &json!({ "Url": URL }), None), Status::Failed),
        (
            scene.event(Kind::Create, &scene.properties("http://example.com/", "ALL_EVENTS"), None),
            Status::Failed,
        ),
        (scene.event(Kind::Create, &scene.properties(URL, "all"), None), Status::Failed),
        (scene.event(Kind::Delete, &json!("nothing"), None), Status::Success),
    ];
    for (event, status) in cases {
        let what = event.to_string();
        let outcome = handle(Ok(scene.function(&sdk)), Some(Stacks::new(&sdk)), event, TIME).await.unwrap();
        assert_eq!((outcome.answer.status, outcome.orphaned), (status, None), "{what}");
        assert!(!outcome.answer.physical_resource_id.is_empty());
    }
    assert!(handle(Ok(scene.function(&sdk)), None, json!({}), TIME).await.is_none());
    assert!(registered(&scene.simulator).is_empty());

    // A panic, a start that failed, no time at all.
    let panics: Arc<Register> = Arc::new(Register::with_client(
        &sdk,
        &config(),
        Patience::default(),
        |_| panic!("on purpose"),
        Arc::new(|_, _| panic!("on purpose")),
    ));
    for (kind, stack, status) in [
        (Kind::Create, "UPDATE_IN_PROGRESS", Status::Failed),
        (Kind::Update, "UPDATE_IN_PROGRESS", Status::Failed),
        (Kind::Delete, "DELETE_IN_PROGRESS", Status::Success),
    ] {
        scene.aws.state().stack = Some(stack.to_owned());
        let event = || scene.event(kind, &good, Some(&good));
        for (register, stacks, time, words) in [
            (Ok(Arc::clone(&panics)), Some(Stacks::new(&sdk)), TIME, "panicked"),
            (Err("no variable".to_owned()), Some(Stacks::new(&sdk)), TIME, "no variable"),
            (Ok(scene.function(&sdk)), Some(Stacks::new(&sdk)), Duration::from_secs(14), "stopped before"),
        ] {
            let outcome = handle(register, stacks, event(), time).await.unwrap();
            let reason = outcome.answer.reason.unwrap();
            assert_eq!(outcome.answer.status, status, "{kind:?} {reason}");
            assert!(reason.contains(words), "{reason}");
            assert_eq!(outcome.orphaned.is_some(), kind == Kind::Delete, "{reason}");
        }
    }
}

#[tokio::test]
async fn a_smile_that_does_not_answer_is_not_waited_for_beyond_the_time() {
    // Listens, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut scene = Scene::new();
    let mut properties = scene.properties(URL, "ALL_EVENTS");
    properties["ApiUrl"] = json!(format!("http://{}/v1", silent.local_addr().unwrap()));
    scene.physical_id = Some("smile-registration:smile-receiver".to_owned());
    scene.aws.state().stack = Some("UPDATE_ROLLBACK_IN_PROGRESS".to_owned());
    let sdk = scene.aws.sdk();
    let since = std::time::Instant::now();
    let event = scene.event(Kind::Update, &properties, Some(&properties));
    let time = Duration::from_secs(1);
    let outcome =
        register::handle(Ok(scene.function(&sdk)), Some(Stacks::new(&sdk)), event, time).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(20));
    assert_eq!(outcome.answer.status, Status::Success, "a rollback never fails");
    assert!(outcome.orphaned.unwrap().unknown);
    assert!(Envelope::read(&json!({})).is_none());
}

/// Takes answers, as S3 takes them for CloudFormation.
fn mailbox() -> (String, Arc<std::sync::Mutex<Vec<Value>>>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/answer", listener.local_addr().unwrap());
    let answers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let taken = Arc::clone(&answers);
    std::thread::spawn(move || {
        loop {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head += &line.to_lowercase();
                line.clear();
            }
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            // Stored before the reply, because the test reads it after the reply.
            taken.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            reader.into_inner().write_all(answer).unwrap();
        }
    });
    (url, answers)
}

#[tokio::test]
async fn the_binary_answers_even_when_it_could_not_start() {
    let dir = crate::support::it_dir().join(format!("../../target/it/register-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (url, answers) = mailbox();
    let scene = Scene::new();
    let mut event = scene.event(Kind::Create, &scene.properties(URL, "ALL_EVENTS"), None);
    event["ResponseURL"] = json!(url);
    let deletion = json!({ "ResponseURL": url, "RequestType": "Delete", "PhysicalResourceId": "p" });
    let variables = [("SMILE_WEBHOOK_SECRET_ARN", SECRET), ("SMILE_CREDENTIALS_SECRET_ARN", CREDENTIALS)];
    for (variables, words) in [
        (&variables[..1], "SMILE_CREDENTIALS_SECRET_ARN is not set"),
        // Secrets Manager quotes what it was asked for, and the credentials are nonsense.
        (&variables[..], "credentials of Smile's API cannot be used"),
    ] {
        let mut function = crate::process::Running::start(&dir, "register", variables, |target, request| {
            assert_eq!(target, "secretsmanager.GetSecretValue");
            let text = if request["SecretId"] == SECRET {
                json!({ "current": A }).to_string()
            } else {
                A.to_owned()
            };
            (200, json!({ "SecretString": text, "VersionId": "1" }).to_string().into_bytes())
        })
        .await;
        for event in [&event, &deletion, &json!({ "RequestType": "Create" })] {
            function.invoke(event.clone()).await;
        }
        let given = std::mem::take(&mut *answers.lock().unwrap());
        assert_eq!(given.len(), 2, "{given:?}");
        assert_eq!(given[0]["Status"], "FAILED");
        assert!(given[0]["Reason"].as_str().unwrap().contains(words), "{given:?}");
        assert_eq!((&given[1]["Status"], &given[1]["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("p")));
        let log = function.log();
        assert!(!log.contains(A) && !log.contains(&url), "{log}");
        crate::personal::every_line_is_json_with_known_fields(&log);
    }
    std::fs::remove_dir_all(dir).unwrap();
}
