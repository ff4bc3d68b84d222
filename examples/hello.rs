//! A panic, an error to its sender alone, and the same address answering again.
//!
//! Prints, beside what Rust itself writes to standard error about the panic:
//!
//! ```text
//! Ok("Hello, Ada! I file you under A. Yours, greeter 0.")
//! Err(MailboxError(Mailbox has closed))
//! Ok("Hello, Grace! I file you under G. Yours, greeter 1.")
//! ```
//!
//! Look for the second line: the name is empty, the greeter panics, and its sender gets an error. And for the third: the
//! address is the same, the actor behind it is a fresh one.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};

struct Greeter;

impl Actor for Greeter {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "String")]
struct Greet(&'static str);

impl Handler<Greet> for Greeter {
    type Result = String;

    fn handle(&mut self, Greet(name): Greet, ctx: &mut Self::Context) -> String {
        let (initial, me) = (&name[..1], ctx.generation()); // An empty name has no initial.
        format!("Hello, {name}! I file you under {initial}. Yours, greeter {me}.")
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = SupervisorActor::with_defaults("root").start().await?;
    let spec = ServiceSpec::new("greeter", || Greeter);
    let greeter = root.add(spec).await?;
    for name in ["Ada", "", "Grace"] {
        println!("{:?}", greeter.send(Greet(name)).await);
    }
    root.shutdown().await?;
    Ok(())
}
