//! Measures services and plain actix actors by turns, and prints how far they are apart, beside what is aimed at.
//!
//! A round measures everything once, shortly one after the other, so that whatever else the machine is doing meets all of it. Each line
//! is the median of all rounds, the quartiles, and what the best rounds come to, which is what a busy machine disturbs least.
//! Memory is the business of the benchmark `memory`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

mod support;

use std::{env, io, process::Command, time::Duration};

use crate::support::{
    lifecycle::{self, StartStop, names},
    messages,
    restart::{self, End},
    system,
};

/// How many services are started and stopped.
const MANY: usize = 10_000;

/// Plain actors, services that a supervisor starts with, services that are added to one that runs.
const KINDS: [&str; 3] = ["plain", "fixed", "dynamic"];

/// How many messages one measurement sends. Many short ones catch fewer of the machine's bad moments than few long ones.
const TELLS: u64 = 10_000;
const ASKS: u64 = 5_000;
const RESTARTS: u64 = 500;

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    if let (Some(flag), Some(kind)) = (arguments.next(), arguments.next())
        && flag == "--kind"
    {
        let both = system().block_on(start_and_stop_once(&kind));
        println!("{} {}", both.start.as_nanos(), both.stop.as_nanos());
        return Ok(());
    }
    // `cargo test --benches` only wants to see that it runs.
    let rounds = if env::args().any(|argument| argument == "--test") {
        Rounds { slow: 1, fast: 1 }
    } else {
        Rounds {
            slow: 41,
            fast: 401,
        }
    };
    let system = system();
    println!(
        "{:<34}{:>12}{:>20}{:>10}",
        "", "median", "quartiles", "best"
    );
    start_and_stop_apart(rounds.slow)?;
    system.block_on(async {
        start_and_stop(rounds.slow).await;
        tells_and_asks(rounds.fast).await;
        restarts(rounds.fast).await;
    });
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Rounds {
    slow: usize,
    fast: usize,
}

/// Each measurement in a process of its own, which gets its memory from the system, as a program that starts up does.
fn start_and_stop_apart(rounds: usize) -> io::Result<()> {
    let mut samples: [[Samples; 2]; 3] = Default::default();
    for _ in 0..rounds {
        for (kind, [start, stop]) in KINDS.into_iter().zip(&mut samples) {
            let output = Command::new(env::current_exe()?)
                .args(["--kind", kind])
                .output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let mut nanos = text.split_whitespace().map(str::parse);
            for samples in [start, stop] {
                let nanos = nanos.next().unwrap_or(Ok(0));
                let nanos = nanos.map_err(io::Error::other)?;
                samples.add(Duration::from_nanos(nanos), MANY as u64);
            }
        }
    }
    print_start_and_stop("in a new process", &samples);
    Ok(())
}

/// All measurements in one process, which has the memory from the round before.
async fn start_and_stop(rounds: usize) {
    let mut samples: [[Samples; 2]; 3] = Default::default();
    for _ in 0..rounds {
        for (kind, [start, stop]) in KINDS.into_iter().zip(&mut samples) {
            let both = start_and_stop_once(kind).await;
            start.add(both.start, MANY as u64);
            stop.add(both.stop, MANY as u64);
        }
    }
    print_start_and_stop("with memory at hand", &samples);
}

async fn start_and_stop_once(kind: &str) -> StartStop {
    match kind {
        "plain" => lifecycle::plain(MANY).await,
        "fixed" => lifecycle::fixed(&names(MANY)).await,
        _ => lifecycle::dynamic(&names(MANY)).await,
    }
}

fn print_start_and_stop(how: &str, samples: &[[Samples; 2]; 3]) {
    println!("10 000 {how}");
    let [plain, fixed, dynamic] = samples;
    plain[0].print("start, plain actors");
    fixed[0].print("  services, fixed");
    fixed[0].print_ratio(&plain[0], "<= 1.5");
    dynamic[0].print("  services, added");
    dynamic[0].print_ratio(&plain[0], "<= 1.5");
    plain[1].print("stop, plain actors");
    fixed[1].print("  services, shut down");
    fixed[1].print_ratio(&plain[1], "");
    dynamic[1].print("  services, removed");
    dynamic[1].print_ratio(&plain[1], "");
}

