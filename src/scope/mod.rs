//! Services and futures whose lives are bound together: the first failure ends all of them.
//!
//! A [`Scope`] is a supervisor with other rules. Its *members* are services like any other: they have a path below the scope's,
//! they are in events, reports and look-ups, have placements, requirements and stop timeouts, and are asked to stop in reverse
//! start order. But no member is started again by itself. One that ends without an error is forgotten, and nothing else happens. One that
//! fails, panics, or does not stop in time ends the scope with that error. The scope also ends when its *work* returns: an async
//! function, which is a member too, named `work`. Whichever way it ends, the scope is over when every member is.
//!
//! As juju's catacomb, and as a nursery of Trio, a `coroutineScope` of Kotlin or a `JoinSet`, if a member of those could be an
//! actor.
//!
//! [`Scope::run`] runs a scope for its own sake, and gives the result of its work.
//! [`ServiceSpec::scope`](crate::ServiceSpec::scope) makes a service of one, which its supervisor starts again as a whole when it
//! fails. [`ScopeSpec`] does both, with more to say.
//!
//! # Which error counts
//!
//! The first one, be it of the work, of a member, or given to [`Scope::fail`]. A scope that was told to end without an error,
//! because its work returned or with [`Scope::stop`], still ends with the error of a member that fails while it is being stopped.
//! An error that comes later than the first one is in the events, and does not count, unless [`ScopeSpec::more_important`] says
//! so. After the end nothing counts.
//!
//! Neither a [`Verdict`](crate::Verdict) returned as an error by itself nor a [`ScopeEnding`] of the same scope is an error here;
//! and a member that is removed, or dropped because its [`Shutdown`](crate::Shutdown) says so, has not failed. That an ending
//! supervisor refuses a service, as it does with [`TaskContext::spawn`](crate::TaskContext::spawn), does not say which supervisor
//! that was, and is an error if a member returns it: [`Scope::add`] and [`Scope::spawn`] say more.
//!
//! # Examples
//!
//! ```
//! use resurgam::scope::Scope;
//! use tokio::sync::mpsc;
//!
//! # #[actix::main]
//! # async fn main() {
//! let sum = Scope::run("import", |scope: Scope| async move {
//!     let (lines, mut read) = mpsc::channel(16);
//!     scope
//!         .spawn_named("reader", move |_| async move {
//!             for line in ["1", "2", "3"] {
//!                 lines.send(line).await?;
//!             }
//!             Ok::<_, mpsc::error::SendError<_>>(())
//!         })
//!         .await?;
//!     let mut sum = 0;
//!     while let Some(line) = read.recv().await {
//!         sum += line.parse::<u32>()?;
//!     }
//!     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sum)
//! });
//! assert_eq!(sum.await.unwrap(), 6);
//! # }
//! ```
//!
//! A failure ends everybody else, and names who it was:
//!
//! ```
//! use std::{future::pending, io};
//!
//! use resurgam::scope::Scope;
//!
//! # #[actix::main]
//! # async fn main() {
//! let error = Scope::run("import", |scope: Scope| async move {
//!     let reader = scope.spawn_named("reader", |_| async { Err(io::Error::other("disk gone")) });
//!     reader.await?;
//!     let never = scope.run_until_ending(pending::<()>()).await;
//!     assert_eq!(never, None);
//!     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! });
//! let error = error.await.unwrap_err();
//! assert_eq!(error.member(), Some("import/reader"));
//! assert_eq!(error.find::<io::Error>().unwrap().to_string(), "disk gone");
//! # }
//! ```

mod error;
mod handle;
mod member;
mod spec;

pub use self::{error::AddMemberError, handle::Scope, member::SpawnMember, spec::ScopeSpec};
pub use crate::{policy::ScopeEnding, supervisor::ScopeError};
