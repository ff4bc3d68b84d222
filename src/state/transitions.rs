//! Which phase of a service may follow which, and by what input.
//!
//! The input is about the service itself, or about all of them; `Other` is any, also one about another service, from which something
//! follows for this one. What is not listed does not happen, and a service that stays in its phase is not listed.
//!
#![doc = include_str!("transitions.md")]

/// A [`Phase`](super::phase::Phase) without its data, or that a service is there no more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Registered,
    Gated,
    Parked,
    InLine,
    Delayed,
    Held,
    Undecided,
    BackingOff,
    Resting,
    Queued,
    Starting,
    Overdue,
    Ready,
    Stopping,
    Stopped,
    Finished,
    Failed,
    Lost,
    /// Its supervisor keeps nothing of it any more.
    Forgotten,
}

/// What a supervisor is told: a method of [`SupervisorState`](super::SupervisorState).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Input {
    Add,
    AwaitReady,
    EndScope,
    Exited,
    /// What is known of a service elsewhere that it requires.
    Found,
    Lost,
    /// One about another service, from which something follows for this one.
    Other,
    Ready,
    Reconfigure,
    Remove,
    Reopen,
    Reset,
    Restart,
    Shutdown,
    Start,
    Started,
    Stop,
    StopAcknowledged,
    ThreadBack,
    Timeout,
}

/// A row: from one of these phases, by one of these inputs, to one of these.
type Row = (&'static [Kind], &'static [Input], &'static [Kind]);

/// Every transition. What stays in its phase is not listed.
///
/// What follows for a service from an input about another one ([`Input::Other`]) may follow from one about itself as well.
#[rustfmt::skip]
const TRANSITIONS: &[Row] = {
    use Kind::{
        BackingOff, Delayed, Failed, Finished, Forgotten, Gated, Held, InLine, Overdue, Parked, Queued, Ready, Registered, Resting, Starting,
        Stopped, Stopping, Undecided,
    };
    use Input::{Add, Exited, Found, Lost, Other, Remove, Reopen, Reset, Restart, Start, Stop, ThreadBack, Timeout};
    &[
        // It is added, or its supervisor is started, the first time or again.
        (&[Registered], &[Add], &[Starting, Gated]),
        (&[Registered], &[Start], &[BackingOff, InLine, Resting]),
        (&[BackingOff, Delayed, Failed, Finished, Gated, Held, InLine, Parked, Queued, Resting, Stopped, Undecided], &[Reopen], &[Registered]),
        (&[Finished, Registered], &[Reopen], &[Forgotten]),

        // Its turn has come, or what it requires has changed.
        (&[InLine], &[Other], &[Starting, Gated, Held]),
        (&[Held], &[Other], &[InLine]),
        (&[Gated], &[Other], &[Starting, Forgotten]),
        (&[Gated], &[Found], &[Starting]),
        (&[Parked], &[Other], &[Starting]),

        // Its incarnation becomes ready, or is late, and ends.
        (&[Starting], &[Input::Ready], &[Ready]),
        (&[Starting], &[Timeout], &[Overdue]),
        (&[Starting, Overdue, Ready, Stopping], &[Exited, Lost, Reopen], &[Undecided]),
        (&[Overdue, Stopping], &[Timeout], &[Undecided]),

        // What follows from that, at once or when its supervisor has started.
        (
            &[Undecided],
            &[Other],
            &[BackingOff, Delayed, Failed, Finished, Forgotten, Gated, InLine, Parked, Queued, Resting, Starting, Stopped],
        ),

        // It has waited for its time.
        (&[BackingOff], &[Timeout], &[Starting, Gated, Queued]),
        (&[Delayed], &[Timeout], &[InLine]),
        (&[Resting], &[Timeout], &[Starting, Gated, Queued, InLine]),
        (&[Queued], &[Timeout], &[Starting, Gated, InLine]),

        // It is stopped, alone, with others, or with its supervisor.
        (&[Starting, Ready], &[Other], &[Stopping]),
        (&[Overdue], &[Remove, Restart, Stop], &[Stopping]),
        (&[BackingOff, Delayed, Gated, Held, InLine, Parked, Queued, Registered, Resting], &[Other], &[Stopped]),
        (&[Stopped, Kind::Lost], &[Other], &[Forgotten]),
        (
            &[BackingOff, Delayed, Failed, Finished, Held, InLine, Parked, Queued, Registered, Resting],
            &[Remove],
            &[Forgotten],
        ),

        // Somebody has it started, by itself or with its group.
        (&[BackingOff, Delayed, Failed, Held, Queued, Resting], &[Restart, Reset], &[Starting, Gated]),
        (&[Delayed], &[Restart, Reset], &[InLine]),
        (&[Parked], &[Restart, Reset], &[Gated]),
        (&[Finished], &[Restart], &[Starting, Gated]),
        (&[Stopped], &[Restart], &[Starting, Gated, Registered]),
        (&[Failed], &[Restart, Reset], &[Registered]),
        (&[Finished, Stopped], &[Other], &[InLine]),

        // It has completed: it runs again with one that it is bound to, and is kept for as long as others require it.
        (&[Finished], &[Other], &[Starting, Forgotten]),

        // Its arbiter is gone.
        (
            &[
                BackingOff, Delayed, Failed, Finished, Gated, Held, InLine, Parked, Queued, Registered, Resting, Stopped, Undecided,
            ],
            &[Lost],
            &[Kind::Lost],
        ),

        // Its thread is blocked, and comes back.
        (&[Undecided], &[Timeout], &[Kind::Lost]),
        (&[Kind::Lost], &[ThreadBack], &[Undecided, Stopped]),
    ]
};

/// Checks in debug builds that the table has this transition.
pub(super) fn check(from: Kind, input: Input, to: Kind) {
    #[cfg(test)]
    taken::note(from, input, to);
    debug_assert!(
        from == to || is_listed(from, input, to) || is_listed(from, Input::Other, to),
        "a service that is {from:?} becomes {to:?} by {input:?}"
    );
}

/// Reports whether a row of the table has this transition.
fn is_listed(from: Kind, input: Input, to: Kind) -> bool {
    TRANSITIONS.iter().any(|(phases, inputs, following)| {
        phases.contains(&from) && inputs.contains(&input) && following.contains(&to)
    })
}

/// For tests: the transitions that were taken on this thread, while somebody wants to know.
#[cfg(test)]
pub(super) mod taken {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::{Input, Kind, TRANSITIONS, is_listed};

    /// From a phase, by an input, to a phase.
    pub(in crate::state) type Transition = (Kind, Input, Kind);

    thread_local! {
        static TAKEN: RefCell<BTreeSet<Transition>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(from: Kind, input: Input, to: Kind) {
        if from != to {
            // By the input itself if the table says so, else as what may follow from any.
            let input = if is_listed(from, input, to) {
                input
            } else {
                Input::Other
            };
            TAKEN.with_borrow_mut(|taken| taken.insert((from, input, to)));
        }
    }

    /// All that the table has.
    pub(in crate::state) fn all() -> BTreeSet<Transition> {
        let mut all = BTreeSet::new();
        for (phases, inputs, following) in TRANSITIONS {
            for from in *phases {
                for input in *inputs {
                    all.extend(following.iter().map(|to| (*from, *input, *to)));
                }
            }
        }
        all
    }

    /// Those that were taken since the last call.
    pub(in crate::state) fn take() -> BTreeSet<Transition> {
        TAKEN.take()
    }
}
