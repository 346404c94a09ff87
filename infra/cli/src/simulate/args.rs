//! The command: its options, and what it tells while it runs.

use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use shared::smile_api::{Credentials, NewWebhook, SecretText};
use shared::verify::Secret;
use tokio::signal::unix::{SignalKind, signal};

use super::control;
use super::options::{Clock, DEFAULT_KEY, Observer, Options, Seen};
use super::{Detour, Simulator};
use crate::cli::{LocalArgs, Usage};
use crate::stack::Stack;
use crate::ui;

/// Play Smile on this machine: its API, and webhooks as it sends them
#[derive(Debug, clap::Args)]
#[command(after_help = control::HELP)]
pub struct Args {
    /// Listen there on 127.0.0.1; 0 for any free port
    #[arg(long, value_name = "PORT", default_value_t = 4580)]
    port: u16,

    /// Register this URL for all events from the start
    #[arg(long, value_name = "URL", help_heading = "Where events go")]
    target: Option<String>,

    /// Register smile dev's webhook for all events from the start
    #[arg(long, conflicts_with = "target", help_heading = "Where events go")]
    dev: bool,

    /// What is signed with; better set in the variable
    #[arg(
        long,
        env = "SMILE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        help_heading = "Where events go"
    )]
    secret: Option<String>,

    /// Send what is registered for FROM… to TO… instead; can be given several times
    #[arg(long, value_name = "FROM=TO", value_parser = detour, help_heading = "Where events go")]
    detour: Vec<Detour>,

    /// Refuse webhooks with http URLs of this machine, too, as Smile does
    #[arg(long, help_heading = "Where events go")]
    https_only: bool,

    /// Tries of each delivery
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "How they are sent")]
    tries: u32,

    /// Seconds between two tries
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds, help_heading = "How they are sent")]
    retry_wait: f64,

    /// Deliveries posted at once; 1 keeps the order
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "How they are sent")]
    at_once: usize,

    /// Begin chance with this number
    #[arg(long, value_name = "N", help_heading = "How they are sent")]
    seed: Option<u64>,

    #[command(flatten)]
    local: LocalArgs,

    /// One JSON object a line on stdout: the start, every call, every delivery
    #[arg(long)]
    json: bool,
}

/// Runs it until Ctrl-C.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupted = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut terminated = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let (told, lines) = mpsc::channel();
    let observer = {
        let told = told.clone();
        let as_json = args.json;
        Observer::new(move |seen| {
            // Whoever listened is gone when the command ends.
            let _ = told.send(if as_json { json_line(seen).to_string() } else { line(seen) });
        })
    };
    let simulator = Simulator::start(options(&args, observer)?)?;
    let (url, control) = (simulator.url(), simulator.control_url());
    let start = if args.json {
        json!({ "started": { "url": url, "control": control, "key": DEFAULT_KEY, "secret": DEFAULT_KEY } })
            .to_string()
    } else {
        let rows = [
            ("API", url),
            ("Control", control),
            ("Key", format!("{DEFAULT_KEY}, and the same for its secret")),
        ];
        format!("{}\n", ui::table(rows))
    };
    let _ = told.send(start);
    drop(told);
    let writer = std::thread::spawn(move || {
        for line in lines {
            if args.json {
                let mut out = std::io::stdout().lock();
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    break;
                }
            } else {
                ui::say(&line);
            }
        }
    });
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    simulator.stop();
    // It ends when the last of those who tell is gone; nothing is lost if that takes too long.
    drop(writer);
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Args, observer: Observer) -> anyhow::Result<Options> {
    let mut options = Options {
        port: args.port,
        credentials: Credentials { key: SecretText::new(DEFAULT_KEY), secret: SecretText::new(DEFAULT_KEY) },
        allow_http: !args.https_only,
        tries: args.tries,
        retry_wait: Duration::from_secs_f64(args.retry_wait),
        at_once: args.at_once,
        seed: args.seed,
        detours: args.detour.clone(),
        observer: Some(observer),
        ..Options::new(Clock::of_system())
    };
    let stack = args.local.stack()?;
    if let Some(stack) = &stack
        && !stack.webhook_headers.is_empty()
    {
        let headers = stack.webhook_headers.clone().into_iter().collect();
        options.detours.push(Detour {
            from: stack.webhook_url.clone(),
            to: stack.webhook_url.clone(),
            headers,
        });
    }
    if let Some(webhook) = webhook(args, stack.as_ref())? {
        options.webhooks.push(webhook);
    }
    Ok(options)
}

