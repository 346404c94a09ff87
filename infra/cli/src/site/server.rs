//! Which path leads where. Who is let in: see `crate::loopback`.

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};

use super::{Scene, page, vendor, watch};
use crate::loopback::{Answer, bearer, refused, response};

/// The longest body that is read, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// Answers one request.
pub(super) async fn handle(scene: Arc<Scene>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = match refused(&request, scene.port) {
        Some(refusal) => refusal,
        None => answer(&scene, request).await,
    };
    response(answer.status, answer.kind, &scene.policy, Full::new(answer.body))
}

async fn answer(scene: &Scene, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.method == Method::GET {
        return get(scene, path, head.uri.query().unwrap_or_default()).await;
    }
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => post(scene, path, bearer(&head.headers), &body.to_bytes()).await,
        Err(_) => Answer::refusal(413, "that is too long"),
    }
}

async fn get(scene: &Scene, path: &str, query: &str) -> Answer {
    match path {
        "/" => Answer::file("text/html; charset=utf-8", scene.page.clone()),
        "/site.css" => Answer::file("text/css; charset=utf-8", page::STYLE),
        "/site.js" => Answer::file("text/javascript; charset=utf-8", page::SCRIPT),
        "/v2/smile.v2.js" => Answer::file("text/javascript; charset=utf-8", page::widget()),
        "/watch" => watch::look(scene, query.strip_prefix("user=").unwrap_or_default()).await,
        _ => Answer::nowhere(),
    }
}

async fn post(scene: &Scene, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    if let Some(call) = path.strip_prefix("/v2/") {
        return vendor::answer(&scene.simulator, call, token, body);
    }
    match path {
        "/api/links" => scene.back_end.link(body).await,
        "/api/refresh" => scene.back_end.refresh(body).await,
        "/trouble" => vendor::trouble(&scene.simulator, body),
        _ => Answer::nowhere(),
    }
}
