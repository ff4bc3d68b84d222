//! What a supervisor knows, and the small steps of which all decisions are made.
//!
//! Whoever decides (`judge`, `start`, `stop`, `group`, `operations`, and what they all use: `dependencies`, `limits`, `fatal`) is a
//! module of functions over this value. Nothing here decides what comes next.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    dropped::Dropped,
    end::{Asked, Consulted, End, Ending, Exit},
    line::Line,
    mirror::Mirrored,
    output::{Effect, Output},
    phase::{Gate, Phase},
    rules::{OnBlocked, SupervisorRules},
    sequence::Sequence,
    service::{Origin, Wanted},
    table::Table,
    transitions::Input,
    waiters::{Milestone, Waiters},
};
use crate::{
    event::{EventKind, Occurrence, Operation},
    policy::{ExitReason, KillCause, LimitCounter, Shutdown},
    token::{ServiceToken, SupervisorId},
};

/// What a supervisor knows of itself and its services.
pub(crate) struct SupervisorState {
    pub(super) id: SupervisorId,
    pub(super) path: Arc<str>,
    pub(super) rules: SupervisorRules,
    /// Numbers in `[0, 1)`, for jitter.
    pub(super) random: Box<dyn FnMut() -> f64 + Send>,
    pub(super) status: Status,
    /// How often the supervisor was started.
    pub(super) starts: u64,
    /// What a service is that is added now.
    pub(super) origin: Origin,
    /// What is being carried on at present, or was last, and which service it is about: all if it names none.
    pub(super) input: Input,
    subject: Option<u32>,

    pub(super) services: Table,
    /// How many of the services were added for an earlier start, and will be forgotten unless they are added again.
    pub(super) leftover: usize,
    /// Who is started in its turn.
    pub(super) line: Line,
    /// Who is stopped in its turn.
    pub(super) sequence: Sequence,
    pub(super) waiters: Waiters,
    /// What may still be there of an earlier life of the supervisor.
    pub(super) dropped: Dropped,
    pub(super) output: Output,

    /// What counts against the limit.
    pub(super) counter: LimitCounter,
    /// The pause of all restarts, while there is one.
    pub(super) pause: Option<Pause>,
    /// Services that wait for the end of the pause, in the order in which they failed. Those that no longer wait are
    /// passed over when it is their turn.
    pub(super) queue: VecDeque<ServiceToken>,
    /// When the next of the queue is started, after a pause.
    pub(super) next_resume: Option<Instant>,

    /// What has ended while the supervisor was starting, to be judged when it has started.
    pub(super) deferred: VecDeque<(ServiceToken, End)>,
    /// What has ended and is judged when it is known whether it is to go on.
    pub(super) consulted: BTreeMap<ServiceToken, Consulted>,
    /// Who waits in vain for what it requires, so that the start of the supervisor has failed, and with what.
    pub(super) blocked_start: Option<(ServiceToken, ExitReason)>,
    /// Why the supervisor ends, while it does.
    pub(super) ending: Option<Box<Ending>>,
    /// Where the paths of services are put together.
    path_text: String,
}

/// Where a supervisor is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    /// It was not started.
    Idle,
    /// Its services are being started, one after the other.
    Starting,
    /// All services that were there at the start were ready once.
    Running,
    /// All services are being stopped.
    Ending,
    /// No service runs any more.
    Ended,
}

/// A pause of all restarts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    pub(super) since: Instant,
    /// When it ends; never if that cannot be expressed.
    pub(super) until: Option<Instant>,
}

impl SupervisorState {
    /// A supervisor at `path` without services, not started. `random` returns numbers in `[0, 1)` for jitter.
    pub(crate) fn new(
        id: SupervisorId,
        path: Arc<str>,
        rules: SupervisorRules,
        random: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        Self {
            id,
            path,
            rules,
            random,
            status: Status::Idle,
            starts: 0,
            origin: Origin::Static,
            input: Input::Add,
            subject: None,
            services: Table::new(id),
            leftover: 0,
            line: Line::default(),
            sequence: Sequence::default(),
            waiters: Waiters::default(),
            dropped: Dropped::default(),
            output: Output::new(),
            counter: LimitCounter::default(),
            pause: None,
            queue: VecDeque::new(),
            next_resume: None,
            deferred: VecDeque::new(),
            consulted: BTreeMap::new(),
            blocked_start: None,
            ending: None,
            path_text: String::new(),
        }
    }

