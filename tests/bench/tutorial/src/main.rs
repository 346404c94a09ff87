//! A webhook receiver as the tutorials write it: `lambda_http`, `aws_config::load_defaults`, the
//! multi-thread runtime, and the stock release profile. For comparison only.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use serde::Deserialize;
use sha2::Sha512;

/// The event, as far as it is needed; what else it has is skipped.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    _kind: String,
}

struct App {
    client: Client,
    queue_url: String,
    secret: String,
    source: IpAddr,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let app = App {
        client: Client::new(&config),
        queue_url: std::env::var("WEBHOOK_QUEUE_URL")?,
        secret: std::env::var("WEBHOOK_SECRET")?,
        source: std::env::var("WEBHOOK_SOURCE")?.parse()?,
    };
    run(service_fn(|request| handle(&app, request))).await
}

async fn handle(app: &App, request: Request) -> Result<Response<Body>, Error> {
    let (source, delivery) = match request.request_context() {
        RequestContext::ApiGatewayV2(context) => (context.http.source_ip, context.request_id),
        _ => (None, None),
    };
    if source.and_then(|source| source.parse::<IpAddr>().ok()) != Some(app.source) {
        return answer(403, r#"{"error":"source not allowed"}"#.into());
    }
    let signature = request.headers().get("smile-signature").and_then(|value| value.to_str().ok());
    let signature = hex::decode(signature.unwrap_or_default()).unwrap_or_default();
    let body = request.body();
    let mut mac = Hmac::<Sha512>::new_from_slice(app.secret.as_bytes())?;
    mac.update(body);
    if mac.verify_slice(&signature).is_err() {
        return answer(401, r#"{"error":"signature missing or wrong"}"#.into());
    }
    let envelope: Envelope = serde_json::from_slice(body)?;
    let received_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
    app.client
        .send_message()
        .queue_url(&app.queue_url)
        .message_body(std::str::from_utf8(body)?)
        .message_attributes("v", text("1")?)
        .message_attributes("source", text("webhook")?)
        .message_attributes("received_at", text(received_at)?)
        .message_attributes("delivery", text(delivery.unwrap_or_default())?)
        .send()
        .await?;
    answer(200, serde_json::json!({ "status": "queued", "id": envelope.id }).to_string())
}

fn text(value: impl Into<String>) -> Result<MessageAttributeValue, Error> {
    Ok(MessageAttributeValue::builder().data_type("String").string_value(value).build()?)
}

fn answer(status: u16, body: String) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(body.into())?)
}
