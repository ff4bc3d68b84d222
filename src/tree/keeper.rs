//! What stands in the place of a root's supervisor.

use std::sync::Arc;

use tokio::sync::{mpsc::UnboundedReceiver, oneshot, watch};

use super::{Tree, TreeHandle, error::start_error};
use crate::{
    policy::ExitReason,
    registry::Changed,
    service::{AnyLink, Asked, Notice, NoticeKind, Published, Reply, StartError},
    state::{Ended, Exit, ServiceState},
};

/// Takes the notices of the root's cell. A root is not restarted, and its end is the end of the tree.
pub(crate) struct Keeper {
    link: Arc<dyn AnyLink>,
    tree: Arc<Tree>,
    publish: Published<Option<Arc<Ended>>>,
    /// Who started the tree, until the start has succeeded or failed.
    starter: Option<Reply<Result<(), StartError>>>,
}

impl Keeper {
    /// Begins to keep the tree of a root that was launched on this thread's arbiter.
    ///
    /// Returns what keeps the tree running, and what says how the start has gone.
    pub(crate) fn spawn(
        link: Arc<dyn AnyLink>,
        tree: Arc<Tree>,
        publish: watch::Sender<Option<Arc<Ended>>>,
        notices: UnboundedReceiver<Notice>,
    ) -> (Arc<TreeHandle>, oneshot::Receiver<Result<(), StartError>>) {
        // Made here and held by the caller, who gives it to the first reference: without one the tree would be stopped at once.
        let handle = Arc::new(TreeHandle(Arc::clone(&link)));
        tree.set_handle(&handle);
        let (starter, outcome) = oneshot::channel();
        let keeper = Self {
            link,
            tree,
            publish: Published::by(publish),
            starter: Some(Reply::new(starter)),
        };
        // Runs after this turn of the arbiter at the earliest, and the notices that come before are queued.
        actix_rt::spawn(keeper.watch(notices));
        (handle, outcome)
    }

    async fn watch(mut self, mut notices: UnboundedReceiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            match notice.kind {
                NoticeKind::Ready => self.started(),
                // Of no use here: nobody waits for a root to acknowledge a stop, and one that has ended is not kept.
                NoticeKind::AwaitsElsewhere
                | NoticeKind::Found { .. }
                | NoticeKind::NotFound { .. }
                | NoticeKind::Ring { .. }
                | NoticeKind::ScopeEnds(_)
                | NoticeKind::Started
                | NoticeKind::StopAcknowledged
                | NoticeKind::FactoryLost
                | NoticeKind::Refused
                | NoticeKind::ThreadBack { .. }
                | NoticeKind::Uninstall => {}
                NoticeKind::Exited(exit) => return self.ended(exit),
                // The system stops, and drops the cell before this task. That is nobody's failure.
                NoticeKind::Lost => return self.ended(Exit::from(ExitReason::Shutdown)),
            }
        }
    }

    fn started(&mut self) {
        // Before the starter is told: it may look the root up as soon as it knows.
        self.mirror(ServiceState::Ready, None);
        if let Some(starter) = self.starter.take() {
            // A starter that has gone away has dropped its reference, the only one: the tree is being stopped.
            starter.give(Ok(()));
        }
    }

    /// Ends the tree. The order is that of invariant 1: the mailbox, the end, the events and the registry.
    fn ended(&mut self, exit: Exit) {
        let path = Arc::clone(self.link.core().path());
        // None was told if the root's actor panicked or was killed, or if its cell is lost: then the reason is all that is known.
        let mut ended = exit.ended.map_or_else(
            || Ended::without_a_word(&path, &exit.reason),
            |ended| *ended,
        );
        let abandoned = self.tree.abandoned.below(&path);
        ended.report.add_unstopped(abandoned);
        let reason = exit.reason;
        self.mirror(ServiceState::Stopped, Some(reason.clone()));
        // Drops the factory, and what the supervisor keeps was dropped with its incarnation: no address of the tree is open any more.
        self.link.core().release(reason);
        // Still there if the root has never been ready: its end is that of the start.
        if let Some(starter) = self.starter.take() {
            starter.give(Err(start_error(path, &ended)));
        }
        self.publish.replace(Some(Arc::new(ended)));
        // The tree is closed as the keeper is dropped.
    }

    fn mirror(&self, state: ServiceState, end: Option<ExitReason>) {
        let core = self.link.core();
        if core.set_state(state, end) == Asked::Yes {
            self.tree.registry.do_send(Changed(core.token()));
        }
    }
}

impl Drop for Keeper {
    /// At the end of the tree, or with the arbiter of the root when the actix system stops: then there is no outcome, and events and
    /// look-ups end all the same, whoever holds a reference.
    fn drop(&mut self) {
        // Also of a root that is dropped with its arbiter: those who watch it are told. Nothing else comes of it, if it has ended before.
        self.link.core().release(ExitReason::Shutdown);
        self.tree.close();
    }
}
