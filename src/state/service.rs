//! One service, as its supervisor sees it.

use std::{
    cell::Cell,
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    last_exit::LastExit,
    obstacle::Obstacle,
    rules::{Decide, OnBlocked, RareRules, ServiceKind, ServiceRules, Significance, name_of},
    service_state::ServiceState,
    transitions::{self, Input, Kind},
};
use crate::policy::{
    Backoff, ExitReason, LimitCounter, RestartLimit, RestartType, Shutdown, WhileDown,
};

/// Where a service is in its life, as finely as decisions need it, with what only that phase knows.
///
/// Which phase may follow which, and by what input, is in [`transitions`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    // Without an incarnation, to be started without a request:
    /// Added before its supervisor was started.
    Registered(Registered),
    /// It waits until what it requires is ready.
    Gated(Gate),
    /// It said that something is missing, and waits until one that it requires becomes ready.
    Parked,
    /// It waits for its turn in the line.
    InLine,
    /// It is passed over in the line until the end of its backoff, after which it waits for its turn.
    Delayed { until: Option<Instant> },
    /// It waits in the line behind one whose backoff is not over.
    Held,
    /// Its incarnation has ended, and what follows is not decided yet: for the rest of the turn, or until its supervisor has started.
    Undecided,
    /// It waits for the end of its backoff.
    BackingOff { until: Option<Instant> },
    /// It rests: it waits because it was over its own limit.
    Resting { until: Option<Instant> },
    /// It waits for the end of its supervisor's pause.
    Queued,

    // With an incarnation:
    /// An incarnation was begun and is not ready yet. It is dropped if it is not ready in time.
    Starting { until: Option<Instant> },
    /// It was not ready in time and is being dropped. It is abandoned if that takes too long.
    Overdue { until: Option<Instant> },
    /// It runs.
    Ready,
    /// It was asked to stop or is being dropped. If that takes too long, the next stage follows.
    Stopping {
        stage: Stage,
        until: Option<Instant>,
    },

    // Without an incarnation, until somebody asks for a start:
    /// It was stopped on request.
    Stopped,
    /// It has ended for good.
    Finished(Finish),
    /// It gave up.
    Failed,
    /// Its cell is gone, or out of reach on a blocked thread: it cannot be started, for ever or until that thread is back.
    Lost,
}

/// What a service waits for that it requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gate {
    /// Its siblings.
    Sibling,
    /// Services elsewhere in the tree; until then, if the start of its supervisor waits for it.
    Elsewhere { until: Option<Instant> },
}

/// In which way a service has ended for good that did not give up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Finish {
    /// Who has decided that it is over.
    pub(super) by: FinishedBy,
    /// Whether it was ready before.
    pub(super) ran: Ran,
}

/// Whether a service that has ended for good runs again with its group, or with one that it is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FinishedBy {
    /// It had ended for good before, and a start by hand has failed: it runs again as one that was stopped does.
    FailedStart,
    /// Its restart type: a one-shot service runs again then.
    Rule,
    /// The service itself has said that it is not to be restarted.
    Service,
}

/// Whether a service that has ended for good was ready before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ran {
    /// It has declined its start.
    No,
    Yes,
}

/// For what a service waits in the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waits {
    /// For its turn.
    Turn,
    /// For the end of its delay.
    Delay,
    /// For one that comes before it and waits for the end of its delay.
    Held,
}

/// Since when a service waits for the start of its supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Registered {
    /// Since it was added, or since somebody has asked for it.
    New,
    /// Since its supervisor has ended, with which it was stopped.
    Before,
    /// Likewise, and that has ended for good: nothing but a request, or what is above, starts it.
    ForGood,
}

/// How far the stopping of an incarnation has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It was asked.
    Asked,
    /// It was asked, and said that it has work to finish.
    Acknowledged,
    /// It is being dropped.
    Killed,
}

