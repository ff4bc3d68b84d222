//! How users describe a keyed supervisor.

use std::{collections::HashMap, fmt, process::ExitCode, sync::Arc, time::Duration};

use actix::Actor;

use super::{
    by_key::ByKey,
    fence::Fence,
    follower::{Follower, Make, Settings},
    plan::{Plan, Rules},
    reference::KeyedRef,
    settings::{OnChanged, OnVanished, Revival},
    shared::Shared,
};
use crate::{
    policy::{Backoff, RestartLimit, SpecError, StartOrder},
    service::{ReportedKind, ServiceRef, ServiceSpec, StartError},
    state::AddError,
    supervisor::{SupervisorActor, SupervisorRef, SupervisorSpec},
    table::Table,
    user_value::UserValue,
};

/// A supervisor whose services are the rows of a table: it starts one for each row, and stops and restarts them as the table changes.
///
/// The supervisor is one like any other, and its services are services: with paths (`root/devices/pump-7`), limits, backoff, placements, events
/// and reports. What it is made of beside a [`SupervisorSpec`] is a [`Table`], and a function that makes a [`ServiceSpec`] of a key and a
/// value. The name of that spec is replaced by the key: its [`Display`](fmt::Display) form with `/`, `%` and control characters
/// percent-encoded. A key that makes no name, or one that another key makes, is passed over and [told](crate::EventKind::RowRejected).
///
/// # What happens when
///
/// All rows are read when the supervisor starts, [at intervals](Self::rescan_every), and when the table says that something has changed.
/// A row without a service gets one; one that has another value than its service [restarts](Self::on_changed) it, and gives it another
/// chance if it had given up, or makes it anew, with another address, if it was lost with its arbiter; one that is gone has it
/// [removed](Self::on_vanished). A service that was [stopped](SupervisorRef::stop) on
/// request stays down until it is restarted on request. One that has ended for good is forgotten as ever, and the next scan starts it again
/// as long as its row is there: a service that is to end deletes its row. A row that comes again while its service is being removed is started
/// as soon as that has ended. One of which no service can be made is tried with each scan.
///
/// Any service may be that of a row: an actor, a [task](ServiceSpec::task), or a [supervisor](ServiceSpec::supervisor), whose services are then
/// those of the new one when its row changes.
///
/// # A table that is wrong
///
/// stops nothing. A row that cannot be read is [told](crate::EventKind::RowRejected) and passed over, and what runs for it runs on. A row has
/// vanished only if a scan that has come to its end did not show it, and it is not there either when it is asked for by its key. A row that cannot
/// be read, and does not say of which key it is, may be any: that scan finds none to have vanished. A scan that would stop too many is
/// [not believed](Self::max_vanish) at first. A table that cannot be read at all is [told](crate::EventKind::TableUnreachable), and tried again
/// with backoff, 1 s at first and 60 s at most, or at the interval of scans if that is shorter.
///
/// # Default
///
/// [`SupervisorSpec::default`] with a limit [of its own](SupervisorSpec::each_service) for each service, as [`RestartLimit::default`], so that a bad
/// row pauses only itself, and with [`StartOrder::Parallel`]; ready within 1 s; a scan 60 s after the end of the one before; 10 s for the table;
/// vanished rows stop their services, at most half of them and at least 10; changed rows restart theirs; revival by policy; no spacing.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, keyed::KeyedSpec, table::MemoryTable};
///
/// struct Poller {
///     url: String,
/// }
///
/// impl Actor for Poller {
///     type Context = ServiceContext<Self>;
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let table = MemoryTable::new();
/// table.insert(&"pump-7".to_owned(), &"http://10.0.0.7".to_owned()).await;
///
/// let spec = KeyedSpec::new("devices", table.clone(), |_key: &String, url: &String| {
///     let url = url.clone();
///     ServiceSpec::new("poller", move || Poller { url: url.clone() })
/// });
/// let root = SupervisorActor::with_defaults("root").start().await?;
/// let devices = root.add_keyed(spec).await?;
/// let pump = devices.when_ready("pump-7").await?;
/// assert_eq!(pump.path(), "root/devices/pump-7");
///
/// table.remove(&"pump-7".to_owned()).await;
/// devices.rescan().await?;
/// assert!(devices.keys().is_empty());
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a spec does nothing until it is added to a supervisor"]
pub struct KeyedSpec<T: Table, A: Actor> {
    name: Arc<str>,
    table: T,
    make: Make<T::Key, T::Value, A>,
    supervisor: SupervisorSpec,
    max_services: Option<usize>,
    rules: Rules,
    settings: Settings,
}

