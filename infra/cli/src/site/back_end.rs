//! The customer's back end: it asks the receiver's `link` for a token and a session, with a request signed
//! as every AWS request is (SigV4), and hands them to the page. Smile's API key is not here.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use crate::loopback::{Answer, read};
use crate::sigv4::Signer;
use crate::simulate::{Clock, Simulator};
use crate::stack::Stack;

/// How long `link` may take: its function may have to be started, and asks Smile.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service's name in signatures for API Gateway.
const SERVICE: &str = "execute-api";

/// Asks for links.
pub(super) struct BackEnd {
    url: Option<String>,
    signer: Signer,
    simulator: Arc<Simulator>,
    clock: Clock,
}

/// A request of the page. The user is one that it was given.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct OfUser {
    user_id: Option<String>,
}

impl BackEnd {
    pub(super) fn new(stack: &Stack, simulator: Arc<Simulator>, clock: Clock) -> Self {
        Self {
            url: stack.back_end_url().map(|url| url.trim_end_matches('/').to_owned()),
            signer: Signer::of_stack(stack),
            simulator,
            clock,
        }
    }

    /// A token for a new user, or for one who is there already.
    pub(super) async fn link(&self, body: &[u8]) -> Answer {
        match read::<OfUser>(body) {
            Err(refusal) => refusal,
            Ok(OfUser { user_id: Some(user) }) => {
                self.ask("/v1/links", json!({ "userId": user }).to_string(), Some(&user)).await
            }
            Ok(OfUser { user_id: None }) => self.ask("/v1/links", "{}".to_owned(), None).await,
        }
    }

    /// A new token and a new session, when the old ones have expired.
    pub(super) async fn refresh(&self, body: &[u8]) -> Answer {
        match read::<OfUser>(body) {
            Err(refusal) => refusal,
            Ok(OfUser { user_id: None }) => Answer::refusal(400, "userId is missing"),
            Ok(OfUser { user_id: Some(user) }) => {
                let path = format!("/v1/links/{}/refresh", utf8_percent_encode(&user, NON_ALPHANUMERIC));
                self.ask(&path, "{}".to_owned(), Some(&user)).await
            }
        }
    }

    async fn ask(&self, path: &str, body: String, user: Option<&str>) -> Answer {
        let Some(base) = &self.url else { return self.without_link(user) };
        let request = match self.signed(&format!("{base}{path}"), body, self.clock.now()) {
            Ok(request) => request,
            Err(error) => return Answer::refusal(500, &format!("{error:#}")),
        };
        let answered = tokio::task::spawn_blocking(move || post(request)).await;
        match answered.map_err(anyhow::Error::from).and_then(|answer| answer) {
            Ok((status, text)) => Answer::passed_on(status, text),
            Err(error) => Answer::refusal(502, &format!("{base}{path} did not answer: {error:#}")),
        }
    }

    /// The stack has no `link` yet: a token straight from Smile, and no session.
    fn without_link(&self, user: Option<&str>) -> Answer {
        let user = user.map_or_else(|| self.simulator.create_user(), str::to_owned);
        match self.simulator.token(&user) {
            None => Answer::refusal(404, "Smile has no such user"),
            Some(token) => Answer::json(
                201,
                &json!({ "userId": user, "userToken": token.expose(), "session": null, "urls": null, "mode": "SANDBOX" }),
            ),
        }
    }

    fn signed(&self, url: &str, body: String, now: Timestamp) -> anyhow::Result<http::Request<String>> {
        let request = http::Request::post(url).header("content-type", "application/json").body(body)?;
        self.signer.sign(SERVICE, request, now)
    }
}

fn post(request: http::Request<String>) -> anyhow::Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        // One of the environment would not find this machine's ports.
        .proxy(None)
        .build()
        .into();
    let mut answer = agent.run(request)?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Options;
    use crate::stack::tests::a_stack;

    #[test]
    fn signs_for_api_gateway_and_shows_no_key() {
        let clock = Clock::new(|| "2026-03-01T10:00:00Z".parse().unwrap());
        let simulator = Arc::new(Simulator::start(Options::new(clock.clone())).unwrap());
        let back_end = BackEnd::new(&a_stack(), simulator, clock.clone());
        let signed = |body: &str| {
            let request =
                back_end.signed("http://127.0.0.1:1/p/v1/links", body.to_owned(), clock.now()).unwrap();
            request.headers()["authorization"].to_str().unwrap().to_owned()
        };
        let authorization = signed("{}");
        let scope = "AWS4-HMAC-SHA256 Credential=key/20260301/us-east-1/execute-api/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=";
        assert!(authorization.starts_with(scope), "{authorization}");
        assert_ne!(signed("{ }"), authorization, "the body is signed");
        assert!(!authorization.contains("hush"));
    }
}
