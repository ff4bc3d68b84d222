//! The actor that a process has for a service.

use std::{fmt, os::fd::OwnedFd, pin::Pin, sync::Arc};

use actix::{
    Actor, ActorContext, ActorFutureExt, ActorStreamExt, AsyncContext, Handler, Message, Running,
    WrapFuture, WrapStream,
};
use futures::{Stream, StreamExt, stream};

use super::{
    command::{Command, Merge, Stdin},
    error::{SignalError, SpawnError},
    group::{Exit, ExitWatch, Group},
    keeper::Spawned,
    output::{DRAIN, Drain, Line, LineReader, Origin, Output, feed},
    readiness::{Ready, http_answers, port_accepts},
    signal::Signal,
};
use crate::service::{ServiceContext, StartContext};

/// One process, as an actor; see [`Command::service`].
///
/// It can be asked for its [`ProcessId`], and to [send a signal](SendSignal) to its process.
///
/// # Examples
///
/// ```
/// use resurgam::{SupervisorActor, process::{Command, ProcessId, SendSignal, Signal}};
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SupervisorActor::with_defaults("root").start().await?;
/// let command = Command::new("sh").args(["-c", "trap 'echo reloaded' HUP; echo up; while :; do sleep 0.01; done"]);
/// let mut lines = command.lines();
/// let server = root.add_and_wait(command.ready_on_line("up").service("server")).await?;
/// assert!(server.send(ProcessId).await? > 1);
///
/// server.send(SendSignal(Signal::Hup)).await??;
/// while lines.next().await.ok_or("the service is gone")?.text() != "reloaded" {}
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct ProcessActor {
    command: Command,
    origin: Origin,
    group: Group,
    ready: Ready,
    /// What `started` sets to work.
    parts: Option<Parts>,
    output: Flow,
    drain: Drain,
    exit: Option<Exit>,
    /// The signal that was sent to stop the process.
    asked: Option<Signal>,
}

struct Parts {
    watch: ExitWatch,
    stdin: Option<OwnedFd>,
    lines: Pin<Box<dyn Stream<Item = (Output, Vec<u8>)>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Open,
    Over,
}

impl ProcessActor {
    /// Starts the process of an incarnation.
    pub(super) async fn begin(command: Command, context: StartContext) -> Result<Self, SpawnError> {
        let origin = Origin {
            path: Arc::from(context.path()),
            generation: context.generation(),
        };
        let (spawned, watch) = command.spawn(Merge::No).await?;
        let Spawned {
            group,
            stdin,
            outputs,
        } = spawned;
        let mut readers = Vec::new();
        for (output, pipe) in outputs {
            let reader = LineReader::new(pipe)
                .map_err(|error| SpawnError::refused(&command.program(), error))?;
            let lines = stream::unfold(reader, move |mut reader| async move {
                let line = reader.next().await?;
                Some(((output, line), reader))
            });
            readers.push(lines.boxed_local());
        }
        let parts = Parts {
            watch,
            stdin,
            lines: stream::select_all(readers).boxed_local(),
        };
        Ok(Self {
            ready: command.ready().clone(),
            command,
            origin,
            group,
            parts: Some(parts),
            output: Flow::Open,
            drain: Drain::default(),
            exit: None,
            asked: None,
        })
    }

    fn line(&mut self, output: Output, bytes: &[u8], ctx: &mut ServiceContext<Self>) {
        self.drain.read(bytes);
        let line = Line::new(self.origin.clone(), output, bytes);
        let is_awaited = match &self.ready {
            Ready::Match(matches) => matches(line.text()),
            _ => false,
        };
        self.command.publish(line);
        if is_awaited {
            self.ready = Ready::Start;
            ctx.ready();
        }
    }

    fn await_readiness(&self, ctx: &mut ServiceContext<Self>) {
        let ready = |(), _: &mut Self, ctx: &mut ServiceContext<Self>| ctx.ready();
        match &self.ready {
            Ready::Http { address, path } => {
                let answer = http_answers(Arc::clone(address), Arc::clone(path));
                ctx.spawn(answer.into_actor(self).map(ready));
            }
            Ready::Port(address) => {
                let accepted = port_accepts(Arc::clone(address));
                ctx.spawn(accepted.into_actor(self).map(ready));
            }
            Ready::Match(_) | Ready::Start => {}
        }
    }

