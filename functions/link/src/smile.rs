//! Smile's API, with the credentials of the moment: once Smile does not want them, they are fetched again,
//! and when they have changed the call is made again. A 401 did nothing, so that this is no blind repetition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;
use shared::id::UserId;
use shared::registration::{NoVault, Vault};
use shared::secret_cache::{Fetch, Kept, SecondLook};
use shared::smile_api::{Client, Credentials, Error, Patience, Settings, SystemPace, Token, Unusable};

use crate::refusal::{Call, Refusal};
use crate::request::Asked;

/// How long a call may take, its retries included. There may be two of them.
pub const CALL: Duration = Duration::from_secs(10);

/// The patience with Smile: somebody waits at a screen.
pub(crate) const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(9),
    total: CALL,
    tries: 3,
    longest_retry_after: Duration::from_secs(2),
};

/// Smile, as this function asks it.
pub(crate) struct Smile {
    account: Kept<Source>,
}

/// Where credentials come from, and what becomes of them.
struct Source {
    vault: Vault,
    url: String,
    patience: Patience,
}

/// An account at Smile.
struct Account {
    credentials: Credentials,
    client: Arc<Client>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAccount {
    /// Secrets Manager did not give the credentials.
    #[error(transparent)]
    Unavailable(#[from] NoVault),
    /// No client can be made with them, or for that URL.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Fetch for Source {
    type Item = Account;
    type Error = NoAccount;

    fn name(&self) -> &'static str {
        "the credentials of Smile's API"
    }

    async fn fetch(&self) -> Result<Account, NoAccount> {
        let credentials = Credentials::from_document(&self.vault.text().await?)?;
        let settings =
            Settings { patience: self.patience, ..Settings::new(self.url.as_str(), credentials.clone()) };
        Ok(Account { credentials, client: Arc::new(Client::new(&settings, SystemPace::start())?) })
    }
}

impl Smile {
    /// Fetches the credentials for the first time.
    pub(crate) async fn fetch(
        sdk: &SdkConfig,
        arn: &str,
        url: &str,
        patience: Patience,
        now: Timestamp,
    ) -> Result<Self, NoAccount> {
        let source = Source { vault: Vault::new(sdk, arn), url: url.to_owned(), patience };
        Ok(Self { account: Kept::fetch(source, now).await? })
    }

    /// Asks Smile for a token, and for a new user where that is asked for.
    pub(crate) async fn link(&self, asked: &Asked, now: Timestamp) -> Result<(UserId, Token), Refusal> {
        let account = self.account.current(now).await.ok_or(Refusal::NoSecret)?;
        let mut answer = ask(Arc::clone(&account.client), asked.clone()).await?;
        if matches!(&answer, Err(error) if error.status() == Some(401))
            && let SecondLook::Fetched(newer) = self.account.look_again(now).await
            && !newer.is(&account)
        {
            answer = ask(Arc::clone(&newer.client), asked.clone()).await?;
        }
        answer.map_err(|error| {
            let call = if *asked == Asked::New { Call::CreateUser } else { Call::CreateToken };
            let refusal = Refusal::of(&error, call);
            // The error names the call, the status, Smile's code and its request id, and nothing else.
            match refusal {
                Refusal::UserNotFound(_) | Refusal::BadRequest(_) => {
                    tracing::warn!(%error, reason = refusal.code(), "Smile gave no token");
                }
                _ => tracing::error!(%error, reason = refusal.code(), "Smile gave no token"),
            }
            refusal
        })
    }
}

impl Account {
    fn is(&self, other: &Self) -> bool {
        let (one, other) = (&self.credentials, &other.credentials);
        one.key.is(&other.key) && one.secret.is(&other.secret)
    }
}

/// Calls Smile away from the async thread.
async fn ask(client: Arc<Client>, asked: Asked) -> Result<Result<(UserId, Token), Error>, Refusal> {
    let call = move || match asked {
        Asked::New => client.create_user(&BTreeMap::new()).map(|created| (created.user.id, created.token)),
        Asked::Existing(user) | Asked::Refresh(user) => client.create_token(&user).map(|token| (user, token)),
    };
    // A panic has told its place.
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|_| Refusal::SmileRefused(crate::refusal::Smile::default()))
}
