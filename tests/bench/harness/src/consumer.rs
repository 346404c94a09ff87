//! The consumer: which calls an event costs, and how long a batch takes when each call takes a while.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::lambda::{Function, Spec};
use crate::rounds::{median, millis};
use crate::samples;

/// What DynamoDB is made to take for a call: a batch should take so many times this, whatever it is.
pub const LATENCIES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(60)];

/// Batches of each kind that are timed.
const BATCHES: u64 = 15;

/// What the consumer showed.
pub struct Consumed {
    /// The calls that one small event costs.
    pub small: BTreeMap<String, u64>,
    /// The same for a sample of each event type that has another number of calls, or a read.
    pub others: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many types have samples.
    pub types: usize,
    /// For each latency: the time of a process's first batch of ten, and of a later one, in calls.
    pub batches: Vec<(Duration, f64, f64)>,
}

/// Whether an operation reads.
pub fn is_read(operation: &str) -> bool {
    ["Get", "Query", "Scan"].iter().any(|word| operation.contains(word))
}

/// Runs the consumer. `samples` is the folder of one event for each type.
pub fn run(spec: &Spec, cloud: &Cloud, samples: &Path) -> Result<Consumed> {
    cloud.set_table_latency(Duration::ZERO);
    let mut function = Function::start(spec)?;
    let small = calls(&mut function, cloud, &samples::small_event(0))?;
    let mut others = BTreeMap::new();
    let mut types = 0;
    for file in std::fs::read_dir(samples).with_context(|| samples.display().to_string())? {
        let file = file?.path();
        let body = samples::filled(&std::fs::read_to_string(&file)?);
        let calls = calls(&mut function, cloud, &body).with_context(|| file.display().to_string())?;
        types += 1;
        if calls.values().sum::<u64>() != 2 || calls.keys().any(|operation| is_read(operation)) {
            others.insert(file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), calls);
        }
    }
    let mut batches = Vec::new();
    for latency in LATENCIES {
        cloud.set_table_latency(latency);
        let mut firsts = Vec::new();
        let mut later = Vec::new();
        for start in 0..3 {
            let mut function = Function::start(spec)?;
            for batch in 0..BATCHES {
                let first = (start * BATCHES + batch) * 10;
                let bodies: Vec<String> = (first..first + 10).map(samples::small_event).collect();
                let time = invoke(&mut function, &bodies)?;
                let times = if batch == 0 { &mut firsts } else { &mut later };
                times.push(millis(time) / millis(latency));
            }
        }
        batches.push((latency, median(&firsts), median(&later)));
    }
    Ok(Consumed { small, others, types, batches })
}

fn calls(function: &mut Function, cloud: &Cloud, body: &str) -> Result<BTreeMap<String, u64>> {
    cloud.take();
    invoke(function, &[body.to_owned()])?;
    let calls = cloud.take().calls;
    Ok(calls
        .into_iter()
        .map(|(name, count)| (name.rsplit('.').next().unwrap_or_default().to_owned(), count))
        .collect())
}

fn invoke(function: &mut Function, bodies: &[String]) -> Result<Duration> {
    let (answer, time) = function.invoke(&samples::batch(bodies))?;
    let answer: Value = serde_json::from_slice(&answer)?;
    ensure!(answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty), "{answer}");
    Ok(time)
}
