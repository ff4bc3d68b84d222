//! What a supervisor decides, and nothing else.
//!
//! [`SupervisorState`] is told what happened and when, and says which [`Effect`]s to carry out. It starts no actor, sends
//! no message and reads no clock; the shell does. Every path through supervision can so be tested without a runtime and
//! without waiting.
//!
//! All inputs are in this file. After each of them the shell takes effects with [`SupervisorState::next_effect`] until there are none,
//! and asks for [`SupervisorState::next_timeout`]. Notices from cells may be late, repeated or wrong: what is not of the present
//! incarnation is dropped.
//!
//! # From an input to its effects
//!
//! ```text
//!            input ──► mod ◄───── Next ─────┐        takes every input, and carries on
//!                       │                   │
//!       ┌─────────┬─────┴───┬───────────┬───┴─────┐
//!     judge     start     stop     operations   group     decide, and return what follows
//!       │         │         │           │         │
//!       ├─────────┴────┬────┴───────────┘         │
//!     limits      dependencies, fatal, outlook    │       what several of them ask, and what one change means for others
//!       │              │                          │
//!       └──────┬───────┴──────────────────────────┘
//!           machine ──► output ──► effects                what is known, and its small steps
//!              │
//!   table (service, senders, transitions, findings), line, sequence, waiters, dropped, end, rules
//! ```
//!
//! Arrows and branches go down, but for `Next`; `mod` itself also calls `limits`, `fatal` and `dependencies`. Modules side by side do not
//! call each other: each returns a [`Next`], and [`carry_on`](SupervisorState::carry_on) goes on with whoever takes that step, until nothing
//! follows.
//!
//! # Phases of a service
//!
//! ```text
//!   to be started                        has an incarnation                 down until somebody asks for a start
//!
//!   Registered ─┬─► InLine, Held ────┬─► Starting ──► Ready ──► Stopping
//!               └─► Gated, Parked ───┤     │ └─► Overdue │          │
//!     BackingOff, Delayed, ──────────┤     ▼        ▼    ▼          ▼
//!     Resting, Queued                │   Undecided: the incarnation has ended
//!       ▲                                  │
//!       └──────────────────────────────────┴──────────────────────────────► Stopped, Finished, Failed
//! ```
//!
//! The picture shows the usual ways. From `Undecided` a service may also get into the line, be gated or parked, or start at once; `Lost` may follow from any. All
//! ways, by input, are in [`transitions`], and checked there.
//!
//! # Invariants
//!
//! 1. A service has at most one incarnation that has not ended or been abandoned.
//! 2. Nothing is started while its supervisor stops, and nothing is restarted during a pause but on request.
//! 3. Whoever waits for an operation is answered once, whatever happens.
//! 4. Every failure is reported before what follows from it.
//! 5. What follows from one input comes to an end, within a number of steps that grows with the number of services and nothing else.

mod address;
mod bounds;
mod consult;
mod dependencies;
mod dropped;
mod end;
mod ends;
mod error;
mod extras;
mod fatal;
mod findings;
mod group;
mod judge;
mod last_exit;
mod limits;
mod line;
mod machine;
mod mirror;
mod next;
mod obstacle;
mod operations;
mod outlook;
mod output;
mod paths;
mod phase;
mod picture;
mod places;
mod report;
mod rules;
mod senders;
mod sequence;
mod service;
mod standing;
mod start;

mod stop;
mod table;
#[cfg(test)]
mod tests;
mod transitions;
mod waiters;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::{
    address::Route,
    bounds::StopBy,
    consult::Goes,
    end::{Cause, DROPPED, Ended, Exit},
    error::Unaddressed,
    machine::SupervisorState,
    mirror::{Mirrored, Over},
    obstacle::Obstacle,
    output::{Answer, Effect, Reporting, ServiceView, Unready, Waiter},
    rules::{
        Announces, Binding, Decide, DefaultRules, Naming, OnBlocked, ServiceKind, ServiceRules,
        Significance, SupervisorRules,
    },
    standing::Standing,
};
use self::{
    end::Lost,
    next::Next,
    phase::{Phase, Registered},
    service::Origin,
    transitions::Input,
};
pub use self::{
    error::{AddError, RemoveError, ResetError, RestartError, StopError},
    mirror::EndedAs,
    output::Counts,
    report::{ShutdownReport, UnstoppedService},
};
pub(crate) use self::{senders::Senders, waiters::Presence};
// What users see of a phase.
pub(crate) use crate::event::ServiceState;
use crate::{
    event::EventKind,
    policy::{ExitReason, ServiceError, SpecError},
    token::ServiceToken,
};

