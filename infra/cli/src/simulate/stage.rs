//! Where everything comes together: what is known, what goes wrong on purpose, what was sent and asked.
//! One lock guards it all; nobody holds it while waiting for the network.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64_simd::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::smile_api::SecretText;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::deliver::{self, Delivery};
use super::mischief::{Failures, Limits, Mischief};
use super::operation::{Operation, Route, route};
use super::options::Options;
use super::wire::{Answer, Refusal, Request};
use super::world::World;

/// The most calls that are kept to be looked at.
const KEPT: usize = 20_000;

/// What the server, the deliveries and the library share.
pub(super) struct Stage {
    pub(super) options: Options,
    pub(super) runtime: Handle,
    pub(super) permits: Semaphore,
    pub(super) agent: ureq::Agent,
    play: Mutex<Play>,
    quiet: Condvar,
    started: Instant,
}

/// What the lock guards.
pub(super) struct Play {
    pub(super) world: World,
    pub(super) mischief: Mischief,
    pub(super) failures: Failures,
    pub(super) deliveries: VecDeque<Delivery>,
    pub(super) calls: VecDeque<Call>,
    /// Deliveries that are not over yet.
    pub(super) under_way: usize,
    limits: Limits,
}

/// One call of the API, as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// What was called; none for what there is not, and for what was refused before that was known.
    pub operation: Option<Operation>,
    /// The answer's status; none when the connection was closed instead.
    pub status: Option<u16>,
    /// When.
    pub at: Timestamp,
}

impl Stage {
    pub(super) fn new(options: Options, world: World, runtime: Handle) -> Self {
        Self {
            permits: Semaphore::new(options.at_once.max(1)),
            agent: deliver::agent(options.answer_within),
            options,
            runtime,
            play: Mutex::new(Play {
                world,
                mischief: Mischief::default(),
                failures: Failures::default(),
                deliveries: VecDeque::new(),
                calls: VecDeque::new(),
                under_way: 0,
                limits: Limits::default(),
            }),
            quiet: Condvar::new(),
            started: Instant::now(),
        }
    }

    pub(super) fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Does something to the world and sends what happened by it.
    pub(super) fn act<T>(self: &Arc<Self>, act: impl FnOnce(&mut World, Timestamp) -> (T, Vec<Value>)) -> T {
        let now = self.now();
        let (result, events) = act(&mut self.play().world, now);
        deliver::send(self, &events);
        result
    }

    /// Answers a call of the API; none to close the connection. The order of the checks is that of a
    /// gateway: rate, credentials, path, and then the operation's own.
    pub(super) fn answer(self: &Arc<Self>, from: IpAddr, request: &Request) -> Option<Answer> {
        let now = self.now();
        let (call, answer, events) = self.decide(from, request, now);
        deliver::send(self, &events);
        let status = answer.as_ref().map(|answer| answer.status);
        let call = Call { operation: call, status, at: now };
        if let Some(observer) = &self.options.observer {
            observer.call(&call);
        }
        let mut play = self.play();
        if play.calls.len() == KEPT {
            play.calls.pop_front();
        }
        play.calls.push_back(call);
        answer
    }

    fn decide(
        &self,
        from: IpAddr,
        request: &Request,
        now: Timestamp,
    ) -> (Option<Operation>, Option<Answer>, Vec<Value>) {
        let mut play = self.play();
        let play = &mut *play;
        let request_id = play.world.request_id();
        let refused = |operation, status, message: &str| {
            let answer = Answer::refusal(&Refusal::new(status, message), &request_id);
            (operation, Some(answer), Vec::new())
        };
        if !play.limits.takes(from, self.options.calls_a_second, self.started.elapsed()) {
            return refused(None, 429, "Too many requests from this address within a second");
        }
        if !self.knows(request) {
            return refused(None, 401, "The API key or its secret is not right");
        }
        let (operation, id) = match route(&request.method, &request.path) {
            Route::To(operation, id) => (operation, id),
            Route::Unsupported => return refused(None, 501, "This is not among what the simulator plays"),
            Route::Nowhere => return refused(None, 404, "There is nothing at this path"),
        };
        let failing = play.failures.meet(operation);
        if let Some(failing) = &failing
            && !failing.effect
        {
            let mut outcome = refused(Some(operation), failing.status.unwrap_or(500), "It was told to fail");
            outcome.1 = outcome.1.filter(|_| failing.status.is_some());
            if let Some(answer) = &mut outcome.1 {
                answer.retry_after = failing.retry_after;
            }
            return outcome;
        }
        let done = play.world.perform(operation, &id, request, self.options.allow_http, now);
        let (answer, events) = match done {
            Ok(done) => (Answer::success(done.status, done.data, &request_id), done.events),
            Err(refusal) => (Answer::refusal(&refusal, &request_id), Vec::new()),
        };
        let answer = match failing {
            None => Some(answer),
            Some(failing) => failing.status.map(|status| Answer {
                retry_after: failing.retry_after,
                ..Answer::refusal(&Refusal::new(status, "It was told to fail"), &request_id)
            }),
        };
        (Some(operation), answer, events)
    }

    /// Whether the credentials are right.
    fn knows(&self, request: &Request) -> bool {
        let credentials = &self.options.credentials;
        let pair = format!("{}:{}", credentials.key.expose(), credentials.secret.expose());
        let given = request.authorization.as_deref().and_then(|header| header.split_once(' '));
        given.is_some_and(|(scheme, value)| {
            let decoded =
                BASE64.decode_to_vec(value.trim()).ok().and_then(|text| String::from_utf8(text).ok());
            scheme.eq_ignore_ascii_case("basic")
                && decoded.is_some_and(|decoded| SecretText::new(decoded).is(&SecretText::new(pair)))
        })
    }

    /// Notes a try to deliver.
    pub(super) fn delivered(&self, delivery: Delivery) {
        if let Some(observer) = &self.options.observer {
            observer.delivery(&delivery);
        }
        self.play().keep(delivery);
    }

    /// Notes that a delivery is over, whatever became of it.
    pub(super) fn arrived(&self) {
        let mut play = self.play();
        play.under_way = play.under_way.saturating_sub(1);
        if play.under_way == 0 {
            self.quiet.notify_all();
        }
    }

    /// Waits until no delivery is under way or the time is over. Whether it is quiet.
    pub(super) fn wait_until_quiet(&self, longest: Duration) -> bool {
        let play = self.play();
        let waited = self.quiet.wait_timeout_while(play, longest, |play| play.under_way > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.under_way == 0
    }
}
