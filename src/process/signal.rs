//! Signals by name.

use std::fmt;

/// A signal that a process can be sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGHUP: by custom, read the configuration again.
    Hup,
    /// SIGINT: what Ctrl-C sends.
    Int,
    /// SIGKILL: cannot be caught.
    Kill,
    /// SIGQUIT: end with a core dump.
    Quit,
    /// SIGTERM: end in good order. The default.
    #[default]
    Term,
    /// SIGUSR1: the program's own.
    Usr1,
    /// SIGUSR2: the program's own.
    Usr2,
}

impl Signal {
    /// The number of the signal on this system.
    pub const fn number(self) -> i32 {
        self.to_rustix().as_raw()
    }

    pub(super) const fn to_rustix(self) -> rustix::process::Signal {
        match self {
            Self::Hup => rustix::process::Signal::HUP,
            Self::Int => rustix::process::Signal::INT,
            Self::Kill => rustix::process::Signal::KILL,
            Self::Quit => rustix::process::Signal::QUIT,
            Self::Term => rustix::process::Signal::TERM,
            Self::Usr1 => rustix::process::Signal::USR1,
            Self::Usr2 => rustix::process::Signal::USR2,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Kill => "SIGKILL",
            Self::Quit => "SIGQUIT",
            Self::Term => "SIGTERM",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
        })
    }
}