/// What users ask for. Refused requests change nothing.
impl SupervisorState {
    /// Takes a service in, and starts it if the supervisor was started.
    pub(crate) fn add(
        &mut self,
        rules: ServiceRules,
        now: Instant,
    ) -> Result<ServiceToken, AddError> {
        self.set_input(Input::Add, None);
        let (token, next) = start::add(self, rules, now)?;
        self.set_input(Input::Add, Some(token));
        // Nothing else has become possible by a service that only waits for its supervisor's start.
        if !matches!(next, Next::Settle) {
            self.carry_on(next, now);
        }
        Ok(token)
    }

    /// Waits for the first start of a service. If that fails, the service is forgotten.
    pub(crate) fn await_ready(&mut self, token: ServiceToken, waiter: Waiter, now: Instant) {
        self.set_input(Input::AwaitReady, Some(token));
        let next = operations::await_ready(self, token, waiter, now);
        self.carry_on(next, now);
    }

    /// Says how to find out whether whoever waits for the first start of a service still does. If not, the service is kept when that fails.
    pub(crate) fn set_presence(&mut self, token: ServiceToken, presence: Presence) {
        if let Some(slot) = self.services.slot(token) {
            let serial = self.services[slot].serial;
            self.waiters.set_presence(serial, presence);
        }
    }

    /// Forgets those waiters that nobody waits as any more. What they have asked for is done all the same.
    pub(crate) fn forget_waiters(&mut self, is_gone: impl Fn(Waiter) -> bool) {
        self.waiters.forget(is_gone);
    }

    /// Stops a service and forgets it. Answered with why it ended, at once if it does not run.
    pub(crate) fn remove(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), RemoveError> {
        self.set_input(Input::Remove, Some(token));
        let next = operations::remove(self, token, waiter, now)?;
        self.carry_on(next, now);
        Ok(())
    }

    /// Forgets a service that has shut itself down while it had no incarnation. If it has one by now, that ends by itself.
    pub(crate) fn uninstall(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        self.set_input(Input::Remove, Some(token));
        if let Some(slot) = self.services.slot(token)
            && self.services[slot].generation() == generation
        {
            let next = operations::uninstall(self, slot, now);
            self.carry_on(next, now);
        }
    }

    /// Stops a service and keeps it. Answered when it has ended, at once if it does not run.
    pub(crate) fn stop(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), StopError> {
        self.set_input(Input::Stop, Some(token));
        let next = operations::stop(self, token, waiter, now)?;
        self.carry_on(next, now);
        Ok(())
    }

    /// Stops a service if it runs, and starts it. Not counted. Answered when it is ready, or with why it is not.
    pub(crate) fn restart(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), RestartError> {
        self.set_input(Input::Restart, Some(token));
        let next = operations::restart(self, token, waiter, now)?;
        self.carry_on(next, now);
        Ok(())
    }

    /// Forgets the failures of a service, and starts it if it waits because of them or gave up.
    ///
    /// Answered when it is ready, or with why it is not; at once if there is nothing to start.
    pub(crate) fn reset(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), ResetError> {
        self.set_input(Input::Reset, Some(token));
        let next = operations::reset(self, token, waiter, now)?;
        self.carry_on(next, now);
        Ok(())
    }

    /// Follows other rules from now on, and returns the ones before. Services are left alone.
    pub(crate) fn reconfigure(
        &mut self,
        rules: SupervisorRules,
        now: Instant,
    ) -> Result<SupervisorRules, SpecError> {
        self.set_input(Input::Reconfigure, None);
        let before = operations::reconfigure(self, rules, now)?;
        self.carry_on(Next::Settle, now);
        Ok(before)
    }

    /// Stops all services in order, and ends, at the latest by then; without a bound each service has its own time. Asked again, only an
    /// earlier time has an effect.
    pub(crate) fn shutdown(&mut self, by: Option<StopBy>, now: Instant) {
        self.set_input(Input::Shutdown, None);
        let next = stop::shutdown(self, by, now);
        self.carry_on(next, now);
    }

    /// Ends a scope: with an error that is not a service's, or without one.
    pub(crate) fn end_scope(&mut self, error: Option<ServiceError>, now: Instant) {
        self.set_input(Input::EndScope, None);
        let next = fatal::end_scope(self, error);
        self.carry_on(next, now);
    }
}

