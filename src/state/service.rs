//! One service, as its supervisor sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    extras::{Extras, OwnLimit, is_among},
    last_exit::LastExit,
    obstacle::Obstacle,
    phase::{Finish, FinishedBy, Phase, Ran, Registered},
    rules::{Decide, OnBlocked, ServiceKind, ServiceRules, Significance, name_of},
    transitions::{self, Input},
};
use crate::policy::{ExitReason, RestartType, Shutdown};

/// What is to become of a service once its present incarnation has ended. Says nothing while there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    /// Nothing: it is to run on, and its end is judged when it comes.
    Nothing,
    /// It is kept as stopped, because somebody asked for that.
    Stop,
    /// It is forgotten.
    Removal,
    /// It is started again, because somebody asked for it.
    Restart,
    /// It is started again, because one that it is bound to has ended.
    Bounce,
    /// It is started again in its turn, with the group.
    GroupRestart,
    /// It is kept as stopped, because its supervisor ends.
    End,
}

/// What a service is to the present stop sequence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Member {
    /// No part of it.
    Outside,
    /// It is to be asked when it is its turn.
    Pending,
    /// It was asked, and all that come before it in start order wait for it.
    Holding,
    /// It was asked, and nobody but what it requires waits for it.
    Yielding,
}

/// Whether a service was there before its supervisor was started, and what the next start of that makes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// It was there: it is kept when it has ended for good, and the supervisor does not start without it.
    Static,
    /// It was there, and was down when the life before ended: a restart of the supervisor is never stricter than that life, in which others ran
    /// on without it. Until it is ready again.
    Spared,
    /// It was added later: it is forgotten when it has ended for good, and no start depends on it.
    Dynamic,
}

/// One service. Everything that few services have is in [`Extras`].
#[derive(Debug)]
pub(super) struct Service {
    pub(super) path: Arc<str>,
    /// The number that tells it from those that had its slot before.
    pub(super) serial: u64,
    /// Its place in start order.
    pub(super) order: u64,
    /// How many incarnations were begun.
    pub(super) starts: u64,
    /// Since when it is starting or ready, or else since when its latest incarnation is over.
    pub(super) since: Option<Instant>,
    phase: Phase,
    /// `None` if the supervisor's `shutdown_timeout` holds for it.
    pub(super) shutdown: Option<Shutdown>,
    pub(super) last_exit: LastExit,
    pub(super) extras: Option<Box<Extras>>,
    pub(super) wanted: Wanted,
    pub(super) member: Member,
    pub(super) restart: RestartType,
    pub(super) origin: Origin,
    pub(super) significance: Significance,
    pub(super) kind: ServiceKind,
    pub(super) start_report: StartReport,
    pub(super) on_blocked: OnBlocked,
}

/// Whether it was reported that the present incarnation has started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StartReport {
    Due,
    Made,
}

impl Service {
    pub(super) fn new(path: Arc<str>, rules: ServiceRules, origin: Origin) -> Self {
        Self {
            shutdown: rules.shutdown,
            restart: rules.restart,
            significance: rules.significance,
            kind: rules.kind,
            path,
            extras: rules.rare.map(|rare| Box::new(Extras::new(*rare))),
            serial: 0,
            order: 0,
            starts: 0,
            since: None,
            phase: Phase::Registered(Registered::New),
            last_exit: LastExit::None,
            wanted: Wanted::Nothing,
            member: Member::Outside,
            origin,
            start_report: StartReport::Due,
            on_blocked: rules.on_blocked,
        }
    }

    /// Where it is in its life.
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Puts it into another phase, because of an input; the one place where phases change. Returns the phase before.
    ///
    /// Called by the [table](super::table), which counts services by phase and keeps their deadlines.
    pub(super) fn set_phase(&mut self, phase: Phase, input: Input) -> Phase {
        let before = std::mem::replace(&mut self.phase, phase);
        transitions::check(before.kind(), input, phase.kind());
        before
    }

    /// The name among its siblings.
    pub(super) fn name(&self) -> &str {
        name_of(&self.path)
    }

