//! The REST API that refuses all but Smile's addresses by itself (`infra/examples/guarded-api`), before the webhook function
//! of a receiver.

use serde_json::{Value, json};
use shared::id::EventId;
use smile_cli::template;

use super::{Deployed, ask, until};
use crate::receiver::signature;
use crate::support::it_dir;

impl Deployed {
    /// Deploys the example for these sources; gives the URL of its API here.
    async fn guarded(&self, stack: &str, sources: &str) -> String {
        let template = it_dir().join("../../infra/examples/guarded-api/template.yaml");
        let parameters = [
            ("WebhookFunctionName", &*self.stack().outputs["WebhookFunctionName"]),
            ("SourceAllowList", sources),
        ];
        let outputs = self.deploy_beside(stack, &template::load(template).unwrap(), &parameters).await;
        let (_, path) = outputs["WebhookUrl"].split_once(".amazonaws.com/").unwrap();
        format!("{}/_aws/execute-api/{}/{path}", self.stack().aws_endpoint, outputs["ApiId"])
    }
}

#[tokio::test]
async fn a_rest_api_lets_smile_through_and_nobody_else() {
    let deployed = Deployed::start("guarded").await;
    let post = async |url: &str, body: &Value, secret: &str| {
        let body = body.to_string();
        let signature = signature(secret, body.as_bytes());
        let (status, _, answer) =
            ask("POST", url.to_owned(), vec![("smile-signature", signature)], body).await;
        (status, answer)
    };
    let event = |id: &str| {
        json!({ "id": id, "version": 1, "type": "ACCOUNT_CONNECTED", "createdAt": "2026-03-01T10:00:00Z",
            "data": { "userId": "u-1", "accountId": "a-1" } })
    };
    let secret = deployed.stack().webhook_secret.clone();

    // From a listed source: as through the receiver's own API.
    let guarded = deployed.guarded("smile-guarded", "203.0.113.7/32,127.0.0.1/32").await;
    let (status, answer) = post(&guarded, &event("et-guarded"), &secret).await;
    assert_eq!((status, &answer["status"]), (200, &json!("queued")), "{answer}");
    let id = EventId::new("et-guarded").unwrap();
    let (_, kept) = until("the event", async || deployed.table.event(&id).await.unwrap()).await;
    assert_eq!(kept.unwrap(), event("et-guarded").to_string().as_bytes());
    let (status, answer) = post(&guarded, &event("et-forged"), "another secret").await;
    assert_eq!(status, 401, "{answer}");

    // From another one: refused by the API, and the function has not run.
    let elsewhere = deployed.guarded("smile-guarded-elsewhere", "203.0.113.7/32").await;
    let before = deployed.log_of("smile-webhook").await.len();
    let (status, answer) = post(&elsewhere, &event("et-elsewhere"), &secret).await;
    assert_eq!(status, 403, "{answer}");
    assert!(answer.to_string().contains("not authorized to perform: execute-api:Invoke"), "{answer}");
    let (status, answer) = deployed.send(event("et-after").to_string().as_bytes()).await;
    assert_eq!(status, 200, "{answer}");
    let log = until("the line of the last one", async || {
        let log = deployed.log_of("smile-webhook").await;
        log.iter().any(|line| line.contains("et-after")).then_some(log)
    })
    .await;
    assert!(
        log[before..].iter().all(|line| !line.contains("et-elsewhere") && !line.contains("refused")),
        "{log:?}"
    );
    deployed.stop().await;
}
