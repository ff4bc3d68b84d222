//! Who is restarted with a service that fails: the same crash of `b` under each strategy.
//!
//! ```text
//! one for one: a 0, b 1, c 0
//! one for all: a 1, b 1, c 1
//! rest for one: a 0, b 1, c 1
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use actix::prelude::*;
use resurgam::{EventKind, ServiceContext, ServiceSpec, Strategy, SupervisorActor, SupervisorSpec};

struct Part;

impl Actor for Part {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Break;

impl Handler<Break> for Part {
    type Result = ();
    fn handle(&mut self, _: Break, ctx: &mut Self::Context) {
        ctx.fail("worn out");
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let spec = SupervisorSpec::default().strategy(strategy);
        let mut root = SupervisorActor::new("root", spec);
        root.add(ServiceSpec::new("a", || Part))?;
        let b = root.add(ServiceSpec::new("b", || Part))?;
        root.add(ServiceSpec::new("c", || Part))?;
        let root = root.start().await?;

        let mut events = root.events();
        b.do_send(Break);
        // The last of those that are restarted is ready last: `b` alone, or `c`.
        let last = match strategy {
            Strategy::OneForOne => "root/b",
            _ => "root/c",
        };
        while let Some(event) = events.next().await {
            if event.path() == last && event.kind() == &EventKind::ServiceReady {
                break;
            }
        }

        let services = root.services().await?;
        let generations: Vec<_> = services
            .iter()
            .map(|service| format!("{} {}", service.name(), service.generation()))
            .collect();
        println!("{strategy}: {}", generations.join(", "));
        root.shutdown().await?;
    }
    Ok(())
}
