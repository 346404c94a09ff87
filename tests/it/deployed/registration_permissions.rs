//! The register function's statements, taken away one by one: its deployment fails or tells what is left, and
//! the stack never gets stuck.

use std::sync::Arc;

use serde_json::json;
use smile_cli::simulate::{Failing, Operation};

use super::registration::{registered, simulator};
use super::way::smile;
use super::{Deployed, until};

#[tokio::test]
async fn a_registration_without_permissions_fails_or_is_reported_and_the_stack_goes_on() {
    let deployed = Deployed::start("registration-permissions").await;
    let simulator = Arc::new(simulator());
    let credentials = deployed.secrets.create_secret().name("smile-api");
    let credentials = credentials
        .secret_string(json!({ "key": "simulator", "secret": "simulator" }).to_string())
        .send()
        .await
        .unwrap();
    let api = simulator.url();
    let with = |types| {
        [
            ("Local", "true"),
            ("SourceAllowList", "127.0.0.1/32"),
            ("Architecture", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }),
            ("SmileCredentialsSecretArn", credentials.arn().unwrap()),
            ("SmileApiUrl", api.as_str()),
            ("SmileEventTypes", types),
        ]
    };
    let types = || registered(&simulator).into_iter().map(|(_, _, types, ..)| types).collect::<Vec<_>>();
    let without = async |sid| deployed.without(Some(("RegisterRole", sid))).await;

    // Without the secrets nothing can be registered: the update fails, and the stack is as it was.
    let status = deployed.change(&without("Secrets").await, &with("ALL_EVENTS")).await;
    assert_eq!((status.as_str(), types()), ("UPDATE_ROLLBACK_COMPLETE", vec![]));
    logged(&deployed, "the webhook's secret could not be had").await;
    let whole = deployed.without(None).await;
    let status = deployed.change(&whole, &with("ALL_EVENTS")).await;
    assert_eq!((status.as_str(), types()), ("UPDATE_COMPLETE", vec!["ALL_EVENTS".to_owned()]));
    // Neither can it be changed, and what is registered stays.
    let status = deployed.change(&without("Secrets").await, &with("USER_CREATED")).await;
    assert_eq!((status.as_str(), types()), ("UPDATE_ROLLBACK_COMPLETE", vec!["ALL_EVENTS".to_owned()]));

    // Without the stack's state it is registered all the same.
    let blind = without("Stack").await;
    let status = deployed.change(&blind, &with("USER_CREATED")).await;
    assert_eq!((status.as_str(), types()), ("UPDATE_COMPLETE", vec!["USER_CREATED".to_owned()]));
    logged(&deployed, "what the stack is going through is not known").await;
    // But then a failure could be one of a rollback: it is reported, and not told.
    let counted = async || {
        deployed.register_log().await.iter().filter(|line| line.contains("\"RegistrationOrphaned\"")).count()
    };
    let before = counted().await;
    simulator.fail(Failing::next(Operation::CreateWebhook, u32::MAX, 400));
    let status = deployed.change(&blind, &with("ALL_EVENTS")).await;
    simulator.stop_failing();
    assert_eq!((status.as_str(), types()), ("UPDATE_COMPLETE", vec!["USER_CREATED".to_owned()]));
    until("the report", async || (counted().await > before).then_some(())).await;
    let (ok, _, said) = smile(&deployed, &["register", "create"]);
    assert!(ok && types() == ["ALL_EVENTS"], "{said}");

    // A deletion never fails. What it leaves is told.
    let status = deployed.change(&without("Secrets").await, &with("ALL_EVENTS")).await;
    assert_eq!(status, "UPDATE_COMPLETE");
    assert_eq!(deployed.delete_stack().await, "DELETE_COMPLETE");
    assert_eq!(types(), ["ALL_EVENTS"]);
    logged(&deployed, "registrations may be orphaned at Smile").await;
    deployed.stop().await;
}

/// Waits until the register function has logged this.
async fn logged(deployed: &Deployed, words: &str) {
    until(words, async || {
        deployed.register_log().await.iter().any(|line| line.contains(words)).then_some(())
    })
    .await;
}
