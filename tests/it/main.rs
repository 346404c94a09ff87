//! The tests that cross crates, in one binary.
//!
//! | module | what it shows | needs |
//! |---|---|---|
//! | `golden` | the vendor's examples are read right | the vendor's files, or says that they are not there |
//! | `members` | every member of the vendor's schemas is read, or left out for a reason | the vendor's files, or says that they are not there |
//! | `histories` | events add up to the right state, in any order and repetition | nothing |
//! | `converges` | the table holds what the fold defines | SQLite, built in |
//! | `refused` | what must not reach the queue does not | nothing |
//! | `kept` | what is authentic can be read again, byte for byte | SQLite, built in |
//! | `mangled` | of payloads in any shape nothing is lost, and nothing is kept that was revoked | SQLite, built in |
//! | `exits` | whatever fails and whatever meets, of what is revoked no copy stays | SQLite, built in |
//! | `frozen` | what an older release stored keeps its meaning | SQLite, built in |
//! | `callbacks` | what browsers say is kept once, changes nothing of the server's, and is refused where it must be | SQLite, built in |
//! | `publish` | every stored event gets on the bus, whatever fails, and nothing personal does | SQLite, built in |
//! | `live` | pages hear of their user's changes, and of nobody else's, whatever breaks | SQLite, built in |
//! | `query` | what the read API tells and refuses, that who follows it misses nothing, and that its OpenAPI document is true | SQLite, built in; Python 3 for schemathesis, or says that it is not there |
//! | `registration` | exactly one right registration at Smile, and a rotation that refuses nothing | nothing |
//! | `runbook` | the runbook's queries are held to what is logged | nothing |
//! | `costs` | the README's table of costs is held to what is measured | the functions' binaries, which it builds |
//! | `template` | template and code are held together | nothing |
//! | `samconfig` | what `sam` does without flags | nothing |
//! | `observability` | alarms, dashboard, runbook and metrics are held together | nothing |
//! | `pages` | what the pages let people type is how AWS takes it | nothing |
//! | `operations` | what operators do is written down, and tail misses nothing | SQLite, built in |
//! | `personal` | nothing personal gets into a log, whatever fails | the functions' binaries, which it builds |
//! | `deployed` | the template on the local cloud, with IAM switched on | Python 3; installs the rest |
//! | `failing` | what fails comes again, alone | SQLite, built in |
//!
//! The time that each test takes, with Rust's stable toolchain on x86-64 Linux:
//!
//! ```text
//! CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='env RUSTC_BOOTSTRAP=1' \
//!   cargo test --workspace --locked --test it -- -Z unstable-options --report-time
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod binaries;
mod callbacks;
mod cloud;
mod converges;
mod costs;
mod deployed;
mod exits;
mod failing;
mod frozen;
mod golden;
mod histories;
mod kept;
mod live;
mod mangled;
mod members;
mod observability;
mod operations;
mod pages;
mod personal;
mod process;
mod publish;
mod query;
mod receiver;
mod refused;
mod registration;
mod runbook;
mod samconfig;
mod support;
mod template;
