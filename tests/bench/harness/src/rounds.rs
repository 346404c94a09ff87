//! The measuring: in every round each handler has its turn, so that whatever the machine does meanwhile
//! falls on all of them; what stands in the table is the median of the rounds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cloud::Cloud;
use crate::handlers::Handler;
use crate::lambda::Function;
use crate::machine::{self, QUIET, Watch};
use crate::samples::{self, SOURCE};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// How often each handler has its turn.
    pub rounds: usize,
    /// Starts of each handler in a round.
    pub starts: usize,
    /// Events before any is measured, for compilers that learn.
    pub warm_up: usize,
    /// Measured events of 1 KB.
    pub small: usize,
    /// Measured events of 100 KB.
    pub large: usize,
}

impl Plan {
    /// About four minutes on a quiet machine.
    pub const FULL: Self = Self { rounds: 9, starts: 4, warm_up: 300, small: 1500, large: 400 };
    /// About twenty seconds, for a look.
    pub const QUICK: Self = Self { rounds: 2, starts: 2, warm_up: 100, small: 300, large: 100 };
}

/// The two events that are sent.
pub struct Events {
    /// A body of 1 KB.
    pub small: String,
    /// A body of 100 KB.
    pub large: String,
}

impl Events {
    /// They are the same in every run.
    pub fn new() -> Self {
        Self { small: samples::body(1024), large: samples::body(100_000) }
    }
}

/// What one handler showed.
#[derive(Default)]
pub struct Figures {
    /// Start of the process to the first `/next`, ms.
    pub init: Vec<f64>,
    /// The first event of a process, ms.
    pub first: Vec<f64>,
    /// Both together, ms.
    pub cold: Vec<f64>,
    /// Events of 1 KB on a warm process, µs: median and 99th percentile of each round.
    pub small: Vec<(f64, f64)>,
    /// Events of 100 KB.
    pub large: Vec<(f64, f64)>,
    /// Processor time of 1,000 events of 1 KB, ms.
    pub cpu_small: Vec<f64>,
    /// The same of 100 KB.
    pub cpu_large: Vec<f64>,
    /// Resident after the events of 1 KB, MiB.
    pub rss: Vec<f64>,
    /// The most that was ever resident, MiB.
    pub peak: Vec<f64>,
}

impl Figures {
    fn append(&mut self, mut round: Self) {
        self.init.append(&mut round.init);
        self.first.append(&mut round.first);
        self.cold.append(&mut round.cold);
        self.small.append(&mut round.small);
        self.large.append(&mut round.large);
        self.cpu_small.append(&mut round.cpu_small);
        self.cpu_large.append(&mut round.cpu_large);
        self.rss.append(&mut round.rss);
        self.peak.append(&mut round.peak);
    }
}

/// How often a turn is taken at most, when others are at work.
const TRIES: usize = 4;

/// How long all of that may be waited for.
const WAIT: Duration = Duration::from_secs(900);

/// All rounds: for each handler its figures, and how many turns count although others were at work.
pub fn run(
    handlers: &[Handler],
    cloud: &Cloud,
    events: &Events,
    plan: Plan,
) -> Result<(Vec<Figures>, usize)> {
    let end_of_patience = Instant::now() + WAIT;
    let mut all: Vec<Figures> = handlers.iter().map(|_| Figures::default()).collect();
    let mut disturbed = 0;
    for round in 0..plan.rounds {
        for at in 0..handlers.len() {
            let which = (round + at) % handlers.len();
            let (turn, others) = quiet_turn(&handlers[which], cloud, events, plan, end_of_patience)
                .with_context(|| handlers[which].spec.name.clone())?;
            disturbed += usize::from(others >= QUIET);
            all[which].append(turn);
        }
        eprintln!("bench: round {} of {}", round + 1, plan.rounds);
    }
    Ok((all, disturbed))
}

/// A turn while nobody else was at work, or else the one of several that was disturbed the least.
fn quiet_turn(
    handler: &Handler,
    cloud: &Cloud,
    events: &Events,
    plan: Plan,
    end_of_patience: Instant,
) -> Result<(Figures, f64)> {
    let mut best: Option<(Figures, f64)> = None;
    for _ in 0..TRIES {
        machine::wait_until_quiet(end_of_patience)?;
        let watch = Watch::start()?;
        let turn = one(handler, cloud, events, plan)?;
        let others = watch.others()?;
        if best.as_ref().is_none_or(|(_, least)| others < *least) {
            best = Some((turn, others));
        }
        if others < QUIET || Instant::now() > end_of_patience {
            break;
        }
    }
    best.context("no turn was taken")
}

/// One handler's turn.
fn one(handler: &Handler, cloud: &Cloud, events: &Events, plan: Plan) -> Result<Figures> {
    let event = |body: &str| samples::event(body, &samples::sign(body), SOURCE);
    let (small, large) = (event(&events.small), event(&events.large));
    let mut figures = Figures::default();
    for _ in 1..plan.starts {
        start(handler, &small, &mut figures)?;
    }
    let mut function = start(handler, &small, &mut figures)?;
    if handler.cold_only {
        return Ok(figures);
    }
    cloud.take();
    let (times, cpu) = warm(&mut function, &small, plan.warm_up, plan.small)?;
    figures.small.push(times);
    figures.cpu_small.push(cpu);
    figures.rss.push(function.memory("VmRSS")?);
    let (times, cpu) = warm(&mut function, &large, plan.warm_up / 3, plan.large)?;
    figures.large.push(times);
    figures.cpu_large.push(cpu);
    figures.peak.push(function.memory("VmHWM")?);
    let queued = cloud.take().count("AmazonSQS.SendMessage");
    let sent = (plan.warm_up + plan.small + plan.warm_up / 3 + plan.large) as u64;
    ensure!(queued == sent, "{sent} events made {queued} messages");
    Ok(figures)
}

fn start(handler: &Handler, event: &[u8], figures: &mut Figures) -> Result<Function> {
    let mut function = Function::start(&handler.spec)?;
    let (_, first) = function.invoke(event)?;
    figures.init.push(millis(function.init));
    figures.first.push(millis(first));
    figures.cold.push(millis(function.init + first));
    Ok(function)
}

/// Sends one event again and again: median and 99th percentile in µs, and ms of processor for 1,000.
fn warm(function: &mut Function, event: &[u8], warm_up: usize, count: usize) -> Result<((f64, f64), f64)> {
    for _ in 0..warm_up {
        function.invoke(event)?;
    }
    let before = function.cpu()?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let (answer, time) = function.invoke(event)?;
        ensure!(answer.windows(6).any(|part| part == b"queued"), "an event was not queued");
        times.push(millis(time) * 1000.0);
    }
    let cpu = millis(function.cpu()? - before) / count as f64 * 1000.0;
    Ok(((quantile(&times, 0.5), quantile(&times, 0.99)), cpu))
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value below which this share of all lies.
pub fn quantile(of: &[f64], share: f64) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub fn median(of: &[f64]) -> f64 {
    quantile(of, 0.5)
}
