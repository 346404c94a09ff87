//! A customer's web site to try with: a page with a stand-in of Smile's widget, and the little that stands
//! behind both.
//!
//! One server on loopback plays three parts, each under paths of its own: the customer's back end (`/api`),
//! which asks the deployed stack for tokens with a signed request; Smile, as the widget meets it (`/v2`),
//! which makes the simulator do what the person in the widget does, so that its webhooks follow; and the
//! window into the receiver (`/watch`), for whoever tries it. The page works without callbacks, too, as long
//! as the stack has no API for them, and says so.
//!
//! Only this machine's own pages get an answer: the server listens on loopback, `Host` must name it, and
//! what changes something must be JSON and come from its own pages. No secret is in any page but the token
//! and the session of the one user that it is about.
//!
//! | module | what it holds |
//! |---|---|
//! | `server` | HTTP: who is let in, and which path leads where |
//! | `back_end` | the customer's back end |
//! | `vendor` | Smile, as the widget meets it |
//! | `watch` | what Smile said, and what the table says now |
//! | `page` | the files of the page, which are in `infra/cli/site` |

mod back_end;
mod page;
mod server;
#[cfg(test)]
mod tests;
mod vendor;
mod watch;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use shared::aws::{Patience, Settings, config};
use shared::table::Table;
use tokio::sync::oneshot;

use self::back_end::BackEnd;
use crate::simulate::{Clock, Simulator};
use crate::stack::Stack;

/// Where the page is unless told otherwise.
pub const DEFAULT_PORT: u16 = 4570;

/// For reading the table. A page asks again after a second.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(2),
    attempt: Duration::from_secs(5),
    operation: Duration::from_secs(10),
    attempts: 2,
};

/// A port that is taken, before there is anything to serve: the stack must know the site's origins when it
/// is deployed.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Takes a port of loopback; 0 for any.
    pub fn open(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} of the web site to try with is taken: choose another one with --site-port, 0 for any")
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where the page will be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The origins under which a browser can open the page.
pub fn origins(url: &str) -> [String; 2] {
    [url.to_owned(), url.replace("127.0.0.1", "localhost")]
}

/// A running site. Stops when it is dropped.
pub struct Site {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the parts share.
struct Scene {
    address: SocketAddr,
    simulator: Arc<Simulator>,
    back_end: BackEnd,
    table: Table,
    page: String,
    /// Where its script comes from and its callbacks go.
    policy: String,
}

impl Site {
    /// Begins to serve.
    pub fn start(door: Door, simulator: Arc<Simulator>, stack: &Stack) -> anyhow::Result<Self> {
        let settings =
            Settings::at(&stack.aws_endpoint, &stack.region, &stack.access_key_id, &stack.secret_access_key);
        let scene = Arc::new(Scene {
            address: door.address,
            simulator: Arc::clone(&simulator),
            back_end: BackEnd::new(stack, simulator, Clock::of_system()),
            table: Table::new(&config(settings, PATIENCE)?, &stack.table),
            page: page::index(stack),
            policy: page::policy(stack),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                // Fails only without a runtime.
                if let Ok(listener) = tokio::net::TcpListener::from_std(door.listener) {
                    server::serve(listener, scene, stopped).await;
                }
            });
            // What is under way is not waited for.
            runtime.shutdown_background();
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
