//! The panic hook: it remembers where a panic happens, and may leave it to whoever tells of it.
//!
//! The hook is the whole program's, and others change it as well. Ours is put in front of what is there, and calls that, as hooks do.

use std::{
    any::{Any, TypeId},
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{PanicHookInfo, set_hook, take_hook},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    policy::ExitReason,
    user_value::{Told, say},
};

/// Leaves the panics of services to events and `tracing`: the hook that is installed when this is called is not called for them.
///
/// The standard hook prints each panic, also those that a supervisor is there for. With this, a panic that ends an incarnation, of its
/// factory, its actor, its function, its blocking work or the start function of a supervisor, is told with its message and place by the
/// events and by `tracing` alone, and by the errors of whoever waits. If `RUST_BACKTRACE` asks for a backtrace, as of the standard hook,
/// that is in [`ExitReason::Panicked`](crate::ExitReason::Panicked), in [`EventKind::ServicePanicked`](crate::EventKind::ServicePanicked), and in the
/// field `backtrace` of the record. A program without a `tracing` subscriber that reads no events sees nothing of such a panic.
///
/// Any other panic is printed as ever: of threads and tasks that a service has spawned, of code that is not a service, and of what nobody
/// would be told, as the `Drop` of a queued message, or a second panic while an incarnation is dropped. One that a service catches itself is
/// no end, and is told as a warning to `tracing`.
///
/// Call it once, first thing in `main`. Called again it does nothing, from whatever thread, unless the program has set another hook since. The
/// order says what becomes of hooks of the program's own, as with all hooks: one that was set before is kept, and not called for panics of
/// services; one that is set later is called for all panics, and if it calls the one before, that one still does not print those of
/// services. [`take_hook`](std::panic::take_hook) undoes it. On a thread that panics it does nothing.
///
/// # Examples
///
/// ```
/// use resurgam::{EventKind, ServiceSpec, SupervisorActor, TaskContext};
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// resurgam::quiet_panics();
/// let root = SupervisorActor::with_defaults("root");
/// let mut failures = root.events().failures();
/// let root = root.start().await?;
/// root.add(ServiceSpec::task("fragile", |_: TaskContext| async { panic!("not again") })).await?;
/// let event = failures.next().await.ok_or("no event")?; // and nothing on standard error
/// assert!(event.to_string().contains("not again"));
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub fn quiet_panics() {
    QUIET.store(true, Ordering::Relaxed);
    install_hook(If::NotQuietInFront);
}

/// Whether anybody has called [`quiet_panics`].
static QUIET: AtomicBool = AtomicBool::new(false);

/// Tells of a panic that is not the reason of an end after all, since that was told before, or is to be. Nobody else does, if it was not printed.
pub(super) fn tell_untold(panic: &ExitReason) {
    if let ExitReason::Panicked {
        message,
        location,
        backtrace,
    } = panic
        && QUIET.load(Ordering::Relaxed)
    {
        say(|| {
            tracing::warn!(
                target: "resurgam",
                location,
                backtrace = backtrace.as_deref(),
                "a service has panicked whose end was told before: {message}",
            );
        });
    }
}

/// Puts a hook that remembers where a panic happens in front of the one that is installed, unless ours is there.
///
/// The hook before goes on printing (or reporting) each panic, once. Called before user code runs, and costs the reading of a variable: a
/// program may set a hook of its own at any time, and ours goes in front of that then. One that keeps ours and does not call it is found
/// out by the first panic that ours has not seen, whose place is lost.
#[inline]
pub(super) fn keep_hook() {
    // Relaxed: whoever sees an old number keeps the hook one call later.
    if LIVING.load(Ordering::Relaxed) == 0 {
        install_hook(If::NoneLives);
    }
}

/// When a hook is to be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum If {
    NoneLives,
    /// Ours may have been put behind another one, or aside.
    NotInFront,
    /// Likewise, and one of ours that is in front may call the one before it for the panics of services.
    NotQuietInFront,
}

