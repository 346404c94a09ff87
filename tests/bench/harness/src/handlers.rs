//! What is measured: the product's binary, and what it is compared with. First each must do the work.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::lambda::{Function, Spec};
use crate::samples::{self, SECRET, SOURCE};

/// The product's function.
pub const WEBHOOK: &str = "webhook";
/// The same, with its secret where it lies in production.
pub const WEBHOOK_ARN: &str = "webhook, secret fetched";
/// Rust as the tutorials write it.
pub const TUTORIAL: &str = "tutorial Rust";
/// Node with the AWS SDK v3.
pub const NODE: &str = "Node";
/// Python with boto3.
pub const PYTHON: &str = "Python";
/// The least that does the work.
pub const FLOOR: &str = "floor";

/// Where things lie.
pub struct Folders {
    /// The repository.
    pub root: PathBuf,
    /// `target/bench`.
    pub target: PathBuf,
}

impl Folders {
    /// Those of the checkout that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize()?;
        let folders = Self { target: root.join("target/bench"), root };
        std::fs::create_dir_all(folders.logs())?;
        Ok(folders)
    }

    fn logs(&self) -> PathBuf {
        self.target.join("logs")
    }
}

/// One of those that are compared.
pub struct Handler {
    /// How it is started.
    pub spec: Spec,
    /// What would be uploaded: a file or a folder.
    pub artifact: PathBuf,
    /// Only its start is measured: warm it is the same as another.
    pub cold_only: bool,
}

/// All of them. `beside` are further builds of the product's binary, to be seen beside the first.
pub fn all(folders: &Folders, cloud: &Cloud, beside: &[PathBuf]) -> Result<Vec<Handler>> {
    let Folders { root, target } = folders;
    let authority = target.join("authority.pem");
    let ours = bundle(folders, "ours.pem", &roots_of_the_product(root)?)?;
    let system =
        ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"].map(PathBuf::from);
    let system = system.into_iter().find(|file| file.exists());
    let system = bundle(folders, "system.pem", system.as_slice())?;
    let site = target.join("python/lib/python3.11/site-packages");
    let botocore = bundle(folders, "botocore.pem", &[site.join("botocore/cacert.pem")])?;

    let text = |path: &Path| path.display().to_string();
    let common = [("WEBHOOK_QUEUE_URL", cloud.queue_url()), ("AWS_ENDPOINT_URL", cloud.endpoint.clone())];
    let compared = [("WEBHOOK_SECRET", SECRET.to_owned()), ("WEBHOOK_SOURCE", SOURCE.to_owned())];
    let handler =
        |name: &str, command: Vec<PathBuf>, artifact: PathBuf, own: &[(&'static str, String)]| Handler {
            spec: Spec {
                name: name.to_owned(),
                command,
                variables: [&common[..], own].concat(),
                log: folders.logs().join(format!("{}.log", name.replace([' ', ',', '/'], "-"))),
            },
            artifact,
            cold_only: name == WEBHOOK_ARN,
        };
    let with = |own: (&'static str, String)| [&compared[..], &[own]].concat();
    let webhook = target.join("release/webhook");
    let tutorial = target.join("tutorial/bootstrap");
    let floor = target.join("lean/bench-floor");
    let node = target.join("node");
    let python = target.join("python/handler.py");
    let given = [("AWS_CA_BUNDLE", text(&ours)), ("SMILE_WEBHOOK_SECRETS", json!([SECRET]).to_string())];
    let mut all = vec![
        handler(WEBHOOK, vec![webhook.clone()], webhook.clone(), &given),
        handler(
            WEBHOOK_ARN,
            vec![webhook.clone()],
            webhook,
            &[
                ("AWS_CA_BUNDLE", text(&ours)),
                (
                    "SMILE_WEBHOOK_SECRET_ARN",
                    "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:webhook-AbCdEf".to_owned(),
                ),
            ],
        ),
        handler(TUTORIAL, vec![tutorial.clone()], tutorial, &with(("SSL_CERT_FILE", text(&system)))),
        handler(
            NODE,
            vec!["node".into(), node.join("handler.mjs")],
            node,
            &with(("NODE_EXTRA_CA_CERTS", text(&authority))),
        ),
        handler(
            PYTHON,
            vec![target.join("python/bin/python"), python.clone()],
            python,
            &with(("AWS_CA_BUNDLE", text(&botocore))),
        ),
        handler(FLOOR, vec![floor.clone()], floor, &with(("AWS_CA_BUNDLE", text(&authority)))),
    ];
    all.extend(beside.iter().map(|file| handler(&text(file), vec![file.clone()], file.clone(), &given)));
    Ok(all)
}

/// The consumer, without any comparison.
pub fn consumer(folders: &Folders, cloud: &Cloud) -> Spec {
    Spec {
        name: "consumer".to_owned(),
        command: vec![folders.target.join("release/consumer")],
        variables: vec![
            ("TABLE_NAME", "table".to_owned()),
            ("AWS_ENDPOINT_URL", cloud.endpoint.clone()),
            ("AWS_CA_BUNDLE", folders.target.join("ours.pem").display().to_string()),
        ],
        log: folders.logs().join("consumer.log"),
    }
}

fn roots_of_the_product(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("shared/roots");
    let files = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

/// The certificates that a handler would read on AWS, and the stand-in's beside them: reading them is a
/// part of its start.
fn bundle(folders: &Folders, name: &str, of: &[PathBuf]) -> Result<PathBuf> {
    let mut all = std::fs::read_to_string(folders.target.join("authority.pem"))?;
    for file in of {
        all.push('\n');
        all += &std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    let file = folders.target.join(name);
    std::fs::write(&file, all)?;
    Ok(file)
}

/// Whether the handler takes what it must take, hands it on byte for byte, and refuses the rest.
pub fn try_out(handler: &Handler, cloud: &Cloud, body: &str) -> Result<()> {
    let mut function = Function::start(&handler.spec)?;
    cloud.take();
    let signature = samples::sign(body);
    let forged = format!("{}{}", if signature.starts_with('0') { '1' } else { '0' }, &signature[1..]);
    for (signature, source, status) in
        [(&signature, SOURCE, 200), (&forged, SOURCE, 401), (&signature, "198.51.100.7", 403)]
    {
        let (answer, _) = function.invoke(&samples::event(body, signature, source))?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["statusCode"] == status, "not {status}, but {answer}");
        let seen = cloud.take();
        if status != 200 {
            ensure!(seen.count("AmazonSQS.SendMessage") == 0, "something was queued with status {status}");
            continue;
        }
        let said: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
        let sent: Value = serde_json::from_str(body)?;
        ensure!(said == json!({ "status": "queued", "id": sent["id"] }), "the answer is {said}");
        let message: Value = serde_json::from_slice(&seen.message.context("nothing was queued")?)?;
        ensure!(unwrapped(&message)? == body.as_bytes(), "what was queued is not what was sent");
    }
    Ok(())
}

/// The body that a message carries.
fn unwrapped(message: &Value) -> Result<Vec<u8>> {
    let text = message["MessageBody"].as_str().context("no body")?;
    match message["MessageAttributes"]["encoding"]["StringValue"].as_str() {
        None => Ok(text.as_bytes().to_vec()),
        Some("zstd+base64") => Ok(zstd::bulk::decompress(&BASE64.decode(text)?, 16 * 1024 * 1024)?),
        Some(other) => anyhow::bail!("an unexpected encoding: {other}"),
    }
}
