//! Whether the machine is quiet: what everybody else uses of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Below this share of one processor, what others do does not count.
pub const QUIET: f64 = 0.15;

/// A moment from which on the others' work is counted.
pub struct Watch {
    since: Instant,
    others: f64,
}

impl Watch {
    /// From now on.
    pub fn start() -> Result<Self> {
        Ok(Self { since: Instant::now(), others: others()? })
    }

    /// What others used since, in processors. Processes of our own that have not ended yet count as
    /// others.
    pub fn others(&self) -> Result<f64> {
        Ok((others()? - self.others).max(0.0) / self.since.elapsed().as_secs_f64())
    }
}

/// Waits for a quiet half second, until `end` at the most.
pub fn wait_until_quiet(end: Instant) -> Result<()> {
    while Instant::now() < end {
        let watch = Watch::start()?;
        std::thread::sleep(Duration::from_millis(500));
        if watch.others()? < QUIET {
            break;
        }
    }
    Ok(())
}

/// Keeps every processor from sleeping for the rest of the run, with threads that give way to all others.
pub fn keep_awake() -> Result<()> {
    for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        let (sender, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let parameter = libc::sched_param { sched_priority: 0 };
            // SAFETY: the call reads the parameter whose address it is given; 0 is this thread.
            let given = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) == 0 };
            let _ = sender.send(given);
            while given {
                std::hint::spin_loop();
            }
        });
        ensure!(ready.recv()?, "a thread cannot be given the lowest priority");
    }
    Ok(())
}

/// `/proc/loadavg`.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The processor's name and count.
pub fn name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{count} × {} ({})", model.map_or("unknown", |(_, name)| name), std::env::consts::ARCH)
}

/// Seconds of processor time that were used by anyone but this process and its ended children.
fn others() -> Result<f64> {
    let ticks = |text: &str| text.parse::<f64>().unwrap_or_default();
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all: Vec<f64> =
        stat.lines().next().context("/proc/stat")?.split_whitespace().skip(1).map(ticks).collect();
    // user, nice, system, (idle, iowait,) irq, softirq, steal
    let busy: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| all.get(*at)).sum();
    let own = std::fs::read_to_string("/proc/self/stat")?;
    let own = own.rsplit_once(") ").context("/proc/self/stat")?.1;
    // utime, stime and those of children
    let own: f64 = own.split(' ').skip(11).take(4).map(ticks).sum();
    Ok((busy - own) / 100.0)
}