    /// Reports whether the supervisor was not started, or has ended and may be started again.
    pub(crate) fn is_idle(&self) -> bool {
        self.status == Status::Idle
    }

    /// Reports whether the supervisor takes no more operations.
    pub(crate) const fn is_ending(&self) -> bool {
        matches!(self.status, Status::Ending | Status::Ended)
    }

    /// The slot of an incarnation that has not ended, or `None` for a notice that comes too late.
    pub(super) fn current(&self, token: ServiceToken, generation: u64) -> Option<u32> {
        let slot = self.services.slot(token)?;
        let service = &self.services[slot];
        (service.phase().is_live() && service.generation() == generation).then_some(slot)
    }

    /// Says what is carried on from here, and which service it is about: all of them if it names none.
    pub(super) fn set_input(&mut self, input: Input, subject: Option<ServiceToken>) {
        self.input = input;
        self.subject = subject.map(ServiceToken::slot);
    }

    /// What a service is told by the present input: one that is about another service concerns it only by what follows.
    pub(super) fn input_to(&self, slot: u32) -> Input {
        match self.subject {
            Some(subject) if subject != slot => Input::Other,
            _ => self.input,
        }
    }

    /// Puts a service into a phase, and into the line or out of it as that says, and mirrors what users see of it.
    pub(super) fn set_phase(&mut self, slot: u32, phase: Phase) {
        let input = self.input_to(slot);
        let before = self.services.set_phase(slot, phase, input);
        let (waited, waits) = (before.waits_in_line(), phase.waits_in_line());
        if waited != waits {
            let order = self.services[slot].order;
            if let Some(waited) = waited {
                self.line.leave(waited, order, slot);
            }
            if let Some(waits) = waits {
                self.line.enter(waits, order, slot);
            }
        }
        // One that waits for its turn to come true is awaited no more if it is stopped meanwhile.
        if matches!(before, Phase::Gated(_)) && phase.is_over() {
            self.line.let_go(slot);
        }
        if before == Phase::Gated(Gate::Sibling) && phase != before {
            self.line.has_siblings(slot);
        }
        let elsewhere = |phase| matches!(phase, Phase::Gated(Gate::Elsewhere { .. }));
        if elsewhere(before) && !elsewhere(phase) {
            let token = self.services.token(slot);
            self.output.push(Effect::Withdraw { token });
            self.line.has_found(slot);
        } else if elsewhere(phase) {
            // Its turn may have come before, when it waited for a sibling.
            self.line.await_elsewhere(slot);
        }
        // `Undecided` is not shown: as a rule it lasts until the end of the turn. What follows it is told in any case, and so is a new
        // incarnation, even if the one before was starting as well.
        let untold = matches!(before, Phase::Undecided) || matches!(phase, Phase::Starting { .. });
        let shown = !matches!(phase, Phase::Undecided);
        let state = self.mirrored(slot, phase);
        let was = self.mirrored(slot, before);
        if shown && (untold || was != state) {
            self.mirror(slot, was, state);
        }
    }

    fn mirrored(&self, slot: u32, phase: Phase) -> Mirrored {
        Mirrored::of(phase, self.services[slot].senders(phase))
    }

    /// Has services wait for their turn that are in start order and were not started yet.
    pub(super) fn line_up(&mut self, registered: &[u32]) {
        let places = registered
            .iter()
            .map(|slot| (self.services[*slot].order, *slot));
        self.line.enter_all(places);
        for slot in registered {
            // In the line already, and shown as waiting before and after, but for what an earlier life of the supervisor has left.
            let input = self.input_to(*slot);
            let before = self.services.set_phase(*slot, Phase::InLine, input);
            let before = self.mirrored(*slot, before);
            let state = self.mirrored(*slot, Phase::InLine);
            if before != state {
                self.mirror(*slot, before, state);
            }
        }
    }

