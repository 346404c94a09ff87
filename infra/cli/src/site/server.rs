//! HTTP: who is let in, and which path leads where.
//!
//! A page of another site can make a browser send requests to this port. It cannot read the answers, but a
//! name of its own that leads to 127.0.0.1 would make them its own: so `Host` must be one of ours. And what
//! changes something must be JSON, which a foreign page cannot send unasked, and carry no foreign `Origin`.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Scene, page, vendor, watch};

/// The longest body that is read, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    kind: &'static str,
    pub(super) body: Bytes,
}

impl Answer {
    /// JSON.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, kind: "application/json", body: body.to_string().into() }
    }

    /// JSON as somebody else wrote it.
    pub(super) fn passed_on(status: u16, body: String) -> Self {
        Self { status, kind: "application/json", body: body.into() }
    }

    /// Something is not as it must be.
    pub(super) fn refusal(status: u16, detail: &str) -> Self {
        Self::json(status, &json!({ "detail": detail }))
    }

    fn file(kind: &'static str, text: impl Into<Bytes>) -> Self {
        Self { status: 200, kind, body: text.into() }
    }
}

/// Serves until it is told to stop.
pub(super) async fn serve(listener: TcpListener, scene: Arc<Scene>, mut stop: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&scene), request));
            // Whatever ends a connection ends that connection alone.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(scene: Arc<Scene>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = if !is_ours(header(&head.headers, &header::HOST), scene.address.port()) {
        Answer::refusal(421, "this server answers under its own name only")
    } else if head.method == Method::GET {
        get(&scene, head.uri.path(), head.uri.query().unwrap_or_default()).await
    } else if head.method != Method::POST {
        Answer::refusal(405, "GET or POST")
    } else if !is_from_our_pages(&head.headers, scene.address.port()) {
        Answer::refusal(403, "only from this server's own pages, and only JSON")
    } else {
        match Limited::new(body, LONGEST_BODY).collect().await {
            Ok(body) => post(&scene, head.uri.path(), &head.headers, &body.to_bytes()).await,
            Err(_) => Answer::refusal(413, "that is too long"),
        }
    };
    Ok(response(&scene, answer))
}

async fn get(scene: &Scene, path: &str, query: &str) -> Answer {
    match path {
        "/" => Answer::file("text/html; charset=utf-8", scene.page.clone()),
        "/site.css" => Answer::file("text/css; charset=utf-8", page::STYLE),
        "/site.js" => Answer::file("text/javascript; charset=utf-8", page::SCRIPT),
        "/v2/smile.v2.js" => Answer::file("text/javascript; charset=utf-8", page::widget()),
        "/watch" => watch::look(scene, query.strip_prefix("user=").unwrap_or_default()).await,
        _ => Answer::refusal(404, "there is nothing at this path"),
    }
}

async fn post(scene: &Scene, path: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    if let Some(call) = path.strip_prefix("/v2/") {
        let token = header(headers, &header::AUTHORIZATION).and_then(|header| header.strip_prefix("Bearer "));
        return vendor::answer(&scene.simulator, call, token, body);
    }
    match path {
        "/api/links" => scene.back_end.link(body).await,
        "/api/refresh" => scene.back_end.refresh(body).await,
        "/trouble" => vendor::trouble(&scene.simulator, body),
        _ => Answer::refusal(404, "there is nothing at this path"),
    }
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::refusal(400, &error.to_string()))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a host with its port is this server.
fn is_ours(host: Option<&str>, port: u16) -> bool {
    let named = host.and_then(|host| host.rsplit_once(':'));
    named.is_some_and(|(name, at)| matches!(name, "127.0.0.1" | "localhost") && at == port.to_string())
}

fn is_from_our_pages(headers: &HeaderMap, port: u16) -> bool {
    let kind = header(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let is_json = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    is_json && origin.is_none_or(|origin| is_ours(origin.strip_prefix("http://"), port))
}

fn response(scene: &Scene, answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() =
        hyper::StatusCode::from_u16(answer.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, answer.kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::from_str(&scene.policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_name() {
        assert!(is_ours(Some("127.0.0.1:4570"), 4570) && is_ours(Some("localhost:4570"), 4570));
        for host in [
            None,
            Some("127.0.0.1"),
            Some("127.0.0.1:4571"),
            Some("evil.example:4570"),
            Some("localhost.evil:4570"),
        ] {
            assert!(!is_ours(host, 4570), "{host:?}");
        }
    }
}
