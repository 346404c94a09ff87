//! The receiver's read API, asked with a request that is signed as every AWS request is (SigV4).

use std::time::Duration;

use anyhow::{Context, bail};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// All but what needs none (RFC 3986, section 2.3), so that both sides sign the same path.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The API behind the receiver's output `BackendUrl`.
pub(crate) struct ReadApi {
    sdk: SdkConfig,
    url: String,
}

/// What is known of a user, as far as it matters here. All of it: `GET /v1/openapi.json`.
#[derive(Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) accounts: Vec<Account>,
}

#[derive(Deserialize)]
pub(crate) struct Account {
    #[serde(rename = "account")]
    pub(crate) id: String,
    pub(crate) status: String,
    #[serde(default)]
    revoked_at: Option<String>,
}

impl User {
    /// One of the user's accounts; one that is not there is an error, as a user is.
    pub(crate) fn account(&self, id: &str) -> anyhow::Result<&Account> {
        self.accounts
            .iter()
            .find(|account| account.id == id)
            .context("the read API does not know the account")
    }
}

impl Account {
    /// Whether the user still lets their data be used.
    pub(crate) fn may_be_decided_on(&self) -> bool {
        self.revoked_at.is_none() && self.status != "DISCONNECTED"
    }
}

impl ReadApi {
    pub(crate) fn new(sdk: SdkConfig, url: String) -> Self {
        Self { sdk, url }
    }

    /// What is known of a user now. That there is no such user is an error, too: state is there before its event, and
    /// stays when it has been erased, so this asks the wrong receiver, or state could not be made of the event. The id
    /// goes in the query: a path cannot carry every id.
    pub(crate) async fn user(&self, id: &str) -> anyhow::Result<User> {
        let url = format!("{}/v1/users?id={}", self.url, utf8_percent_encode(id, RESERVED));
        let request = self.signed(&url).await.context("the request cannot be signed")?;
        let ask = move || -> anyhow::Result<_> {
            let config =
                ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
            let mut answer = ureq::Agent::from(config.build()).run(request)?;
            match answer.status().as_u16() {
                200 => Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?),
                status => bail!("the status is {status}"),
            }
        };
        tokio::task::spawn_blocking(ask).await?.context("the read API did not tell of a user")
    }

    async fn signed(&self, url: &str) -> anyhow::Result<ureq::http::Request<()>> {
        let credentials = self.sdk.credentials_provider().context("no credentials")?;
        let identity = credentials.provide_credentials().await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.sdk.region().context("no region")?.as_ref())
            .name("execute-api")
            .time(self.sdk.time_source().context("no clock")?.now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let unsigned = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(b""))?;
        let (signature, _) = sign(unsigned, &params)?.into_parts();
        let mut request = ureq::http::Request::get(url);
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        Ok(request.body(())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_is_not_known_is_no_account_that_was_taken_back() {
        let user: User = serde_json::from_str(
            r#"{"accounts":[{"account":"a-1","status":"DISCONNECTED","revoked_at":"2026-03-01T10:00:00Z"}]}"#,
        )
        .unwrap();
        assert!(!user.account("a-1").unwrap().may_be_decided_on());
        assert!(user.account("a-2").is_err());
        assert!(serde_json::from_str::<User>("{}").unwrap().account("a-1").is_err());
    }

    #[test]
    fn what_was_taken_back_is_not_decided_on() {
        let may = |account: &str| serde_json::from_str::<Account>(account).unwrap().may_be_decided_on();
        assert!(may(r#"{"account":"a-1","status":"CONNECTED","providers":[]}"#));
        // Events come in no order: that it is connected may not have been seen yet.
        assert!(may(r#"{"account":"a-1","status":"UNKNOWN"}"#));
        assert!(!may(r#"{"account":"a-1","status":"DISCONNECTED"}"#));
        assert!(!may(r#"{"account":"a-1","status":"CONNECTED","revoked_at":"2026-03-01T10:00:00Z"}"#));
    }
}
