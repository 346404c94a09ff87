//! `smile send`: signs events as Smile does and posts them.
//!
//! | module | what it holds |
//! |---|---|
//! | `args` | the options |
//! | `events` | from options to bodies |
//! | `target` | where to post, and the secret |
//! | `post` | one signed request |
//! | `report` | what came of it: lines, a summary, an exit code |
//! | `filed` | what the consumer made of a file |

mod args;
mod events;
mod filed;
mod post;
mod report;
mod target;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use fastrand::Rng;
use jiff::Timestamp;
use shared::event::EventType;
use shared::verify::{Secret, sign};

pub use self::args::Args;
use self::events::Outgoing;
use self::post::{Post, Unreachable};
use self::report::{Expected, Outcome, Report};
use self::target::Target;
use crate::cli::Usage;
use crate::ui::{write_json, write_out};

/// Sends what the arguments ask for. `now` is when the youngest event happened.
pub async fn run(mut args: Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    if args.list {
        return list();
    }
    target::of_stack(&mut args).await?;
    let args = &args;
    let stack = args.local.stack()?;
    let mut rng = Rng::new();
    let events = events::collect(args, now, &mut rng)?;
    if args.dry_run {
        let secret = target::secret(args, stack.as_ref())?;
        return dry_run(args, &events, &secret);
    }
    let target = target::resolve(args, stack.as_ref())?;
    let expected = if args.tamper || args.no_signature { Expected::Refusal } else { Expected::Acceptance };
    let mut report = Report::new(expected, args.json);
    match send_all(args, &events, &target, &mut report)? {
        None => {
            let code = report.finish(events::one_user(&events))?;
            if expected == Expected::Acceptance {
                filed::print_outcomes(args, stack.as_ref(), &report.accepted_files).await;
            }
            Ok(code)
        }
        Some(unreachable) => {
            crate::ui::say(&format!("smile: {unreachable}"));
            Ok(ExitCode::from(3))
        }
    }
}

/// Posts all events, `--concurrency` at a time. Stops at the first that does not get through.
fn send_all(
    args: &Args,
    events: &[Outgoing],
    target: &Target,
    report: &mut Report,
) -> anyhow::Result<Option<Unreachable>> {
    let post = Post::new(target)?;
    let next = AtomicUsize::new(0);
    let (outcomes, received) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..args.concurrency.get().min(events.len()) {
            let outcomes = outcomes.clone();
            let (post, next) = (&post, &next);
            scope.spawn(move || {
                while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let signature =
                        (!args.no_signature).then(|| sign(&target.secret, &event.body).to_string());
                    let started = Instant::now();
                    let answer = post.send(sent_body(args, event), signature.as_deref());
                    let failed = answer.is_err();
                    let outcome = answer.map(|answer| Outcome { event, answer, took: started.elapsed() });
                    // The receiver is gone when another thread has failed.
                    if outcomes.send(outcome).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(outcomes);
        for outcome in received {
            match outcome {
                Ok(outcome) => report.add(&outcome, &mut std::io::stdout().lock())?,
                Err(unreachable) => return Ok(Some(unreachable)),
            }
        }
        Ok(None)
    })
}

/// The body as it goes out. Tampering adds a space: the same JSON, other bytes than were signed.
fn sent_body(args: &Args, event: &Outgoing) -> Vec<u8> {
    let mut body = event.body.clone();
    if args.tamper {
        body.push(b' ');
    }
    body
}

fn dry_run(args: &Args, events: &[Outgoing], secret: &Secret) -> anyhow::Result<ExitCode> {
    for event in events {
        let signature = (!args.no_signature).then(|| sign(secret, &event.body).to_string());
        let body = sent_body(args, event);
        if args.json {
            let (body, encoding) = match String::from_utf8(body) {
                Ok(text) => (text, None),
                Err(error) => (base64_simd::STANDARD.encode_to_string(error.as_bytes()), Some("base64")),
            };
            let mut line = serde_json::json!({
                "type": event.kind, "id": event.id, "signature": signature, "body": body,
            });
            if let Some(encoding) = encoding {
                line["encoding"] = encoding.into();
            }
            write_json(&line, false)?;
        } else {
            if let Some(signature) = signature {
                writeln!(std::io::stdout(), "Smile-Signature: {signature}")?;
            }
            write_out(&[b"\n".as_slice(), &body, b"\n\n"].concat())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for kind in EventType::KNOWN {
        writeln!(out, "{kind}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A complaint about what was typed.
fn usage<T>(complaint: String) -> anyhow::Result<T> {
    Err(Usage::new(complaint).into())
}
