//! What becomes of messages to a service that is down.

/// What becomes of messages to a service while it is down.
///
/// Refused is dropped, unhandled: `Addr::send` returns `MailboxError::Closed`. `try_send` and `do_send` cannot tell, since the channel of
/// actix cannot be closed and opened again: [`ServiceRef::refused`](crate::ServiceRef::refused) counts what was refused, and the event
/// [`MessagesRefused`](crate::EventKind::MessagesRefused) comes with the first refused message each time that the service is down. What was
/// queued before is refused as well. The refusal ends when the service is started again, or is to be started by its supervisor.
///
/// A supervisor below another one refuses, whatever is said here, while nobody but a request starts it: so whoever asks it something hears
/// that it is down. If it has ended for good, so have the services below it, at any depth.
///
/// # Limits
///
/// A message is refused when the mailbox is looked into, which takes a moment: one that is sent as the service ends, or as it is started,
/// may be either refused or handled. Where messages queue, a full mailbox makes senders wait, as for any actor.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum WhileDown {
    /// Refused once the service has ended for good, because it has finished, was given up or is lost: only a request, or a restart of its
    /// group or its supervisor, starts it again; also once a start on request has failed after that. Queued while its supervisor will start it
    /// by itself, or if it was stopped on request.
    #[default]
    RefuseWhenEnded,
    /// Refused whenever the service has no incarnation: also during a backoff, a pause or a stop on request. Before its first start they
    /// are queued while it waits for its turn, or for what it requires; unless that will not be ready by itself, because it is missing or
    /// has ended for good, and nothing fails with that.
    Refuse,
    /// Queued, however long the service is down.
    Queue,
}
