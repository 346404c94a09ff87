//! An HTTP API before the real handler, on loopback: it finds the route, decodes the path, asks who is there, and
//! hands over what a gateway hands over (API Gateway developer guide, payload 2.0).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use query::Query;
use query::operation::Operation;
use serde_json::{Value, json};

use super::{Caller, answered};

/// The token that the front lets in.
pub(super) const TOKEN: &str = "of-these-tests";

/// How often which of the API's paths was answered with which status.
pub(super) type Tally = BTreeMap<(&'static str, u16), usize>;

/// A request as the gateway hands it over; what has no route as a function URL does. The path is as it stands in a URL.
pub(super) fn event(method: &str, url: &str, headers: &Value, caller: Caller) -> Value {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (route, raw_path) = match route(method, path) {
        Some((route, decoded)) => (format!("{method} {route}"), decoded),
        None => ("$default".to_owned(), path.to_owned()),
    };
    let authorizer = match caller {
        Caller::Iam => {
            json!({ "iam": { "accountId": "123456789012", "userArn": "arn:aws:iam::123456789012:user/u" } })
        }
        Caller::Jwt(scope) => {
            json!({ "jwt": { "claims": { "sub": "s", "scope": scope }, "scopes": ["smile:read"] } })
        }
    };
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "stage": "$default", "requestId": "request", "http": { "method": method, "path": raw_path },
            "authorizer": authorizer,
        },
        "isBase64Encoded": false,
    })
}

/// The route of a path, and the path decoded: an HTTP API decodes first, and chooses the route then.
pub(super) fn route(method: &str, path: &str) -> Option<(&'static str, String)> {
    let path = decoded(path)?;
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |route: &&str| {
        let template: Vec<&str> = route.split('/').collect();
        let mut pairs = template.iter().zip(&segments);
        template.len() == segments.len()
            && pairs.all(|(template, segment)| {
                template == segment || (template.starts_with('{') && !segment.is_empty())
            })
    };
    let mut routes = Operation::ALL.iter().flat_map(|operation| operation.paths());
    let route = routes.find(fits).filter(|_| method == "GET")?;
    Some((route, path))
}

/// A path decoded as HTTP APIs do it: `%25` stays.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [b'2', b'5', ..]) => bytes.push(b'%'),
            (b'%', [high, low, after @ ..]) => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Serves the handler until the test's runtime ends; gives its address, and a tally.
pub(super) async fn serve(query: Query, now: Timestamp) -> (String, Arc<Mutex<Tally>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (query, tally) = (Arc::new(query), Arc::new(Mutex::default()));
    let kept = Arc::clone(&tally);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (query, tally) = (Arc::clone(&query), Arc::clone(&kept));
            let service =
                service_fn(move |request| handle(Arc::clone(&query), Arc::clone(&tally), request, now));
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, tally)
}

async fn handle(
    query: Arc<Query>,
    tally: Arc<Mutex<Tally>>,
    request: Request<Incoming>,
    now: Timestamp,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    let of = route("GET", head.uri.path()).map_or("", |(route, _)| route);
    let count = |status: u16| *tally.lock().unwrap().entry((of, status)).or_default() += 1;
    let header = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    if head.method == Method::GET && header("authorization").as_deref() != Some(&format!("Bearer {TOKEN}")) {
        count(401);
        let refused = Response::builder().status(401).header("content-type", "application/json");
        return Ok(refused.body(Full::from(json!({ "message": "Unauthorized" }).to_string())).unwrap());
    }
    if head.method == Method::GET && of.is_empty() {
        count(404);
        let nothing = Response::builder().status(404).header("content-type", "application/json");
        return Ok(nothing.body(Full::from(json!({ "message": "Not Found" }).to_string())).unwrap());
    }
    // A header that is no text does not get through a gateway.
    let headers = header("if-none-match").map_or(json!({}), |tag| json!({ "if-none-match": tag }));
    let url = head.uri.path_and_query().map_or("/", |url| url.as_str());
    let event = event(head.method.as_str(), url, &headers, Caller::Jwt("smile:read smile:read:bodies"));
    let answered = answered(&query, &event, now).await;
    count(answered.status);
    let mut response = Response::builder().status(answered.status);
    for (name, value) in answered.headers.as_object().unwrap() {
        response = response.header(name, value.as_str().unwrap());
    }
    Ok(response.body(Full::from(answered.text)).unwrap())
}
