//! When a keyed supervisor is ready: once every row of its first scan is, or soon enough.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::{state::ServiceState, token::ServiceToken};

/// The first scan of a life.
#[derive(Debug)]
pub(super) struct FirstScan {
    /// Whose readiness is awaited.
    awaited: HashSet<ServiceToken>,
    /// When nobody is awaited any longer: some time after the first was started, or after the beginning if none was.
    until: Instant,
    began: Began,
    scan: Progress,
}

/// Whether a service was started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Began {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    GoesOn,
    Ended,
    /// The supervisor is ready.
    Over,
}

impl FirstScan {
    pub(super) fn new(until: Instant) -> Self {
        Self {
            awaited: HashSet::new(),
            until,
            began: Began::No,
            scan: Progress::GoesOn,
        }
    }

    /// A service was started.
    pub(super) fn started(&mut self, token: ServiceToken, now: Instant, within: Duration) {
        if self.scan == Progress::Over {
            return;
        }
        if self.began == Began::No {
            self.began = Began::Yes;
            self.until = now.checked_add(within).unwrap_or(self.until);
        }
        self.awaited.insert(token);
    }

    /// Reports whether the scan goes on.
    pub(super) fn goes_on(&self) -> bool {
        self.scan == Progress::GoesOn
    }

    /// A row has a service already, from an earlier life.
    pub(super) fn seen(&mut self, token: ServiceToken, state: Option<ServiceState>) {
        let comes = |state| matches!(state, ServiceState::Starting | ServiceState::Waiting);
        if self.scan == Progress::GoesOn && state.is_some_and(comes) {
            self.awaited.insert(token);
        }
    }

    /// A service is ready, or gone.
    pub(super) fn settled(&mut self, token: ServiceToken) {
        self.awaited.remove(&token);
    }

    /// The scan has ended, whatever came of it.
    pub(super) fn scanned(&mut self) {
        if self.scan == Progress::GoesOn {
            self.scan = Progress::Ended;
        }
    }

    /// Until when somebody is awaited.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.scan != Progress::Over).then_some(self.until)
    }

    /// Reports whether the supervisor is ready; from then on it stays so.
    pub(super) fn is_over(&mut self, now: Instant, started: bool, none_due: bool) -> bool {
        let all = self.scan == Progress::Ended && self.awaited.is_empty() && none_due && started;
        if self.scan != Progress::Over && (all || now >= self.until) {
            self.scan = Progress::Over;
            self.awaited = HashSet::new();
        }
        self.scan == Progress::Over
    }
}
