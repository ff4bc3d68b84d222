//! Asks the supervisors of a tree what they look like.
//!
//! A supervisor with many services says that in parts, each on a turn of its own: between two of them its request is in the hands of whoever
//! asks, who sends it back. So others have their turns, on both threads, and nobody works for one who has left.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Instant,
};

use actix::{ActorFuture, Addr, AsyncContext, Handler, Message};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    super::{
        actor::{Core, SupervisorActor},
        clock::Present,
    },
    gather::{Gathering, Level},
    picture::{Own, Report, ServiceReport},
    table::fill_in,
};
use crate::{
    service::{AnyLink, LinkCore, ServiceContext, downcast},
    state::ServiceView,
    token::ServiceToken,
    tree::{Details, KnownSupervisor, LastPicture, LastSeen, Numbers, SupervisorGone, Tree, clock},
    user_value::quietly,
};

/// A picture of a supervisor and all that is below it.
///
/// Asks from any thread, with any executor. A caller that leaves leaves nothing behind but what is under way.
pub(in crate::supervisor) async fn look_at(
    tree: Arc<Tree>,
    top: Arc<dyn AnyLink>,
) -> Result<Report, SupervisorGone> {
    let token = top.core().token();
    let mut search = Search::new(tree);
    // The supervisor itself in any case: one that was not started yet has a mailbox all the same.
    search.ask(&top);
    for known in search.tree.supervisors.at_and_below(top.core().path()) {
        search.ask_known(&known);
    }
    search.hear_all().await;
    if search.gathering.is_gone(token) {
        return Err(SupervisorGone);
    }
    let Search {
        tree,
        mut gathering,
        begun,
        ..
    } = search;
    fill_in(&mut gathering, &tree, &top, begun);
    gathering.assemble(token).ok_or(SupervisorGone)
}

/// One look at a tree.
struct Search {
    tree: Arc<Tree>,
    gathering: Gathering,
    begun: Instant,
    news: UnboundedSender<News>,
    heard: tokio::sync::mpsc::UnboundedReceiver<News>,
}

impl Search {
    fn new(tree: Arc<Tree>) -> Self {
        let (news, heard) = unbounded_channel();
        Self {
            tree,
            gathering: Gathering::default(),
            begun: clock(),
            news,
            heard,
        }
    }

    fn ask(&mut self, link: &Arc<dyn AnyLink>) {
        match self.tree.supervisors.get(link.core().token()) {
            Some(known) => self.ask_known(&known),
            // Wherever it will run.
            None => self.ask_on(link, None),
        }
    }

    fn ask_known(&mut self, known: &KnownSupervisor) {
        // One that was lost with its thread, or removed, has nothing left to say.
        if !known.link.core().is_released() {
            self.ask_on(&known.link, Some(known.thread));
        }
    }

    fn ask_on(&mut self, link: &Arc<dyn AnyLink>, thread: Option<thread::ThreadId>) {
        let token = link.core().token();
        if self.gathering.was_asked(token) {
            return;
        }
        let Some(address) = address_of(link) else {
            return;
        };
        // Before it is sent: refused, it says at once that it will not be answered.
        self.gathering.ask(token, thread);
        address.do_send(Look {
            teller: Teller {
                of: token,
                news: Some(self.news.clone()),
            },
            shown: Box::default(),
        });
    }

    /// Waits for whoever answers.
    async fn hear_all(&mut self) {
        // Most have answered before anybody else has had two turns on this thread: for those no clock is started.
        self.hear_next_turns(FIRST_TURNS).await;
        if !self.gathering.is_done() {
            self.begin_moment();
        }
        while !self.gathering.is_done() {
            if self.gathering.has_overdue() {
                if self.hear_next_turns(LAST_TURNS).await == Heard::Nothing {
                    self.gathering.give_overdue_up();
                }
            } else if let Some(news) = self.heard.recv().await {
                self.hear(news);
            }
        }
    }

    /// Lets others on this thread have so many turns, one after the other, until something is heard.
    async fn hear_next_turns(&mut self, turns: u32) -> Heard {
        let mut heard = Heard::Nothing;
        let mut left = turns;
        while left > 0 && !self.gathering.is_done() {
            if let Some(news) = self.next_in_turn().await {
                heard = Heard::Something;
                left = turns;
                self.hear(news);
            } else {
                left -= 1;
            }
        }
        heard
    }

