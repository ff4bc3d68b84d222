//! When a service counts as ready.

/// When an incarnation counts as ready, which is when those that wait for it may start.
///
/// An incarnation that ends before it is ready is a failed start, unless it declines: a normal end before that, or
/// [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart), says that it is not to run, as `ignore` does in OTP. It is then not restarted,
/// whatever its restart type, does not fail the start of its supervisor, and who awaits it gets
/// [`StartError::Declined`](crate::StartError::Declined).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Readiness {
    /// When `started` has returned. The default.
    #[default]
    OnStart,
    /// When it says so. Give it a start timeout, or one that never says so keeps those behind it waiting.
    Explicit,
}