/// What cells tell, of the incarnation that they name.
impl SupervisorState {
    /// The incarnation has run its `started`, and will say itself when it is ready.
    pub(crate) fn started(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        self.set_input(Input::Started, Some(token));
        if let Some(slot) = self.current(token, generation) {
            start::started(self, slot, now);
        }
    }

    /// The incarnation is ready.
    pub(crate) fn ready(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        self.set_input(Input::Ready, Some(token));
        if let Some(slot) = self.current(token, generation) {
            let next = start::ready(self, slot, now);
            self.carry_on(next, now);
        }
    }

    /// The incarnation was asked to stop, and said that it has work to finish.
    pub(crate) fn stop_acknowledged(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        self.set_input(Input::StopAcknowledged, Some(token));
        if let Some(slot) = self.current(token, generation) {
            let next = stop::acknowledged(self, slot);
            self.carry_on(next, now);
        }
    }

    /// The incarnation has ended.
    pub(crate) fn exited(
        &mut self,
        token: ServiceToken,
        generation: u64,
        exit: Exit,
        now: Instant,
    ) {
        self.set_input(Input::Exited, Some(token));
        if let Some(next) = judge::exited(self, token, generation, exit, now) {
            self.carry_on(next, now);
        }
    }

    /// The cell of a service is gone with its arbiter: it can never be started again.
    pub(crate) fn lost(&mut self, token: ServiceToken, now: Instant) {
        self.set_input(Input::Lost, Some(token));
        if let Some(slot) = self.services.slot(token) {
            let next = judge::lost(self, slot, Lost::Arbiter, now);
            self.carry_on(next, now);
        }
    }

    /// The factory of a service did not return from its call on a blocked thread: it can never be started again.
    pub(crate) fn factory_lost(&mut self, token: ServiceToken, now: Instant) {
        self.set_input(Input::Lost, Some(token));
        if let Some(slot) = self.services.slot(token) {
            let next = judge::lost(self, slot, Lost::Factory, now);
            self.carry_on(next, now);
        }
    }

    /// The first message since a service is down was refused.
    pub(crate) fn refused(&mut self, token: ServiceToken, now: Instant) {
        if let Some(slot) = self.services.slot(token) {
            self.report(slot, EventKind::MessagesRefused, now);
        }
    }

    /// The thread is back that an incarnation of a service had blocked when it was abandoned.
    pub(crate) fn thread_back(&mut self, token: ServiceToken, now: Instant) {
        self.set_input(Input::ThreadBack, Some(token));
        if let Some(slot) = self.services.slot(token) {
            let next = judge::thread_back(self, slot, now);
            self.carry_on(next, now);
        }
    }
}

/// The life of the supervisor itself, and the time.
impl SupervisorState {
    /// Starts the services that were added, one after the other. All are ready at the end, or none runs.
    pub(crate) fn start(&mut self, now: Instant) {
        self.set_input(Input::Start, None);
        let next = start::start(self, now);
        self.carry_on(next, now);
    }

    /// The services could not even be added: ends the start before it began.
    pub(crate) fn refuse_start(&mut self, cause: ExitReason, now: Instant) {
        self.set_input(Input::Start, None);
        let next = start::refuse(self, cause);
        self.carry_on(next, now);
    }

    /// The incarnation of the supervisor was dropped before it had ended: what runs is dropped as well, and nobody waits for the ends. All
    /// who wait are answered, and what was asked for is done.
    pub(crate) fn drop_all(&mut self, now: Instant) {
        // Of all services: their incarnations are over.
        self.set_input(Input::Exited, None);
        let next = stop::drop_all(self, now);
        self.carry_on(next, now);
    }

    /// Puts a supervisor that has ended back to the time before its start, with the services that it had.
    ///
    /// Temporary services that were added after the first start are forgotten. An incarnation that is still there is
    /// dropped, and its late end ignored.
    pub(crate) fn reopen(&mut self, now: Instant) {
        self.set_input(Input::Reopen, None);
        start::reopen(self, now);
    }

    /// Whether nothing but a request, or what is above, starts a supervisor again that has ended.
    pub(crate) fn rest(&mut self, for_good: bool) {
        self.set_input(Input::Reopen, None);
        if self.is_idle() {
            let since = if for_good {
                Registered::ForGood
            } else {
                Registered::Before
            };
            start::rest(self, since);
        }
    }

    /// What is added from now on, until the start, belongs to it.
    pub(crate) const fn begin_anew(&mut self) {
        self.origin = Origin::Static;
    }

    /// Says how many services will be forgotten at the end of the start function, if it succeeds.
    pub(crate) const fn set_leftover(&mut self, leftover: usize) {
        self.leftover = leftover;
    }