    /// What is heard next, if that is before whoever else has something to do on this thread has had a turn.
    async fn next_in_turn(&mut self) -> Option<News> {
        let mut waited = false;
        poll_fn(|cx| match self.heard.poll_recv(cx) {
            Poll::Pending if !waited => {
                waited = true;
                // Another executor's code: a panic of that is to harm nobody.
                let _woken_by_an_answer = quietly(|| cx.waker().wake_by_ref());
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(news) => Poll::Ready(news),
        })
        .await
    }

    fn begin_moment(&self) {
        let news = self.news.clone();
        self.tree
            .moments
            .call_later(move || drop(news.send(News::MomentIsOver)));
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Part(look) => {
                let token = look.teller.of;
                let known = self.tree.supervisors.get(token);
                if let Some(address) = known.and_then(|known| address_of(&known.link)) {
                    self.gathering.hear_part(token);
                    address.do_send(look);
                }
                // If it is gone, the look is dropped, which says so.
            }
            News::Whole(of, shown) => {
                let Shown {
                    own,
                    services,
                    supervisors,
                    seen,
                    ..
                } = *shown;
                let Some((own, numbers)) = own else {
                    return self.gathering.hear_gone(of);
                };
                let picture = LastPicture {
                    taken: clock(),
                    numbers,
                    services: seen,
                };
                self.tree.supervisors.keep(of, picture);
                let level = Level {
                    own,
                    services,
                    supervisors,
                };
                // Those that were added since the others were asked.
                for below in level.below() {
                    if let Some(known) = self.tree.supervisors.get(below) {
                        self.ask_known(&known);
                    }
                }
                self.gathering.hear(of, level);
            }
            News::Gone(of) => self.gathering.hear_gone(of),
            News::MomentIsOver => {
                self.gathering.moment_is_over(thread::current().id());
                if !self.gathering.is_done() {
                    self.begin_moment();
                }
            }
        }
    }
}

/// Whether anything was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    Nothing,
    Something,
}

fn address_of(link: &Arc<dyn AnyLink>) -> Option<Addr<SupervisorActor>> {
    let link = downcast::<SupervisorActor>(Arc::clone(link)).ok()?;
    link.address()
}

/// What comes back.
enum News {
    /// That is not all: to be sent back for the rest.
    Part(Look),
    Whole(ServiceToken, Box<Shown>),
    Gone(ServiceToken),
    MomentIsOver,
}

/// Asks a supervisor what it looks like.
pub(in crate::supervisor) struct Look {
    teller: Teller,
    shown: Box<Shown>,
}

impl Message for Look {
    type Result = ();
}

/// Whom a supervisor tells, of itself. Dropped without a word, it says that there will be none.
struct Teller {
    of: ServiceToken,
    news: Option<UnboundedSender<News>>,
}

impl Teller {
    /// Tells, and is done with it. A waker of whoever waits may panic, which is not to be the end of this supervisor.
    fn tell(&mut self, news: News) {
        if let Some(asking) = self.news.take() {
            let _nobody_to_tell = quietly(|| drop(asking.send(news)));
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let of = self.of;
        self.tell(News::Gone(of));
    }
}

/// What a supervisor has said so far.
#[derive(Default)]
struct Shown {
    /// Once it is the whole.
    own: Option<(Own, Numbers)>,
    services: Vec<ServiceReport>,
    supervisors: Vec<usize>,
    seen: Vec<LastSeen>,
    /// Which places in start order are still to come, once it has begun: what is added meanwhile comes behind.
    left: Option<(u64, u64)>,
}

impl Handler<Look> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, mut look: Look, ctx: &mut ServiceContext<Self>) {
        let asking = look.teller.news.as_ref();
        if asking.is_none_or(UnboundedSender::is_closed) {
            return;
        }
        let before = look.shown.services.len();
        let said = self.core.show(&mut look.shown, Present::read());
        if look.shown.services.len() - before >= WORTH_A_TURN {
            // Otherwise the rest, or the next one that asks, might be heard in the same turn of the arbiter.
            ctx.wait(NextTurn::default());
        }
        if said == Said::Part {
            let news = look.teller.news.clone();
            if let Some(asking) = news {
                let _nobody_to_tell = quietly(|| drop(asking.send(News::Part(look))));
            }
            return;
        }
        let of = look.teller.of;
        let shown = std::mem::take(&mut look.shown);
        look.teller.tell(News::Whole(of, shown));
    }
}

