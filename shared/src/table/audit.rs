//! The audit: what operators did, who they were, and how far they came.
//!
//! An act is written down before it begins, and completed when it ends. One whose command was killed stays as
//! *begun*, with what it was about to do. In no index: nothing that readers or the stream's functions look for.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::{Item, Table, day, fixed, number, text};

/// How long it is known what an operator did: more than a year, so that a yearly review finds all of it.
pub const AUDIT_DAYS: i64 = 400;

/// An act that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// Who: the ARN of the caller, or what else names somebody.
    pub who: &'a str,
    /// From where, such as `command` or `console`.
    pub via: &'a str,
    /// What, such as `redrive`.
    pub action: &'a str,
    /// With which words and ids, as they were given. Never a body.
    pub parameters: &'a [(&'a str, String)],
    /// How many messages, events or items it is about.
    pub meant: u64,
    /// When it begins.
    pub at: Timestamp,
    /// Anything random: it tells acts of one moment apart.
    pub random: u64,
}

/// Names one act in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditKey {
    pk: String,
    sk: String,
}

/// How an act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It goes on, or its command was killed.
    Begun,
    /// It came to its end.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// Something went wrong.
    Failed,
}

/// An act, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Who: the ARN of the caller, or what else names somebody.
    pub who: String,
    /// From where.
    pub via: String,
    /// What.
    pub action: String,
    /// With which words and ids.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// How many it was about.
    pub meant: u64,
    /// With how many it was done, as far as is known.
    pub done: u64,
    /// How many it left as they were.
    pub left: u64,
    /// How it stands.
    pub standing: Standing,
    /// What went wrong, why it was stopped, or where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// How far an act has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// With how many it is done.
    pub done: u64,
    /// How many it leaves as they were.
    pub left: u64,
    /// How it stands.
    pub standing: Standing,
    /// What went wrong, why it was stopped, or where it goes on.
    pub detail: Option<&'a str>,
}

impl Standing {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Table {
    /// Writes down that an act begins.
    pub async fn begin_act(&self, act: Begun<'_>) -> Result<AuditKey, Fault> {
        let key = AuditKey { pk: pk(&day(act.at)), sk: format!("{}#{:016x}", fixed(act.at), act.random) };
        let expires = act.at.saturating_add(SignedDuration::from_hours(24 * AUDIT_DAYS)).unwrap_or(act.at);
        let parameters = act.parameters.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
        let item = Item::from([
            ("pk".to_owned(), text(&key.pk)),
            ("sk".to_owned(), text(&key.sk)),
            ("who".to_owned(), text(act.who)),
            ("via".to_owned(), text(act.via)),
            ("action".to_owned(), text(act.action)),
            ("parameters".to_owned(), AttributeValue::M(parameters.collect())),
            ("meant".to_owned(), number(act.meant)),
            ("done".to_owned(), number(0)),
            ("left".to_owned(), number(0)),
            ("standing".to_owned(), text(Standing::Begun.word())),
            ("begun_at".to_owned(), text(fixed(act.at))),
            ("expires".to_owned(), number(expires.as_second())),
        ]);
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await
            .map_err(|error| Fault::of("writing down who does what", &error))?;
        Ok(key)
    }

    /// Writes down how far an act has come; when it has ended, also that it did `at` this time.
    pub async fn note_act(&self, key: &AuditKey, progress: Progress<'_>, at: Timestamp) -> Result<(), Fault> {
        let mut set = vec!["#done = :done", "#left = :left", "#standing = :standing"];
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(&key.pk))
            .key("sk", text(&key.sk))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#done", "done")
            .expression_attribute_names("#left", "left")
            .expression_attribute_names("#standing", "standing")
            .expression_attribute_values(":done", number(progress.done))
            .expression_attribute_values(":left", number(progress.left))
            .expression_attribute_values(":standing", text(progress.standing.word()));
        if let Some(detail) = progress.detail {
            set.push("#detail = :detail");
            update = update
                .expression_attribute_names("#detail", "detail")
                .expression_attribute_values(":detail", text(detail));
        }
        let mut remove = "";
        if progress.standing != Standing::Begun {
            set.push("ended_at = :ended_at");
            update = update.expression_attribute_values(":ended_at", text(fixed(at)));
            // Where it would have gone on is of no use any more.
            if progress.detail.is_none() {
                remove = " REMOVE #detail";
                update = update.expression_attribute_names("#detail", "detail");
            }
        }
        let update = update.update_expression(format!("SET {}{remove}", set.join(", "))).send().await;
        update.map_err(|error| Fault::of("writing down what came of it", &error))?;
        Ok(())
    }

    /// What operators began on one day (UTC), oldest first.
    pub async fn acts_on(&self, day: Date) -> Result<Vec<Audited>, Fault> {
        let items = self.query(None, "pk", &pk(&day.to_string()), None).await?;
        let read = |item| {
            serde_dynamo::from_item(item)
                .map_err(|error| Fault::Retry(format!("an act cannot be read: {error}")))
        };
        items.into_iter().map(read).collect()
    }
}

fn pk(day: &str) -> String {
    format!("AUDIT#{day}")
}