    /// The process has ended: so does its group, and what was written is read to the end.
    fn exited(&mut self, exit: Exit, ctx: &mut ServiceContext<Self>) {
        self.exit = Some(exit);
        self.group.kill();
        match self.output {
            Flow::Open => {
                self.drain.begin();
                ctx.run_later(DRAIN, Self::drained);
            }
            Flow::Over => self.finish(ctx),
        }
    }

    fn drained(&mut self, ctx: &mut ServiceContext<Self>) {
        if self.drain.goes_on() {
            ctx.run_later(DRAIN, Self::drained);
        } else {
            self.finish(ctx);
        }
    }

    fn output_over(&mut self, ctx: &mut ServiceContext<Self>) {
        self.output = Flow::Over;
        if self.exit.is_some() {
            self.finish(ctx);
        }
    }

    fn finish(&mut self, ctx: &mut ServiceContext<Self>) {
        self.group.finish();
        let exit = self.exit.unwrap_or(Exit::Lost);
        match exit.judge(&self.command.program(), self.asked) {
            Ok(()) => ctx.terminate(),
            Err(error) => ctx.fail(error),
        }
    }
}

impl Actor for ProcessActor {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(parts) = self.parts.take() else {
            return;
        };
        // In this order: a line is read before the end is seen.
        let lines = parts.lines.into_actor(self);
        let lines = lines.map(|(output, line), actor, ctx| actor.line(output, &line, ctx));
        let lines = lines.finish();
        ctx.spawn(lines.map(|(), actor, ctx| actor.output_over(ctx)));
        if let (Some(pipe), Stdin::Bytes(bytes)) = (parts.stdin, self.command.input()) {
            let fed = feed(pipe, Arc::clone(bytes), self.origin.clone());
            ctx.spawn(fed.into_actor(self));
        }
        let exit = parts.watch.wait(self.group.leader()).into_actor(self);
        ctx.spawn(exit.map(Self::exited_with));
        self.await_readiness(ctx);
    }

    /// Sends the stop signal, and stays until the process has ended.
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if self.asked.is_none() {
            let signal = self.command.signal_to_stop();
            self.asked = Some(signal);
            if self.group.signal(signal) == Err(SignalError::Forbidden) {
                // It cannot be asked, nor killed. Its service does not wait for it.
                return Running::Stop;
            }
            // One that is suspended takes the signal only when it goes on.
            self.group.resume();
        }
        Running::Continue
    }
}

impl ProcessActor {
    fn exited_with(exit: Exit, actor: &mut Self, ctx: &mut ServiceContext<Self>) {
        actor.exited(exit, ctx);
    }
}

impl fmt::Debug for ProcessActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessActor")
            .field("command", &self.command)
            .field("group", &self.group)
            .field("exit", &self.exit)
            .finish_non_exhaustive()
    }
}

/// Asks for the id of the process, which is also that of its group.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a question without parameters")]
pub struct ProcessId;

impl Message for ProcessId {
    type Result = u32;
}

impl Handler<ProcessId> for ProcessActor {
    type Result = u32;

    fn handle(&mut self, _: ProcessId, _: &mut Self::Context) -> u32 {
        self.group.leader().as_raw_pid().unsigned_abs()
    }
}

/// Sends a signal to the process alone, not to the rest of its group: to read its configuration again, for example.
///
/// An end that follows from it is not an end that was asked for; [`SupervisorRef::stop`](crate::SupervisorRef::stop) asks.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a signal and nothing else")]
pub struct SendSignal(
    /// The signal.
    pub Signal,
);

impl Message for SendSignal {
    type Result = Result<(), SignalError>;
}

impl Handler<SendSignal> for ProcessActor {
    type Result = Result<(), SignalError>;

    fn handle(&mut self, SendSignal(signal): SendSignal, _: &mut Self::Context) -> Self::Result {
        match self.exit {
            Some(_) => Err(SignalError::Ended),
            None => self.group.signal_leader(signal),
        }
    }
}