/// Ends a turn: it is done when the arbiter comes to the supervisor again.
#[derive(Default)]
struct NextTurn {
    begun: bool,
}

impl ActorFuture<SupervisorActor> for NextTurn {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        _: &mut SupervisorActor,
        _: &mut ServiceContext<SupervisorActor>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.begun {
            return Poll::Ready(());
        }
        self.begun = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whether there is more to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum Said {
    Part,
    Whole,
}

impl Core {
    /// Says what it looks like, as much of it as one turn has room for.
    fn show(&self, shown: &mut Shown, present: Present) -> Said {
        let last = self.state.last_place();
        let (from, to) = shown.left.unwrap_or((0, last));
        let mut next = self.state.services_from(from);
        for _ in 0..SERVICES_AT_ONCE {
            let Some((place, view)) = next.next().filter(|(place, _)| *place <= to) else {
                shown.own = self.own(present);
                return Said::Whole;
            };
            shown.left = Some((place + 1, to));
            if let Some(link) = self.cells.link(view.token) {
                let own = self.state.own_limit(view.token, present.now);
                let service = service_of(view, own, &**link, present);
                if service.kind().is_supervisor() {
                    shown.supervisors.push(shown.services.len());
                }
                shown.seen.push(seen(&service));
                shown.services.push(service);
            }
        }
        Said::Part
    }

    fn own(&self, present: Present) -> Option<(Own, Numbers)> {
        let link = self.cells.owner()?.core();
        let limit = self.state.limit();
        let numbers = Numbers {
            failure_count: self.state.failure_count(present.now),
            limit: limit.threshold(),
            half_life: limit.half_life(),
            window: limit.within(),
            paused_until: self
                .state
                .paused_until()
                .and_then(|until| present.on_the_wall(until)),
            table_unreachable: self
                .stewarded
                .unreachable
                .map(|since| present.now.saturating_duration_since(since)),
        };
        Some((own_of(link, present, Some(numbers.clone())), numbers))
    }
}

/// What is said of a supervisor that answers.
fn own_of(link: &LinkCore, present: Present, numbers: Option<Numbers>) -> Own {
    Own {
        path: Arc::clone(link.path()),
        token: link.token(),
        kind: link.shown().kind,
        state: link.state(),
        at: present.wall,
        age: None,
        numbers,
    }
}

/// What is said of a service whose supervisor answers.
fn service_of(
    view: ServiceView,
    own: Option<(f64, Option<f64>)>,
    link: &dyn AnyLink,
    present: Present,
) -> ServiceReport {
    let details = Details {
        failure_count: own.map(|(count, _)| count),
        limit: own.and_then(|(_, limit)| limit),
        next_start: view.next_start.and_then(|next| present.on_the_wall(next)),
        waits_for: view.waits_for.map(|(on, why)| (on, why.told(present.now))),
        last_exit: view.last_exit,
    };
    ServiceReport {
        path: view.path,
        token: view.token,
        type_name: link.type_name(),
        at: present.wall,
        since: view.since.and_then(|since| present.on_the_wall(since)),
        age: None,
        generation: view.generation,
        restarts: view.restarts,
        handled: link.core().handled(),
        details: (details != Details::default()).then(|| Arc::new(details)),
        below: None,
        state: view.state,
        shown: link.core().shown(),
    }
}

/// What is kept of that.
fn seen(service: &ServiceReport) -> LastSeen {
    LastSeen {
        token: service.token,
        state: service.state,
        generation: service.generation,
        since: service.since,
        details: service.details.clone(),
    }
}

/// How many turns others on this thread get before a clock is started.
const FIRST_TURNS: u32 = 16;
/// How many turns others on this thread get to answer who have not in time, because it was blocked until now. If nothing comes meanwhile, it is
/// blocked by whoever asks.
const LAST_TURNS: u32 = 128;
/// For how many services a supervisor says in one turn what they look like.
const SERVICES_AT_ONCE: usize = 2_048;
/// After how many it does nothing else in that turn.
const WORTH_A_TURN: usize = SERVICES_AT_ONCE / 8;