/// What one of our hooks does for a panic that is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// It calls the hook before, as for any other.
    Printed,
    Quiet,
}

#[cold]
fn install_hook(when: If) {
    // Locked from the look to the change. What is kept is the address of the hook that was installed last, and its manner.
    static LATEST: Mutex<(usize, Manner)> = Mutex::new((0, Manner::Printed));

    // A thread that unwinds may not touch the hook. There is another guard soon.
    if thread::panicking() {
        return;
    }
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if when == If::NoneLives && LIVING.load(Ordering::Relaxed) > 0 {
        return;
    }
    let installed = take_hook();
    // While one lives, nothing else has its address.
    let is_latest = LIVING.load(Ordering::Relaxed) > 0 && address(&*installed) == latest.0;
    if is_latest && (when != If::NotQuietInFront || latest.1 == Manner::Quiet) {
        set_hook(installed);
        return;
    }
    LIVING.fetch_add(1, Ordering::Relaxed);
    let living = Living;
    let manner = match when {
        If::NotQuietInFront => Manner::Quiet,
        If::NoneLives | If::NotInFront => Manner::Printed,
    };
    let hook: Box<Hook> = Box::new(move |info| {
        let _lives_as_long_as_the_hook = &living;
        if PROBING.try_with(Cell::get).unwrap_or(false) {
            return;
        }
        let told = match manner {
            Manner::Quiet => Told::at_present(),
            Manner::Printed => Told::No,
        };
        Place::note(info, told);
        if told == Told::No {
            installed(info);
        }
    });
    *latest = (address(&*hook), manner);
    set_hook(hook);
}

/// The backtrace of a panic that is being told, if the program is asked for one as the standard hook is.
fn backtrace() -> Option<Arc<str>> {
    let asked = std::env::var_os("RUST_BACKTRACE").filter(|asked| asked != "0")?;
    let backtrace = Backtrace::force_capture();
    if asked == "full" {
        return Some(Arc::from(format!("{backtrace:#}")));
    }
    let text = backtrace.to_string();
    // Of interest is what lies between: what has called the hook comes before, and how the runtime has come to call the service, behind.
    let lines = text.split_inclusive('\n');
    let lines = lines.skip_while(|line| !line.contains(BEGIN)).skip(1);
    let between: String = lines.take_while(|line| !line.contains(END)).collect();
    let known = !between.is_empty();
    Some(Arc::from(if known { between } else { text }))
}

/// The function with which a panic begins, as a backtrace names it.
const BEGIN: &str = "rust_begin_unwind";
/// Likewise, the one that catches it here.
const END: &str = "::service::panic::catch";

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static;

fn address(hook: &Hook) -> usize {
    std::ptr::from_ref(hook).cast::<()>().addr()
}

/// Counts the hooks of ours that were not dropped: a program that sets its own without keeping ours drops it.
static LIVING: AtomicUsize = AtomicUsize::new(0);

struct Living;

impl Drop for Living {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a panic says, if that is text.
pub(super) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        String::from("Box<dyn Any>")
    }
}

/// Tells of panics that the hook has left to whoever would tell them, and that the service has caught itself.
#[inline]
pub(super) fn tell_what_was_caught() {
    if SILENCED.get() > 0 {
        tell_silenced();
    }
}

#[cold]
fn tell_silenced() {
    let caught = PLACES.try_with(|places| {
        let mut places = places.try_borrow_mut().ok()?;
        let silenced = |place: &mut Place| place.silenced.is_some();
        Some(places.extract_if(.., silenced).collect::<Vec<_>>())
    });
    let caught = caught.ok().flatten().unwrap_or_default();
    let forgotten = SILENCED.replace(0).saturating_sub(caught.len());
    for place in caught {
        let Some(Silenced { message, backtrace }) = place.silenced else {
            continue;
        };
        say(|| {
            tracing::warn!(
                target: "resurgam",
                location = place.location,
                backtrace = backtrace.as_deref(),
                "a service has caught a panic of its own: {message}",
            );
        });
    }
    if forgotten > 0 {
        say(|| {
            tracing::warn!(target: "resurgam", "a service has caught {forgotten} more panics of its own");
        });
    }
}

