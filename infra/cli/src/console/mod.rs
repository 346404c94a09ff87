//! `smile console`: a page for operators, served on loopback.
//!
//! The page is for one person: whoever started it, with that person's AWS credentials. What it reads it reads
//! with the library of the read API (`functions/query`), in this process, so that its answers are exactly the
//! API's, also for a stack whose API wants tokens. What it does it does with the same code as the commands
//! (`smile quarantine release`, `redrive`, `replay`, `events resend`), and is written down as they are.
//!
//! What it promises:
//!
//! 1. Only a page that was opened with the key of this start gets data: the key stands in the fragment of the
//!    address, which browsers send to nobody, and the page sends it with every request. `Host`, `Origin` and
//!    type are looked at, too (`crate::loopback`).
//! 2. Bodies are given for a request of their own, never with a list.
//! 3. Every act is counted first, and done when the count is repeated; what has changed meanwhile is told.
//! 4. Nothing of what it reads is printed, logged or kept.
//!
//! | module | what it holds |
//! |---|---|
//! | `key` | the key |
//! | `server` | which path leads where |
//! | `reads` | what can be looked at |
//! | `acts` | what can be done |
//! | `told` | what is told of an act |
//! | `looking` | looks into dead letters |
//! | `under_way` | what the end of the console waits for |
//! | `health` | the row at the top: alarms, queues, what came last |
//! | `live` | events as they come in |
//! | `stream` | answers that go on |
//! | `page` | the files of the page, which are in the folder `page` |

mod acts;
mod health;
mod key;
mod live;
mod looking;
mod page;
mod reads;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod told;
mod under_way;

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use query::Query;
use shared::table::Table;

use self::health::Health;
use self::key::Key;
use self::live::Live;
use self::under_way::UnderWay;
use crate::audit::{Auditor, Via};
use crate::interrupt::Interrupt;
use crate::loopback::{Door, Served};
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{bold, dim, say};

/// Where the page is unless told otherwise.
pub const DEFAULT_PORT: u16 = 4571;

/// Serve a page to look into the receiver, for this machine alone, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The page's port; 0 for any that is free
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Print the address as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Open the address that it prints: the key in it opens the page, and is another one each time.
What you may see and do there is what your AWS credentials may. cargo dev has a console already.

Examples:
  smile console --stack smile-receiver-production --region ap-southeast-1
  smile console                              the local cloud's";

/// Runs the command.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let entrance = Entrance::open(args.port, "--port")?;
    let deployed = args.operator.deployed().await?;
    let (name, url) = (deployed.name.clone(), entrance.url());
    let console = Console::start(entrance, deployed, None)?;
    say(&format!(
        "{}  {}\n{}",
        bold(&format!("The console of {name}:")),
        url,
        dim("For this machine alone. Ctrl-C ends it.")
    ));
    if args.json {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::json!({ "url": url, "stack": name }))?;
        out.flush()?;
    }
    Interrupt::listen().pressed().await;
    // On another thread, so that Ctrl-C is heard once more.
    tokio::task::spawn_blocking(|| drop(console)).await?;
    say("\nThe console has ended.");
    Ok(ExitCode::SUCCESS)
}

/// A port that is taken, and the key of the page that will be there.
pub struct Entrance {
    door: Door,
    key: Key,
}

impl Entrance {
    /// Takes a port of loopback, 0 for any; `option` is the one that chooses another.
    pub fn open(port: u16, option: &str) -> anyhow::Result<Self> {
        Ok(Self { door: Door::open(port, "the console", option)?, key: Key::fresh()? })
    }

    /// The address that opens the page. It holds the key.
    pub fn url(&self) -> String {
        format!("{}/#key={}", self.door.url(), self.key.text())
    }
}

/// A running console. Stops when it is dropped, as soon as what is under way has stopped in good order.
pub struct Console {
    under_way: Arc<UnderWay>,
    _served: Served,
}

/// How long the end of the console waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for Console {
    fn drop(&mut self) {
        self.under_way.end(PATIENCE);
    }
}

/// What every request needs.
struct Scene {
    port: u16,
    key: Key,
    deployed: Deployed,
    table: Table,
    query: Query,
    health: Health,
    live: Live,
    /// Asked for when it is needed first: a call to AWS.
    auditor: OnceLock<Auditor>,
    under_way: Arc<UnderWay>,
    /// The customer's site that is played beside a local cloud.
    site: Option<String>,
    policy: String,
}

impl Console {
    /// Begins to serve. `site` is a customer's web site to be shown in a frame.
    pub fn start(entrance: Entrance, deployed: Deployed, site: Option<String>) -> anyhow::Result<Self> {
        let Entrance { door, key } = entrance;
        let (table, under_way) = (deployed.table()?, Arc::new(UnderWay::default()));
        let scene = Arc::new(Scene {
            port: door.port(),
            key,
            query: Query::new(table.clone()),
            health: Health::new(&deployed, table.clone()),
            live: Live::new(table.clone()),
            auditor: OnceLock::new(),
            under_way: Arc::clone(&under_way),
            policy: page::policy(site.as_deref()),
            table,
            deployed,
            site,
        });
        let served = Served::start(door, move |request| server::handle(Arc::clone(&scene), request))?;
        Ok(Self { under_way, _served: served })
    }
}

impl Scene {
    /// Who acts, and where that is written down.
    async fn auditor(&self) -> anyhow::Result<Auditor> {
        if let Some(known) = self.auditor.get() {
            return Ok(known.clone());
        }
        let auditor = Auditor::of(&self.deployed, Via::Console).await?;
        // When STS could not be asked, it may be the next time.
        if !auditor.is_fallback() {
            let _ = self.auditor.set(auditor.clone());
        }
        Ok(auditor)
    }
}
