//! The causes of the alarms, caused; and marked personal data on every way through the deployed functions.
//!
//! The local cloud makes no metrics of metric lines. So each cause is followed to the line that its function
//! writes, which CloudWatch would count (`observability` holds lines and alarms together). Causes that
//! cannot be caused here, and metrics of AWS's own that nobody publishes here, are in [`NOT_SHOWN`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_cloudformation::types::ResourceStatus;
use serde_json::{Value, json};
use shared::metrics::Metric;

use super::{Deployed, until};
use crate::observability::check_metric_line;
use crate::personal::{self, event, every_line_is_json_with_known_fields, found};
use crate::receiver::signature;
use crate::support::template;

/// Alarms whose metric does not move here, and why.
const NOT_SHOWN: [(&str, &str); 18] = [
    (
        "RegistrationOrphanedAlarm",
        "what it takes is in `registration`, and its line in `deployed::registration`",
    ),
    ("QueueAgeAlarm", "SQS's own metric; the message that waits is seen"),
    ("DeadLettersAlarm", "SQS's own metric; the dead letter is counted by its queue's attribute"),
    ("GatewayClientErrorsAlarm", "API Gateway's own metric, and no throttle here; the 4xx answers are seen"),
    ("GatewayServerErrorsAlarm", "API Gateway's own metric; the 5xx answers are seen"),
    ("WebhookErrorsAlarm", "Lambda's own metric; a start that fails is seen as a 5xx"),
    ("ConsumerErrorsAlarm", "Lambda's own metric"),
    ("WebhookThrottlesAlarm", "Lambda's own metric, and no account limit here"),
    ("ConsumerThrottlesAlarm", "the same"),
    ("QueryErrorsAlarm", "Lambda's own metric; its 503 is seen in `deployed::query`"),
    ("QueryThrottlesAlarm", "Lambda's own metric, and no account limit here"),
    ("BackendServerErrorsAlarm", "API Gateway's own metric"),
    ("BusRefusedAlarm", "what it takes, and its line, is in `deployed::published`"),
    ("PublishErrorsAlarm", "Lambda's own metric"),
    ("PublishThrottlesAlarm", "Lambda's own metric, and no account limit here"),
    ("PublishStreamAgeAlarm", "Lambda's own metric of a stream"),
    ("PublishQueueAgeAlarm", "SQS's own metric"),
    ("PublishDeadLettersAlarm", "SQS's own metric"),
];

/// An id with a mark of its own: ids are logged, so the search must find it.
const PLANTED: &str = "et-zq-planted";

impl Deployed {
    /// All lines of both functions' logs.
    async fn function_log(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for function in [&self.stack().webhook_function, &self.stack().consumer_function] {
            lines.extend(self.log_of(function).await);
        }
        lines
    }

    /// What was counted so far: metric and, where it has one, its further dimension's value.
    async fn counted(&self) -> Vec<(Metric, Option<String>)> {
        let lines = self.function_log().await;
        let lines = lines.iter().filter(|line| line.contains("\"_aws\""));
        let stack = self.stack();
        lines
            .map(|line| {
                let (metric, function, by) = check_metric_line(line);
                let counts = |name: &str| metric.functions().contains(&name);
                let known = (function == stack.webhook_function && counts("webhook"))
                    || (function == stack.consumer_function && counts("consumer"));
                assert!(known, "{function} should not count {metric:?}");
                (metric, by)
            })
            .collect()
    }

    /// Waits for a metric line that was not there `before`. The local cloud can keep the last lines of an invocation back
    /// until the next one: after half a minute there is one.
    async fn moved(&self, before: &[(Metric, Option<String>)], metric: Metric, by: Option<&str>) {
        let wanted = (metric, by.map(ToOwned::to_owned));
        let of = |counted: &[(Metric, Option<String>)]| counted.iter().filter(|one| **one == wanted).count();
        let before = of(before);
        let mut last = Instant::now();
        until(&format!("{wanted:?} to be counted"), async || {
            let is_counted = of(&self.counted().await) > before;
            if !is_counted && last.elapsed() > Duration::from_secs(30) {
                last = Instant::now();
                let body = event("et-o-next", "USER_CREATED", json!({}));
                self.with_signature(&body, &signature(&self.stack().webhook_secret, &body)).await;
            }
            is_counted.then_some(())
        })
        .await;
    }

    async fn with_signature(&self, body: &[u8], signature: &str) -> u16 {
        self.post(body, &[("smile-signature", signature)]).await.0
    }
}

