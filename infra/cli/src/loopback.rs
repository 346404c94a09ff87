//! Pages for this machine alone: a port of loopback, who gets an answer there, and what every answer has.
//!
//! A page of another site can make a browser send requests to this port. It cannot read the answers, but a
//! name of its own that leads to 127.0.0.1 would make them its own: so `Host` must be one of ours. And what
//! changes something must be JSON, which a foreign page cannot send unasked, and carry no foreign `Origin`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;

use anyhow::Context;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// What can end an answer.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A port that is taken, before there is anything to serve.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Takes a port of loopback; 0 for any. When it is taken, the complaint says `what` it is for, and which
    /// `option` chooses another one.
    pub fn open(port: u16, what: &str, option: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} of {what} is taken: choose another one with {option}, 0 for any")
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where the page will be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The origins under which a browser can open a page of loopback.
pub fn origins(url: &str) -> [String; 2] {
    let url = origin(url).unwrap_or(url);
    [url.to_owned(), url.replace("127.0.0.1", "localhost")]
}

/// The origin of a URL.
pub(crate) fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    Some(&url[..end])
}

/// A running server, on a thread of its own. Stops when it is dropped.
pub(crate) struct Served {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Begins to serve.
    pub(crate) fn start<H, F, B>(door: Door, handle: H) -> anyhow::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            // Whoever answers may begin tasks of its own by `spawn_local`.
            LocalSet::new().block_on(&runtime, async move {
                // Fails only without a runtime.
                if let Ok(listener) = tokio::net::TcpListener::from_std(door.listener) {
                    serve(listener, handle, stopped).await;
                }
            });
            // What is under way is not waited for.
            runtime.shutdown_background();
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve<H, F, B>(listener: tokio::net::TcpListener, handle: H, mut stop: oneshot::Receiver<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
{
    loop {
        let accepted = tokio::select! {
            _ = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let handle = handle.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let answer = handle(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            // Whatever ends a connection ends that connection alone.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Bytes,
}

impl Answer {
    /// JSON.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(text) => Self::passed_on(status, text),
            Err(error) => Self::refusal(500, &error.to_string()),
        }
    }

    /// JSON as somebody else wrote it.
    pub(crate) fn passed_on(status: u16, body: String) -> Self {
        Self { status, kind: "application/json", body: body.into() }
    }

    /// Something is not as it must be.
    pub(crate) fn refusal(status: u16, detail: &str) -> Self {
        Self::passed_on(status, json!({ "detail": detail }).to_string())
    }

    /// A file of the page.
    pub(crate) fn file(kind: &'static str, text: impl Into<Bytes>) -> Self {
        Self { status: 200, kind, body: text.into() }
    }

    /// There is no such path.
    pub(crate) fn nowhere() -> Self {
        Self::refusal(404, "there is nothing at this path")
    }
}

/// The headers of every answer: nobody keeps it, nobody else may load it, and `policy` says what it may load.
pub(crate) fn response<B>(status: u16, kind: &'static str, policy: &str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Why a request gets no answer from the server on this port, if so.
pub(crate) fn refused<B>(request: &Request<B>, port: u16) -> Option<Answer> {
    let headers = request.headers();
    if !is_ours(text_of(headers, &header::HOST), port) {
        return Some(Answer::refusal(421, "this server answers under its own name only"));
    }
    match request.method().as_str() {
        "GET" => None,
        "POST" if is_from_our_pages(headers, port) => None,
        "POST" => Some(Answer::refusal(403, "only from this server's own pages, and only JSON")),
        _ => Some(Answer::refusal(405, "GET or POST")),
    }
}

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    text_of(headers, &header::AUTHORIZATION)?.strip_prefix("Bearer ")
}

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::refusal(400, &error.to_string()))
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a host with its port is this server.
fn is_ours(host: Option<&str>, port: u16) -> bool {
    let named = host.and_then(|host| host.rsplit_once(':'));
    named.is_some_and(|(name, at)| matches!(name, "127.0.0.1" | "localhost") && at == port.to_string())
}

fn is_from_our_pages(headers: &HeaderMap, port: u16) -> bool {
    let kind = text_of(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let is_json = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    is_json && origin.is_none_or(|origin| is_ours(origin.strip_prefix("http://"), port))
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

    #[test]
    fn origins_have_no_path() {
        assert_eq!(
            origins("http://127.0.0.1:4571/#key=a/b"),
            ["http://127.0.0.1:4571", "http://localhost:4571"]
        );
        assert_eq!(origin("https://a.example?x"), Some("https://a.example"));
        assert_eq!(origin("nothing"), None);
    }
}
