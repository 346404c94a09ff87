//! `smile simulate`: Smile itself, as far as this project meets it.
//!
//! A simulator keeps webhooks, users, tokens, accounts, tasks, archives and invites as state, answers the
//! API as Smile's specification says with no field more, and delivers signed webhooks with the vendor's
//! retry rule. Everything that happens is an event: it is taken into the state and delivered, so that
//! what the API says and what webhooks said are the same story. `ACCOUNT_CONNECTED` comes only from
//! providers with a login; the others are linked by their `LINK_ACCOUNT` task.
//!
//! For tests there is [`Simulator`]: it runs on a thread of its own, so that blocking and async code can
//! use it alike, and gives its state away under a lock. Time, chance, waits and faults are options.
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | how it is set up |
//! | `world` | what is known, and how it looks to the API |
//! | `operation`, `api`, `page`, `wire` | the API: routes, operations, lists, the envelope |
//! | `fold` | from events to what is known |
//! | `story` | what can happen |
//! | `deliver` | deliveries and their tries |
//! | `mischief` | faults on purpose, and the limit of calls |
//! | `stage` | all of it under one lock |
//! | `widget` | what Smile's widget asks of Smile |
//! | `server`, `control` | HTTP, and the control API |
//! | `args` | the command |

mod api;
mod args;
mod control;
mod deliver;
mod fold;
mod mischief;
mod operation;
mod options;
mod page;
mod server;
#[cfg(test)]
mod specification;
mod stage;
mod story;
#[cfg(test)]
mod tests;
mod widget;
mod wire;
pub mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use shared::event::EventType;
use shared::verify::Secret;
use tokio::sync::oneshot;

pub use self::args::{Args, run};
pub use self::deliver::{Delivery, Detour};
pub use self::mischief::{Failing, Mischief};
pub use self::operation::Operation;
pub use self::options::{Clock, DEFAULT_KEY, Observer, Options, Seen};
pub use self::stage::Call;
use self::stage::Stage;
pub(crate) use self::story::PROVIDERS;
pub use self::story::{ArchiveEnd, Link, Linked};
pub use self::world::World;

/// Where Smile's API begins.
const API: &str = "/v1";

/// Where the control API begins.
const CONTROL: &str = "/_simulate";

/// A running simulator. Stops when it is dropped.
pub struct Simulator {
    stage: Arc<Stage>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts it. It listens when this returns. Fails when the port is taken, or when a webhook's secret is
    /// not one that Smile would take.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = std::net::TcpListener::bind(address)
            .with_context(|| format!("port {} cannot be listened on", options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(options.at_once.max(1))
            .build()
            .context("a runtime cannot be made")?;
        let now = options.clock.now();
        let mut world = World::new(options.seed.map_or_else(Rng::new, Rng::with_seed));
        for webhook in &options.webhooks {
            Secret::new(webhook.secret.expose())
                .with_context(|| format!("{} cannot be registered", webhook.url))?;
            world.register(webhook.clone(), now);
        }
        let stage = Arc::new(Stage::new(options, world, runtime.handle().clone()));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&stage);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                // Fails only without a runtime.
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    server::serve(listener, served, stopped).await;
                }
            });
            // What is under way is not waited for.
            runtime.shutdown_background();
        });
        Ok(Self { stage, address, stop: Some(stop), thread: Some(thread) })
    }

    /// The API's base URL.
    pub fn url(&self) -> String {
        format!("http://{}{API}", self.address)
    }

    /// The control API's base URL.
    pub fn control_url(&self) -> String {
        format!("http://{}{CONTROL}", self.address)
    }

    /// Stops it. Deliveries that are under way end without another try.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Looks at what is known, or changes it past all events. Nothing goes on meanwhile: not for long.
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.stage.play().world)
    }

    /// A new user. Gives its id.
    pub fn create_user(&self) -> String {
        self.stage.act(|world, now| world.user_appears(None, now))
    }

    /// An account is linked.
    pub fn link(&self, link: &Link) -> Linked {
        self.stage.act(|world, now| world.link(link, false, now))
    }

    /// An account fails to be linked.
    pub fn fail_link(&self, link: &Link) -> Linked {
        self.stage.act(|world, now| world.link(link, true, now))
    }

    /// The user takes an account back. Whether there is such an account.
    pub fn disconnect(&self, account: &str) -> bool {
        self.stage.act(|world, now| optional(world.disconnect(account, now)))
    }

    /// Something of this type happens to an account: data is added or updated, or the account is synced.
    /// Whether there is such an account.
    pub fn add(&self, account: &str, kind: &EventType) -> bool {
        self.stage.act(|world, now| optional(world.account_gets(account, kind, now)))
    }

    /// Files are uploaded. Gives the archive's id.
    pub fn upload(&self, user: Option<&str>, end: ArchiveEnd) -> String {
        self.stage.act(|world, now| world.upload(user, end, now))
    }

    /// The user takes files back. Whether there is such an archive.
    pub fn revoke(&self, archive: &str) -> bool {
        self.stage.act(|world, now| optional(world.revoke(archive, now)))
    }

    /// A user's whole life, in which all types occur. Gives the user's id.
    pub fn life(&self, user: Option<&str>) -> String {
        self.stage.act(|world, now| world.life(user, now))
    }

    /// One event of any type, about new things of a user. Gives the user's id.
    pub fn emit(&self, kind: &EventType, user: Option<&str>) -> String {
        self.stage.act(|world, now| world.emit(kind, user, now))
    }

    /// What is done to events on their way from now on.
    pub fn set_mischief(&self, mischief: Mischief) {
        self.stage.play().mischief = mischief;
    }

    /// Lets calls fail. Several of these count side by side.
    pub fn fail(&self, failing: Failing) {
        self.stage.play().failures.add(failing);
    }

    /// Lets no more calls fail.
    pub fn stop_failing(&self) {
        self.stage.play().failures.clear();
    }

    /// Every try to deliver, the oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.stage.play().deliveries.iter().cloned().collect()
    }

    /// Every call of the API, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.stage.play().calls.iter().cloned().collect()
    }

    /// Waits until every delivery is over, its tries included. Whether that came within the time.
    pub fn wait_until_quiet(&self, longest: Duration) -> bool {
        self.stage.wait_until_quiet(longest)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// What happened, and whether there was anything for it to happen to.
fn optional<T: Default>(events: Option<T>) -> (bool, T) {
    (events.is_some(), events.unwrap_or_default())
}