/// What is registered from the start.
fn webhook(args: &Args, stack: Option<&Stack>) -> anyhow::Result<Option<NewWebhook>> {
    let (url, known_secret) = match (&args.target, args.dev, stack) {
        (None, false, _) => return Ok(None),
        (Some(url), ..) => {
            let of_stack = stack.filter(|stack| stack.webhook_url == *url);
            (url.clone(), of_stack.map(|stack| stack.webhook_secret.clone()))
        }
        (None, true, Some(stack)) => (stack.webhook_url.clone(), Some(stack.webhook_secret.clone())),
        (None, true, None) => {
            return Err(Usage::new("no local cloud is running here: start one with smile dev").into());
        }
    };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(
            Usage::new(format!("{url} is no URL: write one that begins with https:// or http://")).into()
        );
    }
    let secret = args.secret.clone().filter(|secret| !secret.is_empty()).or(known_secret);
    let Some(secret) = secret else {
        let complaint = format!("{url} needs its secret: set SMILE_WEBHOOK_SECRET or give --secret");
        return Err(Usage::new(complaint).into());
    };
    Secret::new(&secret).map_err(|error| Usage::new(format!("the secret cannot be Smile's: {error}")))?;
    Ok(Some(NewWebhook {
        name: "smile simulate".to_owned(),
        url,
        event_types: NewWebhook::all_events(),
        active: true,
        secret: SecretText::new(secret),
        include_payload: true,
    }))
}

fn json_line(seen: Seen<'_>) -> Value {
    match seen {
        Seen::Call(call) => json!({ "call": call }),
        Seen::Delivery(delivery) => json!({ "delivery": delivery }),
    }
}

fn line(seen: Seen<'_>) -> String {
    let status =
        |status: Option<u16>, none: &str| status.map_or(none.to_owned(), |status| status.to_string());
    match seen {
        Seen::Call(call) => {
            let name = call.operation.map_or("?", super::Operation::id);
            format!("  {:<11} {name}", status(call.status, "hung up"))
        }
        Seen::Delivery(delivery) => {
            let none = if delivery.number == 0 { "dropped" } else { "no answer" };
            let again = match delivery.number {
                0 | 1 => String::new(),
                number => format!(" (try {number})"),
            };
            format!(
                "  {:<11} → {} {}{again}",
                status(delivery.status, none),
                delivery.kind,
                ui::dim(&delivery.event)
            )
        }
    }
}

/// Reads `FROM=TO`.
fn detour(text: &str) -> Result<Detour, String> {
    match text.split_once('=') {
        Some((from, to)) if from.starts_with("http") && to.starts_with("http") => {
            Ok(Detour { from: from.to_owned(), to: to.to_owned(), headers: Vec::new() })
        }
        _ => Err("write FROM=TO, two beginnings of URLs".to_owned()),
    }
}

/// Reads a time to wait.
fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds)).ok_or("0 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::a_stack;

    fn parsed(line: &str) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        <Line as clap::Parser>::try_parse_from(words).map(|Line { args }| args).unwrap()
    }

    fn registered(line: &str, stack: Option<&Stack>) -> Result<Option<(String, String)>, String> {
        webhook(&parsed(line), stack)
            .map(|webhook| webhook.map(|webhook| (webhook.url, webhook.secret.expose().to_owned())))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_target_has_its_own_secret_and_the_local_cloud_its() {
        let stack = a_stack();
        let local = Ok(Some((stack.webhook_url.clone(), stack.webhook_secret.clone())));
        assert_eq!(registered("", Some(&stack)), Ok(None));
        assert_eq!(registered("--dev", Some(&stack)), local);
        assert_eq!(registered(&format!("--target {}", stack.webhook_url), Some(&stack)), local);
        let mine = Ok(Some(("https://h/".into(), "mine".into())));
        assert_eq!(registered("--target https://h/ --secret mine", Some(&stack)), mine);
        assert!(registered("--target https://h/", Some(&stack)).unwrap_err().contains("needs its secret"));
        assert!(registered("--target h --secret s", None).unwrap_err().contains("no URL"));
        assert!(registered("--dev", None).unwrap_err().contains("smile dev"));
    }

    #[test]
    fn reads_waits_and_detours() {
        let args = parsed("--retry-wait 0.5 --detour https://a=http://127.0.0.1:1/b --port 0");
        assert_eq!(
            (args.retry_wait, args.port, args.detour[0].to.as_str()),
            (0.5, 0, "http://127.0.0.1:1/b")
        );
        assert!(seconds("-1").is_err() && seconds("nan").is_err() && detour("a=b").is_err());
    }
}