#[tokio::test]
async fn every_cause_moves_its_metric_and_nothing_personal_is_told() {
    let deployed = Deployed::start("observed").await;
    deployed.comes_again_after(2).await;
    // The marked secret is one that is valid.
    let generated = deployed.stack().webhook_secret.clone();
    let document = json!({ "current": generated, "pending": personal::SECRET }).to_string();
    let put = deployed.secrets.put_secret_value().secret_id(&deployed.stack().secret_arn);
    put.secret_string(document).send().await.unwrap();
    let mut signatures = Vec::new();
    let mut signed = |body: &[u8]| {
        let signature = signature(personal::SECRET, body);
        signatures.push(signature.clone());
        signature
    };

    stored_repeated_and_quarantined(&deployed, &mut signed).await;
    refused(&deployed, &mut signed).await;
    held(&deployed, &mut signed).await;
    our_own_trouble(&deployed, &mut signed).await;

    // Every metric of every function was there, and every alarm's metric moved or is excused.
    let counted = deployed.counted().await;
    let seen: BTreeSet<Metric> = counted.iter().map(|(metric, _)| *metric).collect();
    // What takes Smile's credentials is not deployed here: see `deployed::registration`, `callbacks::personal`
    // (the real binary's lines), `callbacks::flood` and `callbacks::folded`.
    let with_credentials = [
        Metric::CallbackQuarantined,
        Metric::CallbackUnfolded,
        Metric::CallbackOverLimit,
        Metric::UnconfirmedConnection,
    ];
    let of_these = |metric: &Metric| {
        metric.functions().iter().any(|function| ["webhook", "consumer"].contains(function))
    };
    let expected = Metric::ALL
        .iter()
        .copied()
        .filter(|metric| of_these(metric) && !with_credentials.contains(metric))
        .collect();
    assert_eq!(seen, expected);
    let resources =
        deployed.cloudformation.describe_stack_resources().stack_name("smile").send().await.unwrap();
    let mut alarms = 0;
    for resource in resources.stack_resources() {
        if resource.resource_type() != Some("AWS::CloudWatch::Alarm") {
            continue;
        }
        let name = resource.logical_resource_id().unwrap();
        assert!(
            matches!(
                resource.resource_status(),
                Some(ResourceStatus::CreateComplete | ResourceStatus::UpdateComplete)
            ),
            "{name}"
        );
        alarms += 1;
        let watches = template()["Resources"][name]["Properties"]["MetricName"].as_str().unwrap();
        let moved = seen.iter().any(|metric| metric.name() == watches);
        let excused = NOT_SHOWN.iter().any(|(other, _)| *other == name);
        assert!(moved != excused, "{name}");
    }
    assert_eq!(alarms, 28, "with SilenceMinutes, which was set on the way");

    // And nothing personal: in neither function's log, nor in the local cloud's own.
    let lines = deployed.function_log().await.join("\n");
    assert_eq!(found(&lines, &signatures), [""; 0]);
    assert!(lines.contains(PLANTED), "the search reads what is logged");
    let ours: Vec<&str> = lines.lines().filter(|line| line.starts_with('{')).collect();
    assert!(ours.len() > 50);
    every_line_is_json_with_known_fields(&ours.join("\n"));
    let cloud = std::fs::read_to_string(deployed.cloud.dir().join("local-cloud.log")).unwrap();
    assert_eq!(found(&cloud, &signatures), [""; 0]);
    deployed.stop().await;
}

async fn stored_repeated_and_quarantined(deployed: &Deployed, signed: &mut impl FnMut(&[u8]) -> String) {
    let before = deployed.counted().await;
    let body = event(PLANTED, "INCOMES_ADDED", json!({}));
    let first = signed(&body);
    // The function looks for newer secrets at most every ten seconds.
    until("the marked secret to be taken", async || {
        (deployed.with_signature(&body, &first).await == 200).then_some(())
    })
    .await;
    deployed.moved(&before, Metric::Received, Some("INCOMES_ADDED")).await;
    deployed.moved(&before, Metric::Stored, None).await;
    for sighting in ["Second", "Later"] {
        assert_eq!(deployed.with_signature(&body, &first).await, 200);
        deployed.moved(&before, Metric::RepeatedDelivery, Some(sighting)).await;
    }
    let person = personal::person().to_string();
    let with = |change: Value| {
        let mut body: Value = serde_json::from_slice(&event("et-o-1", "INCOMES_ADDED", json!({}))).unwrap();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string().into_bytes()
    };
    for (body, reason) in [
        (format!("no JSON, {person}").into_bytes(), "not_json"),
        (person.clone().into_bytes(), "no_id"),
        (with(json!({ "type": personal::person() })), "no_type"),
        (with(json!({ "id": person.repeat(3) })), "id_length"),
    ] {
        let signature = signed(&body);
        assert_eq!(deployed.with_signature(&body, &signature).await, 200, "{reason}");
        deployed.moved(&before, Metric::Quarantined, Some(reason)).await;
    }
    // The id of the first event, with another body.
    let body = with(json!({ "id": PLANTED, "another": "body" }));
    let signature = signed(&body);
    assert_eq!(deployed.with_signature(&body, &signature).await, 200);
    deployed.moved(&before, Metric::OtherBody, None).await;
    for (change, reason) in [
        (json!({ "id": "et-o-2", "version": person }), "version"),
        (json!({ "id": "et-o-3", "createdAt": person }), "created_at_unreadable"),
        (json!({ "id": "et-o-4", "type": "NEW_TYPE" }), "unknown_type"),
    ] {
        let body = with(change);
        let signature = signed(&body);
        assert_eq!(deployed.with_signature(&body, &signature).await, 200, "{reason}");
        deployed.moved(&before, Metric::Unfolded, Some(reason)).await;
    }
    // Large enough to be compressed, and to lie in chunks.
    let body = with(json!({ "id": "et-o-5", "more": vec![personal::person(); 5000] }));
    let signature = signed(&body);
    assert_eq!(deployed.with_signature(&body, &signature).await, 200);
}

