//! EventBridge and SQS over HTTP, as state, with faults that a plan injects: refusals of a call or of some of it,
//! answers that are lost or make no sense, and silence.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

pub(super) const PUT: &str = "AWSEvents.PutEvents";
pub(super) const SEND: &str = "AmazonSQS.SendMessageBatch";

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    /// Nothing is taken.
    Refused(u16, &'static str),
    /// Entries whose bit is set are refused.
    Part(u16),
    /// Everything is taken, and the answer says that nothing is.
    LostAnswer,
    /// Everything is taken, or nothing, and there is no answer.
    Silence {
        taken: bool,
    },
    /// Everything is taken, and the answer is about fewer.
    Nonsense,
}

/// What was given to the fake AWS.
#[derive(Default)]
pub(super) struct State {
    /// What the bus has, in the order in which it took it.
    pub(super) bus: Vec<Value>,
    /// What waits on the retry queue.
    pub(super) queue: VecDeque<String>,
    /// Calls that AWS would never take.
    pub(super) impossible: Vec<String>,
}

type Plan = Box<dyn FnMut(&str) -> Fault + Send>;

/// The fake AWS.
#[derive(Clone)]
pub(super) struct Aws {
    endpoint: String,
    state: Arc<Mutex<State>>,
    plan: Arc<Mutex<Plan>>,
}

impl Aws {
    pub(super) async fn start(plan: impl FnMut(&str) -> Fault + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            plan: Arc::new(Mutex::new(Box::new(plan))),
        };
        let served = aws.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let aws = served.clone();
                let answer = service_fn(move |request| aws.clone().answer(request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(connection);
            }
        });
        aws
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whatever is on the bus, as its consumers get it: the detail is an object there.
    pub(super) fn details(&self) -> Vec<Value> {
        let detail = |entry: &Value| serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        self.state().bus.iter().map(detail).collect()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let fault = (self.plan.lock().unwrap())(&target);
        let (status, answer) = self.state().take(&target, &body, fault);
        if matches!(fault, Fault::Silence { .. }) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        Ok(Response::builder().status(status).body(Full::new(Bytes::from(answer.to_string()))).unwrap())
    }
}

impl State {
    fn take(&mut self, target: &str, body: &[u8], fault: Fault) -> (u16, Value) {
        let request: Value = serde_json::from_slice(body).unwrap();
        let entries = request["Entries"].as_array().unwrap();
        if !(1..=10).contains(&entries.len()) || body.len() > 256 * 1024 {
            self.impossible.push(format!("{target}: {} entries, {} bytes", entries.len(), body.len()));
        }
        let failed = |code: &str| json!({ "__type": code, "message": "on purpose" });
        let refused = match fault {
            Fault::Refused(status, code) => return (status, failed(code)),
            Fault::Silence { taken: false } => return (500, Value::Null),
            Fault::Part(refused) => refused,
            _ => 0,
        };
        let (mut of_bus, mut sent, mut unsent) = (Vec::new(), Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            let id = &entry["Id"];
            if refused >> at & 1 == 1 {
                of_bus.push(json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "on purpose" }));
                unsent.push(json!({ "Id": id, "Code": "InternalError", "SenderFault": false }));
                continue;
            }
            of_bus.push(json!({ "EventId": format!("bus-{}", self.bus.len()) }));
            sent.push(json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "" }));
            match target {
                PUT => self.bus.push(entry.clone()),
                SEND => self.queue.push_back(entry["MessageBody"].as_str().unwrap().to_owned()),
                other => panic!("nobody should call {other}"),
            }
        }
        if fault == Fault::LostAnswer {
            return (500, failed("InternalFailure"));
        }
        if fault == Fault::Nonsense {
            of_bus.pop();
            sent.pop();
        }
        (
            200,
            match target {
                PUT => json!({ "FailedEntryCount": refused.count_ones(), "Entries": of_bus }),
                _ => json!({ "Successful": sent, "Failed": unsent }),
            },
        )
    }
}
