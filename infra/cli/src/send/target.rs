//! Where events go, and the secret that signs them: options and variables first, then the local cloud.

use shared::registration::Vault;
use shared::verify::Secret;

use super::{Args, usage};
use crate::operator::OperatorArgs;
use crate::stack::Stack;

/// One receiver.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) secret: Secret,
}

/// Fills in URL and secret of the stack that is named; what is given stays.
pub(super) async fn of_stack(args: &mut Args) -> anyhow::Result<()> {
    let Some(name) = args.stack.clone() else { return Ok(()) };
    let stack = OperatorArgs::of_stack(name, args.profile.clone(), args.region.clone()).deployed().await?;
    if given(args.url.as_deref()).is_none() {
        args.url = Some(stack.output("WebhookUrl")?.to_owned());
    }
    if given(args.secret.as_deref()).is_none() {
        let (document, _) = Vault::new(&stack.sdk, stack.output("SecretArn")?).read().await?;
        args.secret = Some(document.current().expose().to_owned());
    }
    Ok(())
}

/// Finds out where to post.
pub(super) fn resolve(args: &Args, stack: Option<&Stack>) -> anyhow::Result<Target> {
    let secret = secret(args, stack)?;
    let (url, mut headers) = match (given(args.url.as_deref()), stack) {
        (Some(url), _) => (url.to_owned(), Vec::new()),
        (None, Some(stack)) => {
            (stack.webhook_url.clone(), stack.webhook_headers.clone().into_iter().collect())
        }
        (None, None) => return nowhere(),
    };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return usage(format!("{url} is no URL to post to: write one that begins with https:// or http://"));
    }
    headers.extend(args.header.iter().cloned());
    Ok(Target { url, headers, secret })
}

/// The secret. The local cloud's is for the local cloud: another receiver needs its own.
pub(super) fn secret(args: &Args, stack: Option<&Stack>) -> anyhow::Result<Secret> {
    let elsewhere =
        given(args.url.as_deref()).filter(|url| stack.is_none_or(|stack| stack.webhook_url != *url));
    let text = match (given(args.secret.as_deref()), elsewhere, stack) {
        (Some(secret), ..) => secret,
        (None, Some(url), _) => {
            return usage(format!("{url} needs its own secret: set SMILE_WEBHOOK_SECRET or give --secret"));
        }
        (None, None, Some(stack)) => &stack.webhook_secret,
        (None, None, None) => return nowhere(),
    };
    Secret::new(text).or_else(|error| usage(format!("the secret cannot be Smile's: {error}")))
}

/// An empty variable counts as none.
fn given(option: Option<&str>) -> Option<&str> {
    option.filter(|text| !text.is_empty())
}

fn nowhere<T>() -> anyhow::Result<T> {
    usage(
        "no local cloud is running here: start one with smile dev, or say where to with --url and --secret (SMILE_WEBHOOK_URL, SMILE_WEBHOOK_SECRET)"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use shared::verify::sign;

    use super::*;
    use crate::stack::tests::a_stack;

    fn resolved(line: &str, stack: Option<&Stack>) -> Result<(String, usize, bool), String> {
        let target = resolve(&Args::from_line(line).unwrap(), stack).map_err(|error| error.to_string())?;
        let local = Secret::new(&a_stack().webhook_secret).unwrap();
        let is_local = sign(&target.secret, b"x").to_string() == sign(&local, b"x").to_string();
        Ok((target.url, target.headers.len(), is_local))
    }

    #[test]
    fn options_come_before_the_local_cloud() {
        let stack = a_stack();
        let local = stack.webhook_url.clone();
        assert_eq!(resolved("X", Some(&stack)), Ok((local.clone(), 1, true)));
        assert_eq!(resolved("X --header A=b", Some(&stack)), Ok((local.clone(), 2, true)));
        assert_eq!(resolved("X --secret other", Some(&stack)), Ok((local.clone(), 1, false)));
        assert_eq!(resolved(&format!("X --url {local}"), Some(&stack)), Ok((local, 0, true)));
        assert_eq!(resolved("X --url https://h/ --secret s", None), Ok(("https://h/".into(), 0, false)));
    }

    #[test]
    fn says_what_is_missing() {
        let stack = a_stack();
        assert!(resolved("X", None).unwrap_err().contains("start one with smile dev"));
        assert!(resolved("X --secret s", None).unwrap_err().contains("--url"));
        for stack in [None, Some(&stack)] {
            assert!(resolved("X --url https://h/", stack).unwrap_err().contains("its own secret"));
        }
        assert!(resolved("X --url ftp://h --secret s", None).unwrap_err().contains("no URL to post to"));
        let long = "x".repeat(65);
        assert!(
            resolved(&format!("X --secret {long}"), Some(&stack)).unwrap_err().contains("1 to 64 characters")
        );
    }
}
