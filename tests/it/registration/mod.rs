//! The registration at Smile, against a simulator: made right, rotated, and looked after by the stack's own
//! function. Whatever is done is killed at every call in turn and done again.
//!
//! | module | what it shows |
//! |---|---|
//! | `aws` | the AWS of these tests: secrets with versions, a queue, a stack's state |
//! | `ensure` | exactly one right registration, whichever call fails |
//! | `function` | the stack's outcome is right, and nothing is orphaned unreported |
//! | `rotation` | no webhook is refused, and no secret is lost |

mod aws;
mod ensure;
mod function;
mod rotation;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::registration::{Desired, EventTypes};
use shared::smile_api::{Client, NewWebhook, Pace, Patience, SecretText, Settings};
use smile_cli::simulate::{Clock, Failing, Options, Simulator};

pub(crate) const NAME: &str = "smile-receiver";
pub(crate) const URL: &str = "https://hooks.example.com/v1/webhooks/smile";
pub(crate) const A: &str = "secret-a-of-these-tests";

/// A clock that the test moves.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<Mutex<Timestamp>>);

impl TestClock {
    fn start() -> Self {
        Self(Arc::new(Mutex::new("2026-03-01T10:00:00Z".parse().unwrap())))
    }

    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += SignedDuration::try_from(time).unwrap();
    }
}

/// Waits without waiting.
#[derive(Default)]
pub(crate) struct NoWait(AtomicU64);

impl Pace for NoWait {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn wait(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap() + 1, Ordering::SeqCst);
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// A simulator without a limit of calls.
pub(crate) fn simulator(clock: &TestClock) -> Simulator {
    let clock = clock.clone();
    let options = Options { calls_a_second: usize::MAX, ..Options::new(Clock::new(move || clock.now())) };
    Simulator::start(options).unwrap()
}

/// A client that tries so often.
pub(crate) fn client(simulator: &Simulator, tries: u32) -> Arc<Client> {
    let credentials = smile_cli::simulate::Options::new(Clock::of_system()).credentials;
    let patience = Patience { tries, ..Patience::default() };
    let settings = Settings { patience, ..Settings::new(simulator.url(), credentials) };
    Arc::new(Client::new(&settings, NoWait::default()).unwrap())
}

/// What should be registered.
pub(crate) fn desired(url: &str) -> Desired {
    Desired::new(NAME, url, EventTypes::all(), false, SecretText::new(A)).unwrap()
}

/// What is registered: name, URL, number of types, whether payloads are included, and the secret.
pub(crate) fn registered(simulator: &Simulator) -> Vec<(String, String, usize, bool, String)> {
    let of = |registered: &NewWebhook| {
        assert!(registered.active);
        (
            registered.name.clone(),
            registered.url.clone(),
            registered.event_types.len(),
            registered.include_payload,
            registered.secret.expose().to_owned(),
        )
    };
    simulator.world(|world| world.webhooks.iter().map(|webhook| of(&webhook.registered)).collect())
}

/// The ways in which a call fails: refused or without an answer, without effect or with it.
pub(crate) fn ways(after: u32) -> [Failing; 4] {
    let refused = Failing::nth(after, 500);
    let hung_up = Failing::nth(after, 500).by_hanging_up();
    [refused.clone(), refused.with_effect(), hung_up.clone(), hung_up.with_effect()]
}

/// From that call on nothing answers any more: the machine is gone.
pub(crate) fn for_good(failing: Failing) -> [Failing; 2] {
    let after = failing.after + 1;
    [failing, Failing { after, times: u32::MAX, ..Failing::default() }.by_hanging_up()]
}
