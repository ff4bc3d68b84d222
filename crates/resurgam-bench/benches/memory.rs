//! Measures what an idle service needs, beside an idle plain actix actor.
//!
//! Each kind is measured in a process of its own, so that neither finds memory that the other has left. The figure is the growth of the
//! resident set, divided by the number of actors, whose addresses are held. Linux only: it reads `/proc/self/statm`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

use std::{env, fs, io, process::Command};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, message};

/// How many actors idle.
const MANY: usize = 100_000;

/// How many requests fit into the mailbox of a supervisor.
const PIPELINE: usize = 15;

const PAGE: u64 = 4096;

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    if let (Some(flag), Some(kind)) = (arguments.next(), arguments.next())
        && flag == "--kind"
    {
        System::new().block_on(measure(&kind));
        return Ok(());
    }
    let plain = per_actor("plain")?;
    println!("idle actors: {MANY}; bytes each, and how many times a plain actor's\n");
    println!("{:<34}{plain:>6.0}", "plain actor, and its Addr");
    for (kind, name, aim) in [
        ("fixed", "service, fixed, and its ServiceRef", "aim <= 1.3"),
        (
            "dynamic",
            "service, added, and its ServiceRef",
            "aim <= 1.3",
        ),
        ("alone", "service, added, and no ServiceRef", ""),
    ] {
        let bytes = per_actor(kind)?;
        println!("{name:<34}{bytes:>6.0}{:>8.3}  {aim}", bytes / plain);
    }
    Ok(())
}

/// Runs this program again, for one kind.
fn per_actor(kind: &str) -> io::Result<f64> {
    let output = Command::new(env::current_exe()?)
        .args(["--kind", kind])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(io::Error::other)
}

async fn measure(kind: &str) {
    // What the first ones of everything need is not counted.
    let root = SupervisorActor::with_defaults("warm").start().await;
    let root = root.expect("it has no services that could fail");
    root.add_and_wait(service("warm".to_owned()))
        .await
        .expect("its factory does not fail");
    let warm = Plain.start();
    assert!(warm.connected());

    let before = resident();
    let after = match kind {
        "plain" => {
            let actors: Vec<_> = (0..MANY).map(|_| Plain.start()).collect();
            settle().await;
            let after = resident();
            assert!(actors.iter().all(Addr::connected));
            after
        }
        "fixed" => {
            let mut root = SupervisorActor::with_defaults("root");
            let services: Vec<_> = (0..MANY)
                .map(|number| root.add(service(name(number))).expect("names are unique"))
                .collect();
            let root = root.start().await.expect("no service fails to start");
            settle().await;
            let after = resident();
            assert!(services.iter().all(|service| service.connected()));
            drop(root);
            after
        }
        _ => {
            let mut services: Vec<ServiceRef<Idle>> = Vec::with_capacity(MANY);
            let mut added = 0;
            while added < MANY {
                let adds: Vec<_> = (added..MANY.min(added + PIPELINE))
                    .map(|number| root.addr().send(message::Add::new(service(name(number)))))
                    .collect();
                added += adds.len();
                for add in adds {
                    let service = add.await.expect("the supervisor runs");
                    let service = service.expect("names are unique");
                    if kind == "dynamic" {
                        services.push(service);
                    }
                }
            }
            settle().await;
            let after = resident();
            let counts = root.services().await.expect("the tree runs");
            assert_eq!(counts.len(), MANY + 1);
            drop(services);
            after
        }
    };
    println!("{}", (after - before) as f64 / MANY as f64);
}

/// Lets every actor come to its first rest.
async fn settle() {
    for _ in 0..MANY {
        tokio::task::yield_now().await;
    }
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

fn service(name: String) -> ServiceSpec<Idle> {
    ServiceSpec::new(name, || Idle)
}

/// The bytes of this process that are in memory.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * PAGE
}

/// A plain actor that does nothing.
struct Plain;

impl Actor for Plain {
    type Context = Context<Self>;
}

/// A service that does nothing.
struct Idle;

impl Actor for Idle {
    type Context = ServiceContext<Self>;
}
