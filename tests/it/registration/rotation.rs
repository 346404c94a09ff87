//! A rotation under constant delivery, and one that is killed at every call.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::event::EventType;
use shared::queue::Queue;
use shared::registration::{Document, Vault};
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::smile_api::SecretText;
use smile_cli::register::rotate::{Around, Done, Rotation};
use smile_cli::simulate::Simulator;
use webhook::{Arrival, Request, SourcePolicy, Webhook};

use super::aws::{Aws, CutOff};
use super::{A, NAME, TestClock, client, desired, for_good, registered, simulator, ways};
use crate::receiver::{SMILE, request, signature};

const ARN: &str = "arn:webhook";
const LONGER_THAN_PREVIOUS: Duration = Duration::from_secs(601);

/// A receiver's secret, Smile, and a clock.
struct Scene {
    aws: Aws,
    simulator: Simulator,
    clock: TestClock,
    url: String,
    fresh: Mutex<u32>,
}

/// Who dies in the middle of a rotation, and at which call.
#[derive(Debug, Clone, Copy)]
enum Death {
    Never,
    AtAws(CutOff),
    AtSmile { after: u32, way: usize },
}

impl Scene {
    fn new(url: &str) -> Self {
        let clock = TestClock::start();
        let scene = Self {
            aws: Aws::default(),
            simulator: simulator(&clock),
            clock,
            url: url.to_owned(),
            fresh: Mutex::new(0),
        };
        scene.aws.set_secret(ARN, &json!({ "current": A }));
        client(&scene.simulator, 1).create_webhook(&desired(url).request()).unwrap();
        scene
    }