impl<T: Table, A: Actor> KeyedSpec<T, A> {
    /// A supervisor of this name, with a service for each row of the table.
    ///
    /// The function is called once for each value that a row has, and what it returns makes each incarnation of the service. It runs on the
    /// supervisor's turn and should be quick: what takes long belongs into the factory of the service. If it panics the row is passed over, and
    /// told.
    pub fn new(
        name: impl Into<Arc<str>>,
        table: T,
        make: impl FnMut(&T::Key, &T::Value) -> ServiceSpec<A> + Send + 'static,
    ) -> Self {
        let retry = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
        Self {
            name: name.into(),
            table,
            make: UserValue::new(Box::new(make)),
            supervisor: SupervisorSpec::default(),
            max_services: None,
            rules: Rules {
                on_vanished: OnVanished::default(),
                on_changed: OnChanged::default(),
                rescan_every: Duration::from_secs(60),
                max_vanish: None,
                retry: retry.clone(),
            },
            settings: Settings {
                ready_within: Duration::from_secs(1),
                revival: Revival::default(),
                start_spacing: Duration::ZERO,
                table_timeout: Duration::from_secs(10),
                retry,
            },
        }
    }

    /// Sets how the services are supervised. Its [`start_order`](SupervisorSpec::start_order) is always parallel, since rows have none; and each
    /// service has a limit of its own also if [`each_service`](SupervisorSpec::each_service) says nothing of limits.
    pub fn supervisor(mut self, spec: SupervisorSpec) -> Self {
        self.supervisor = spec;
        self
    }

