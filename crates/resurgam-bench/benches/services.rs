//! Criterion benchmarks: services beside plain actix actors.
//!
//! Criterion measures one thing to its end and then the next one. For ratios that a noisy machine cannot spoil see the
//! benchmark `aims`, which measures the same things by turns.

mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};

use crate::support::{
    lifecycle::{self, names},
    messages,
    restart::{self, End},
    system,
};

/// How many services are started and stopped.
const MANY: usize = 10_000;

/// How many messages are queued at once, at most.
const BURST: u64 = 100_000;

fn main() {
    let system = system();
    let mut criterion = Criterion::default().configure_from_args();
    start_and_stop(&mut criterion, &system);
    restarts(&mut criterion, &system);
    tells_and_asks(&mut criterion, &system);
    criterion.final_summary();
}

fn start_and_stop(criterion: &mut Criterion, system: &actix::SystemRunner) {
    let names = names(MANY);
    for (group, part) in [("start 10 000", Part::Start), ("stop 10 000", Part::Stop)] {
        let mut group = criterion.benchmark_group(group);
        group.sample_size(10);
        group.throughput(Throughput::Elements(MANY as u64));
        group.bench_function("plain actors", |bencher| {
            bencher.iter_custom(|rounds| {
                sum(rounds, || part.of(system.block_on(lifecycle::plain(MANY))))
            });
        });
        group.bench_function("services, fixed", |bencher| {
            bencher.iter_custom(|rounds| {
                sum(rounds, || {
                    part.of(system.block_on(lifecycle::fixed(&names)))
                })
            });
        });
        group.bench_function("services, dynamic", |bencher| {
            bencher.iter_custom(|rounds| {
                sum(rounds, || {
                    part.of(system.block_on(lifecycle::dynamic(&names)))
                })
            });
        });
        group.finish();
    }
}

fn restarts(criterion: &mut Criterion, system: &actix::SystemRunner) {
    let mut group = criterion.benchmark_group("restart");
    group.bench_function("a caught panic alone", |bencher| {
        bencher.iter_custom(restart::bare_panics);
    });
    group.bench_function("plain actor, nothing ends", |bencher| {
        let plain = system.block_on(async { restart::plain() });
        bencher.iter_custom(|count| system.block_on(restart::rounds(&plain, End::Not, count)));
    });
    group.bench_function("plain actor, panic caught", |bencher| {
        let caught = system.block_on(async { restart::caught() });
        bencher.iter_custom(|count| system.block_on(restart::rounds(&caught, End::Panic, count)));
    });
    let (_root, service) = system.block_on(restart::supervised());
    for (name, end) in [
        ("nothing ends", End::Not),
        ("panic", End::Panic),
        ("ctx.fail", End::Fail),
        ("ctx.stop", End::Stop),
    ] {
        group.bench_function(BenchmarkId::new("service", name), |bencher| {
            bencher.iter_custom(|count| system.block_on(restart::rounds(&service, end, count)));
        });
    }
    group.finish();
}

fn tells_and_asks(criterion: &mut Criterion, system: &actix::SystemRunner) {
    let plain = system.block_on(async { messages::plain() });
    let (_root, service) = system.block_on(messages::supervised());
    let (_other_root, existing) = system.block_on(messages::adopted());
    let mut group = criterion.benchmark_group("do_send");
    group.throughput(Throughput::Elements(1));
    group.bench_function("plain actor", |bencher| {
        bencher.iter_custom(|count| {
            bursts(count, |burst| {
                system.block_on(messages::tell(&plain, burst))
            })
        });
    });
    group.bench_function("service", |bencher| {
        bencher.iter_custom(|count| {
            bursts(count, |burst| {
                system.block_on(messages::tell(&service, burst))
            })
        });
    });
    group.bench_function("plain actor as a service", |bencher| {
        bencher.iter_custom(|count| {
            bursts(count, |burst| {
                system.block_on(messages::tell(&existing, burst))
            })
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("send");
    group.throughput(Throughput::Elements(1));
    group.bench_function("plain actor", |bencher| {
        bencher.iter_custom(|count| system.block_on(messages::ask(&plain, count)));
    });
    group.bench_function("service", |bencher| {
        bencher.iter_custom(|count| system.block_on(messages::ask(&service, count)));
    });
    group.bench_function("plain actor as a service", |bencher| {
        bencher.iter_custom(|count| system.block_on(messages::ask(&existing, count)));
    });
    group.finish();
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Start,
    Stop,
}

impl Part {
    fn of(self, both: lifecycle::StartStop) -> Duration {
        match self {
            Self::Start => both.start,
            Self::Stop => both.stop,
        }
    }
}

fn sum(rounds: u64, round: impl FnMut() -> Duration) -> Duration {
    let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
    std::iter::repeat_with(round).take(rounds).sum()
}

/// Splits what criterion asks for, so that no mailbox holds millions.
fn bursts(mut count: u64, mut burst: impl FnMut(u64) -> Duration) -> Duration {
    let mut time = Duration::ZERO;
    while count > 0 {
        let part = count.min(BURST);
        time += burst(part);
        count -= part;
    }
    time
}
