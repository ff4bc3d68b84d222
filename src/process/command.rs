//! Describes what to run, and starts it.

use std::{
    ffi::OsString,
    fmt,
    path::PathBuf,
    process::{self, Stdio},
    sync::Arc,
};

use tokio::sync::broadcast;

use super::{
    end::EndWatch,
    error::SpawnError,
    keeper::{self, Spawned},
    output::{KEPT_LINES, Line, Lines, Output},
    readiness::Ready,
    signal::Signal,
};
use crate::user_value::quietly;

/// A program to run, with arguments, environment, directory and input.
///
/// A description: it may be cloned, and run any number of times. Copies share their [lines](Self::lines).
///
/// # Default
///
/// No arguments, this program's environment and directory, an empty input, [ready on start](Self::ready_on_start),
/// [`Signal::Term`]. What systemd has set for this program alone (`NOTIFY_SOCKET`, `WATCHDOG_PID` and `WATCHDOG_USEC`) is not passed on
/// unless [`env`](Self::env) sets it.
///
/// # Examples
///
/// ```
/// use resurgam::process::Command;
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sorted = Command::new("sort").env("LC_ALL", "C").stdin("b\na\n").capture().await?;
/// assert_eq!(sorted, "a\nb\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a command does nothing until it is captured or made a service"]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    environment: Vec<Variable>,
    directory: Option<PathBuf>,
    stdin: Stdin,
    ready: Ready,
    stop_signal: Signal,
    lines: broadcast::Sender<Line>,
}

