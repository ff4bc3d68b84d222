//! The root of a tree: what starts it, and what is left when it has ended.

use std::sync::{Arc, Mutex, PoisonError};

use actix::System;
use tokio::sync::{mpsc::UnboundedReceiver, oneshot, watch};

use super::{
    JoinError, ScopeError, SupervisorActor, SupervisorRef,
    tree::{Tree, TreeHandle},
    upward::Upward,
};
use crate::{
    policy::{ExitReason, Readiness, ServiceError, Verdict},
    registry::Register,
    service::{
        AnyLink, AnySeed, Link, Notice, NoticeKind, Parent, ServiceContext, ServiceKind,
        ServiceSpec, StartError, install_hook,
    },
    state::{Ended, Exit, ServiceState, ShutdownReport},
    token::{ServiceToken, SupervisorId},
};

/// How a tree has ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(super) report: ShutdownReport,
    pub(super) result: Result<(), JoinError>,
}

impl SupervisorActor {
    /// Starts the supervisor as the root of a tree, on this thread's arbiter, and all its services with it.
    ///
    /// The services are started in order, each when the one before is ready. All or nothing: if one fails to start, those
    /// that were started are stopped again in reverse order, and the rest never start.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] with the service that failed and why; [`StartError::Refused`] for a spec that makes no sense;
    /// [`StartError::NoSystem`] outside of an actix system.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped before it returns the tree is shut down again.
    pub async fn start(mut self) -> Result<SupervisorRef, StartError> {
        self.core.validate()?;
        self.core.set_root();
        if System::try_current().is_none() {
            return Err(StartError::NoSystem);
        }
        install_hook();

        let (publish, outcome) = watch::channel(None);
        let tree = Arc::new(Tree::new(outcome));
        let (parent, notices) = Parent::new();
        parent.set_upward(Box::new(Root {
            tree: Arc::clone(&tree),
        }));
        let (link, address) = launch_root(self, Arc::new(parent), &tree);

        let handle = Arc::new(TreeHandle::new(Arc::clone(&link)));
        tree.set_handle(&handle);
        let reference = SupervisorRef::new(address, Arc::clone(&link), Arc::clone(&tree));
        let (ready, started) = oneshot::channel();
        let keeper = Keeper {
            link,
            tree,
            publish,
            ready: Some(ready),
        };
        actix_rt::spawn(keeper.watch(notices));
        drop(handle);

        match started.await {
            Ok(Ok(())) => Ok(reference),
            Ok(Err(error)) => Err(error),
            // The keeper is gone with its arbiter.
            Err(_) => Err(StartError::SupervisorGone),
        }
    }

    /// Starts the supervisor as [`start`](Self::start) does, and waits until it ends.
    ///
    /// # Errors
    ///
    /// Why it did not start, or why it ended.
    pub async fn serve(self) -> Result<(), JoinError> {
        let path = Arc::from(self.name());
        match self.start().await {
            Ok(root) => root.join().await,
            Err(error) => Err(JoinError::NotStarted { path, error }),
        }
    }
}

/// Opens the root's mailbox and runs its cell here.
fn launch_root(
    supervisor: SupervisorActor,
    parent: Arc<Parent>,
    tree: &Tree,
) -> (Arc<Link<SupervisorActor>>, actix::Addr<SupervisorActor>) {
    let name = Arc::clone(supervisor.core.name());
    let mut supervisor = Some(supervisor);
    // A root is started once.
    let factory = move |_: &_| supervisor.take().ok_or(StartError::SupervisorGone);
    let spec = ServiceSpec::try_new(Arc::clone(&name), factory).readiness(Readiness::Explicit);
    let (_, _, address, mut seed) = spec.open();
    let token = ServiceToken::issue(SupervisorId::issue(), 0);
    let link = Arc::new(Link::new(
        token,
        Arc::clone(&name),
        parent,
        address.downgrade(),
        Readiness::Explicit,
        ServiceKind::Supervisor,
    ));
    link.core().set_place(&name, 0);
    seed.tie(Arc::clone(&link));
    tree.registry.do_send(Register {
        owner: token,
        link: Arc::clone(&link) as Arc<dyn AnyLink>,
    });
    let _nobody_watches_yet = link.core().set_state(ServiceState::Starting);
    link.core().start(0);
    Box::new(seed).launch_here();
    (link, address)
}

/// What stands in the place of a root's supervisor.
pub(super) struct Root {
    tree: Arc<Tree>,
}

/// The tree that a supervisor with this link belongs to.
pub(super) fn tree_of(link: &Link<SupervisorActor>) -> Option<Arc<Tree>> {
    let parent = link.core().parent();
    let from_root = parent.upward::<Root>().map(|root| Arc::clone(&root.tree));
    from_root.or_else(|| {
        parent
            .upward::<Upward>()
            .map(|upward| Arc::clone(&upward.tree))
    })
}

/// Watches over the root, which has no supervisor: it is not restarted, and its end is the end of the tree.
struct Keeper {
    link: Arc<Link<SupervisorActor>>,
    tree: Arc<Tree>,
    publish: watch::Sender<Option<Outcome>>,
    ready: Option<oneshot::Sender<Result<(), StartError>>>,
}