    async fn rotate(&self, may_begin: bool, death: Death) -> anyhow::Result<Done> {
        let cut_off = if let Death::AtAws(at) = death { Some(at) } else { None };
        if let Death::AtSmile { after, way } = death {
            for failing in for_good(ways(after)[way].clone()) {
                self.simulator.fail(failing);
            }
        }
        let rotation = Rotation {
            client: client(&self.simulator, 1),
            vault: Vault::new(&self.aws.cut_off(cut_off), ARN),
            desired: desired(&self.url),
        };
        let around = Around {
            now: &|| self.clock.now(),
            wait: &|time| {
                Box::pin(async move {
                    self.clock.pass(time);
                    // Something is delivered meanwhile, where something is delivered.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                })
            },
            fresh: &|| {
                let mut number = self.fresh.lock().unwrap();
                *number += 1;
                Ok(SecretText::new(format!("fresh-secret-{number}")))
            },
            guard: &|| Box::pin(async { Ok(()) }),
            tell: &mut |_| {},
        };
        let done = rotation.run(may_begin, around).await;
        self.simulator.stop_failing();
        done
    }

    fn document(&self) -> Value {
        self.aws.document(ARN)
    }

    /// The secrets that are registered under our name.
    fn registered(&self) -> Vec<String> {
        registered(&self.simulator).into_iter().filter(|found| found.0 == NAME).map(|found| found.4).collect()
    }

    /// Whatever Smile may sign with now is accepted.
    fn all_that_is_registered_is_accepted(&self, death: Death) {
        let document = Document::parse(&self.document().to_string()).unwrap();
        let registered = self.registered();
        assert!(!registered.is_empty(), "{death:?}");
        for secret in registered {
            let secret = SecretText::new(secret);
            let accepted = document.current().is(&secret)
                || document.pending().is_some_and(|pending| pending.is(&secret))
                || document.previous().is_some_and(|previous| {
                    previous.is_valid(self.clock.now()) && previous.secret().is(&secret)
                });
            assert!(accepted, "{death:?}: {}", self.document());
        }
    }
}

/// All deaths, call by call; each list ends with the first run that gets past it.
fn deaths(at: u32) -> Vec<Death> {
    let aws = [false, true].map(|effect| Death::AtAws(CutOff { after: at, effect }));
    let smile = [0, 1, 2, 3].map(|way| Death::AtSmile { after: at, way });
    aws.into_iter().chain(smile).collect()
}

#[tokio::test]
async fn killed_at_every_call_and_run_again_it_ends_with_one_right_registration() {
    let (mut killed, mut begun_before) = (0, 0);
    for at in 0.. {
        let mut survived = 0;
        for death in deaths(at) {
            let scene = Scene::new(super::URL);
            if scene.rotate(true, death).await.is_ok() {
                survived += 1;
            } else {
                killed += 1;
            }
            scene.all_that_is_registered_is_accepted(death);
            let pending = scene.document()["pending"].clone();
            let done = scene.rotate(true, Death::Never).await.unwrap();
            let document = scene.document();
            let current = document["current"].as_str().unwrap();
            assert_eq!(scene.registered(), [current], "{death:?}");
            assert_ne!(current, A, "{death:?}");
            if pending.is_string() {
                begun_before += 1;
                assert_eq!(document["current"], pending, "a pending secret is never replaced: {death:?}");
            }
            assert_eq!((&document["previous"]["secret"], &document["pending"]), (&json!(A), &Value::Null));
            let until = scene.clock.now() + SignedDuration::from_mins(10);
            assert!(done.previous_until.unwrap() <= until, "{death:?}");
            // Later, the old one goes, and nothing is begun.
            scene.clock.pass(LONGER_THAN_PREVIOUS);
            assert_eq!(scene.rotate(false, Death::Never).await.unwrap(), Done { previous_until: None });
            assert_eq!(scene.document(), json!({ "current": current }), "{death:?}");
        }
        if survived == deaths(at).len() {
            break;
        }
    }
    assert!(killed > 50 && begun_before > 20, "{killed} {begun_before}");
}

#[tokio::test]
async fn two_operators_at_once_do_not_lose_a_secret() {
    for round in 0..10 {
        let scene = Scene::new(super::URL);
        let (one, other) = tokio::join!(scene.rotate(true, Death::Never), scene.rotate(true, Death::Never));
        for done in [&one, &other] {
            if let Err(error) = done {
                assert!(error.to_string().contains("somebody else"), "{round}: {error:#}");
            }
        }
        assert!(one.is_ok() || other.is_ok(), "{round}");
        scene.all_that_is_registered_is_accepted(Death::Never);
        scene.rotate(false, Death::Never).await.unwrap();
        let document = scene.document();
        assert_eq!(scene.registered(), [document["current"].as_str().unwrap()], "{round}");
        assert_eq!(document["previous"]["secret"], A, "{round}: one rotation, not two");
    }
}

#[tokio::test]
async fn what_would_be_refused_afterwards_stops_it_before() {
    let scene = Scene::new(super::URL);
    let mut stranger = desired(super::URL).request();
    stranger.name = "by hand".to_owned();
    let id = client(&scene.simulator, 1).create_webhook(&stranger).unwrap().id;
    let error = scene.rotate(true, Death::Never).await.unwrap_err().to_string();
    assert!(error.contains(id.as_str()) && error.contains("another name"), "{error}");
    assert_eq!(scene.document(), json!({ "current": A }), "nothing is begun");
    let empty = Scene::new(super::URL);
    empty.simulator.world(|world| world.webhooks.clear());
    let error = empty.rotate(true, Death::Never).await.unwrap_err().to_string();
    assert!(error.contains("nothing is registered"), "{error}");
}

/// The webhook function behind a door on this machine: some instances, each of which deals with one request
/// at a time, as Lambda's do.
struct Function {
    instances: Vec<tokio::sync::Mutex<Webhook>>,
    clock: TestClock,
    turn: AtomicUsize,
}

impl Function {
    async fn new(aws: &Aws, clock: &TestClock) -> Self {
        let mut instances = Vec::new();
        for _ in 0..3 {
            let sdk = aws.sdk();
            let secrets = Secrets::fetch(SecretStore::new(&sdk, ARN), clock.now()).await.unwrap();
            let queue = Queue::new(&sdk, "http://fake.invalid/queue");
            let allow = format!("{SMILE}/32").parse().unwrap();
            instances.push(tokio::sync::Mutex::new(Webhook::new(
                allow,
                SourcePolicy::Refuse,
                secrets,
                queue,
            )));
        }
        Self { instances, clock: clock.clone(), turn: AtomicUsize::new(0) }
    }

    async fn post(&self, body: &[u8], signature: Option<&str>) -> u16 {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let event = request(body, signature, SMILE, &format!("request-{turn}"));
        let request: Request = serde_json::from_str(&event.to_string()).unwrap();
        let instance = self.instances[turn % self.instances.len()].lock().await;
        let arrival = Arrival { now: self.clock.now(), trace: None, invocation: "invocation" };
        instance.handle(request, arrival).await.status()
    }

    /// What every instance says to a body with this secret.
    async fn accepts(&self, secret: &str) -> Vec<u16> {
        let body = br#"{"id":"et-probe","version":1,"type":"USER_CREATED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u"}}"#;
        let mut statuses = Vec::new();
        for _ in &self.instances {
            statuses.push(self.post(body, Some(&signature(secret, body))).await);
        }
        statuses
    }
}

async fn answer(
    function: Arc<Function>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let signature = request.headers().get("smile-signature").map(|value| value.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let status = function.post(&body, signature.as_deref()).await;
    Ok(hyper::Response::builder().status(status).body(Full::new(Bytes::new())).unwrap())
}

/// Events, one after the other, until it is told to pause or stop.
struct Stream {
    pause: Arc<Mutex<()>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stream {
    fn start(scene: &Arc<Scene>) -> Self {
        let (pause, stop) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let (scene, paused, stopped) = (Arc::clone(scene), Arc::clone(&pause), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let going = paused.lock().unwrap();
                scene.simulator.emit(&EventType::UserCreated, None);
                drop(going);
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        Self { pause, stop, thread: Some(thread) }
    }

    /// Lets everything arrive, and then lets time pass: what is under way is not ten minutes under way.
    async fn leap(&self, scene: &Arc<Scene>, time: Duration) {
        let (pause, scene) = (Arc::clone(&self.pause), Arc::clone(scene));
        let leap = move || {
            let _paused = pause.lock().unwrap();
            assert!(scene.simulator.wait_until_quiet(Duration::from_mins(2)));
            scene.clock.pass(time);
        };
        tokio::task::spawn_blocking(leap).await.unwrap();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

#[tokio::test]
async fn under_constant_delivery_nothing_is_refused_and_the_old_secret_ends_ten_minutes_after() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = Arc::new(Scene::new(&format!("http://{}/v1/webhooks/smile", listener.local_addr().unwrap())));
    let function = Arc::new(Function::new(&scene.aws, &scene.clock).await);
    let served = Arc::clone(&function);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let function = Arc::clone(&served);
            let service = service_fn(move |request| answer(Arc::clone(&function), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let stream = Stream::start(&scene);
    let mut killed = 0;
    for at in 0.. {
        let mut survived = 0;
        // Of the four ways at Smile, the two that matter: nothing was done, or all but the answer.
        let deaths: Vec<Death> = deaths(at)
            .into_iter()
            .filter(|death| !matches!(death, Death::AtSmile { way: 0 | 1, .. }))
            .collect();
        for death in &deaths {
            let old = scene.document()["current"].as_str().unwrap().to_owned();
            match scene.rotate(true, *death).await {
                Ok(_) => survived += 1,
                Err(_) => killed += 1,
            }
            // Whoever was killed is missed only after a while.
            stream.leap(&scene, Duration::from_mins(3)).await;
            let done = scene.rotate(true, Death::Never).await.unwrap();
            let until = done.previous_until.unwrap();
            // Accepted to the end of its time, and not a moment longer; nothing was removed by hand.
            let left = until.duration_since(scene.clock.now());
            stream.leap(&scene, Duration::try_from(left).unwrap()).await;
            assert_eq!(function.accepts(&old).await, [200; 3], "{death:?}");
            stream.leap(&scene, Duration::from_secs(11)).await;
            assert_eq!(function.accepts(&old).await, [401; 3], "{death:?}");
        }
        if survived == deaths.len() {
            break;
        }
    }
    assert!(killed > 25, "{killed}");
    stream.leap(&scene, Duration::ZERO).await;
    let deliveries = scene.simulator.deliveries();
    let refused: Vec<_> = deliveries.iter().filter(|delivery| !delivery.is_taken()).collect();
    assert_eq!(refused.len(), 0, "{:?}", refused.first());
    assert!(deliveries.len() > 300, "{}", deliveries.len());
    drop(stream);
}
