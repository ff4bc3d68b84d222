//! The actor that a process has for a service.

use std::{fmt, os::fd::OwnedFd, pin::Pin, sync::Arc};

use actix::{
    Actor, ActorContext, ActorFutureExt, ActorStreamExt, AsyncContext, Handler, Message, Running,
    WrapFuture, WrapStream,
};
use futures::{Stream, StreamExt, stream};

use super::{
    command::{Command, Merge, Stdin},
    end::{EndWatch, ProcessEnd},
    error::{SignalError, SpawnError},
    keeper::{OwnedGroup, Spawned},
    output::{DRAIN, Drain, Line, LineReader, Output, Writer, feed},
    readiness::{Ready, http_answers, port_accepts},
    signal::Signal,
};
use crate::{
    policy::Readiness,
    service::{ReportedKind, ServiceContext, ServiceSpec, StartContext},
};

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
    writer: Writer,
    group: OwnedGroup,
    /// When the service is ready. `Start`, once a line has made it so.
    ready: Ready,
    /// Taken by `started`, which makes futures of them.
    streams: Option<Streams>,
    /// Whether both outputs were read to their ends.
    output_closed: bool,
    drain: Drain,
    /// How the process has ended, once it has.
    end: Option<ProcessEnd>,
    /// The signal that was sent to stop the process.
    asked: Option<Signal>,
}

impl ProcessActor {
    /// Starts the process of an incarnation.
    pub(super) async fn begin(command: Command, context: StartContext) -> Result<Self, SpawnError> {
        let writer = Writer {
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
        let streams = Streams {
            watch,
            stdin,
            lines: stream::select_all(readers).boxed_local(),
        };
        Ok(Self {
            ready: command.ready().clone(),
            command,
            writer,
            group,
            streams: Some(streams),
            output_closed: false,
            drain: Drain::default(),
            end: None,
            asked: None,
        })
    }

    fn line(&mut self, output: Output, bytes: &[u8], ctx: &mut ServiceContext<Self>) {
        self.drain.read(bytes);
        let line = Line::new(self.writer.clone(), output, bytes);
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

    /// Kills the rest of the group when the process has ended, and reads what was written to the end.
    fn process_ended(&mut self, end: ProcessEnd, ctx: &mut ServiceContext<Self>) {
        self.end = Some(end);
        self.group.kill();
        if self.output_closed {
            self.end(ctx);
        } else {
            self.drain.begin();
            ctx.run_later(DRAIN, Self::look_at_drain);
        }
    }

    fn look_at_drain(&mut self, ctx: &mut ServiceContext<Self>) {
        if self.drain.goes_on() {
            ctx.run_later(DRAIN, Self::look_at_drain);
        } else {
            self.end(ctx);
        }
    }

    fn output_ended(&mut self, ctx: &mut ServiceContext<Self>) {
        self.output_closed = true;
        if self.end.is_some() {
            self.end(ctx);
        }
    }

    /// Ends the incarnation as its process has ended.
    fn end(&mut self, ctx: &mut ServiceContext<Self>) {
        self.group.kill_and_reap();
        let end = self.end.unwrap_or(ProcessEnd::Lost);
        match end.check(&self.command.program(), self.asked) {
            Ok(()) => ctx.terminate(),
            Err(error) => ctx.fail(error),
        }
    }
}

impl Actor for ProcessActor {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(streams) = self.streams.take() else {
            return;
        };
        // Spawned before the wait for the end, and so polled before it: a line that was written before the end is read before it.
        let lines = streams.lines.into_actor(self);
        let lines = lines.map(|(output, line), actor, ctx| actor.line(output, &line, ctx));
        let lines = lines.finish();
        ctx.spawn(lines.map(|(), actor, ctx| actor.output_ended(ctx)));
        if let (Some(pipe), Stdin::Bytes(bytes)) = (streams.stdin, self.command.input()) {
            let fed = feed(pipe, Arc::clone(bytes));
            ctx.spawn(fed.into_actor(self));
        }
        let end = streams.watch.wait().into_actor(self);
        ctx.spawn(end.map(|end, actor, ctx| actor.process_ended(end, ctx)));
        self.await_readiness(ctx);
    }

    /// Sends the stop signal, and stays until the process has ended.
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if self.asked.is_none() {
            let signal = self.command.signal_to_stop();
            self.asked = Some(signal);
            if self.group.signal(signal) == Err(SignalError::Forbidden) {
                // A process of another user can be neither asked nor killed: the service ends without it.
                return Running::Stop;
            }
            // A suspended process takes the signal only when it goes on.
            self.group.resume();
        }
        Running::Continue
    }
}

impl Command {
    /// Describes a service that runs the command, anew for each incarnation.
    ///
    /// Its lines are also written to `tracing`, as `info` with target `resurgam::process` and the fields `path`, `generation` and
    /// `output`. How the process ends says how the incarnation ends, see [the module](super). A program that ends by itself and is
    /// not to be run again wants [`RestartType::Transient`](crate::RestartType::Transient), since the default starts it again
    /// also after a success.
    pub fn service(self, name: impl Into<Arc<str>>) -> ServiceSpec<ProcessActor> {
        let readiness = match self.ready() {
            Ready::Start => Readiness::OnStart,
            _ => Readiness::Explicit,
        };
        let refused = self.ready().validate().err();
        let spec = ServiceSpec::new_async(name, move |context| {
            ProcessActor::begin(self.clone(), context)
        });
        let mut spec = spec.readiness(readiness).shown_as(ReportedKind::Process);
        if let Some(refused) = refused {
            spec.refuse(refused);
        }
        spec
    }
}

impl fmt::Debug for ProcessActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessActor")
            .field("command", &self.command)
            .field("group", &self.group)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// The pipes of a process, and the watch for its end.
struct Streams {
    watch: EndWatch,
    stdin: Option<OwnedFd>,
    lines: Pin<Box<dyn Stream<Item = (Output, Vec<u8>)>>>,
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
        match self.end {
            Some(_) => Err(SignalError::Ended),
            None => self.group.signal_leader(signal),
        }
    }
}
