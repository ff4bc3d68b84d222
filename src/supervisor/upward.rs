//! What is above a supervisor's services, and above a root.
//!
//! Cells know their [`Parent`], and that something is above it. What that is, is said here and nowhere else.

use std::{any::Any, sync::Arc};

use actix::Addr;

use super::actor::SupervisorActor;
use crate::{
    service::{Above, Link, Parent},
    tree::Tree,
};

/// What is above a service: its supervisor, or a tree without one.
pub(crate) enum Upward {
    /// Nobody: the service is the root of this tree.
    Root { tree: Arc<Tree> },
    /// A supervisor, and the tree that it belongs to.
    Supervisor {
        link: Arc<Link<SupervisorActor>>,
        tree: Arc<Tree>,
    },
}

impl Above for Upward {}

impl Upward {
    /// What is above the cells of `parent`, once they are part of a tree.
    pub(crate) fn of(parent: &Parent) -> Option<&Self> {
        // The one place that knows what is behind `Above`: nobody else implements it, so this never fails.
        let above: &dyn Any = parent.above()?;
        above.downcast_ref()
    }

    pub(crate) fn tree(&self) -> &Arc<Tree> {
        match self {
            Self::Root { tree } | Self::Supervisor { tree, .. } => tree,
        }
    }

    /// The address of the supervisor, which alone keeps no tree running. `None` for a root, or once the supervisor is gone.
    pub(crate) fn address(&self) -> Option<Addr<SupervisorActor>> {
        match self {
            Self::Root { .. } => None,
            Self::Supervisor { link, .. } => link.address(),
        }
    }
}
