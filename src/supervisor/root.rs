//! Starts a supervisor as the root of a tree.

use std::{future::ready, sync::Arc};

use actix::{Addr, System};
use tokio::sync::oneshot;

use super::{actor::SupervisorActor, reference::SupervisorRef, upward::Upward};
use crate::{
    policy::Readiness,
    registry::Register,
    service::{
        AnyLink, AnySeed, Link, Opened, Parent, ReportedPlacement, ServiceKind, ServiceSpec, Shown,
        StartError, probe,
    },
    state::ServiceState,
    token::{ServiceToken, SupervisorId},
    tree::{JoinError, Keeper, Tree},
};

impl SupervisorActor {
    /// Starts the supervisor as the root of a tree, on this thread's arbiter, and all its services with it.
    ///
    /// The services are started in order, each when the one before is ready. All or nothing: if one fails to start, those
    /// that were started are stopped again in reverse order, and the rest never start.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] with the service that failed and why; [`StartError::Refused`] for a spec that makes no sense;
    /// [`StartError::NoSystem`] outside of an actix system, or on a thread whose arbiter does not run.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped before it returns the tree is shut down again.
    pub async fn start(self) -> Result<SupervisorRef, StartError> {
        let (reference, started) = self.launch()?;
        match started.await {
            Ok(Ok(())) => Ok(reference),
            Ok(Err(error)) => Err(error),
            // The system stops, and has dropped the keeper.
            Err(_) => Err(StartError::SupervisorGone),
        }
    }

    /// Begins the start, which goes on when this thread's arbiter comes to it. Returns the only reference, and what says how it has gone.
    pub(super) fn launch(mut self) -> Result<(SupervisorRef, Started), StartError> {
        self.core.validate()?;
        // Before the start: a root that fails to start ends for the last time, too.
        self.core.ending.expect_last();
        // A system may be known on a thread whose arbiter does not run, and only a spawn tells.
        let no_arbiter = || probe(|| drop(actix_rt::spawn(ready(())))).is_err();
        if System::try_current().is_none() || no_arbiter() {
            return Err(StartError::NoSystem);
        }

        let (tree, publish) = Tree::new(self.core.early.take_hub());
        let tree = Arc::new(tree);
        let (parent, notices) = Parent::new();
        let above = Upward::Root {
            tree: Arc::clone(&tree),
        };
        parent.set_above(Box::new(above));
        let (link, address) = launch_root(self, Arc::new(parent), &tree);
        let untyped = Arc::clone(&link) as Arc<dyn AnyLink>;
        let (handle, started) = Keeper::spawn(untyped, Arc::clone(&tree), publish, notices);
        let reference = SupervisorRef::new(address, link, tree);
        // From here on the reference alone holds the handle: if this call is dropped the tree is stopped.
        drop(handle);
        Ok((reference, started))
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

/// Says how the start of a root has gone.
pub(super) type Started = oneshot::Receiver<Result<(), StartError>>;

/// Opens the root's mailbox and runs its cell here.
fn launch_root(
    supervisor: SupervisorActor,
    parent: Arc<Parent>,
    tree: &Tree,
) -> (Arc<Link<SupervisorActor>>, Addr<SupervisorActor>) {
    let name = Arc::clone(supervisor.core.name());
    let shown = Shown {
        kind: supervisor.core.shown,
        placement: ReportedPlacement::Inherit,
    };
    let mut supervisor = Some(supervisor);
    // Called once, for a root is never started again.
    let factory = move |_: &_| supervisor.take().ok_or(StartError::SupervisorGone);
    let spec = ServiceSpec::try_new(Arc::clone(&name), factory).readiness(Readiness::Explicit);
    let kind = ServiceKind::Supervisor;
    let Opened {
        address, mut seed, ..
    } = spec.open(kind);
    // Of a supervisor that does not exist: no other service of the process can have this token.
    let token = ServiceToken::issue(SupervisorId::issue(), 0);
    let link = Link::new(
        token,
        Arc::clone(&name),
        parent,
        address.downgrade(),
        Readiness::Explicit,
        kind,
    );
    let link = Arc::new(link.shown_as(shown));
    link.core().set_place(&name, 0);
    seed.tie(Arc::clone(&link));
    tree.registry.do_send(Register {
        owner: token,
        link: Arc::clone(&link) as Arc<dyn AnyLink>,
    });
    // For a service, the state of its supervisor decides this. There is none above a root.
    let _nobody_watches_yet = link.core().set_state(ServiceState::Starting, None);
    link.core().start(0);
    Box::new(seed).launch_here();
    (link, address)
}
