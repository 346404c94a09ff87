//! Least privilege, tried: taking one statement away breaks exactly what it should, and what was broken
//! comes again when it is mended.
//!
//! Not the consumer's statement `Queue`: the local cloud reads the queue for the function by itself, and asks
//! no role. `template` holds it to the three actions that Lambda names.

use aws_sdk_cloudformation::types::{Capability, Parameter};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use shared::id::EventId;

use super::{Deployed, until};
use crate::receiver::signature;
use crate::support::{quarantined_on, template};

/// The roles of functions.
const ROLES: [&str; 9] = [
    "WebhookRole",
    "ConsumerRole",
    "RegisterRole",
    "CallbackRole",
    "LinkRole",
    "QueryRole",
    "PublishRole",
    "LiveRole",
    "PushRole",
];

fn event(id: &str, data: &Value) -> Vec<u8> {
    json!({ "id": id, "version": 1, "type": "INCOMES_ADDED", "createdAt": "2026-03-01T10:00:00Z", "data": data })
        .to_string()
        .into_bytes()
}

fn owned() -> Value {
    json!({ "userId": "u-1", "accountId": "a-1" })
}

impl Deployed {
    /// The template as it is deployed, without these statements of roles: role and `Sid` of each.
    pub(super) async fn without(&self, statements: impl IntoIterator<Item = (&str, &str)>) -> String {
        let deployed = self.cloudformation.get_template().stack_name("smile").send().await.unwrap();
        // Every statement is back, but for these.
        let whole = template();
        let mut template: Value = serde_json::from_str(deployed.template_body().unwrap()).unwrap();
        for role in ROLES {
            template["Resources"][role] = whole["Resources"][role].clone();
        }
        for (role, sid) in statements {
            let statements =
                &mut template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
            let statements = statements.as_array_mut().unwrap();
            let before = statements.len();
            statements.retain(|statement| statement["Sid"] != sid);
            assert_eq!(statements.len(), before - 1, "{role} has no statement {sid}");
        }
        template.to_string()
    }

