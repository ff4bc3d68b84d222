//! What goes wrong with a process.

use std::{io, sync::Arc};

/// Why the process could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The system would not start it: the program or the directory does not exist, it may not be run, or there are too many
    /// processes or open files.
    #[error("could not start `{program}`: {source}")]
    #[non_exhaustive]
    Refused {
        /// What was to be run.
        program: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

impl SpawnError {
    pub(super) fn refused(program: &str, source: io::Error) -> Self {
        Self::Refused {
            program: program.to_owned(),
            source: Arc::new(source),
        }
    }

    /// What the system said.
    pub fn io_error(&self) -> &io::Error {
        match self {
            Self::Refused { source, .. } => source,
        }
    }
}

/// How a process failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExitError {
    /// It exited with a status other than 0.
    #[error("`{program}` exited with status {code}")]
    #[non_exhaustive]
    Exited {
        /// What was run.
        program: String,
        /// Its exit status, 1 to 255.
        code: i32,
    },
    /// Its status was taken by something else in this program that waits for every process. See that it does not.
    #[error("the exit status of `{program}` is lost")]
    #[non_exhaustive]
    Lost {
        /// What was run.
        program: String,
    },
    /// A signal ended it.
    #[error("`{program}` was ended by signal {signal}")]
    #[non_exhaustive]
    Signalled {
        /// What was run.
        program: String,
        /// The number of the signal.
        signal: i32,
    },
}

impl ExitError {
    /// An [`Exited`](Self::Exited), to compare with.
    pub fn exited(program: impl Into<String>, code: i32) -> Self {
        let program = program.into();
        Self::Exited { program, code }
    }

    /// A [`Signalled`](Self::Signalled), to compare with.
    pub fn signalled(program: impl Into<String>, signal: i32) -> Self {
        let program = program.into();
        Self::Signalled { program, signal }
    }
}

/// Why [`Command::capture`](super::Command::capture) failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It ran, and ended with a failure. What it had written is kept.
    #[error("{error}")]
    #[non_exhaustive]
    Exit {
        /// How it ended.
        error: ExitError,
        /// What it had written until then.
        output: String,
    },
    /// It was not started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl CaptureError {
    /// What the process had written before it failed.
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Exit { output, .. } => Some(output),
            Self::Spawn(_) => None,
        }
    }
}

/// Why a process was not sent a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The process has ended; its service is about to.
    #[error("the process has ended")]
    Ended,
    /// The process has changed its user, and may not be signalled any more.
    #[error("the process may not be signalled")]
    Forbidden,
}