impl Phase {
    /// The phase without its data.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Registered(_) => Kind::Registered,
            Self::Gated(_) => Kind::Gated,
            Self::Parked => Kind::Parked,
            Self::InLine => Kind::InLine,
            Self::Delayed { .. } => Kind::Delayed,
            Self::Held => Kind::Held,
            Self::Undecided => Kind::Undecided,
            Self::BackingOff { .. } => Kind::BackingOff,
            Self::Resting { .. } => Kind::Resting,
            Self::Queued => Kind::Queued,
            Self::Starting { .. } => Kind::Starting,
            Self::Overdue { .. } => Kind::Overdue,
            Self::Ready => Kind::Ready,
            Self::Stopping { .. } => Kind::Stopping,
            Self::Stopped => Kind::Stopped,
            Self::Finished(_) => Kind::Finished,
            Self::Failed => Kind::Failed,
            Self::Lost => Kind::Lost,
        }
    }

    /// Reports whether there is an incarnation.
    pub(super) const fn is_live(self) -> bool {
        matches!(
            self,
            Self::Starting { .. } | Self::Overdue { .. } | Self::Ready | Self::Stopping { .. }
        )
    }

    /// Reports whether the incarnation is being dropped.
    pub(super) const fn is_killed(self) -> bool {
        matches!(
            self,
            Self::Overdue { .. }
                | Self::Stopping {
                    stage: Stage::Killed,
                    ..
                }
        )
    }

    /// Reports whether nothing but a request starts it again.
    pub(super) const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Finished(_) | Self::Failed | Self::Lost
        )
    }

    /// Reports whether it waits to be started without a request, whatever for.
    pub(super) const fn waits(self) -> bool {
        matches!(
            self,
            Self::Gated(_)
                | Self::Parked
                | Self::InLine
                | Self::Delayed { .. }
                | Self::Held
                | Self::BackingOff { .. }
                | Self::Resting { .. }
                | Self::Queued
        )
    }

    /// For what it waits in the line, if it has a place there.
    pub(super) const fn waits_in_line(self) -> Option<Waits> {
        match self {
            Self::InLine => Some(Waits::Turn),
            Self::Delayed { .. } => Some(Waits::Delay),
            Self::Held => Some(Waits::Held),
            _ => None,
        }
    }

    /// When something must happen to it; what, says the phase.
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Gated(Gate::Elsewhere { until })
            | Self::BackingOff { until }
            | Self::Delayed { until }
            | Self::Resting { until }
            | Self::Starting { until }
            | Self::Overdue { until }
            | Self::Stopping { until, .. } => until,
            _ => None,
        }
    }

    /// What users see of it.
    pub(super) const fn public(self) -> ServiceState {
        match self {
            Self::Registered(Registered::New)
            | Self::Gated(_)
            | Self::Parked
            | Self::InLine
            | Self::Held
            | Self::Undecided => ServiceState::Waiting,
            Self::Starting { .. } | Self::Overdue { .. } => ServiceState::Starting,
            Self::Ready => ServiceState::Ready,
            Self::Stopping { .. } => ServiceState::Stopping,
            Self::BackingOff { .. } | Self::Delayed { .. } => ServiceState::BackingOff,
            Self::Queued | Self::Resting { .. } => ServiceState::Paused,
            Self::Stopped
            | Self::Finished(_)
            | Self::Registered(Registered::Before | Registered::ForGood) => ServiceState::Stopped,
            Self::Failed | Self::Lost => ServiceState::Failed,
        }
    }
}

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
    /// Since when it is starting or ready.
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

/// What few services have.
// Apart: with a hundred thousand services, every word of a `Service` counts.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) start_timeout: Option<Duration>,
    pub(super) backoff: Backoff,
    /// Failures in a row, for the backoff.
    pub(super) failures: u32,
    pub(super) limit: Option<OwnLimit>,
    pub(super) decide: Option<Decide>,
    /// What it waits for when its supervisor is started again, if it has waited for the end of a delay or a pause of its own.
    pub(super) resumes: Option<Phase>,
    pub(super) requires: Box<[Arc<str>]>,
    /// Which of `requires` was not ready when somebody looked: the first to be looked at the next time.
    unready: Cell<u32>,
    /// Those of `requires` with which it is restarted, sorted.
    binds_to: Box<[Arc<str>]>,
    /// The paths of services elsewhere that must be ready before it is started.
    pub(super) paths: Box<[Arc<str>]>,
    /// How often it was asked whether they are.
    ticket: u64,
    /// Which of them is not, as far as is known.
    awaited: Option<(Arc<str>, Obstacle)>,
    /// Whether it was told that it waits for what will not be ready by itself, since it waits.
    pub(super) in_vain: bool,
    /// Those of `requires` that must have ended without an error, sorted.
    completed: Box<[Arc<str>]>,
    /// Whether one that it requires has become ready since the present incarnation began: what that one has seen may be out of date.
    requirement_ready: bool,
    pub(super) while_down: WhileDown,
    /// Whether others wait for its end, and it was started again after one without an error: it never completes.
    recurs: bool,
}

/// A limit of one service.
#[derive(Debug)]
pub(super) struct OwnLimit {
    pub(super) limit: RestartLimit,
    pub(super) counter: LimitCounter,
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

    /// Keeps why it ended.
    pub(super) fn remember_exit(&mut self, reason: &ExitReason) {
        self.last_exit = LastExit::from(reason);
    }

    /// Why it ended the last time; `Normal` if it never ran.
    pub(super) fn last_exit(&self) -> ExitReason {
        self.last_exit.get().unwrap_or(ExitReason::Normal)
    }
}

impl Extras {
    fn new(rules: RareRules) -> Self {
        let paths: Vec<_> = rules.paths().cloned().collect();
        let mut seen = HashSet::new();
        let requires = rules.required().filter(|name| seen.insert(&***name));
        let requires: Box<[_]> = requires.cloned().collect();
        Self {
            start_timeout: rules.start_timeout,
            backoff: rules.backoff.unwrap_or_default(),
            failures: 0,
            limit: rules.limit.map(|limit| OwnLimit {
                limit,
                counter: LimitCounter::default(),
            }),
            decide: rules.decide,
            resumes: None,
            requires,
            unready: Cell::new(0),
            binds_to: sorted(rules.binds_to),
            completed: sorted(rules.requires_completed),
            paths: paths.into_boxed_slice(),
            ticket: 0,
            awaited: None,
            in_vain: false,
            requirement_ready: false,
            while_down: rules.while_down,
            recurs: false,
        }
    }
}

fn sorted(mut names: Vec<Arc<str>>) -> Box<[Arc<str>]> {
    names.sort_unstable();
    names.into_boxed_slice()
}

/// Reports whether a name is one of these, which are sorted.
fn is_among(sorted: &[Arc<str>], name: &str) -> bool {
    sorted.binary_search_by(|known| (**known).cmp(name)).is_ok()
}
