//! Which path leads where, and who is let in.

use std::sync::Arc;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};

use super::stream::{MEDIA_TYPE, Stream};
use super::{Scene, acts, live, page, reads};
use crate::loopback::{Answer, bearer, refused, response};

/// The longest body that is read, in bytes: some hundred keys.
const LONGEST_BODY: usize = 256 * 1024;

/// An answer that is there, or one that goes on.
pub(super) enum Reply {
    Whole(Answer),
    Stream(Stream),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Whole(answer)
    }
}

/// Answers one request.
pub(super) async fn handle(
    scene: Arc<Scene>,
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, Stream>> {
    let reply = match refused(&request, scene.port) {
        Some(refusal) => refusal.into(),
        None => Box::pin(answer(&scene, request)).await,
    };
    let mut response = match reply {
        Reply::Whole(Answer { status, kind, body }) => {
            response(status, kind, &scene.policy, Either::Left(Full::new(body)))
        }
        Reply::Stream(stream) => response(200, MEDIA_TYPE, &scene.policy, Either::Right(stream)),
    };
    let opener = hyper::header::HeaderValue::from_static("same-origin");
    response.headers_mut().insert("cross-origin-opener-policy", opener);
    response
}

async fn answer(scene: &Arc<Scene>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Some(path) = head.uri.path().strip_prefix("/api/") else {
        return page::file(head.uri.path()).unwrap_or_else(Answer::nowhere).into();
    };
    if !bearer(&head.headers).is_some_and(|offered| scene.key.is(offered)) {
        let detail = "The key is missing or not this start's: open the address that smile console printed.";
        return Answer::refusal(401, detail).into();
    }
    if head.method == Method::GET {
        let query = head.uri.query().unwrap_or_default();
        return match path {
            "live" => Reply::Stream(live::follow(scene)),
            "health" => Answer::json(200, &Box::pin(scene.health.look()).await).into(),
            _ => reads::answer(scene, path, query).await.into(),
        };
    }
    let Some(act) = path.strip_prefix("acts/") else { return Answer::nowhere().into() };
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => acts::answer(scene, act, &body.to_bytes()).await.unwrap_or_else(Reply::Whole),
        Err(_) => Answer::refusal(413, "that is too long").into(),
    }
}
