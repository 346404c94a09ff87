//! A customer's web site to try with: a page with a stand-in of Smile's widget, and the little that stands
//! behind both.
//!
//! One server on loopback plays three parts, each under paths of its own: the customer's back end (`/api`),
//! which asks the deployed stack for tokens with a signed request; Smile, as the widget meets it (`/v2`),
//! which makes the simulator do what the person in the widget does, so that its webhooks follow; and the
//! window into the receiver (`/watch`), for whoever tries it. The page works without callbacks, too, as long
//! as the stack has no API for them, and says so.
//!
//! Only this machine's own pages get an answer (`crate::loopback`). No secret is in any page but the token and
//! the session of the one user that it is about.
//!
//! | module | what it holds |
//! |---|---|
//! | `server` | which path leads where |
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

use std::sync::Arc;
use std::time::Duration;

use shared::aws::{Patience, Settings, config};
use shared::table::Table;

use self::back_end::BackEnd;
use crate::loopback::{Door, Served};
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

/// Takes the site's port before there is anything to serve: the stack must know the site's origins when it is
/// deployed.
pub fn door(port: u16) -> anyhow::Result<Door> {
    Door::open(port, "the web site to try with", "--site-port")
}

/// A running site. Stops when it is dropped.
pub struct Site {
    _served: Served,
}

/// What the parts share.
struct Scene {
    port: u16,
    simulator: Arc<Simulator>,
    back_end: BackEnd,
    table: Table,
    page: String,
    /// Where its script comes from, its callbacks go, and who may frame it.
    policy: String,
}

impl Site {
    /// Begins to serve.
    pub fn start(door: Door, simulator: Arc<Simulator>, stack: &Stack) -> anyhow::Result<Self> {
        let settings =
            Settings::at(&stack.aws_endpoint, &stack.region, &stack.access_key_id, &stack.secret_access_key);
        let scene = Arc::new(Scene {
            port: door.port(),
            simulator: Arc::clone(&simulator),
            back_end: BackEnd::new(stack, simulator, Clock::of_system()),
            table: Table::new(&config(settings, PATIENCE)?, &stack.table),
            page: page::index(stack),
            policy: page::policy(stack),
        });
        let served = Served::start(door, move |request| server::handle(Arc::clone(&scene), request))?;
        Ok(Self { _served: served })
    }
}