impl Keeper {
    async fn watch(mut self, mut notices: UnboundedReceiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            match notice.kind {
                NoticeKind::Ready => self.started(),
                NoticeKind::ReportedBelow(_)
                | NoticeKind::ScopeEnds(_)
                | NoticeKind::Started
                | NoticeKind::StopAcknowledged => {}
                NoticeKind::Exited(exit) => return self.ended(&exit),
                NoticeKind::Lost => return self.ended(&Exit::from(ExitReason::Shutdown)),
            }
        }
    }

    fn started(&mut self) {
        self.mirror(ServiceState::Ready);
        if let Some(ready) = self.ready.take() {
            // Whoever wanted to know is gone, and its reference with it: the tree is being stopped.
            let _caller_gone = ready.send(Ok(()));
        }
    }

    fn ended(mut self, exit: &Exit) {
        let path = Arc::clone(self.link.core().path());
        let outcome = self
            .tree
            .take_outcome()
            .unwrap_or_else(|| Outcome::without_report(&path, exit));
        self.mirror(ServiceState::Stopped);
        // Closes the mailbox, and with the core every address that the tree has given out.
        self.link.core().release();
        if let Some(ready) = self.ready.take() {
            let _caller_gone = ready.send(Err(outcome.start_error(path)));
        }
        self.publish.send_replace(Some(outcome));
        self.tree.close();
    }

    fn mirror(&self, state: ServiceState) {
        let core = self.link.core();
        if core.set_state(state) == crate::service::Watched::Yes {
            self.tree
                .registry
                .do_send(crate::registry::Changed(core.token()));
        }
    }
}

impl Outcome {
    /// How a supervisor has ended, and what it ends with as a service.
    pub(super) fn of(path: &Arc<str>, ended: Ended) -> (Self, Exit) {
        let own = || Arc::clone(path);
        let exit = |reason| Exit {
            reason,
            verdict: None,
        };
        let (result, report, exit) = match ended {
            Ended::Stopped { report } | Ended::AutoShutdown { report } => {
                (Ok(()), report, exit(ExitReason::Shutdown))
            }
            Ended::StartFailed {
                path,
                cause,
                unwinding,
                report,
            } => {
                let reason = ExitReason::escalated(Arc::clone(&path), cause.clone());
                let error = JoinError::StartFailed {
                    path,
                    reason: cause,
                    unwinding,
                };
                (Err(error), report, exit(reason))
            }
            Ended::Escalated { reason, report } => {
                let error = JoinError::Escalated {
                    path: own(),
                    reason: reason.clone(),
                };
                (Err(error), report, exit(reason))
            }
            Ended::Fatal {
                path,
                error,
                report,
            } => {
                let reason = ExitReason::Failed(error.clone());
                (Err(JoinError::Fatal { path, error }), report, exit(reason))
            }
            Ended::Terminated {
                propagate,
                reason,
                report,
            } => {
                let verdict = if propagate {
                    Verdict::TerminateTree { propagate }
                } else {
                    Verdict::DoNotRestart
                };
                let error = JoinError::Terminated {
                    path: own(),
                    reason: reason.clone(),
                };
                let exit = Exit {
                    reason,
                    verdict: Some(verdict),
                };
                (Err(error), report, exit)
            }
        };
        (Self { report, result }, exit)
    }

    /// The end of a root that could not say anything.
    fn without_report(path: &Arc<str>, exit: &Exit) -> Self {
        let result = if exit.reason.is_abnormal() {
            Err(JoinError::Escalated {
                path: Arc::clone(path),
                reason: exit.reason.clone(),
            })
        } else {
            Ok(())
        };
        Self {
            report: ShutdownReport::default(),
            result,
        }
    }

    /// Why a start failed that ended like this.
    fn start_error(&self, path: Arc<str>) -> StartError {
        match &self.result {
            Ok(()) => StartError::Stopped { path },
            Err(JoinError::StartFailed {
                path,
                reason,
                unwinding,
            }) => StartError::Failed {
                path: Arc::clone(path),
                reason: reason.clone(),
                unwinding: unwinding.clone(),
            },
            Err(error) => StartError::Failed {
                path,
                reason: error.reason(),
                unwinding: Vec::new(),
            },
        }
    }
}

/// Says how the supervisor has ended: to its own supervisor, and to those who wait for the tree.
pub(super) fn conclude(
    ctx: &mut ServiceContext<SupervisorActor>,
    ended: Ended,
    below: ShutdownReport,
    scope: Option<&ScopeError>,
) -> ShutdownReport {
    let link = Arc::clone(ctx.link());
    let on_request = matches!(ended, Ended::Stopped { .. });
    let (mut outcome, mut exit) = Outcome::of(link.core().path(), ended);
    if on_request && !ctx.was_asked_to_stop() {
        // Somebody has shut this supervisor down, and not through its own supervisor.
        exit.verdict = Some(Verdict::Uninstall);
    }
    if let Some(error) = scope {
        exit.reason = ExitReason::Failed(ServiceError::new(error.clone()));
    }
    outcome.report.append(below);
    let report = outcome.report.clone();
    if let Some(root) = link.core().parent().upward::<Root>() {
        root.tree.set_outcome(outcome);
    } else if !report.is_clean() {
        ctx.notify_supervisor(NoticeKind::ReportedBelow(Box::new(report.clone())));
    }
    ctx.end_with(exit);
    report
}

/// A place that holds how a tree has ended, from the end of the root's actor to that of its cell.
///
/// A mutex because the tree is shared between threads; it is used twice in the life of a tree.
pub(super) type OutcomeSlot = Mutex<Option<Outcome>>;

impl Tree {
    fn set_outcome(&self, outcome: Outcome) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn take_outcome(&self) -> Option<Outcome> {
        self.ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