/// Where a panic of this thread has happened, with what tells it from others.
///
/// User code may catch a panic itself, and raise another one by `resume_unwind`, for which no hook is called; or one happens and is caught
/// while the thread unwinds from another. So the latest few are kept, and found by what they carry.
struct Place {
    carried: Carried,
    location: String,
    /// If the hook has left it to whoever tells of it.
    silenced: Option<Silenced>,
}

/// What the hook before would have printed of a panic.
struct Silenced {
    message: String,
    backtrace: Option<Arc<str>>,
}

/// What a panic carries, as far as it can be told from what others do.
#[derive(Debug, PartialEq)]
enum Carried {
    /// A value of another type. Two panics with the same such type are taken for the same.
    Other(TypeId),
    /// A text that is part of the program, by its address.
    Static { address: usize, length: usize },
    /// A text that was made, by its address and what it says: the address is used again.
    Text { address: usize, text: String },
}

impl Carried {
    fn of(payload: &(dyn Any + Send)) -> Self {
        if let Some(text) = payload.downcast_ref::<&'static str>() {
            Self::Static {
                address: text.as_ptr().addr(),
                length: text.len(),
            }
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Self::Text {
                address: text.as_ptr().addr(),
                text: text.clone(),
            }
        } else {
            Self::Other(payload.type_id())
        }
    }
}

/// Takes where the panic that carries `payload` has happened, and its backtrace if the hook was to take one.
pub(super) fn take_place(payload: &(dyn Any + Send)) -> (String, Option<Arc<str>>) {
    let Some(place) = Place::take(payload) else {
        // Raised again by `resume_unwind`, which calls no hook, or another hook is in the way.
        install_hook(If::NotInFront);
        return (String::from("unknown location"), None);
    };
    let backtrace = place.silenced.and_then(|silenced| silenced.backtrace);
    (place.location, backtrace)
}

impl Place {
    /// Called by the hook.
    fn note(info: &PanicHookInfo<'_>, told: Told) {
        let Some(location) = info.location() else {
            return;
        };
        let carried = Carried::of(info.payload());
        let silenced = (told == Told::Yes).then(|| Silenced {
            message: message_of(info.payload()),
            backtrace: backtrace(),
        });
        if silenced.is_some() {
            SILENCED.set(SILENCED.get() + 1);
        }
        let place = Self {
            carried,
            location: location.to_string(),
            silenced,
        };
        // `try_with` and `try_borrow_mut`: a panic while the thread ends must not panic here again.
        let _gone_at_thread_end = PLACES.try_with(|places| {
            if let Ok(mut places) = places.try_borrow_mut() {
                // Once, also if two hooks of ours are called.
                places.retain(|known| known.carried != place.carried);
                if places.len() == MOST_PLACES {
                    places.remove(0);
                }
                places.push(place);
            }
        });
    }

    /// The place of the panic that carries `payload`, if a hook of ours was called for it on this thread.
    fn take(payload: &(dyn Any + Send)) -> Option<Self> {
        let carried = Carried::of(payload);
        let taken = PLACES.try_with(|places| {
            let mut places = places.try_borrow_mut().ok()?;
            let index = places.iter().rposition(|known| known.carried == carried)?;
            Some(places.remove(index))
        });
        let taken = taken.ok().flatten()?;
        if taken.silenced.is_some() {
            SILENCED.set(SILENCED.get().saturating_sub(1));
        }
        Some(taken)
    }
}

thread_local! {
    /// Whether a panic of this thread is no news.
    pub(super) static PROBING: Cell<bool> = const { Cell::new(false) };
    /// Where the latest panics of this thread have happened that nobody has asked for.
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
    /// How many of them, or of those that were forgotten, the hook has left to whoever tells of them.
    static SILENCED: Cell<usize> = const { Cell::new(0) };
}

/// How many panics are remembered that user code has caught itself, or that others follow while they unwind.
const MOST_PLACES: usize = 4;
