//! API Gateway's side of WebSocket connections, over HTTP as the SDK speaks it: `POST` and `DELETE` of
//! `/live/@connections/{id}`, with connections that break and answers that fail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use shared::socket::Sockets;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::cloud::sdk;

/// How often things go wrong, of a thousand messages each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Weather {
    /// The message is not taken: 500 or 429.
    pub(super) refused: u32,
    /// It is taken, and the answer says that it is not.
    pub(super) answer_lost: u32,
    /// It is taken, and the connection breaks before the page has it.
    pub(super) dropped: u32,
}

/// A message is refused no more often than this on one connection: of Lambda's three tries one gets through.
const REFUSALS: u32 = 2;

pub(super) struct State {
    pub(super) weather: Weather,
    /// With how many messages the page has not read yet.
    connections: BTreeMap<String, (UnboundedSender<String>, usize)>,
    refusals: BTreeMap<(String, String), u32>,
    rng: fastrand::Rng,
    /// Everything that was taken: connection and message.
    pub(super) taken: Vec<(String, String)>,
    pub(super) refused: usize,
    pub(super) dropped: usize,
    pub(super) gone: usize,
    /// Connections that were ended by `DELETE`.
    pub(super) ended: Vec<String>,
    /// What is answered to everything, if not what should be.
    pub(super) fails: Option<(u16, &'static str)>,
    /// What is said with it.
    pub(super) says: String,
}

#[derive(Clone)]
pub(super) struct Gateway {
    state: Arc<Mutex<State>>,
    pub(super) url: String,
}

impl Gateway {
    pub(super) async fn start(seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            weather: Weather::default(),
            connections: BTreeMap::new(),
            refusals: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            taken: Vec::new(),
            refused: 0,
            dropped: 0,
            gone: 0,
            ended: Vec::new(),
            fails: None,
            says: String::new(),
        };
        let url = format!("http://{}/live", listener.local_addr().unwrap());
        let gateway = Self { state: Arc::new(Mutex::new(state)), url };
        tokio::spawn(gateway.clone().serve(listener));
        gateway
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A client of this gateway's, which tries once: trying again is Lambda's.
    pub(super) fn sockets(&self) -> Sockets {
        let sdk = sdk(&self.url).to_builder();
        let once = aws_smithy_types::retry::RetryConfig::disabled();
        Sockets::new(&sdk.retry_config(once).build(), &self.url)
    }

    /// The handshake is done: what is sent from now on arrives.
    pub(super) fn establish(&self, connection: &str) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        self.state().connections.insert(connection.to_owned(), (sender, 0));
        receiver
    }

    /// The page has read a message.
    pub(super) fn read(&self, connection: &str) {
        if let Some((_, unread)) = self.state().connections.get_mut(connection) {
            *unread -= 1;
        }
    }

    /// The page's end, or the network's: from now on the connection is gone.
    pub(super) fn hang_up(&self, connection: &str) {
        self.state().connections.remove(connection);
    }

    pub(super) fn is_open(&self, connection: &str) -> bool {
        self.state().connections.contains_key(connection)
    }

    /// All connections, to drop some of them.
    pub(super) fn open(&self) -> Vec<String> {
        self.state().connections.keys().cloned().collect()
    }

    async fn serve(self, listener: tokio::net::TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let gateway = self.clone();
            tokio::spawn(async move {
                let answer = service_fn(async |request| Ok::<_, Infallible>(gateway.answer(request).await));
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let connection = request.uri().path().strip_prefix("/live/@connections/").unwrap().to_owned();
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let message = String::from_utf8(body.to_vec()).unwrap();
        let (status, code) = self.state().answer(&method, connection, message);
        let answer = Response::builder().status(status).header("x-amzn-errortype", code);
        answer.body(Full::from(json!({ "message": self.state().says }).to_string())).unwrap()
    }
}

impl State {
    /// Whether every page has read what was sent to it.
    pub(super) fn are_read(&self) -> bool {
        self.connections.values().all(|(_, unread)| *unread == 0)
    }

    fn happens(&mut self, of_a_thousand: u32) -> bool {
        self.rng.u32(..1000) < of_a_thousand
    }

    fn answer(&mut self, method: &Method, connection: String, message: String) -> (u16, &'static str) {
        if let Some(failure) = self.fails {
            return failure;
        }
        if !self.connections.contains_key(&connection) {
            self.gone += 1;
            return (410, "GoneException");
        }
        if *method == Method::DELETE {
            self.connections.remove(&connection);
            self.ended.push(connection);
            return (204, "");
        }
        assert_eq!(*method, Method::POST);
        let Weather { refused, answer_lost, dropped } = self.weather;
        let times = self.refusals.get(&(connection.clone(), message.clone())).copied().unwrap_or_default();
        let may_fail = times < REFUSALS;
        let (is_refused, is_lost) = (self.happens(refused), self.happens(answer_lost));
        let fails = may_fail && (is_refused || is_lost);
        if fails {
            self.refused += 1;
            self.refusals.insert((connection.clone(), message.clone()), times + 1);
        }
        if !(fails && is_refused) {
            self.taken.push((connection.clone(), message.clone()));
            if self.happens(dropped) {
                self.dropped += 1;
                self.connections.remove(&connection);
            } else if let Some((sender, unread)) = self.connections.get_mut(&connection) {
                *unread += 1;
                let _ = sender.send(message);
            }
        }
        match (fails, self.rng.bool()) {
            (false, _) => (200, ""),
            (true, true) => (500, "InternalServerErrorException"),
            (true, false) => (429, "LimitExceededException"),
        }
    }
}