    /// Sets how long the supervisor waits at most, when it starts, until all rows of the first scan are ready, counted from the first start of a
    /// service. 1 s by default, pact's. Then it is ready, and the others go on starting. It is so if the table does not answer, too.
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.settings.ready_within = limit;
        self
    }

    /// Sets how long after the end of a scan the next one begins. 60 s by default, pact's.
    pub fn rescan_every(mut self, interval: Duration) -> Self {
        self.rules.rescan_every = interval;
        self
    }

    /// Sets what becomes of a service whose row has vanished. [`OnVanished::Stop`] by default; pact's is [`Keep`](OnVanished::Keep).
    pub fn on_vanished(mut self, on_vanished: OnVanished) -> Self {
        self.rules.on_vanished = on_vanished;
        self
    }

    /// Sets what becomes of a service whose row has another value. [`OnChanged::Restart`] by default; pact's is [`Keep`](OnChanged::Keep).
    ///
    /// The service gets the factory and the settings of the new spec, and keeps its address and its queue. Its mailbox, its placement and what it
    /// requires stay those of the first one.
    pub fn on_changed(mut self, on_changed: OnChanged) -> Self {
        self.rules.on_changed = on_changed;
        self
    }

    /// Sets when a service is started again that has ended. [`Revival::ByPolicy`] by default; pact's is [`AtNextScan`](Revival::AtNextScan).
    pub fn revival(mut self, revival: Revival) -> Self {
        self.settings.revival = revival;
        self
    }

    /// Sets how many services there may be, as [`SupervisorSpec::max_services`] does. Rows beyond that are passed over, and told.
    pub fn max_services(mut self, max: usize) -> Self {
        self.max_services = Some(max);
        self
    }

    /// Sets how many services a scan may stop because their rows are gone. By default half of them, and at least 10.
    ///
    /// One that would stop more stops nothing, and is [told](crate::EventKind::ScanRefused); unless the scan after it says just the same, or
    /// it was asked for by [`rescan`](KeyedRef::rescan).
    pub fn max_vanish(mut self, max: usize) -> Self {
        self.rules.max_vanish = Some(max);
        self
    }

    /// Sets how long to wait between the starts of two rows, for many that must not all connect at the same time. None by default.
    ///
    /// So are spaced, together: services that are added, whenever a scan or a change shows their rows, those that restart because their rows have
    /// changed, and those that get another chance. One that comes alone does not wait, nor does one behind rows of which no service can be made.
    /// A service that starts again by policy goes by its own [`Backoff`](crate::Backoff) and limit, one that somebody [starts](KeyedRef::start)
    /// starts at once, and all that run start together when their supervisor is restarted.
    pub fn start_spacing(mut self, spacing: Duration) -> Self {
        self.settings.start_spacing = spacing;
        self
    }

    /// Sets how long the table may take for one row that is asked for, or between two rows of a scan. 10 s by default. What takes longer is an
    /// error.
    pub fn table_timeout(mut self, limit: Duration) -> Self {
        self.settings.table_timeout = limit;
        self
    }

    /// The supervisor as a service, for wherever a spec goes, and a reference to it. It may [require](ServiceSpec::requires) others, as a store
    /// that its services need. Until it is started the reference refuses everything as not running.
    pub fn into_service(self) -> (ServiceSpec<SupervisorActor>, KeyedRef<T::Key, A>) {
        let refused = self.validate().err();
        let (supervisor, reference) = self.into_supervisor();
        let mut spec = ServiceSpec::supervisor(supervisor);
        if let Some(refused) = refused {
            spec.refuse(refused);
        }
        (spec, reference)
    }

    /// Starts the supervisor as the root of a tree of its own.
    ///
    /// # Errors
    ///
    /// As [`SupervisorActor::start`].
    pub async fn start(self) -> Result<KeyedRef<T::Key, A>, StartError> {
        self.validate().map_err(AddError::from)?;
        let (supervisor, mut reference) = self.into_supervisor();
        reference.keep(supervisor.start().await?);
        Ok(reference)
    }

    /// Starts the supervisor as the root of a tree of its own, and runs until that ends, as [`SupervisorActor::run`] does.
    pub async fn run(self) -> ExitCode {
        match self.validate() {
            Ok(()) => self.into_supervisor().0.run().await,
            // Said by the supervisor that has such a spec.
            Err(error) => SupervisorActor::refused(self.name, error).run().await,
        }
    }

    /// Refuses settings that make no sense.
    fn validate(&self) -> Result<(), SpecError> {
        for (field, value) in [
            ("rescan_every", self.rules.rescan_every),
            ("table_timeout", self.settings.table_timeout),
        ] {
            if value.is_zero() {
                return Err(SpecError::value(
                    field,
                    &format_args!("{value:?}"),
                    "more than zero",
                ));
            }
        }
        Ok(())
    }

    fn into_supervisor(self) -> (SupervisorActor, KeyedRef<T::Key, A>) {
        let mut spec = self.supervisor.start_order(StartOrder::Parallel);
        if !spec.limits_each_service() {
            spec = spec.each_service(|defaults| defaults.limit(RestartLimit::default()));
        }
        if let Some(max) = self.max_services {
            spec = spec.max_services(max);
        }
        let supervisor = SupervisorActor::new(Arc::clone(&self.name), spec);
        let mut supervisor = supervisor.shown_as(ReportedKind::Keyed);
        let shared = Arc::new(Shared::new());
        supervisor.set_steward(Follower {
            table: Arc::new(self.table),
            make: self.make,
            plan: Plan::new(self.rules),
            settings: self.settings,
            shared: Arc::clone(&shared),
            keys: HashMap::new(),
            left: HashMap::new(),
            rejected: ByKey::new(),
            life: None,
        });
        (supervisor, KeyedRef::new(self.name, shared))
    }
}

impl<T: Table, A: Actor> fmt::Debug for KeyedSpec<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedSpec")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SupervisorRef {
    /// Adds a supervisor whose services are the rows of a table. Returns when it is added; the rows are read afterwards.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Self::add).
    pub async fn add_keyed<T: Table, A: Actor>(
        &self,
        spec: KeyedSpec<T, A>,
    ) -> Result<KeyedRef<T::Key, A>, AddError> {
        let (service, mut reference) = spec.into_service();
        let service: ServiceRef<SupervisorActor> = self.add(service).await?;
        if let Ok(supervisor) = Self::try_from(service) {
            reference.keep(supervisor);
        }
        Ok(reference)
    }
}

impl SupervisorActor {
    /// Adds a supervisor to start with, whose services are the rows of a table.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_keyed<T: Table, A: Actor>(
        &mut self,
        spec: KeyedSpec<T, A>,
    ) -> Result<KeyedRef<T::Key, A>, AddError> {
        let (service, reference) = spec.into_service();
        self.add(service)?;
        Ok(reference)
    }
}

impl crate::StartContext {
    /// The fence of the key of a [keyed](crate::keyed) service; [`NONE`](crate::keyed::Fence::NONE) for any other, and where nobody claims keys.
    pub const fn fence(&self) -> Fence {
        Fence::NONE
    }
}
