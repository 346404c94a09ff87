//! The row at the top: what the alarms see, what waits in the queues, and what came last.
//!
//! Each part is asked for by itself: what somebody may not see, or what does not answer, says so in its own
//! place, and the rest is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_sdk_sqs::types::QueueAttributeName;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::aws::told;
use shared::job::Source;
use shared::table::{Filter, Partition, Table, order_of};
use tokio::sync::Mutex;

use crate::operator::Deployed;
use crate::skew::CloudClock;

/// For so long one look serves everybody who asks.
const FRESH: Duration = Duration::from_secs(4);

/// For so long a part is waited for: less than the page takes for an answer that is old.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many days back the last webhook is looked for.
const DAYS_BACK: i64 = 7;

/// How many of the newest events of a partition are looked at for a webhook.
const LOOKS: u16 = 100;

/// For so long it is not asked again which alarms are the stack's: only a deployment changes that.
const NAMES_FRESH: Duration = Duration::from_mins(5);

/// The most in quarantine that is counted.
const QUARANTINE_LOOKS: usize = 200;

/// The queues, what they hold, and the outputs that name them.
const QUEUES: [(&str, Kind, &str); 7] = [
    ("webhook", Kind::Work, "QueueUrl"),
    ("callback", Kind::Work, "CallbackQueueUrl"),
    ("publish", Kind::Work, "PublishRetryQueueUrl"),
    ("webhook", Kind::Dead, "DeadLetterQueueUrl"),
    ("callback", Kind::Dead, "CallbackDeadLetterQueueUrl"),
    ("publish", Kind::Dead, "PublishDeadLetterQueueUrl"),
    ("push", Kind::Dead, "PushDeadLetterQueueUrl"),
];

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Something takes messages out of it.
    Work,
    /// Dead letters.
    Dead,
}

/// A part that was seen, or why not.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Part<T> {
    Seen(T),
    Trouble { trouble: String },
}

impl<T> From<anyhow::Result<T>> for Part<T> {
    fn from(seen: anyhow::Result<T>) -> Self {
        match seen {
            Ok(seen) => Self::Seen(seen),
            Err(error) => Self::Trouble { trouble: format!("{error:#}") },
        }
    }
}

/// A part, or that it took too long: whoever looks next must not wait for what hangs.
async fn in_time<T>(look: impl Future<Output = anyhow::Result<T>>) -> Part<T> {
    let seen = tokio::time::timeout(PATIENCE, look).await;
    seen.unwrap_or_else(|_| Err(anyhow!("no answer in {} seconds", PATIENCE.as_secs()))).into()
}

/// What one look saw.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    at: Timestamp,
    alarms: Part<Vec<Alarm>>,
    queues: Part<Vec<Depth>>,
    last_webhook: Part<Last>,
    last_hour: Part<Count>,
    quarantined_today: Part<Count>,
}

#[derive(Debug, Clone, Serialize)]
struct Alarm {
    name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// What it means, and where the runbook tells of it.
    meaning: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Depth {
    queue: &'static str,
    kind: Kind,
    waiting: u64,
    in_flight: u64,
    /// Of the oldest message, in seconds; none when CloudWatch has not said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Last {
    /// None, when none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// Whether there may be a later one among what was not looked at.
    more: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Count {
    count: u64,
    /// Whether there are more than were counted.
    more: bool,
}

/// Looks.
pub(super) struct Health {
    cloudformation: aws_sdk_cloudformation::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    sqs: aws_sdk_sqs::Client,
    table: Table,
    clock: CloudClock,
    stack: String,
    /// The names of the stack's alarms, and when they were asked for.
    names: Mutex<Option<(Instant, BTreeSet<String>)>>,
    queues: Vec<(&'static str, Kind, String)>,
    last: Mutex<Option<(Instant, Seen)>>,
}

impl Health {
    pub(super) fn new(deployed: &Deployed, table: Table) -> Self {
        let queues = QUEUES
            .iter()
            .filter_map(|(queue, kind, output)| Some((*queue, *kind, deployed.optional(output)?.to_owned())));
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&deployed.sdk),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&deployed.sdk),
            sqs: aws_sdk_sqs::Client::new(&deployed.sdk),
            table,
            clock: deployed.clock.clone(),
            stack: deployed.name.clone(),
            names: Mutex::new(None),
            queues: queues.collect(),
            last: Mutex::new(None),
        }
    }

