//! An actor that was written for actix alone, supervised without a change to it.
//!
//! Prints, beside what Rust itself writes to standard error about the panic:
//!
//! ```text
//! alone: Ok(1), Err(MailboxError(Mailbox has closed)), Err(MailboxError(Mailbox has closed))
//! supervised: Ok(1), Err(MailboxError(Mailbox has closed)), Ok(1)
//! at its own address: Ok(2)
//! ```
//!
//! The second message of each row makes the actor panic. Look for the third: on its own the actor is gone, with its address and whatever was
//! queued; as a service it answers at the same address, as a fresh actor that counts from one. An address that the actor gave away itself leads to
//! the fresh one, too.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "an example shows what it does"
)]

use actix::prelude::*;
use resurgam::{ServiceSpec, SupervisorActor};

/// The existing actor. Nothing in it knows of services.
#[derive(Default)]
struct Counter(u64);

impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Clone, Copy, Message)]
#[rtype(result = "u64")]
enum Count {
    Up,
    Overflow,
}

impl Handler<Count> for Counter {
    type Result = u64;

    fn handle(&mut self, msg: Count, _: &mut Context<Self>) -> u64 {
        match msg {
            Count::Up => self.0 += 1,
            Count::Overflow => panic!("overflow"),
        }
        self.0
    }
}

/// Asks for the address that the actor has of itself.
#[derive(Message)]
#[rtype(result = "Addr<Counter>")]
struct Own;

impl Handler<Own> for Counter {
    type Result = Addr<Self>;

    fn handle(&mut self, _: Own, ctx: &mut Context<Self>) -> Addr<Self> {
        ctx.address()
    }
}

/// Queues three messages at once, the second of which is too much for the actor.
async fn count(who: &str, counter: &Addr<Counter>) {
    let answers = [Count::Up, Count::Overflow, Count::Up].map(|msg| counter.send(msg));
    let [first, second, third] = answers;
    let (first, second, third) = futures::join!(first, second, third);
    println!("{who}: {first:?}, {second:?}, {third:?}");
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    count("alone", &Counter::default().start()).await;

    let root = SupervisorActor::with_defaults("root").start().await?;
    let counter = root
        .add(ServiceSpec::actor("counter", Counter::default))
        .await?;
    let own = counter.send(Own).await?;
    count("supervised", &counter).await;

    println!("at its own address: {:?}", own.send(Count::Up).await);
    root.shutdown().await?;
    Ok(())
}
