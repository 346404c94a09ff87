//! Smile, a customer's web site and the console beside the deployed template: the stack registers itself, what a
//! person does in the widget becomes state by Smile's webhooks, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smile_cli::dev::{Beside, LocalCloud, Options};
use smile_cli::stack::Stack;
use tokio::sync::Mutex;

/// Each needs a machine's worth of processes.
static TURN: Mutex<()> = Mutex::const_new(());

/// What is polled for takes a second or two; a busy machine needs more.
const DEADLINE: Duration = Duration::from_mins(1);

/// A directory of this test's own.
fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn left_in(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < DEADLINE, "waited {} s for {what}", DEADLINE.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The site, as a browser on this machine meets it.
struct Browser(String);

impl Browser {
    fn at(stack: &Stack) -> Self {
        Self(stack.site_url.clone().unwrap())
    }

    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        config.timeout_global(Some(Duration::from_mins(1))).build().into()
    }

    fn get(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let mut answer = Self::agent().get(format!("{}{path}", self.0)).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Value {
        let request = Self::agent()
            .post(format!("{}{path}", self.0))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        let mut answer = request.send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(answer.status().is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The console of the same cloud: what it says of the stack to who has its key.
    fn opens_the_console(stack: &Stack) -> Result<(), ureq::Error> {
        let (url, key) = stack.console_url.as_deref().unwrap().split_once("/#key=").unwrap();
        let about = || Self::agent().get(format!("{url}/api/about"));
        assert_eq!(about().call()?.status(), 401);
        let mut answer = about().header("authorization", format!("Bearer {key}")).call()?;
        let about: Value = serde_json::from_str(&answer.body_mut().read_to_string()?).unwrap();
        assert_eq!((&about["isLocal"], &about["site"]), (&json!(true), &json!(stack.site_url)), "{about}");
        assert!(about["who"].is_string(), "{about}");
        Ok(())
    }

    /// What Smile said and what the table has, of a user.
    fn watch(&self, user: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/watch?user={user}")).unwrap().1).unwrap()
    }

    /// Reports a callback as a page of the site does, after its browser has asked whether it may.
    fn calls_back(&self, link: &Value) {
        let (user, url) = (link["userId"].as_str().unwrap(), link["urls"]["callbacks"].as_str().unwrap());
        let request = ureq::http::Request::options(url)
            .header("origin", &self.0)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let asked = Self::agent().run(request.body(()).unwrap()).unwrap();
        let allowed = |answer: &ureq::http::Response<ureq::Body>, name: &str| {
            let values: Vec<_> = answer.headers().get_all(name).iter().cloned().collect();
            assert_eq!(values.len(), 1, "{answer:?}");
            values[0].to_str().unwrap().to_owned()
        };
        assert!(asked.status().is_success(), "{asked:?}");
        assert_eq!(allowed(&asked, "access-control-allow-origin"), self.0);
        assert!(allowed(&asked, "access-control-allow-headers").contains("authorization"));
        let callback = json!({ "id": "1", "name": "onClose", "at": "2026-03-01T10:00:00Z", "data": { "reason": "exit" } });
        let bearer = format!("Bearer {}", link["session"]["token"].as_str().unwrap());
        let request = Self::agent().post(url).header("origin", &self.0).header("authorization", bearer);
        let request = request.header("content-type", "application/json");
        let mut answer = request.send(json!({ "callbacks": [callback] }).to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 200, "{text}");
        assert_eq!(allowed(&answer, "access-control-allow-origin"), self.0);
        let reason = || self.watch(user)["table"]["user"]["widget"]["close_reason"].clone();
        until("the callback to be stored", || (reason() == "exit").then_some(()));
    }

    /// Links an account in the widget, waits until the table has it, and takes it back.
    fn walks_through_the_widget(&self) {
        // From the stack's own function, which the site asks with a signed request.
        let link = self.post("/api/links", "", &json!({}));
        self.calls_back(&link);
        let (user, token) = (link["userId"].as_str().unwrap(), link["userToken"].as_str().unwrap());
        let begun = self.post("/v2/begin", token, &json!({ "providerId": "sss_ph", "turn": "mfa" }));
        let account = json!({ "accountId": begun["accountId"] });
        let status = || self.watch(user)["table"]["user"]["accounts"][0]["status"].clone();
        until("the account to be pending", || (status() == "PENDING").then_some(()));
        self.post("/v2/finish", token, &account);
        until("the account to be connected", || (status() == "CONNECTED").then_some(()));
        self.post("/v2/disconnect", token, &account);
        until("the account to be disconnected", || (status() == "DISCONNECTED").then_some(()));
        let seen = self.watch(user);
        let said = seen["deliveries"].as_array().unwrap();
        assert!(said.len() > 8 && said.iter().all(|one| one["status"] == 200), "{seen}");
    }
}

#[tokio::test]
async fn the_stack_registers_at_smile_beside_it_and_the_site_works() {
    let _turn = TURN.lock().await;
    let options = Options {
        beside: Beside::Here { site_port: 0, console_port: 0 },
        ..Options::new(dir("beside-here")).unwrap()
    };
    let cloud = LocalCloud::start(options).await.unwrap();
    let stack = cloud.stack().clone();
    let registered = cloud.simulator().unwrap().world(|world| {
        let of = world
            .webhooks
            .iter()
            .map(|webhook| (webhook.registered.url.clone(), webhook.registered.secret.clone()));
        of.map(|(url, secret)| (url, secret.expose().to_owned())).collect::<Vec<_>>()
    });
    assert_eq!(registered, [(stack.outputs["WebhookUrl"].clone(), stack.webhook_secret.clone())]);
    let browser = Browser::at(&stack);
    let console = stack.clone();
    let browser = tokio::task::spawn_blocking(move || {
        browser.walks_through_the_widget();
        Browser::opens_the_console(&console).unwrap();
        browser
    });
    let browser = browser.await.unwrap();
    let dir = cloud.dir().to_owned();
    cloud.stop().await.unwrap();
    assert!(browser.get("/").is_err(), "the site has ended");
    assert!(Browser::opens_the_console(&stack).is_err(), "the console has ended");
    assert_eq!(left_in(&dir), ["local-cloud.log", "lock"]);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A cloud that was left running by the command. Is ended whatever happens.
struct Detached {
    dir: PathBuf,
    stack: Stack,
}

impl Detached {
    fn start(name: &str) -> Self {
        let dir = dir(name);
        let started = smile(
            &["dev", "--detach", "--json", "--port", "0", "--site-port", "0", "--console-port", "0"],
            &dir,
        );
        let stack = serde_json::from_str(&started).unwrap_or_else(|_| panic!("{started}"));
        Self { dir, stack }
    }

    fn stop(&self) -> String {
        smile(&["dev", "stop"], &self.dir)
    }

    /// The process that plays beside it.
    fn is_playing(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.stack.beside_pid.unwrap()));
        // One that nobody waits for stays as a zombie.
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What the command says: on stdout, or else on stderr.
fn smile(args: &[&str], dir: &Path) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_smile")).args(args).arg("--dir").arg(dir).output().unwrap();
    let said = if ran.stdout.is_empty() { ran.stderr } else { ran.stdout };
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_detached_cloud_keeps_both_and_takes_them_along() {
    let _turn = TURN.lock().await;
    let detached = Detached::start("beside-apart");
    let browser = Browser::at(&detached.stack);
    let (status, page) = browser.get("/").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("/v1/wink-events.js\"></script>") && detached.is_playing());
    browser.walks_through_the_widget();
    Browser::opens_the_console(&detached.stack).unwrap();
    assert!(detached.stop().contains("has ended"));
    assert!(!detached.is_playing(), "it ended with the cloud");
    assert!(browser.get("/").is_err() && Browser::opens_the_console(&detached.stack).is_err());
    assert_eq!(left_in(&detached.dir), ["local-cloud.log", "lock"]);
}

#[tokio::test]
async fn what_plays_beside_a_cloud_that_crashed_ends_by_itself() {
    let _turn = TURN.lock().await;
    let detached = Detached::start("beside-crashed");
    assert!(detached.is_playing());
    let killed = Command::new("kill").args(["-KILL", &detached.stack.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    until("the simulator to end", || (!detached.is_playing()).then_some(()));
    assert!(Browser::at(&detached.stack).get("/").is_err());
}
