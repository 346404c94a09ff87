//! The stack registers its webhook at Smile: created, changed, rotated under delivery, deleted, and failing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_cloudformation::types::{Capability, Parameter};
use serde_json::{Value, json};
use shared::event::EventType;
use smile_cli::simulate::{Clock, Failing, Operation, Options, Simulator};

use super::way::smile;
use super::{Deployed, until};
use crate::observability::check_metric_line;
use crate::personal::every_line_is_json_with_known_fields;
use crate::receiver::signature;

const STACK: &str = "smile";

pub(super) fn simulator() -> Simulator {
    let options = Options { retry_wait: Duration::from_millis(500), ..Options::new(Clock::of_system()) };
    Simulator::start(options).unwrap()
}

/// What is registered: name, URL, types, whether payloads are included, and the secret.
pub(super) fn registered(simulator: &Simulator) -> Vec<(String, String, String, bool, String)> {
    simulator.world(|world| {
        let of = world.webhooks.iter().map(|webhook| {
            let new = &webhook.registered;
            assert!(new.active);
            let types: Vec<&str> = new.event_types.iter().map(EventType::as_str).collect();
            let secret = new.secret.expose().to_owned();
            (new.name.clone(), new.url.clone(), types.join(","), new.include_payload, secret)
        });
        of.collect()
    })
}

impl Deployed {
    async fn document(&self) -> Value {
        let secret =
            self.secrets.get_secret_value().secret_id(&self.stack().secret_arn).send().await.unwrap();
        serde_json::from_str(secret.secret_string().unwrap()).unwrap()
    }

    /// The template as it is deployed, with these parameters, as a new stack. Its last status.
    async fn create_again(&self, template: &str, parameters: &[(&str, &str)]) -> String {
        let parameters = parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(*name).parameter_value(*value).build())
            .collect();
        let create = self
            .cloudformation
            .create_stack()
            .stack_name(STACK)
            .template_url(self.template_url(template.to_owned()).await);
        create
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .send()
            .await
            .unwrap();
        self.settled().await
    }

    /// An update of the stack, whatever becomes of it. Its last status.
    pub(super) async fn change(&self, template: &str, parameters: &[(&str, &str)]) -> String {
        let parameters = parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(*name).parameter_value(*value).build())
            .collect();
        let update = self
            .cloudformation
            .update_stack()
            .stack_name(STACK)
            .template_url(self.template_url(template.to_owned()).await);
        update
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .send()
            .await
            .unwrap();
        self.settled().await
    }

    pub(super) async fn delete_stack(&self) -> String {
        self.cloudformation.delete_stack().stack_name(STACK).send().await.unwrap();
        self.settled().await
    }

    /// The stack's status when nothing is in progress; `DELETE_COMPLETE` when there is none any more.
    async fn settled(&self) -> String {
        until("the stack to settle", async || {
            let Ok(stacks) = self.cloudformation.describe_stacks().stack_name(STACK).send().await else {
                return Some("DELETE_COMPLETE".to_owned());
            };
            let status = stacks.stacks()[0].stack_status().unwrap().as_str().to_owned();
            (!status.ends_with("_IN_PROGRESS")).then_some(status)
        })
        .await
    }

    /// What the register function has logged, in all stacks that there were.
    pub(super) async fn register_log(&self) -> Vec<String> {
        let groups = self.aws("logs", "Logs_20140328.DescribeLogGroups", json!({})).await;
        let names = groups["logGroups"].as_array().unwrap().iter();
        let names = names.filter_map(|group| group["logGroupName"].as_str());
        let mut lines = Vec::new();
        for name in names.filter(|name| name.to_lowercase().contains("register")) {
            lines.extend(self.log_at(name).await);
        }
        lines
    }
}