    /// One of those was added again, and stays.
    pub(crate) const fn given_again(&mut self) {
        self.leftover -= 1;
    }

    /// Forgets a service that is not running, because the supervisor is started without it this time.
    pub(crate) fn forget(&mut self, token: ServiceToken, now: Instant) {
        self.set_input(Input::Reopen, Some(token));
        // Nothing runs before the start. If something did, nobody could stop it once it is forgotten.
        if let Some(slot) = self.services.slot(token)
            && !self.services[slot].phase().is_live()
        {
            let reason = self.services[slot].last_exit();
            dependencies::forget(self, slot, &reason, now);
        }
    }

    /// Forgets all services, the last one first: the supervisor itself is forgotten, and nobody will ask for them again.
    ///
    /// What still runs is left out, and is to be dropped before.
    pub(crate) fn forget_all(&mut self, now: Instant) {
        self.set_input(Input::Remove, None);
        let all: Vec<u32> = self.services.in_order().rev().collect();
        for slot in all {
            // One that was kept for another one, which required that it had completed, was forgotten with that one.
            let kept = self.services.get(slot);
            if let Some(service) = kept.filter(|service| !service.phase().is_live()) {
                let reason = service.last_exit();
                dependencies::forget(self, slot, &reason, now);
            }
        }
    }

    /// Moves the supervisor, and its services with it, to another place in the tree.
    pub(crate) fn relocate(&mut self, path: Arc<str>) {
        if path != self.path {
            self.services.relocate(&path);
            self.path = path;
        }
    }

    /// Says whether events are made at all: they are at first.
    pub(crate) const fn set_reporting(&mut self, reporting: Reporting) {
        self.output.set_reporting(reporting);
    }

    /// When [`timeout`](Self::timeout) must be called next, if nothing happens before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next_due().map(|(at, _)| at)
    }

    /// Does everything that is due at `now`, in the order in which it was due. Harmless if nothing is.
    pub(crate) fn timeout(&mut self, now: Instant) {
        // Looked up again each time: what follows from one may have changed when the others are due.
        while let Some((at, due)) = self.next_due()
            && at <= now
        {
            let subject = match due {
                Due::Service(slot) => Some(self.services.token(slot)),
                _ => None,
            };
            self.set_input(Input::Timeout, subject);
            let next = match due {
                Due::Service(slot) => match self.services[slot].phase() {
                    Phase::BackingOff { .. } => limits::backed_off(self, slot),
                    Phase::Gated(_) => paths::timed_out(self, slot, now),
                    Phase::Delayed { .. } => group::delay_is_over(self, slot),
                    Phase::Resting { .. } => limits::rested(self, slot, now),
                    _ => stop::timed_out(self, slot, now),
                },
                Due::Patience => stop::lose_patience(self),
                Due::Shutdown => stop::expire(self, now),
                Due::Pause => limits::end_pause(self, now),
                Due::Resume => limits::resume(self, now),
            };
            self.carry_on(next, now);
        }
    }

    /// What is due first. Of what is due at the same time, in the order of [`Due`].
    fn next_due(&self) -> Option<(Instant, Due)> {
        let service = self.services.next_deadline();
        let mut first = service.map(|(at, slot)| (at, Due::Service(slot)));
        // Asked after every turn: compared one by one, since a list would be allocated each time.
        let mut compare = |at: Option<Instant>, due| {
            if let Some(at) = at
                && first.is_none_or(|first| (at, due) < first)
            {
                first = Some((at, due));
            }
        };
        compare(self.sequence.deadline(self.rules.strategy), Due::Patience);
        compare(self.shutdown_deadline(), Due::Shutdown);
        compare(self.pause.and_then(|pause| pause.until), Due::Pause);
        compare(self.next_resume, Due::Resume);
        first
    }
}

/// What comes back.
impl SupervisorState {
    /// Why a service ended the last time; `Normal` if it never ran.
    pub(crate) fn last_exit(&self, token: ServiceToken) -> ExitReason {
        let slot = self.services.slot(token);
        slot.map_or(ExitReason::Normal, |slot| self.services[slot].last_exit())
    }