async fn refused(deployed: &Deployed, signed: &mut impl FnMut(&[u8]) -> String) {
    let before = deployed.counted().await;
    let body = event("et-o-6", "INCOMES_ADDED", json!({}));
    let other = signed(b"other bytes");
    let person = personal::person().to_string();
    for signature in [other.as_str(), &other[1..], personal::SECRET, &person] {
        assert_eq!(deployed.with_signature(&body, signature).await, 401);
    }
    assert_eq!(deployed.post(&body, &[]).await.0, 401);
    deployed.moved(&before, Metric::RejectedSignature, None).await;
    // Two megabytes that no compression makes smaller.
    let mut rng = fastrand::Rng::with_seed(3);
    let noise: String = std::iter::repeat_with(|| rng.alphanumeric()).take(2_000_000).collect();
    let body = event("et-o-7", "INCOMES_ADDED", json!({ "noise": noise }));
    let signature = signed(&body);
    assert_eq!(deployed.with_signature(&body, &signature).await, 413);
    deployed.moved(&before, Metric::TooLarge, None).await;
}

async fn held(deployed: &Deployed, signed: &mut impl FnMut(&[u8]) -> String) {
    let before = deployed.counted().await;
    let elsewhere = ("SourceAllowList", "18.142.61.230/32");
    deployed.update(None, &[elsewhere]).await;
    let body = event("et-o-8", "INCOMES_ADDED", json!({}));
    let signature = signed(&body);
    assert_eq!(deployed.with_signature(&body, &signature).await, 403);
    deployed.moved(&before, Metric::RejectedSource, None).await;
    deployed.moved(&before, Metric::ValidSignatureFromUnlistedSource, None).await;
    // The same under the other policy, with the alarm for silence switched on.
    let before = deployed.counted().await;
    deployed.update(None, &[elsewhere, ("SourcePolicy", "quarantine"), ("SilenceMinutes", "30")]).await;
    assert_eq!(deployed.with_signature(&body, &signature).await, 200);
    deployed.moved(&before, Metric::ValidSignatureFromUnlistedSource, None).await;
    deployed.moved(&before, Metric::Quarantined, Some("unlisted_source")).await;
}

async fn our_own_trouble(deployed: &Deployed, signed: &mut impl FnMut(&[u8]) -> String) {
    let silence = ("SilenceMinutes", "30");
    let before = deployed.counted().await;
    deployed.update(Some(("WebhookRole", "Queue")), &[silence]).await;
    let body = event("et-o-9", "INCOMES_ADDED", json!({}));
    let signature = signed(&body);
    assert_eq!(deployed.with_signature(&body, &signature).await, 503);
    deployed.moved(&before, Metric::QueueUnavailable, None).await;

    // The warm function has its secrets; whether there are newer ones it cannot tell now.
    deployed.update(Some(("WebhookRole", "Secret")), &[silence]).await;
    let forged = crate::receiver::signature("a stranger's secret", &body);
    until("a second look that fails", async || {
        (deployed.with_signature(&body, &forged).await == 503).then_some(())
    })
    .await;
    deployed.moved(&before, Metric::SecretUnavailable, None).await;
    // A new version does not even start.
    deployed.update(Some(("WebhookRole", "Secret")), &[silence, ("WebhookMemory", "257")]).await;
    let status = deployed.with_signature(&body, &signature).await;
    assert!((500..=599).contains(&status), "{status}");

    // The message waits, comes again, and ends as a dead letter.
    deployed.update(Some(("ConsumerRole", "Table")), &[silence, ("WebhookMemory", "258")]).await;
    assert_eq!(deployed.with_signature(&body, &signature).await, 200);
    deployed.moved(&before, Metric::Retried, None).await;
    until("the dead letter", async || (deployed.dead_letters().await == 1).then_some(())).await;
}
