//! What is known of a running local cloud: `stack.json` in its directory.
//!
//! The file holds credentials and a secret, all of them local, and is readable for its owner alone. It
//! is there exactly as long as the cloud is ready.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A running local cloud.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Every AWS service answers here.
    pub aws_endpoint: String,
    /// The region that it plays.
    pub region: String,
    /// Credentials that may do everything there.
    pub access_key_id: String,
    /// Their other half.
    pub secret_access_key: String,
    /// Where to post events.
    pub webhook_url: String,
    /// Headers that such a post needs besides the signature.
    #[serde(default)]
    pub webhook_headers: BTreeMap<String, String>,
    /// What to sign events with.
    pub webhook_secret: String,
    /// The table's name.
    pub table: String,
    /// The queue of webhooks.
    pub queue_url: String,
    /// Its dead letters.
    pub dlq_url: String,
    /// The function behind the webhook.
    pub webhook_function: String,
    /// The function that reads the queue.
    pub consumer_function: String,
    /// The secret in Secrets Manager.
    pub secret_arn: String,
    /// Every output of the template, these included.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// The secret with the credentials of Smile's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smile_credentials_arn: Option<String>,
    /// Smile's API, as the simulator beside the cloud plays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smile_url: Option<String>,
    /// Where that simulator is told what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulator_url: Option<String>,
    /// A customer's web site to try with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_url: Option<String>,
    /// The console, with the key that opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_url: Option<String>,
    /// The process of these, when they have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside_pid: Option<u32>,
    /// The local cloud's process.
    pub pid: u32,
    /// The process that ends it, or none when it runs on its own.
    pub owner: Option<u32>,
}

/// Without the secrets.
impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("aws_endpoint", &self.aws_endpoint)
            .field("webhook_url", &self.webhook_url)
            .field("table", &self.table)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// Where browsers send callbacks, if the template has that.
    pub fn callback_url(&self) -> Option<&str> {
        self.output("CallbackUrl")
    }

    /// The script that sends them.
    pub fn script_url(&self) -> Option<&str> {
        self.output("ScriptUrl")
    }

    /// Where a customer's back end asks for tokens: the base, without `/v1`.
    pub fn back_end_url(&self) -> Option<&str> {
        self.output("BackendUrl")
    }

    /// An output that not every template has.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file in a local cloud's directory.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("stack.json")
    }

    /// Reads the file, if there is one.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{} is not what smile dev writes: delete it", path.display()))
    }

    /// Writes the file in one go: a reader sees all of it or nothing.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let path = Self::path(dir);
        let fresh = dir.join(format!("stack.json.{}", std::process::id()));
        let text = self.to_json()?;
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The file's text.
    pub fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) fn a_stack() -> Stack {
        Stack {
            aws_endpoint: "http://127.0.0.1:1".into(),
            region: "us-east-1".into(),
            access_key_id: "key".into(),
            secret_access_key: "hush-key".into(),
            webhook_url: "http://127.0.0.1:1/hook".into(),
            webhook_headers: [("X-Here".to_owned(), "1".to_owned())].into(),
            webhook_secret: "hush-secret".into(),
            table: "table".into(),
            queue_url: "http://127.0.0.1:1/queue".into(),
            dlq_url: "http://127.0.0.1:1/dlq".into(),
            webhook_function: "webhook".into(),
            consumer_function: "consumer".into(),
            secret_arn: "arn".into(),
            outputs: BTreeMap::new(),
            smile_credentials_arn: None,
            smile_url: None,
            simulator_url: None,
            site_url: None,
            console_url: None,
            beside_pid: None,
            pid: 1,
            owner: None,
        }
    }

    #[test]
    fn is_written_for_its_owner_alone_and_read_back() {
        let dir = std::env::temp_dir().join(format!("smile-stack-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(Stack::read(&dir).unwrap(), None);
        a_stack().write(&dir).unwrap();
        assert_eq!(Stack::read(&dir).unwrap(), Some(a_stack()));
        assert_eq!(std::fs::metadata(Stack::path(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing else is left");
        std::fs::write(Stack::path(&dir), "{}").unwrap();
        assert!(Stack::read(&dir).unwrap_err().to_string().contains("delete it"));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn prints_no_secret() {
        assert!(!format!("{:?}", a_stack()).contains("hush"));
    }
}