    /// The next thing to do, in order, or `None` until the next input.
    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.output.pop()
    }

    /// Takes one step after the other, until nothing follows and nobody is free to go on.
    fn carry_on(&mut self, first: Next, now: Instant) {
        let mut next = first;
        // A stack: the second half of a `Then`, and the rest of a list, wait here until all is done that follows from what came before.
        let mut then = Vec::new();
        let mut steps = 0;
        // Each step takes a service a phase further, or ends the supervisor; none puts a service back into a phase that it had in this turn.
        // A service may stand in `deferred` or `queue` more than once, and is passed over from the second time on.
        let bound = 8 * (self.services.len() + self.deferred.len() + self.queue.len() + 4);
        loop {
            steps += 1;
            debug_assert!(
                steps <= bound,
                "{:?} does not come to an end: {next:?}",
                self.input
            );
            next = match next {
                Next::Stopped { slot, wanted, end } => stop::stopped(self, slot, wanted, end, now),
                Next::Become { slot, wanted, end } => {
                    stop::become_wanted(self, slot, wanted, &end, now)
                }
                Next::Begin(slot) => {
                    let _waits_or_not = start::begin(self, slot, now);
                    Next::Settle
                }
                Next::BeginFound(slot) => {
                    start::begin_found(self, slot, now);
                    Next::Settle
                }
                Next::BeginAll(slots) => {
                    for slot in slots {
                        let _waits_or_not = start::begin(self, slot, now);
                    }
                    Next::Settle
                }
                Next::End(ended) => {
                    stop::end(self, *ended, now);
                    Next::Settle
                }
                Next::Ended { slot, exit } => judge::ended(self, slot, exit, now),
                Next::DroppedAll(mut all) => match all.next() {
                    Some(slot) => {
                        then.push(Next::DroppedAll(all));
                        self.drop_if_live(slot)
                    }
                    None => Next::Settle,
                },
                Next::Judge { slot, end } => judge::follow(self, slot, end, now),
                // One after the other: what follows from the first may be the end of the supervisor, and then the others are told without being
                // judged.
                Next::JudgeAll => match self.deferred.pop_front() {
                    Some((token, end)) => {
                        then.push(Next::JudgeAll);
                        self.judge_if_undecided(token, end)
                    }
                    None => Next::Settle,
                },
                Next::Revive { slot, delay } => group::revive(self, slot, delay, now),
                Next::ReviveAll(mut all) => match all.next() {
                    Some(slot) => {
                        then.push(Next::ReviveAll(all));
                        self.revive_if_queued(slot)
                    }
                    None => Next::Settle,
                },
                Next::Stop { slot, wanted } => stop::stop(self, slot, wanted, now),
                Next::Lose { slot, what } => judge::lost(self, slot, what, now),
                Next::TellLoss { slot, loss } => judge::tell_loss(self, slot, loss, now),
                Next::Then(both) => {
                    then.push(both.1);
                    both.0
                }
                Next::Settle => match then.pop().or_else(|| self.settle(now)) {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    /// Starts and asks whoever was waiting for what was just done, and ends the supervisor if nothing is left. Says what follows, if anything.
    fn settle(&mut self, now: Instant) -> Option<Next> {
        let next = start::advance(self, now);
        // What follows from a start comes first: a start that has failed ends the supervisor, and changes who is to stop.
        if next.is_none() {
            stop::advance(self, now);
            stop::complete(self, now);
        }
        next
    }

    /// A service that ended during the start may since have been started by a request, stopped or forgotten: then there is nothing to judge.
    fn judge_if_undecided(&self, token: ServiceToken, end: end::End) -> Next {
        match self.services.slot(token) {
            Some(slot) if self.services[slot].phase() == Phase::Undecided => {
                Next::Judge { slot, end }
            }
            _ => Next::Settle,
        }
    }

    /// Each that runs is dropped with its supervisor, unless what followed from the one before has ended it.
    fn drop_if_live(&self, slot: u32) -> Next {
        match self.services.get(slot) {
            Some(service) if service.phase().is_live() => Next::Ended {
                slot,
                exit: Exit::from(DROPPED),
            },
            _ => Next::Settle,
        }
    }

    /// A service that waited for the end of a pause may have been stopped by what the restart before it has led to.
    fn revive_if_queued(&self, slot: u32) -> Next {
        match self.services.get(slot) {
            Some(service) if service.phase() == Phase::Queued => Next::Revive {
                slot,
                delay: Duration::ZERO,
            },
            _ => Next::Settle,
        }
    }
}

/// What is due at some time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    /// Something of one service; what, says its phase.
    Service(u32),
    /// The patience with services that neither end nor acknowledge is used up.
    Patience,
    /// Everything that still runs is dropped.
    Shutdown,
    /// The pause of restarts is over.
    Pause,
    /// The next service is started after a pause.
    Resume,
}