    /// Notes whether what a service waits for will not be ready by itself, which may change what becomes of messages.
    pub(super) fn set_in_vain(&mut self, slot: u32, in_vain: bool) {
        let phase = self.services[slot].phase();
        let before = self.mirrored(slot, phase);
        if let Some(extras) = &mut self.services[slot].extras {
            extras.in_vain = in_vain;
        }
        let state = self.mirrored(slot, phase);
        if before != state {
            self.mirror(slot, before, state);
        }
    }

    /// Shows that a service has ended whose end is judged later. [`set_phase`](Self::set_phase) does not.
    pub(super) fn show_undecided(&mut self, slot: u32) {
        let state = self.mirrored(slot, Phase::Undecided);
        self.mirror(slot, state, state);
    }

    /// Says in which state a service is, for look-ups, what becomes of messages, and whether it has ended for good.
    fn mirror(&mut self, slot: u32, before: Mirrored, state: Mirrored) {
        let token = self.services.token(slot);
        let is_end = state.is_end_after(before);
        let end = is_end.then(|| Box::new(self.services[slot].last_exit()));
        self.output.push(Effect::Mirror { token, state, end });
    }

    /// Says what becomes of a service once its incarnation has ended.
    pub(super) fn set_wanted(&mut self, slot: u32, wanted: Wanted) {
        let before = self.services.set_wanted(slot, wanted);
        self.line.count(before, wanted);
    }

    /// Makes a service part of the present stop sequence.
    pub(super) fn join_sequence(&mut self, slot: u32) {
        self.sequence
            .join(&mut self.services, slot, self.rules.strategy);
    }

    /// Notes that an incarnation has ended, with everything that belonged to it. Returns what was wanted of its service.
    ///
    /// The service is left [`Undecided`](Phase::Undecided).
    pub(super) fn end_incarnation(&mut self, slot: u32, exit: Exit, now: Instant) -> (Wanted, End) {
        let service = &self.services[slot];
        let wanted = service.wanted;
        // An incarnation that was asked to stop counts as never ready, since it may have been asked before it was.
        let (asked, ready_since) = match service.phase() {
            Phase::Ready => (Asked::NotYet, service.since),
            Phase::Starting { .. } => (Asked::NotYet, None),
            _ => (Asked::Already, None),
        };
        let end = End {
            exit,
            ready_for: ready_since.map(|since| now.saturating_duration_since(since)),
            asked,
            directive: None,
        };
        self.clear_incarnation(slot, now);
        self.services.remember_exit(slot, &end.exit.reason);
        (wanted, end)
    }

    /// Notes that there is no incarnation any more.
    pub(super) fn clear_incarnation(&mut self, slot: u32, now: Instant) {
        self.sequence.leave(&mut self.services, slot);
        self.set_wanted(slot, Wanted::Nothing);
        self.services[slot].since = Some(now);
        self.line.let_go(slot);
        self.set_phase(slot, Phase::Undecided);
    }

    /// Has the cell begin the present incarnation, of which nothing of an earlier one is in the way. Its time begins now.
    pub(super) fn command_start(&mut self, slot: u32, now: Instant) {
        let service = &mut self.services[slot];
        service.since = Some(now);
        let generation = service.generation();
        let timeout = service.start_timeout();
        let until = timeout.and_then(|timeout| later(now, timeout));
        self.set_phase(slot, Phase::Starting { until });
        let token = self.services.token(slot);
        self.output.push(Effect::Start { token, generation });
    }

    /// Has an incarnation begin that waits for the end of the one before, because it is to be stopped: so there is one that ends.
    pub(super) fn wait_no_longer(&mut self, slot: u32, now: Instant) {
        let token = self.services.token(slot);
        if self.dropped.is_awaited(token) {
            self.dropped.forget(token);
            self.command_start(slot, now);
        }
    }

    /// Drops an incarnation together with its supervisor. Nobody waits for its end but the next incarnation, if it is on another thread.
    pub(super) fn drop_incarnation(&mut self, slot: u32) {
        let token = self.services.token(slot);
        let cause = KillCause::Requested;
        self.output.push(Effect::Kill { token, cause });
        let service = &self.services[slot];
        // One on the supervisor's own thread obeys before it begins anything else.
        if service.on_blocked != OnBlocked::Judge {
            self.dropped.note(token, service.generation());
        }
    }