    /// Updates the stack: without one statement of a role, or with other parameters.
    pub(super) async fn update(&self, without: Option<(&str, &str)>, parameters: &[(&str, &str)]) {
        let template = self.without(without).await;
        let mut all = vec![("Local", "true"), ("SourceAllowList", "127.0.0.1/32")];
        all.push(("Architecture", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }));
        all.retain(|(name, _)| !parameters.iter().any(|(other, _)| other == name));
        all.extend(parameters);
        let parameters = all
            .into_iter()
            .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
            .collect();
        self.cloudformation
            .update_stack()
            .stack_name("smile")
            .template_url(self.template_url(template).await)
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .send()
            .await
            .unwrap();
        until("the update", async || {
            let stacks = self.cloudformation.describe_stacks().stack_name("smile").send().await.unwrap();
            let status = stacks.stacks()[0].stack_status().unwrap().as_str().to_owned();
            assert!(!status.contains("ROLLBACK") && !status.contains("FAILED"), "{status}");
            (status == "UPDATE_COMPLETE").then_some(())
        })
        .await;
    }

    async fn is_stored(&self, id: &str) -> bool {
        self.table.event(&EventId::new(id).unwrap()).await.unwrap().is_some()
    }

    async fn stored(&self, id: &str) {
        until(id, async || self.is_stored(id).await.then_some(())).await;
    }

    /// Waits until the consumer has given a message back to its queue more often than `before`.
    pub(super) async fn gives_back(&self, before: usize) {
        until("the consumer to give it back", async || (self.given_back().await > before).then_some(()))
            .await;
    }

    pub(super) async fn dead_letters(&self) -> usize {
        let attributes = self.sqs.get_queue_attributes().queue_url(&self.stack().dlq_url);
        let attributes =
            attributes.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await;
        attributes.unwrap().attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessages]
            .parse()
            .unwrap()
    }

    /// How soon a message that failed comes again, in seconds: not the three minutes of production.
    pub(super) async fn comes_again_after(&self, seconds: u32) {
        let set = self.sqs.set_queue_attributes().queue_url(&self.stack().queue_url);
        set.attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string()).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_taken_away_breaks_what_it_should_and_mended_all_comes_again() {
    let deployed = Deployed::start("permissions").await;
    deployed.comes_again_after(3).await;
    assert_eq!(deployed.send(&event("et-0", &owned())).await.0, 200);
    deployed.stored("et-0").await;

    // Without the queue, the webhook's trouble is its own: 503, so that Smile tries again.
    deployed.update(Some(("WebhookRole", "Queue")), &[]).await;
    let (status, answer) = deployed.send(&event("et-1", &owned())).await;
    assert_eq!((status, answer), (503, json!({ "error": "temporarily unavailable, try again" })));
    assert_eq!(deployed.post(b"{}", &[]).await.0, 401, "what needs no queue still works");

    // Without the secret, the function does not start: a 5xx, never a 401.
    deployed.update(Some(("WebhookRole", "Secret")), &[("WebhookMemory", "257")]).await;
    let (status, answer) = deployed.send(&event("et-2", &owned())).await;
    assert!((500..=599).contains(&status), "{status} {answer}");

    // Without the index, only what is about an account of an unknown user waits.
    deployed.update(Some(("ConsumerRole", "Index")), &[("WebhookMemory", "258")]).await;
    assert_eq!(deployed.send(&event("et-3", &owned())).await.0, 200);
    let before = deployed.given_back().await;
    assert_eq!(deployed.send(&event("et-4", &json!({ "accountId": "a-1" }))).await.0, 200);
    deployed.stored("et-3").await;
    deployed.gives_back(before).await;
    assert!(!deployed.is_stored("et-4").await);
    deployed.update(None, &[("WebhookMemory", "258")]).await;
    deployed.stored("et-4").await;

    // Without the table, everything waits, and comes again when the table is back.
    deployed.update(Some(("ConsumerRole", "Table")), &[("WebhookMemory", "258")]).await;
    let before = deployed.given_back().await;
    assert_eq!(deployed.send(&event("et-5", &owned())).await.0, 200);
    deployed.gives_back(before).await;
    assert!(!deployed.is_stored("et-5").await);
    deployed.update(None, &[("WebhookMemory", "258")]).await;
    deployed.stored("et-5").await;
    assert_eq!(deployed.dead_letters().await, 0);

    // What fails five times ends in the dead letter queue.
    deployed.comes_again_after(1).await;
    deployed.update(Some(("ConsumerRole", "Table")), &[("WebhookMemory", "258")]).await;
    assert_eq!(deployed.send(&event("et-6", &owned())).await.0, 200);
    until("the dead letter", async || (deployed.dead_letters().await == 1).then_some(())).await;
    assert!(!deployed.is_stored("et-6").await);

    // From a source that is not listed nothing gets in, whatever a header says.
    deployed.update(None, &[("WebhookMemory", "258"), ("SourceAllowList", "18.142.61.230/32")]).await;
    let body = event("et-7", &owned());
    let signature = signature(&deployed.stack().webhook_secret, &body);
    for forged in [&[][..], &[("x-forwarded-for", "18.142.61.230"), ("forwarded", "for=18.142.61.230")]] {
        let headers: Vec<_> =
            [("smile-signature", signature.as_str())].iter().chain(forged).copied().collect();
        let (status, answer) = deployed.post(&body, &headers).await;
        assert_eq!((status, answer), (403, json!({ "error": "source not allowed" })));
    }
    // And under the other policy it is held: kept, but neither folded nor an event.
    let parameters =
        [("WebhookMemory", "258"), ("SourceAllowList", "18.142.61.230/32"), ("SourcePolicy", "quarantine")];
    deployed.update(None, &parameters).await;
    assert_eq!(deployed.send(&body).await.0, 200);
    #[expect(clippy::disallowed_methods, reason = "the functions have the real time, too")]
    let today = || jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let day = today();
    until("what is held", async || {
        let held = quarantined_on(&deployed.table, day).await;
        held.into_iter().find(|item| item.reason == "unlisted_source" && item.id.as_deref() == Some("et-7"))
    })
    .await;
    assert!(!deployed.is_stored("et-7").await);
    deployed.stop().await;
}
