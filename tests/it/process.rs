//! The functions' real binaries, with a Lambda Runtime API and an AWS of this test's own around them: for
//! what no cloud does when asked, such as a table that throttles or answers nonsense.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::binaries;

/// An answer of AWS: status and body.
pub(crate) type Answer = (u16, Vec<u8>);

/// What AWS answers: operation (`DynamoDB_20120810.PutItem`) and request in, answer out.
type Aws = dyn Fn(&str, &Value) -> Answer + Send + Sync;

/// A function that runs as a process.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    work: Arc<Work>,
}

#[derive(Default)]
struct Work {
    events: Mutex<VecDeque<Value>>,
    answers: Mutex<Vec<Value>>,
}

impl Running {
    /// Starts a function with these variables. Its log goes to a file in `dir`.
    pub(crate) async fn start(
        dir: &Path,
        function: &str,
        variables: &[(&str, &str)],
        aws: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let work = Arc::new(Work::default());
        let (served, aws): (_, Arc<Aws>) = (Arc::clone(&work), Arc::new(aws));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (work, aws) = (Arc::clone(&served), Arc::clone(&aws));
                let answer = service_fn(move |request| answer(request, Arc::clone(&work), Arc::clone(&aws)));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(connection);
            }
        });
        let log = dir.join(format!("{function}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(binaries::function(function))
            .env_clear()
            .envs(variables.iter().copied())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_REGION", "ap-southeast-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "key")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log, work }
    }

    /// Has it deal with one event; gives what it answered, or the error that it reported.
    pub(crate) async fn invoke(&mut self, event: Value) -> Value {
        let before = self.work.answers.lock().unwrap().len();
        self.work.events.lock().unwrap().push_back(event);
        let since = Instant::now();
        loop {
            if let Some(answer) = self.work.answers.lock().unwrap().get(before) {
                return answer.clone();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && since.elapsed() < Duration::from_mins(1), "{ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for it to end by itself.
    pub(crate) async fn end(&mut self) {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_mins(1), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answer(
    request: Request<Incoming>,
    work: Arc<Work>,
    aws: Arc<Aws>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let built = |response: http::response::Builder, body: Vec<u8>| {
        Ok(response.body(Full::new(Bytes::from(body))).unwrap())
    };
    if let Some(target) = target {
        let (status, answer) = aws(&target, &serde_json::from_slice(&body).unwrap());
        return built(Response::builder().status(status), answer);
    }
    if path.ends_with("/invocation/next") {
        let event = loop {
            if let Some(event) = work.events.lock().unwrap().pop_front() {
                break event;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let response = Response::builder()
            .header("lambda-runtime-aws-request-id", "invocation")
            .header("lambda-runtime-deadline-ms", "9999999999999")
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:ap-southeast-1:0:function:f:live")
            .header("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1");
        return built(response, event.to_string().into_bytes());
    }
    // Only answers to invocations. Requests to AWS without `x-amz-target` also arrive here.
    if path.contains("/invocation/") {
        work.answers.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or(Value::Null));
    }
    built(Response::builder().status(202), Vec::new())
}
