//! Registers the webhook at Smile with its stack: the function behind a CloudFormation custom resource.
//!
//! It promises to CloudFormation that it always answers: after a panic, to an event that makes no sense, when
//! its time is nearly up, and when it could not even start. A missing answer would leave the stack waiting.
//!
//! It never fails a rollback or a deletion, since that would leave the stack stuck. What it could not do then
//! is reported by ids in its log and counted as `RegistrationOrphaned`.
//!
//! It deletes a registration in two cases: the receiver ends with its stack, or the receiver has answered at the URL
//! that takes the old one's place. A deployment that only removes the resource leaves the registration, since the
//! receiver stays.
//!
//! The physical id is the same for a stack's whole life, so that CloudFormation never takes a change for a
//! replacement, whose old half it would delete. It is made of the stack's name and, when a registration was
//! there before the resource, of that: then the rollback of the update that added the resource leaves the
//! registration where it was.
//!
//! | module | what it holds |
//! |---|---|
//! | [`event`] | what CloudFormation asks for |
//! | [`work`] | what is done at Smile |
//! | [`stack`] | what CloudFormation is doing with the stack |
//! | [`answer`] | what it is answered |
//! | [`config`] | the variables |

pub mod answer;
pub mod config;
pub mod event;
pub mod stack;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use shared::aws::Patience;
use shared::registration::{Left, PROBED_WITHIN};
use shared::smile_api::WebhookId;
use tokio::time::timeout;

pub use self::answer::{ANSWERED_WITHIN, Answer, Status};
pub use self::config::Config;
pub use self::event::{Envelope, Kind};
pub use self::stack::{Course, Stacks};
pub use self::work::{Failed, Register};

/// One round to CloudFormation and two to Secrets Manager: the least of what there is to do.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 3,
};

/// How long a call of Smile's API may take, its retries included.
pub const CALL: Duration = Duration::from_secs(15);

/// The longest that an invocation takes when it makes one call to Smile: four calls to AWS, that one, and the answer to
/// CloudFormation. Below the function's time-out (`infra/template.yaml`); further calls to Smile begin only while one
/// can still end in time ([`handle`]).
pub const BUDGET: Duration = PATIENCE
    .operation
    .saturating_mul(4)
    .saturating_add(CALL)
    .saturating_add(ANSWERED_WITHIN)
    .saturating_add(PROBED_WITHIN);

/// What came of an event.
#[derive(Debug)]
pub struct Outcome {
    /// Who is answered.
    pub envelope: Envelope,
    /// What.
    pub answer: Answer,
    /// What may be orphaned at Smile, and nobody will come back to.
    pub orphaned: Option<Left>,
}

/// Deals with an event; none if there is nobody to answer. Ends within `time`, and begins no call to Smile
/// that could not end by then.
pub async fn handle(
    register: Result<Arc<Register>, String>,
    stacks: Option<Stacks>,
    event: Value,
    time: Duration,
) -> Option<Outcome> {
    let envelope = Envelope::read(&event)?;
    let course = match stacks {
        Some(stacks) => stacks.course(&envelope.stack_id).await,
        None => Course::Unknown,
    };
    let done = in_time(register, envelope.clone(), event, course, time).await;
    Some(conclude(envelope, course, done))
}

/// What was done, and the id of what it was done to.
struct Done {
    physical_id: String,
    result: Result<Left, Failed>,
}

async fn in_time(
    register: Result<Arc<Register>, String>,
    envelope: Envelope,
    event: Value,
    course: Course,
    time: Duration,
) -> Done {
    let id = envelope.physical_id.clone().unwrap_or_else(|| work::physical_id("none", false));
    let failed = |failed| Done { physical_id: id.clone(), result: Err(failed) };
    let register = match register {
        Ok(register) => register,
        Err(reason) => return failed(Failed::unknown(format!("the function cannot work: {reason}"))),
    };
    let calls = time.saturating_sub(CALL);
    let stop = Arc::new(AtomicBool::new(calls.is_zero()));
    // A task of its own: a panic ends it alone.
    let mut task = tokio::spawn(register.work(envelope, event, course, Arc::clone(&stop)));
    let mut ended = timeout(calls, &mut task).await.ok();
    if ended.is_none() {
        // No further call is begun; the one under way ends by itself, and what is left is known then.
        stop.store(true, Ordering::SeqCst);
        ended = timeout(time.saturating_sub(calls), &mut task).await.ok();
    }
    match ended {
        Some(Ok((physical_id, result))) => Done { physical_id, result },
        Some(Err(_)) => failed(Failed::unknown("it panicked; the function's log says where".to_owned())),
        None => failed(Failed::unknown("the time was up".to_owned())),
    }
}

/// What to answer, and what to report.
fn conclude(envelope: Envelope, course: Course, done: Done) -> Outcome {
    // Where a failure cannot be told it is reported. A resource that could not be created is deleted next, and
    // an update that failed is undone next: whoever does that reports.
    let may_fail = match envelope.kind {
        Some(Kind::Create) => true,
        Some(Kind::Update) | None => course.may_fail(),
        Some(Kind::Delete) => false,
    };
    let (status, reason, left) = match done.result {
        Ok(left) => (Status::Success, None, left),
        Err(failed) if may_fail => (Status::Failed, Some(failed.reason), Left::default()),
        Err(failed) => (Status::Success, Some(failed.reason), failed.left),
    };
    let orphaned = (!left.is_nothing()).then_some(left);
    let answer = Answer::to(&envelope, status, reason, done.physical_id);
    Outcome { envelope, answer, orphaned }
}

impl Outcome {
    /// Logs what was done, and by ids what may be orphaned.
    pub fn log(&self) {
        let request = self.envelope.kind.map_or("none", Kind::word);
        let reason = self.answer.reason.as_deref();
        match (self.answer.status, reason) {
            (Status::Success, None) => tracing::info!(r#type = request, "done"),
            (Status::Success, Some(reason)) => {
                tracing::error!(r#type = request, reason, "not done, and CloudFormation goes on");
            }
            (Status::Failed, reason) => tracing::error!(r#type = request, reason, "failed"),
        }
        if let Some(left) = &self.orphaned {
            let ids: Vec<&str> = left.ids.iter().map(WebhookId::as_str).collect();
            let unknown = left.unknown;
            tracing::error!(
                registrations = ids.join(" "),
                unknown,
                "registrations may be orphaned at Smile: look with smile register status, or in the portal"
            );
        }
    }
}
