//! A release as it is asked for by command: counted, asked about, told of.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;
use shared::table::{QuarantineKey, Quarantined};

use super::release::{ACTION, Fate, Released, Releasing, Which, named};
use super::{Pages, there};
use crate::audit::{Auditor, Via};
use crate::confirm::Yes;
use crate::interrupt::Interrupt;
use crate::operator::{Deployed, Receiver};
use crate::ui::{are, plain, say, table, write_json};

/// A release as it was typed.
pub(super) struct Asked<'a> {
    pub(super) deployed: Deployed,
    pub(super) receiver: Receiver,
    pub(super) keys: Vec<QuarantineKey>,
    /// What is asked for when there are no keys.
    pub(super) pages: Pages<'a>,
    pub(super) yes: Yes,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

impl Asked<'_> {
    pub(super) async fn answer(self) -> anyhow::Result<ExitCode> {
        let interrupt = Interrupt::listen();
        let count = tokio::select! {
            count = self.count() => count?,
            () = interrupt.pressed() => return Ok(ExitCode::FAILURE),
        };
        let Some(newest) = count.stored_last else {
            say("nothing to release");
            return Ok(ExitCode::SUCCESS);
        };
        let way = format!("to the webhook queue of {}", self.deployed.told());
        // One that is named is no question, as with `smile events resend`.
        if self.keys.len() == 1 {
            say(&format!("{way}:"));
        } else {
            count.tell();
            let question = format!("Send {} from quarantine {way}?", count.total);
            if !self.dry_run && !self.yes.asked(&question, &interrupt).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
        let mut heard = |one: &Released| match self.tell(one) {
            Ok(()) => interrupt.flow(),
            // Nobody reads it any more.
            Err(_) => ControlFlow::Break(()),
        };
        let (mut which, parameters) = if self.keys.is_empty() {
            let parameters = [self.pages.filter.parameters(), vec![("stored_until", newest.to_string())]];
            (Which::Found { pages: self.pages.clone(), newest, left: count.total }, parameters.concat())
        } else {
            (Which::Named(&self.keys), named(&self.keys))
        };
        let (tally, is_written) = if self.dry_run {
            (Releasing::new(&self.receiver, None, &mut heard).run(&mut which).await.0, true)
        } else {
            let auditor = Auditor::of(&self.deployed, Via::Command).await?;
            let act = auditor.begin(ACTION, &parameters, count.total).await?;
            Releasing::new(&self.receiver, Some(act), &mut heard).end(&mut which).await?.told()
        };
        tally.tell(self.dry_run);
        Ok(if tally.is_all() && is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn count(&self) -> anyhow::Result<Count> {
        let mut count = Count::default();
        for key in &self.keys {
            count.add(&there(&self.receiver, key).await?.0);
        }
        let mut pages = self.keys.is_empty().then(|| self.pages.clone());
        while let Some(pages) = &mut pages
            && let Some(items) = pages.next().await?
        {
            for item in &items {
                count.add(item);
            }
        }
        Ok(count)
    }

    fn tell(&self, one: &Released) -> anyhow::Result<()> {
        if !self.json {
            say(&one.line(self.dry_run));
            return Ok(());
        }
        let mut told = serde_json::to_value(one)?;
        if self.dry_run && one.fate == Fate::Released {
            told["fate"] = json!("would_be_released");
        }
        write_json(&told, false)
    }
}

/// What lies there, by its descriptions.
#[derive(Debug, Default)]
struct Count {
    total: u64,
    by_reason: BTreeMap<String, u64>,
    /// When the first and the last one were received.
    received: Option<(Timestamp, Timestamp)>,
    /// When the last one was put there.
    stored_last: Option<Timestamp>,
}

impl Count {
    fn add(&mut self, item: &Quarantined) {
        let at = item.received_at;
        self.total += 1;
        *self.by_reason.entry(item.reason.clone()).or_default() += 1;
        self.received = Some(self.received.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        self.stored_last = self.stored_last.max(Some(item.stored_at));
    }

    fn tell(&self) {
        let reasons =
            self.by_reason.iter().map(|(reason, count)| (plain(reason).into_owned(), count.to_string()));
        let times = self.received.map(|(first, last)| [("oldest", first), ("newest", last)]);
        let times = times.into_iter().flatten().map(|(name, at)| (name.to_owned(), format!("{at:.0}")));
        let rows: Vec<_> = reasons.chain(times).collect();
        say(&table(rows.iter().map(|(name, value)| (name.as_str(), value.clone()))));
        say(&format!("{} in quarantine {} asked for", self.total, are(self.total)));
    }
}