async fn tells_and_asks(rounds: usize) {
    let plain = messages::plain();
    let (root, service) = messages::supervised().await;
    let (other_root, existing) = messages::adopted().await;
    let mut tells: [Samples; 3] = Default::default();
    let mut asks: [Samples; 3] = Default::default();
    for round in 0..rounds {
        // Each goes first as often as the other.
        if round % 2 == 0 {
            tells[0].add(messages::tell(&plain, TELLS).await, TELLS);
            tells[1].add(messages::tell(&service, TELLS).await, TELLS);
            asks[0].add(messages::ask(&plain, ASKS).await, ASKS);
            asks[1].add(messages::ask(&service, ASKS).await, ASKS);
        } else {
            tells[1].add(messages::tell(&service, TELLS).await, TELLS);
            tells[0].add(messages::tell(&plain, TELLS).await, TELLS);
            asks[1].add(messages::ask(&service, ASKS).await, ASKS);
            asks[0].add(messages::ask(&plain, ASKS).await, ASKS);
        }
        tells[2].add(messages::tell(&existing, TELLS).await, TELLS);
        asks[2].add(messages::ask(&existing, ASKS).await, ASKS);
    }
    for (name, [plain, service, existing]) in [("do_send", tells), ("send", asks)] {
        plain.print(&format!("{name}, plain"));
        service.print("  service");
        service.print_ratio(&plain, "<= 1.05");
        existing.print("  plain, as a service");
        existing.print_ratio(&plain, "");
    }
    root.shutdown().await.expect("the system runs on");
    other_root.shutdown().await.expect("the system runs on");
}

async fn restarts(rounds: usize) {
    let plain = restart::plain();
    let caught = restart::caught();
    let (root, service) = restart::supervised().await;
    let mut bare = Samples::default();
    let mut nothing = Samples::default();
    let mut actix = Samples::default();
    let mut ends: [Samples; 3] = Default::default();
    for _ in 0..rounds {
        bare.add(restart::bare_panics(RESTARTS), RESTARTS);
        let time = restart::rounds(&plain, End::Not, RESTARTS).await;
        nothing.add(time, RESTARTS);
        let time = restart::rounds(&caught, End::Panic, RESTARTS).await;
        actix.add(time, RESTARTS);
        for (times, end) in ends.iter_mut().zip([End::Panic, End::Fail, End::Stop]) {
            let time = restart::rounds(&service, end, RESTARTS).await;
            times.add(time, RESTARTS);
        }
    }
    let [panic, fail, stop] = ends;
    bare.print("a panic, thrown and caught");
    nothing.print("two messages to a plain actor");
    actix.print("  and a panic, caught around it");
    actix.print_above(&[&nothing, &bare], "messages and panic", "");
    panic.print("the same, and a panic of a service");
    panic.print_above(&[&nothing, &bare], "messages and panic", "<= 4000");
    fail.print("the same, and ctx.fail");
    fail.print_above(&[&nothing], "messages", "<= 1000");
    stop.print("the same, and ctx.stop");
    stop.print_above(&[&nothing], "messages", "");
    root.shutdown().await.expect("the system runs on");
}

/// Nanoseconds per piece, one number for each round.
#[derive(Debug, Default)]
struct Samples(Vec<f64>);

impl Samples {
    fn add(&mut self, time: Duration, count: u64) {
        self.0.push(time.as_nanos() as f64 / count as f64);
    }

    fn best(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn print(&self, name: &str) {
        line(name, &self.0, self.best(), 0, "");
    }

    /// Prints how many times `below` this is.
    fn print_ratio(&self, below: &Self, aim: &str) {
        let ratios: Vec<f64> = self.0.iter().zip(&below.0).map(|(a, b)| a / b).collect();
        line("    to plain", &ratios, self.best() / below.best(), 3, aim);
    }

    /// Prints by how much this is more than all `parts` together.
    fn print_above(&self, parts: &[&Self], name: &str, aim: &str) {
        let rest = |round: usize| parts.iter().map(|part| part.0[round]).sum::<f64>();
        let above: Vec<f64> = (0..self.0.len())
            .map(|round| self.0[round] - rest(round))
            .collect();
        let best = self.best() - parts.iter().map(|part| part.best()).sum::<f64>();
        line(&format!("    above {name}"), &above, best, 0, aim);
    }
}

fn line(name: &str, values: &[f64], best: f64, digits: usize, aim: &str) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| sorted[(sorted.len() - 1) * quarter / 4];
    let unit = if digits == 0 { "ns" } else { "x " };
    let quartiles = format!("[{:.digits$}..{:.digits$}]", at(1), at(3));
    let aim = if aim.is_empty() {
        String::new()
    } else {
        format!("  aim {aim}")
    };
    println!(
        "{name:<34}{:>9.digits$} {unit}{quartiles:>20}{best:>10.digits$}{aim}",
        at(2),
    );
}
