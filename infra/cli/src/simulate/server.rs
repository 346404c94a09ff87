//! The HTTP server: two doors on one port of loopback, `/v1` for Smile's API and `/_simulate` for what
//! tells the simulator what to do.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::stage::Stage;
use super::wire::{Answer, Query, Request};
use super::{API, CONTROL, control};

/// The longest body that is read.
const LONGEST_BODY: usize = 1024 * 1024;

/// Closes the connection without an answer.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it was told to hang up")
    }
}

impl std::error::Error for HangUp {}

/// Serves until it is told to stop.
pub(super) async fn serve(listener: TcpListener, stage: Arc<Stage>, mut stop: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else { continue };
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&stage), peer, request));
            // Whatever ends a connection ends that connection alone.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(
    stage: Arc<Stage>,
    peer: SocketAddr,
    request: HttpRequest<Incoming>,
) -> Result<Response<Full<Bytes>>, HangUp> {
    let (head, body) = request.into_parts();
    // A body that is too long or breaks off becomes one that is no JSON, and is refused as such.
    let body = Limited::new(body, LONGEST_BODY).collect().await.map(|body| body.to_bytes().to_vec());
    let header = |name: HeaderName| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let path = head.uri.path();
    let mut request = Request {
        method: head.method.as_str().to_owned(),
        path: String::new(),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        body: body.unwrap_or_else(|_| b"-".to_vec()),
    };
    let answer = if let Some(rest) = path.strip_prefix(CONTROL) {
        rest.clone_into(&mut request.path);
        control::answer(&stage, &request)
    } else {
        // A path that is not the API's leads nowhere there, either.
        path.strip_prefix(API).unwrap_or("/-").clone_into(&mut request.path);
        stage.answer(peer.ip(), &request).ok_or(HangUp)?
    };
    Ok(response(&answer))
}

fn response(answer: &Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = answer.retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    let text = answer.body.to_string();
    response.body(Full::from(text)).unwrap_or_else(|_| Response::new(Full::default()))
}