    /// How it is now.
    pub(super) async fn look(&self) -> Seen {
        let mut last = self.last.lock().await;
        if let Some((at, seen)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return seen.clone();
        }
        let now = self.clock.now();
        let (alarms, queues, last_webhook, last_hour, quarantined) = tokio::join!(
            in_time(self.alarms()),
            in_time(self.depths(now)),
            in_time(self.last_webhook(now)),
            in_time(self.last_hour(now)),
            in_time(self.quarantined(now))
        );
        let seen = Seen { at: now, alarms, queues, last_webhook, last_hour, quarantined_today: quarantined };
        *last = Some((Instant::now(), seen.clone()));
        seen
    }

    async fn alarms(&self) -> anyhow::Result<Vec<Alarm>> {
        // Whoever may not see the stack's resources sees also those of a stack whose name goes on after a hyphen.
        let names = self.names().await.unwrap_or_default();
        let prefix = format!("{}-", self.stack);
        let pages = self.cloudwatch.describe_alarms().alarm_name_prefix(&prefix);
        let mut pages = pages.into_paginator().send();
        let mut alarms = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| anyhow!("{}", told(&error)))?;
            for alarm in page.metric_alarms() {
                let name = alarm.alarm_name().unwrap_or_default();
                if !names.is_empty() && !names.contains(name) {
                    continue;
                }
                alarms.push(Alarm {
                    name: name.strip_prefix(&prefix).unwrap_or(name).to_owned(),
                    state: alarm.state_value().map_or("INSUFFICIENT_DATA", |state| state.as_str()).to_owned(),
                    since: alarm.state_updated_timestamp().and_then(timestamp),
                    meaning: alarm.alarm_description().unwrap_or_default().to_owned(),
                });
            }
        }
        alarms.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(alarms)
    }

    /// The names of the alarms that are the stack's own.
    async fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let mut known = self.names.lock().await;
        if let Some((at, names)) = known.as_ref()
            && at.elapsed() < NAMES_FRESH
        {
            return Ok(names.clone());
        }
        let pages = self.cloudformation.list_stack_resources().stack_name(&self.stack);
        let mut pages = pages.into_paginator().send();
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| anyhow!("{}", told(&error)))?;
            let resources = page.stack_resource_summaries().iter();
            let alarms =
                resources.filter(|resource| resource.resource_type() == Some("AWS::CloudWatch::Alarm"));
            names.extend(alarms.filter_map(|alarm| alarm.physical_resource_id().map(str::to_owned)));
        }
        *known = Some((Instant::now(), names.clone()));
        Ok(names)
    }

    async fn depths(&self, now: Timestamp) -> anyhow::Result<Vec<Depth>> {
        // Without ages a depth still says something.
        let ages = self.ages(now).await.unwrap_or_default();
        let mut all = Vec::new();
        for (at, (queue, kind, url)) in self.queues.iter().enumerate() {
            let answer = self
                .sqs
                .get_queue_attributes()
                .queue_url(url)
                .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
                .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
                .send()
                .await
                .map_err(|error| anyhow!("{}", told(&error)))?;
            let number = |name| answer.attributes()?.get(&name)?.parse().ok();
            all.push(Depth {
                queue,
                kind: *kind,
                waiting: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
                in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
                    .unwrap_or_default(),
                age: ages.get(&id(at)).copied(),
            });
        }
        Ok(all)
    }

    /// How old the oldest message of each queue is, in seconds, in one call.
    async fn ages(&self, now: Timestamp) -> anyhow::Result<BTreeMap<String, u64>> {
        let queries = self.queues.iter().enumerate().map(|(at, (_, _, url))| {
            let name = url.rsplit('/').next().unwrap_or_default();
            let queue = Dimension::builder().name("QueueName").value(name).build();
            let metric = Metric::builder()
                .namespace("AWS/SQS")
                .metric_name("ApproximateAgeOfOldestMessage")
                .dimensions(queue)
                .build();
            let stat = MetricStat::builder().metric(metric).period(60).stat("Maximum").build();
            MetricDataQuery::builder().id(id(at)).metric_stat(stat).build()
        });
        let answer = self
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from_secs((now - SignedDuration::from_mins(5)).as_second()))
            .end_time(DateTime::from_secs(now.as_second()))
            .send()
            .await
            .map_err(|error| anyhow!("{}", told(&error)))?;
        let newest = answer.metric_data_results().iter().filter_map(|result| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "seconds, at most 14 days"
            )]
            let age = result.values().first().map(|age| *age as u64)?;
            Some((result.id()?.to_owned(), age))
        });
        Ok(newest.collect())
    }

    async fn last_webhook(&self, now: Timestamp) -> anyhow::Result<Last> {
        let filter = Filter { source: Some(Source::Webhook), ..Filter::default() };
        let today = TimeZone::UTC.to_datetime(now).date();
        for ago in 0..=DAYS_BACK {
            let mut last = Last::default();
            for partition in Partition::of_day(today - SignedDuration::from_hours(24 * ago), filter.source) {
                let event = self.table.newest(&partition, &filter, LOOKS).await?;
                last.at = last.at.max(event.as_ref().map(|event| event.stored_at));
                last.more |= event.is_none() && self.has_more(&partition).await?;
            }
            if last.at.is_some() || last.more {
                return Ok(last);
            }
        }
        Ok(Last::default())
    }

    /// Whether a partition has more events than are looked at for a webhook.
    async fn has_more(&self, partition: &Partition) -> anyhow::Result<bool> {
        let all = self.table.stretch(partition, "", None, &Filter::default(), LOOKS + 1).await?;
        Ok(all.events.len() > usize::from(LOOKS))
    }

    async fn last_hour(&self, now: Timestamp) -> anyhow::Result<Count> {
        let since = now - SignedDuration::from_hours(1);
        let (from, until) = (order_of(since), order_of(now));
        let day = |at| TimeZone::UTC.to_datetime(at).date();
        let mut days = vec![day(since), day(now)];
        days.dedup();
        let mut all = Count::default();
        for partition in days.into_iter().flat_map(|day| Partition::of_day(day, None)) {
            let (count, more) = self.table.count(&partition, &from, &until).await?;
            all.count += count;
            all.more |= more;
        }
        Ok(all)
    }

    async fn quarantined(&self, now: Timestamp) -> anyhow::Result<Count> {
        let today = TimeZone::UTC.to_datetime(now).date();
        let (found, reached) = self.table.quarantine_page(today, None, QUARANTINE_LOOKS).await?;
        Ok(Count { count: u64::try_from(found.len())?, more: reached.is_some() })
    }
}

/// A query's id: a small letter first.
fn id(at: usize) -> String {
    format!("q{at}")
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_holds_nobody_up() {
        let told = serde_json::to_value(in_time(std::future::pending::<anyhow::Result<u8>>()).await).unwrap();
        assert_eq!(told["trouble"], "no answer in 20 seconds");
    }

    #[test]
    fn what_cannot_be_seen_says_so_in_its_own_place() {
        let part: Part<u8> =
            Err(anyhow!("AccessDenied: not authorized to perform cloudwatch:DescribeAlarms")).into();
        let told = serde_json::to_value(part).unwrap();
        assert!(told["trouble"].as_str().unwrap().contains("cloudwatch:DescribeAlarms"), "{told}");
        assert_eq!(serde_json::to_value(Part::from(Ok(3))).unwrap(), 3);
    }
}