impl Command {
    /// Runs `program`: a path, or a name that is looked for in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            environment: Vec::new(),
            directory: None,
            stdin: Stdin::Null,
            ready: Ready::Start,
            stop_signal: Signal::Term,
            lines: broadcast::Sender::new(KEPT_LINES),
        }
    }

    /// Adds an argument. It is given as it is; no shell interprets it.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment
            .push(Variable::Set(name.into(), value.into()));
        self
    }

    /// Sets several variables of the environment.
    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push(Variable::Removed(name.into()));
        self
    }

    /// Empties the environment, also of what was set before.
    pub fn env_clear(mut self) -> Self {
        self.environment = vec![Variable::NoOther];
        self
    }

    /// Sets the working directory. This program's by default.
    ///
    /// The program, if it is a relative path with a `/`, should be given as an absolute one then: systems differ in which directory they
    /// look.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets what the process can read. [`Stdin::Null`] by default.
    ///
    /// Text and bytes are written to each process that is started, and end with the end of the input. They are logged nowhere: what a
    /// process is given to read may be secret.
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Makes the service ready when the program has been started, which is when it has replaced the copy of this one. The default.
    pub fn ready_on_start(mut self) -> Self {
        self.ready = Ready::Start;
        self
    }

    /// Makes the service ready when the process has written a line that contains `text`, to whichever output.
    ///
    /// Programs that do not write to a terminal often keep their output for a while; tell them not to. Give the service a
    /// [`start_timeout`](crate::ServiceSpec::start_timeout), here and with the others below: without one it waits for ever. A process
    /// that ends before it is ready is a failed start.
    pub fn ready_on_line(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.ready_on_match(move |line| line.contains(&text))
    }

    /// Makes the service ready when the process has written a line of which `matches` says so, to whichever output.
    pub fn ready_on_match(
        mut self,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.ready = Ready::Match(Arc::new(matches));
        self
    }

    /// Makes the service ready when `address`, as in `127.0.0.1:5432`, accepts a TCP connection. Tried every 50 ms.
    ///
    /// It cannot tell who accepts: see that nothing else has the port. What is not a host and a port is refused when the service is added.
    pub fn ready_on_port(mut self, address: impl Into<Arc<str>>) -> Self {
        self.ready = Ready::Port(address.into());
        self
    }

    /// Makes the service ready when a GET of `path` from `address`, as in `127.0.0.1:8080`, is answered with a status of 200 to 399. Tried
    /// every 50 ms.
    ///
    /// Plain HTTP/1.1. An attempt is given up after a second. An address that is not a host and a port, or a path that does not begin with
    /// `/`, is refused when the service is added.
    pub fn ready_on_http(
        mut self,
        address: impl Into<Arc<str>>,
        path: impl Into<Arc<str>>,
    ) -> Self {
        self.ready = Ready::Http {
            address: address.into(),
            path: path.into(),
        };
        self
    }

    /// Sets the signal that the process and its group are sent when the service is stopped. [`Signal::Term`] by default.
    ///
    /// The process may take its time: until the service's [`shutdown`](crate::ServiceSpec::shutdown) timeout, 10 s unless told
    /// otherwise. Then the whole group is killed.
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Begins a subscription to all lines that are written from now on, by whichever process is started from this command or a copy of
    /// it.
    pub fn lines(&self) -> Lines {
        Lines::new(self.lines.subscribe())
    }

    /// The program, as errors and logs name it.
    pub(super) fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    pub(super) fn signal_to_stop(&self) -> Signal {
        self.stop_signal
    }

    pub(super) fn input(&self) -> &Stdin {
        &self.stdin
    }

    /// Tells `tracing` and all subscriptions.
    pub(super) fn publish(&self, line: Line) {
        line.trace();
        // An error means that nobody has subscribed.
        // Nor is the waker of one our business.
        let _subscriptions = quietly(|| self.lines.send(line).is_ok());
    }

    /// Starts the process, and listens for its end.
    pub(super) async fn spawn(&self, merge: Merge) -> Result<(Spawned, EndWatch), SpawnError> {
        let refused = |error| SpawnError::refused(&self.program(), error);
        let mut command = self.to_std();
        let merged = match merge {
            Merge::No => None,
            Merge::Yes => {
                let (reader, writer) = std::io::pipe().map_err(refused)?;
                command.stdout(writer.try_clone().map_err(refused)?);
                command.stderr(writer);
                Some(reader)
            }
        };
        let mut spawned = keeper::spawn(command).await.map_err(refused)?;
        if let Some(reader) = merged {
            let output = (Output::Stdout, reader.into());
            spawned.outputs.push(output);
        }
        let watch = EndWatch::new(spawned.group.leader()).map_err(refused)?;
        Ok((spawned, watch))
    }

    fn to_std(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args);
        // They are about this program: a process that took them for its own would tell systemd that the program is ready, or feed its
        // watchdog.
        for name in SYSTEMD {
            command.env_remove(name);
        }
        for variable in &self.environment {
            match variable {
                Variable::NoOther => command.env_clear(),
                Variable::Removed(name) => command.env_remove(name),
                Variable::Set(name, value) => command.env(name, value),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(match self.stdin {
            Stdin::Bytes(_) => Stdio::piped(),
            Stdin::Inherit => Stdio::inherit(),
            Stdin::Null => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The variables by which systemd tells a program how to speak to it.
const SYSTEMD: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Prints the program and its arguments, as in `sh -c 'exit 3'`.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program.to_string_lossy())?;
        for arg in &self.args {
            let arg = arg.to_string_lossy();
            if arg.is_empty() || arg.contains(char::is_whitespace) {
                write!(f, " '{arg}'")?;
            } else {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

/// Shows no values of the environment and no input, which may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("directory", &self.directory)
            .field("stop_signal", &self.stop_signal)
            .finish_non_exhaustive()
    }
}

/// Whether both outputs are one pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Merge {
    No,
    Yes,
}

/// A change of the environment. Changes are made in the order of the calls.
#[derive(Clone)]
enum Variable {
    NoOther,
    Removed(OsString),
    Set(OsString, OsString),
}

/// What a process can read.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stdin {
    /// These bytes, then the end.
    Bytes(Arc<[u8]>),
    /// What this program can read. Not of use with a terminal: outside of its foreground group, the system suspends who reads from it.
    Inherit,
    /// Nothing: the end at once. The default.
    #[default]
    Null,
}

impl From<&str> for Stdin {
    fn from(text: &str) -> Self {
        Self::Bytes(Arc::from(text.as_bytes()))
    }
}

impl From<String> for Stdin {
    fn from(text: String) -> Self {
        Self::Bytes(Arc::from(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Arc::from(bytes))
    }
}

/// Shows how much it is and not what, which may be secret.
impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Inherit => f.write_str("Inherit"),
            Self::Null => f.write_str("Null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    /// What is changed about a variable.
    fn change(command: &Command, name: &str) -> String {
        let command = command.to_std();
        let mut variables = command.get_envs();
        match variables.find(|(known, _)| *known == OsStr::new(name)) {
            Some((_, Some(value))) => value.to_string_lossy().into_owned(),
            Some((_, None)) => String::from("removed"),
            None => String::from("passed on"),
        }
    }

    #[test]
    fn what_systemd_tells_the_program_is_not_passed_on_unless_it_is_set() {
        let command = Command::new("true");
        for name in SYSTEMD {
            assert_eq!(change(&command, name), "removed", "{name}");
            let command = command.clone().env(name, "mine");
            assert_eq!(change(&command, name), "mine");
        }
        assert_eq!(change(&command, "PATH"), "passed on");
    }
}