#[tokio::test]
async fn the_stack_registers_itself_and_takes_its_registration_away() {
    let deployed = Deployed::start("registration").await;
    let simulator = Arc::new(simulator());
    let credentials = deployed
        .secrets
        .create_secret()
        .name("smile-api")
        .secret_string(json!({ "key": "simulator", "secret": "simulator" }).to_string())
        .send()
        .await
        .unwrap();
    let (arn, api) = (credentials.arn().unwrap().to_owned(), simulator.url());
    let with = [("SmileCredentialsSecretArn", arn.as_str()), ("SmileApiUrl", api.as_str())];
    let changed = [
        with[0],
        with[1],
        ("SmileEventTypes", "USER_CREATED,ACCOUNT_CREATED"),
        ("SmileIncludePayload", "true"),
    ];
    let url = deployed.stack().outputs["WebhookUrl"].clone();
    let secret = deployed.stack().webhook_secret.clone();
    let right = |types: &str, payload, secret: &str| {
        vec![(STACK.to_owned(), url.clone(), types.to_owned(), payload, secret.to_owned())]
    };

    // Added and changed.
    deployed.update(None, &with).await;
    assert_eq!(registered(&simulator), right("ALL_EVENTS", false, &secret));
    deployed.update(None, &changed).await;
    assert_eq!(registered(&simulator), right("USER_CREATED,ACCOUNT_CREATED", true, &secret));
    let (ok, status, said) = smile(&deployed, &["register", "status", "--json"]);
    assert!(ok, "{status}{said}");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["drift"], &status["registrations"][0]["secret"]), (&json!([]), &json!("current")));
    assert!(!status.to_string().contains(&secret));

    moves_to_a_url_that_answers(&deployed, &simulator, [with[0], with[1], changed[2], changed[3]]).await;
    assert_eq!(registered(&simulator), right("USER_CREATED,ACCOUNT_CREATED", true, &secret));

    rotates_under_delivery(&deployed, &simulator, &secret).await;
    let current = deployed.document().await["current"].as_str().unwrap().to_owned();
    assert_ne!(current, secret);
    assert_eq!(registered(&simulator), right("USER_CREATED,ACCOUNT_CREATED", true, &current));
    drift_is_told_and_put_right(&deployed, &simulator);
    assert_eq!(registered(&simulator), right("USER_CREATED,ACCOUNT_CREATED", true, &current));

    let template = deployed.cloudformation.get_template().stack_name(STACK).send().await.unwrap();
    let template = template.template_body().unwrap().to_owned();
    let all = local(with);

    // An update that Smile refuses, once or altogether, is rolled back, and what was there is there.
    for times in [1, u32::MAX] {
        simulator.fail(Failing::next(Operation::CreateWebhook, times, 400));
        assert_eq!(deployed.change(&template, &all).await, "UPDATE_ROLLBACK_COMPLETE");
        simulator.stop_failing();
        assert_eq!(registered(&simulator), right("USER_CREATED,ACCOUNT_CREATED", true, &current));
    }
    // One with Smile away, too: a rollback is never made to fail. It cannot tell, and reports.
    simulator.fail(Failing { times: u32::MAX, ..Failing::default() });
    assert_eq!(deployed.change(&template, &all).await, "UPDATE_ROLLBACK_COMPLETE");
    simulator.stop_failing();
    let log = deployed.register_log().await.join("\n");
    assert!(
        log.contains("not done, and CloudFormation goes on") && log.contains("RegistrationOrphaned"),
        "{log}"
    );
    assert!(!log.contains("what the stack is going through is not known"), "{log}");

    // Away with the stack.
    assert_eq!(deployed.delete_stack().await, "DELETE_COMPLETE");
    assert_eq!(registered(&simulator), []);

    // Smile refuses: the stack is not there, and nothing is registered.
    simulator.fail(Failing::next(Operation::CreateWebhook, u32::MAX, 400));
    assert_eq!(deployed.create_again(&template, &all).await, "ROLLBACK_COMPLETE");
    simulator.stop_failing();
    assert_eq!(registered(&simulator), []);
    assert_eq!(deployed.delete_stack().await, "DELETE_COMPLETE");

    // Created at once, and deleted while Smile is away: reported.
    assert_eq!(deployed.create_again(&template, &all).await, "CREATE_COMPLETE");
    assert_eq!(registered(&simulator).len(), 1);
    simulator.fail(Failing { times: u32::MAX, ..Failing::default() });
    assert_eq!(deployed.delete_stack().await, "DELETE_COMPLETE");
    simulator.stop_failing();
    assert_eq!(registered(&simulator).len(), 1);
    // The local cloud begins the log anew with each stack.
    let orphan = until("the report", async || {
        let lines = deployed.register_log().await;
        lines.iter().any(|line| line.contains("\"_aws\"")).then_some(lines)
    })
    .await;
    let counted = orphan.iter().find(|line| line.contains("\"_aws\"")).unwrap();
    let (metric, function, _) = check_metric_line(counted);
    assert_eq!((metric.name(), function.as_str()), ("RegistrationOrphaned", "smile-register"));
    assert!(orphan.iter().any(|line| line.contains("may be orphaned at Smile")), "{orphan:?}");
    let ours: Vec<&str> = orphan.iter().map(String::as_str).filter(|line| line.starts_with('{')).collect();
    every_line_is_json_with_known_fields(&ours.join("\n"));
    let log = orphan.join("\n");
    for hush in [secret.as_str(), &current, "cfn-response"] {
        assert!(!log.contains(hush), "{log}");
    }
    deployed.stop().await;
}

