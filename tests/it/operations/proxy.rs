//! Stands between a command and the local cloud: hears every call, and lets some fail or wait for ever.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// AWS refuses it.
    Refuse,
    /// The cloud does what is asked, and nobody hears of it.
    Silence,
}

type Judge = dyn FnMut(&str, &Value) -> Verdict + Send;

/// A cloud behind a door.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    judge: Arc<Mutex<Box<Judge>>>,
}

impl Proxy {
    /// In front of the cloud at this endpoint.
    pub(crate) async fn start(cloud: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            calls: Arc::default(),
            judge: Arc::new(Mutex::new(Box::new(|_, _| Verdict::Pass))),
        };
        let (served, cloud) = (proxy.clone(), cloud.to_owned());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (proxy, cloud) = (served.clone(), cloud.clone());
                let answer = service_fn(move |request| proxy.clone().answer(request, cloud.clone()));
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        proxy
    }

    /// Says from now on what becomes of calls: of their operation, such as `AmazonSQS.SendMessageBatch`.
    pub(crate) fn judge(&self, judge: impl FnMut(&str, &Value) -> Verdict + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }

    /// Refuses one operation.
    pub(crate) fn refuse(&self, operation: &'static str) {
        self.judge(move |called, _| if called == operation { Verdict::Refuse } else { Verdict::Pass });
    }

    /// Lets everything pass again; gives the calls since the last time, in their order.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.judge(|_, _| Verdict::Pass);
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Whether an operation was called since.
    pub(crate) fn heard(&self, operation: &str) -> bool {
        self.calls.lock().unwrap().iter().any(|(called, _)| called == operation)
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        cloud: String,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let operation =
            head.headers.get("x-amz-target").map_or("", |target| target.to_str().unwrap()).to_owned();
        let asked = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let verdict = (self.judge.lock().unwrap())(&operation, &asked);
        self.calls.lock().unwrap().push((operation, asked));
        if verdict == Verdict::Refuse {
            let refusal = json!({ "__type": "AccessDeniedException", "message": "on purpose" }).to_string();
            return Ok(Response::builder().status(403).body(Full::new(Bytes::from(refusal))).unwrap());
        }
        let mut on = Request::builder().method(head.method).uri(format!("{cloud}{}", head.uri));
        // The host is signed, too.
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "content-length") {
            on = on.header(name, value);
        }
        let answer = tokio::task::spawn_blocking(move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
            let agent: ureq::Agent = config.timeout_global(Some(Duration::from_mins(1))).build().into();
            let mut answer = agent.run(on.body(body.to_vec()).unwrap()).unwrap();
            let body = answer.body_mut().read_to_vec().unwrap();
            (answer.into_parts().0, body)
        });
        let (head, body) = answer.await.unwrap();
        if verdict == Verdict::Silence {
            std::future::pending::<()>().await;
        }
        let mut back = Response::builder().status(head.status);
        let of_the_way = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in head.headers.iter().filter(|(name, _)| !of_the_way.contains(&name.as_str())) {
            back = back.header(name, value);
        }
        Ok(back.body(Full::new(Bytes::from(body))).unwrap())
    }
}
