//! What follows from a row that has changed or vanished, and from a service that has ended.

/// What becomes of a service whose row has vanished.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OnVanished {
    /// It is removed.
    #[default]
    Stop,
    /// It runs on. pact's.
    Keep,
}

/// What becomes of a service whose row has another value.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OnChanged {
    /// It is restarted with the new value, with its address and its queue. That is not counted.
    #[default]
    Restart,
    /// It runs on, and its next start is with the new value. pact's.
    Keep,
}

/// When a service is started again that has ended.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revival {
    /// As its [`RestartType`](crate::RestartType), backoff and limits say. Its row is read before.
    #[default]
    ByPolicy,
    /// By the next scan, if its row is still there. pact's. Its restart type, its backoff and its limit do not matter then.
    AtNextScan,
}
