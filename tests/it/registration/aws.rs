//! As much of AWS as a registration needs: secrets with versions and labels, a queue that takes everything,
//! and a stack that is in some state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use serde_json::{Value, json};

/// What there is.
#[derive(Default)]
pub(super) struct State {
    secrets: BTreeMap<String, Secret>,
    /// The state of every stack; none when CloudFormation does not answer.
    pub(super) stack: Option<String>,
}

#[derive(Default)]
struct Secret {
    versions: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

/// An AWS.
#[derive(Clone, Default)]
pub(super) struct Aws(Arc<Mutex<State>>);

/// From which call on somebody is cut off, and whether that one takes effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutOff {
    pub(super) after: u32,
    pub(super) effect: bool,
}

impl Aws {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn set_secret(&self, arn: &str, text: &Value) {
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        let mut state = self.state();
        let secret = state.secrets.entry(arn.to_owned()).or_default();
        let version = format!("version-{}", secret.versions.len());
        secret.versions.insert(version.clone(), text);
        secret.labels.insert("AWSCURRENT".to_owned(), version);
    }

    /// The document in use.
    pub(super) fn document(&self, arn: &str) -> Value {
        let state = self.state();
        let secret = &state.secrets[arn];
        serde_json::from_str(&secret.versions[&secret.labels["AWSCURRENT"]]).unwrap()
    }

    /// A configuration whose every call ends here.
    pub(super) fn sdk(&self) -> SdkConfig {
        self.cut_off(None)
    }

    /// One that stops working.
    pub(super) fn cut_off(&self, at: Option<CutOff>) -> SdkConfig {
        let (aws, calls) = (self.clone(), Arc::new(Mutex::new(0)));
        let client = infallible_client_fn(move |request| {
            let target =
                request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
            let body = request.body().bytes().unwrap();
            let call = {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                *calls - 1
            };
            let cut = at.filter(|at| call >= at.after);
            let answer = if cut.is_none_or(|cut| cut.effect && call == cut.after) {
                match target {
                    Some(target) => aws.answer(&target, &serde_json::from_slice(body).unwrap()),
                    None => aws.describe_stacks(),
                }
            } else {
                (500, String::new())
            };
            let (status, text) = if cut.is_some() { failed("InternalServiceError") } else { answer };
            http::Response::builder().status(status).body(SdkBody::from(text)).unwrap()
        });
        let retries = aws_smithy_types::retry::RetryConfig::standard().with_max_attempts(1);
        crate::cloud::sdk("http://fake.invalid")
            .to_builder()
            .http_client(client)
            .retry_config(retries)
            .build()
    }

    fn answer(&self, target: &str, request: &Value) -> (u16, String) {
        if target == "AmazonSQS.SendMessage" {
            return (200, json!({ "MessageId": "m" }).to_string());
        }
        let mut state = self.state();
        let Some(secret) = state.secrets.get_mut(request["SecretId"].as_str().unwrap()) else {
            return failed("ResourceNotFoundException");
        };
        let text = |field: &str| request[field].as_str().unwrap().to_owned();
        match target {
            "secretsmanager.GetSecretValue" => {
                let version = &secret.labels["AWSCURRENT"];
                (200, json!({ "SecretString": secret.versions[version], "VersionId": version }).to_string())
            }
            "secretsmanager.PutSecretValue" => {
                let version = text("ClientRequestToken");
                assert_eq!(
                    request["VersionStages"],
                    json!(["SMILE_NEXT"]),
                    "the version in use is left alone"
                );
                secret.versions.insert(version.clone(), text("SecretString"));
                secret.labels.insert("SMILE_NEXT".to_owned(), version.clone());
                (200, json!({ "VersionId": version }).to_string())
            }
            "secretsmanager.UpdateSecretVersionStage" => {
                let label = text("VersionStage");
                if secret.labels[&label] != text("RemoveFromVersionId") {
                    return failed("InvalidParameterException");
                }
                secret.labels.insert(label, text("MoveToVersionId"));
                (200, json!({}).to_string())
            }
            other => panic!("nobody should call {other}"),
        }
    }

    fn describe_stacks(&self) -> (u16, String) {
        let Some(status) = self.state().stack.clone() else {
            return (
                403,
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
                    .to_owned(),
            );
        };
        let stack = format!(
            "<member><StackName>s</StackName><CreationTime>2026-03-01T10:00:00Z</CreationTime><StackStatus>{status}</StackStatus></member>"
        );
        (
            200,
            format!(
                "<DescribeStacksResponse><DescribeStacksResult><Stacks>{stack}</Stacks></DescribeStacksResult></DescribeStacksResponse>"
            ),
        )
    }
}

fn failed(code: &str) -> (u16, String) {
    (400, json!({ "__type": code, "message": "on purpose" }).to_string())
}
