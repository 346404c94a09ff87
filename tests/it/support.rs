//! What the tests share.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::event::EventType;
use shared::table::{Quarantined, Table};

/// This package's folder.
pub(crate) fn it_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The project's template. Read once: it takes a good part of a second.
pub(crate) fn template() -> &'static Value {
    static TEMPLATE: LazyLock<Value> =
        LazyLock::new(|| smile_cli::template::load(it_dir().join("../../infra/template.yaml")).unwrap());
    &TEMPLATE
}

/// Returns `few` times the variable `SMILE_TEST_CASES` (1 unless it is set): the number of cases that a test runs.
#[expect(clippy::disallowed_methods, reason = "the tests' own variable")]
pub(crate) fn cases(few: usize) -> usize {
    static TIMES: LazyLock<usize> = LazyLock::new(|| {
        let times = std::env::var("SMILE_TEST_CASES").unwrap_or_else(|_| "1".to_owned());
        times
            .parse()
            .ok()
            .filter(|times| *times > 0)
            .expect("SMILE_TEST_CASES must be a whole number from 1 on")
    });
    few * *TIMES
}

/// Reads a file that must be there and be right.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All that lies in quarantine of what was received on a day (UTC).
pub(crate) async fn quarantined_on(table: &Table, day: Date) -> Vec<Quarantined> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (found, reached) = table.quarantine_page(day, after.as_deref(), 100).await.unwrap();
        all.extend(found);
        if reached.is_none() {
            return all;
        }
        after = reached;
    }
}

/// Random orders and events from a seed: a failure can be repeated.
pub(crate) struct Shuffle(fastrand::Rng);

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// Everything at least once, some of it up to three times, in any order.
    pub(crate) fn with_repeats<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        let mut all: Vec<T> = of.iter().flat_map(|item| vec![*item; self.below(3) + 1]).collect();
        self.0.shuffle(&mut all);
        all
    }

    /// One event of any type about few things in few seconds. Its source is of any kind, plain or not, and its payload
    /// can carry something of another user.
    pub(crate) fn event(&mut self) -> String {
        let kind = self.0.choice(EventType::KNOWN).unwrap();
        let mut pick = |of: &[&str]| (*self.0.choice(of).unwrap()).to_owned();
        let (user, other) = (pick(&["u-1", "u-2"]), pick(&["u-1", "u-2"]));
        let (account, source) = (pick(&["a-1", "a-2", ""]), pick(&["a-1", "a-2", "r-1"]));
        let channel = pick(&["WinkSite", "Sdk"]);
        let mut event = json!({
            "id": format!("et-{}", pick(&["1", "2", "3", "4", "5", "6", "7", "8", "9"])),
            "version": 1,
            "type": kind,
            "createdAt": pick(&["2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", "2026-03-01T18:00:01+08:00", "2099-01-01T00:00:00Z"]),
            "data": {
                "userId": user,
                "accountId": account,
                "sourceId": source,
                "sourceType": pick(&["ACCOUNT", "ARCHIVE", "UPLOAD", "SOCIAL_SECURITY", "NEW"]),
                "archiveId": "r-1",
                "inviteId": "i-1",
                "recordId": "ss-1",
                "verificationId": "ver-1",
                "taskType": pick(&["LINK_ACCOUNT", "UPDATE_ACCOUNT", "ANALYZE_ARCHIVE"]),
                "status": pick(&["SUCCEEDED", "FAILED"]),
                "monitorStatus": pick(&["ACTIVE", "USER_ACTION_REQUIRED"]),
                "errorCode": pick(&["INVALID_AUTH", "MFA_TIMEOUT"]),
                "session": { "userId": user, "status": "COMPLETED", "channel": channel, "channelId": "s" },
            },
        });
        let data = &mut event["data"];
        data["count"] = json!(self.0.u8(..4));
        match self.0.u8(..4) {
            0 => data["sourceType"] = Value::Null,
            1 => {
                data["payload"] =
                    json!({ "identity": { "metadata": { "userId": other, "sourceId": source } } });
            }
            _ => {}
        }
        event.to_string()
    }
}
