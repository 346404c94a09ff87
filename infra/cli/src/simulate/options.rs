//! How a simulator is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::smile_api::{Credentials, NewWebhook, SecretText};

use super::deliver::{Delivery, Detour};
use super::stage::Call;

/// The key and the secret that a simulator takes unless told otherwise.
pub const DEFAULT_KEY: &str = "simulator";

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens on loopback; 0 for any free port.
    pub port: u16,
    /// Who may call it.
    pub credentials: Credentials,
    /// Whether webhooks may have `http` URLs on this machine. Smile itself takes `https` alone.
    pub allow_http: bool,
    /// What is registered from the start, unchecked but for its secret's length.
    pub webhooks: Vec<NewWebhook>,
    /// How often a delivery is tried: three times at Smile.
    pub tries: u32,
    /// How long it waits between two tries: "a few dozen seconds" at Smile.
    pub retry_wait: Duration,
    /// How long a receiver may take to answer. Smile documents nothing.
    pub answer_within: Duration,
    /// How many deliveries are posted at once; 1 keeps the order of what happens.
    pub at_once: usize,
    /// How many calls an address may make a second: 20 at Smile.
    pub calls_a_second: usize,
    /// What the world's chance begins with; none for any.
    pub seed: Option<u64>,
    /// What time it is.
    pub clock: Clock,
    /// Where deliveries to some URLs really go.
    pub detours: Vec<Detour>,
    /// Who is told of every call and delivery.
    pub observer: Option<Observer>,
}

impl Options {
    /// As Smile is, on any free port, with `http` on this machine allowed.
    pub fn new(clock: Clock) -> Self {
        Self {
            port: 0,
            credentials: Credentials {
                key: SecretText::new(DEFAULT_KEY),
                secret: SecretText::new(DEFAULT_KEY),
            },
            allow_http: true,
            webhooks: Vec::new(),
            tries: 3,
            retry_wait: Duration::from_secs(30),
            answer_within: Duration::from_secs(10),
            at_once: 4,
            calls_a_second: 20,
            seed: None,
            clock,
            detours: Vec::new(),
            observer: None,
        }
    }
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock of one's own, such as one that a test moves.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one clock of a simulator")]
    pub fn of_system() -> Self {
        Self::new(Timestamp::now)
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}

/// Something to tell.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A call was answered.
    Call(&'a Call),
    /// A delivery was tried.
    Delivery(&'a Delivery),
}

/// Is told of every call and delivery. Must not wait.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Seen<'_>) + Send + Sync>);

impl Observer {
    /// Calls this function.
    pub fn new(tell: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn call(&self, call: &Call) {
        (self.0)(Seen::Call(call));
    }

    pub(super) fn delivery(&self, delivery: &Delivery) {
        (self.0)(Seen::Delivery(delivery));
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer(..)")
    }
}