    /// Tells those who wait for a service what has become of it, if it is what they wait for.
    pub(super) fn tell(&mut self, slot: u32, milestone: Milestone<'_>) {
        let serial = self.services[slot].serial;
        self.waiters.tell(serial, milestone, &mut self.output);
    }

    /// Reports something of a service.
    pub(super) fn report(&mut self, slot: u32, kind: EventKind, now: Instant) {
        let service = &self.services[slot];
        let token = self.services.token(slot);
        let subject = (&service.path, Some(token), service.generation());
        self.output.report(subject, kind, now);
    }

    /// Reports something of the supervisor itself.
    pub(crate) fn report_self(&mut self, kind: EventKind, now: Instant) {
        if let Some(event) = self.own_event(kind, now) {
            self.output.push(Effect::Event(event));
        }
    }

    /// Reports who asks for an operation on one of the services, or on the supervisor itself.
    pub(crate) fn requested(
        &mut self,
        token: Option<ServiceToken>,
        operation: Operation,
        by: Arc<str>,
        now: Instant,
    ) {
        let kind = EventKind::Requested { operation, by };
        match token {
            None => self.report_self(kind, now),
            // One that was forgotten meanwhile is refused.
            Some(token) => {
                if let Some(slot) = self.services.slot(token) {
                    self.report(slot, kind, now);
                }
            }
        }
    }

    /// An event about the supervisor itself, if anybody listens.
    pub(super) fn own_event(&self, kind: EventKind, now: Instant) -> Option<Occurrence> {
        let subject = (&self.path, None, self.starts.saturating_sub(1));
        self.output.event(subject, kind, now)
    }

    /// How a service is stopped.
    pub(super) fn shutdown_of(&self, slot: u32) -> Shutdown {
        let own = self.services[slot].shutdown;
        own.unwrap_or(Shutdown::Timeout(self.rules.shutdown_timeout))
    }

    /// Reports whether a service was there before its supervisor was started.
    pub(super) fn is_static(&self, slot: u32) -> bool {
        self.services[slot].origin != Origin::Dynamic
    }

    /// Notes where each service was when its supervisor ended. A start that has failed was no life, and changes nothing.
    pub(super) fn note_ends(&mut self) {
        if self.status != Status::Running {
            return;
        }
        let all: Vec<u32> = self.services.in_order().collect();
        for slot in all {
            self.services[slot].note_end();
        }
    }

    /// Reports whether the supervisor is starting, and does not start without this service: it was there before the first start, and is not
    /// spared because it was down in the life before.
    pub(super) fn is_needed(&self, slot: u32) -> bool {
        self.status == Status::Starting && self.services[slot].origin == Origin::Static
    }

    /// Reports whether the start of the supervisor fails if what a service requires will not become ready by itself.
    ///
    /// One that has run before waits instead: it may have lost its requirement since, and ran on without it.
    pub(super) fn must_start(&self, slot: u32) -> bool {
        self.is_needed(slot) && self.services[slot].starts == 0
    }

    /// A service waits in vain for what it requires. If it had its turn in the start of the supervisor, that fails, or no longer waits for it.
    pub(super) fn start_is_blocked(&mut self, slot: u32, reason: &ExitReason) {
        if !self.line.awaits(slot) {
            return;
        }
        if self.must_start(slot) {
            let token = self.services.token(slot);
            self.blocked_start
                .get_or_insert_with(|| (token, reason.clone()));
        } else {
            self.line.let_go(slot);
        }
    }

    /// The path of a service of this name.
    pub(super) fn path_of(&mut self, name: &str) -> Arc<str> {
        // The text is put together in memory that is used again, so that a path costs one allocation.
        self.path_text.clear();
        self.path_text.push_str(&self.path);
        self.path_text.push('/');
        self.path_text.push_str(name);
        Arc::from(&*self.path_text)
    }
}

impl fmt::Debug for SupervisorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorState")
            .field("id", &self.id)
            .field("path", &self.path)
            .field("status", &self.status)
            .field("services", &self.services.len())
            .finish_non_exhaustive()
    }
}

/// A point in time, or never if it lies beyond what can be expressed.
pub(super) fn later(now: Instant, after: Duration) -> Option<Instant> {
    now.checked_add(after)
}