/// To another URL, and back: only when the receiver answers there.
async fn moves_to_a_url_that_answers(deployed: &Deployed, simulator: &Simulator, with: [(&str, &str); 4]) {
    let url = &deployed.stack().outputs["WebhookUrl"];
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/v1/webhooks/smile", listener.local_addr().unwrap())
    };
    // The same receiver under another name.
    let other = url.replace("localhost", "127.0.0.1");
    assert_ne!(other, *url);
    let template = deployed.cloudformation.get_template().stack_name(STACK).send().await.unwrap();
    let template = template.template_body().unwrap().to_owned();
    let there = || registered(simulator).into_iter().map(|found| found.1).collect::<Vec<_>>();
    for (to, status, registered) in [
        (&nobody, "UPDATE_ROLLBACK_COMPLETE", url),
        (&other, "UPDATE_COMPLETE", &other),
        (&String::new(), "UPDATE_COMPLETE", url),
    ] {
        let mut all = local([with[0], with[1]]).to_vec();
        all.extend([with[2], with[3], ("RegisteredUrl", to)]);
        assert_eq!(deployed.change(&template, &all).await, status, "{to}");
        assert_eq!(there(), std::slice::from_ref(registered), "{to}");
    }
    let log = deployed.register_log().await.join("\n");
    assert!(log.contains("does not answer as this receiver does"), "{log}");
}

/// The parameters of a stack on the local cloud that has these, too.
fn local<'a>(with: [(&'a str, &'a str); 2]) -> [(&'a str, &'a str); 5] {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    [("Local", "true"), ("SourceAllowList", "127.0.0.1/32"), ("Architecture", architecture), with[0], with[1]]
}

/// `smile register rotate`, while one event follows the other.
async fn rotates_under_delivery(deployed: &Deployed, simulator: &Arc<Simulator>, old: &str) {
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, stopped) = (Arc::clone(simulator), Arc::clone(&stop));
    let stream = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            sender.emit(&EventType::UserCreated, None);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let (ok, _, said) = smile(deployed, &["register", "rotate"]);
    stop.store(true, Ordering::SeqCst);
    stream.join().unwrap();
    assert!(ok, "{said}");
    for step in
        ["a pending secret is written", "a registration is created", "deleted: ", "is the current one"]
    {
        assert!(said.contains(step), "{said}");
    }
    assert!(simulator.wait_until_quiet(Duration::from_mins(1)));
    let deliveries = simulator.deliveries();
    let refused: Vec<_> = deliveries.iter().filter(|delivery| !delivery.is_taken()).collect();
    assert!(refused.is_empty() && deliveries.len() > 20, "{} {refused:?}", deliveries.len());
    let document = deployed.document().await;
    assert_eq!((&document["previous"]["secret"], &document["pending"]), (&json!(old), &Value::Null));
    // Accepted still: its ten minutes have just begun.
    let body = br#"{"id":"et-old","version":1,"type":"USER_CREATED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u"}}"#;
    assert_eq!(deployed.post(body, &[("smile-signature", &signature(old, body))]).await.0, 200);
    let (ok, _, said) = smile(deployed, &["register", "rotate"]);
    assert!(ok && said.contains("is accepted until"), "{said}");
    assert_eq!(deployed.document().await, document, "the next one waits for the ten minutes");
}

fn drift_is_told_and_put_right(deployed: &Deployed, simulator: &Simulator) {
    simulator.world(|world| world.webhooks[0].registered.include_payload = false);
    let (ok, status, said) = smile(deployed, &["register", "status"]);
    assert!(!ok && status.contains("does not include payloads"), "{status}{said}");
    let (ok, _, said) = smile(deployed, &["register", "rotate", "--dry-run"]);
    assert!(ok && said.contains("would create a registration") && said.contains("would delete"), "{said}");
    let (ok, _, said) = smile(deployed, &["register", "create"]);
    assert!(ok && said.contains("registered as"), "{said}");
    let (ok, status, said) = smile(deployed, &["register", "status"]);
    assert!(ok && status.contains("all is as it should be"), "{status}{said}");
    // Away and back by hand.
    let (ok, _, said) = smile(deployed, &["register", "delete"]);
    assert!(ok && said.contains("1 deleted"), "{said}");
    assert_eq!(registered(simulator), []);
    let (ok, status, _) = smile(deployed, &["register", "status"]);
    assert!(!ok && status.contains("nothing is registered"), "{status}");
    let (ok, _, said) = smile(deployed, &["register", "create"]);
    assert!(ok, "{said}");
}