    /// The present or latest incarnation.
    pub(super) const fn generation(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// The names that must be ready before it is started, each once.
    pub(super) fn required(&self) -> &[Arc<str>] {
        self.extras.as_ref().map_or(&[], |extras| &extras.requires)
    }

    /// Reports whether this holds of each that it requires.
    ///
    /// Begins with the one of which it did not hold the last time. So one that waits for many is not looked through anew whenever one of them
    /// becomes ready, but only as far as they are.
    pub(super) fn has_all_required(&self, is_ready: impl Fn(&Arc<str>) -> bool) -> bool {
        let Some(extras) = &self.extras else {
            return true;
        };
        let required = &extras.requires;
        let (before, rest) = required.split_at(required.len().min(extras.unready.get() as usize));
        let mut from_there = (before.len()..).zip(rest).chain((0..).zip(before));
        let unready = from_there.find(|(_, name)| !is_ready(name));
        if let Some((index, _)) = unready {
            extras.unready.set(u32::try_from(index).unwrap_or(0));
        }
        unready.is_none()
    }

    /// Reports whether one that it requires has become ready since the present incarnation began.
    pub(super) fn is_requirement_ready(&self) -> bool {
        self.extras
            .as_ref()
            .is_some_and(|extras| extras.requirement_ready)
    }

    /// Reports whether it requires any other service, of its siblings or elsewhere.
    pub(super) fn requires_anything(&self) -> bool {
        !self.required().is_empty() || !self.paths().is_empty()
    }

    /// Reports whether it is started again if it misses something, and not only when one of its siblings becomes ready: what it misses may
    /// have come since, or is elsewhere, and is waited for before the next start.
    pub(super) fn looks_again(&self) -> bool {
        self.is_requirement_ready() || !self.paths().is_empty()
    }

    /// Notes whether one that it requires has become ready since the present incarnation began; one that requires nothing has none.
    pub(super) fn set_requirement_ready(&mut self, ready: bool) {
        if let Some(extras) = &mut self.extras {
            extras.requirement_ready = ready;
        }
    }

    /// Notes that it was started again after an end without an error, for which others wait.
    pub(super) fn note_recurs(&mut self) {
        self.extras.get_or_insert_default().recurs = true;
    }

    /// Reports whether it is known that it never completes.
    pub(super) fn recurs(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.recurs)
    }

    /// Reports whether it is restarted with the service of this name.
    pub(super) fn is_bound_to(&self, name: &str) -> bool {
        let bound = |extras: &Extras| is_among(&extras.binds_to, name);
        self.extras.as_deref().is_some_and(bound)
    }

    /// The paths of services elsewhere that must be ready before it is started.
    pub(super) fn paths(&self) -> &[Arc<str>] {
        self.extras.as_ref().map_or(&[], |extras| &extras.paths)
    }

    /// Asks anew whether they are ready: no answer to an earlier question counts.
    pub(super) fn ask(&mut self) -> u64 {
        let Some(extras) = &mut self.extras else {
            return 0;
        };
        extras.ticket += 1;
        extras.awaited = None;
        extras.ticket
    }

    /// Reports whether somebody is asked before it is started again.
    pub(super) fn consults(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.consults)
    }

    /// When somebody was asked the last time, and said that it goes on.
    pub(super) fn consulted_at(&self) -> Option<Instant> {
        self.extras.as_ref()?.consulted_at
    }

    pub(super) fn set_consulted_at(&mut self, now: Instant) {
        if let Some(extras) = &mut self.extras {
            extras.consulted_at = Some(now);
        }
    }

    /// The number of the latest question.
    pub(super) fn ticket(&self) -> u64 {
        self.extras.as_ref().map_or(0, |extras| extras.ticket)
    }

    /// Notes for which of them it waits.
    pub(super) fn set_awaited_path(&mut self, on: Arc<str>, why: Obstacle) {
        if let Some(extras) = &mut self.extras {
            extras.awaited = Some((on, why));
        }
    }

    /// For which of them it waits, if that is known.
    pub(super) fn awaited_path(&self) -> Option<&(Arc<str>, Obstacle)> {
        self.extras.as_ref()?.awaited.as_ref()
    }

    /// Reports whether it waits for the end of the service of this name, and not for its readiness.
    pub(super) fn requires_end_of(&self, name: &str) -> bool {
        let ends = |extras: &Extras| is_among(&extras.completed, name);
        self.extras.as_deref().is_some_and(ends)
    }

    /// Reports whether it has ended for good, and without an error.
    pub(super) fn has_completed(&self) -> bool {
        let clean = match &self.last_exit {
            LastExit::Other(reason) => !reason.is_abnormal(),
            LastExit::None | LastExit::Normal | LastExit::Shutdown => true,
        };
        matches!(self.phase, Phase::Finished(_)) && clean
    }

    /// Likewise, and that it has run: whoever requires its readiness has had that.
    pub(super) fn has_run_to_its_end(&self) -> bool {
        let ran = matches!(self.phase, Phase::Finished(Finish { ran: Ran::Yes, .. }));
        ran && self.has_completed()
    }

    /// Reports whether it has ended for good, or was stopped, and runs again with its group or with one that it is bound to.
    pub(super) fn runs_again(&self) -> bool {
        let over = match self.phase {
            Phase::Stopped => true,
            Phase::Finished(finish) => match finish.by {
                FinishedBy::FailedStart => true,
                FinishedBy::Rule => self.has_completed(),
                FinishedBy::Service => false,
            },
            _ => false,
        };
        over && self.restart != RestartType::Temporary
    }

    /// Forgets how often it has failed.
    pub(super) fn forget_failures(&mut self) {
        if let Some(extras) = &mut self.extras {
            extras.failures = 0;
            if let Some(own) = &mut extras.limit {
                own.counter.reset();
            }
        }
    }

    /// Notes that it is down, and that the next start of its supervisor is not to depend on it.
    pub(super) fn spare(&mut self) {
        if self.origin == Origin::Static {
            self.origin = Origin::Spared;
        }
    }

    /// Notes where it was when its supervisor ended, for the next start of that.
    pub(super) fn note_end(&mut self) {
        match self.phase {
            Phase::Registered(_)
            | Phase::Undecided
            | Phase::Starting { .. }
            | Phase::Overdue { .. }
            | Phase::Ready
            | Phase::Stopping { .. }
            // One that was stopped on request is spared already; the one whose end has ended the supervisor is not.
            | Phase::Stopped => return,
            _ => {}
        }
        self.spare();
        let resumes = match self.phase {
            Phase::BackingOff { until } | Phase::Delayed { until } => Phase::BackingOff { until },
            Phase::Resting { until } => Phase::Resting { until },
            _ => return,
        };
        if self.origin == Origin::Dynamic
            && let Some(extras) = &mut self.extras
        {
            extras.resumes = Some(resumes);
        }
    }

    /// Reports whether it goes on waiting with the next start of its supervisor.
    pub(super) fn resumes(&self) -> bool {
        let resumes = |extras: &Extras| extras.resumes.is_some();
        self.extras.as_deref().is_some_and(resumes)
    }

    /// Forgets what it was waiting for when its supervisor ended.
    pub(super) fn forget_resumes(&mut self) {
        if let Some(extras) = &mut self.extras {
            extras.resumes = None;
        }
    }

    /// Takes what it waits for, as it did when its supervisor ended, if that is not over.
    pub(super) fn take_resumes(&mut self, now: Instant) -> Option<Phase> {
        let phase = self.extras.as_mut()?.resumes.take()?;
        phase.deadline().is_none_or(|at| at > now).then_some(phase)
    }

    /// Its own limit, if it has one.
    pub(super) fn own_limit(&self) -> Option<&OwnLimit> {
        self.extras.as_ref()?.limit.as_ref()
    }

    /// Its own limit, to count with.
    pub(super) fn own_limit_mut(&mut self) -> Option<&mut OwnLimit> {
        self.extras.as_mut()?.limit.as_mut()
    }

    /// What is asked about its failures.
    pub(super) fn decide(&self) -> Option<&Decide> {
        self.extras.as_ref()?.decide.as_ref()
    }

    /// How long it may take to become ready; as long as it likes if it does not say.
    pub(super) fn start_timeout(&self) -> Option<Duration> {
        self.extras.as_ref()?.start_timeout
    }

    /// Follows other rules from now on, but for what says where it runs and what it requires. What was counted stays counted.
    pub(super) fn renew(&mut self, rules: ServiceRules) {
        self.shutdown = rules.shutdown;
        self.restart = rules.restart;
        let rare = rules.rare.map(|rare| *rare);
        if rare.is_none() && self.extras.is_none() {
            return;
        }
        let rare = rare.unwrap_or_default();
        let extras = self.extras.get_or_insert_default();
        extras.start_timeout = rare.start_timeout;
        extras.backoff = rare.backoff.unwrap_or_default();
        extras.limit = rare.limit.map(|limit| {
            let counted = extras.limit.take();
            OwnLimit {
                limit,
                counter: counted.map(|own| own.counter).unwrap_or_default(),
            }
        });
        extras.decide = rare.decide;
        extras.while_down = rare.while_down;
    }

    /// Keeps why it ended.
    pub(super) fn remember_exit(&mut self, reason: &ExitReason) {
        self.last_exit = LastExit::from(reason);
    }

    /// Why it ended the last time; `Normal` if it never ran.
    pub(super) fn last_exit(&self) -> ExitReason {
        self.last_exit.get().unwrap_or(ExitReason::Normal)
    }
}
