//! Compares the rows of a table with what runs, and has them so.

use std::sync::Arc;

use actix::Actor;

use super::{
    follower::{Follower, Rejected},
    life::Life,
    name::name_of,
    plan::{Begun, Do, Service},
    settings::Revival,
    shared::Entry,
    turns::Turn,
};
use crate::{
    event::EventKind,
    policy::{RestartType, ServiceError},
    service::{ServiceRef, ServiceSpec, guard},
    state::Standing,
    supervisor::{Hands, now},
    table::Table,
    token::ServiceToken,
    user_value::UserValue,
};

impl<T: Table, A: Actor> Follower<T, A> {
    /// Compares a row with what runs, and has it so. Without `begun` it is one of the present scan.
    pub(super) fn compare(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        key: T::Key,
        value: UserValue<T::Value>,
        begun: Option<Begun>,
    ) {
        // Whoever starts the key gets it, and the row is compared with the next scan.
        if self.is_reserved(&key) {
            return;
        }
        // The usual case of a scan, and on the way of every row: one that runs, and has not changed.
        let token = self.token(&key);
        let holder = if token.is_some() {
            token
        } else {
            match name_of(&key) {
                Ok(name) => hands.named(&name),
                Err(error) => {
                    self.plan.bad_row(Some(&key));
                    return self.reject(hands, Some(&key), ServiceError::new(error));
                }
            }
        };
        let service = match holder.and_then(|token| hands.standing(token)) {
            None => Service::None,
            Some(Standing::Kept) => Service::Kept,
            Some(Standing::HeldDown) => Service::HeldDown,
            Some(Standing::GivenUp | Standing::Finished) => Service::Ended,
            Some(Standing::Gone) => Service::Gone,
            Some(Standing::Leaving) => Service::Leaving,
        };
        if let Some(token) = token {
            if life.first.goes_on() {
                life.first.seen(token, hands.state_of(token));
            }
            let read = begun.or_else(|| self.plan.scan_begun());
            if service == Service::Leaving && read > self.left.get(&token).copied() {
                // It is there again, and not only still: started as soon as its name is free.
                life.again.insert(key.clone(), ());
            }
        }
        let what = match begun {
            None => self.plan.scanned(&key, value, service),
            Some(begun) => self.plan.row(&key, value, service, begun),
        };
        self.follow(hands, life, key, what);
    }

    /// Has a row be as the plan says.
    fn follow(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        key: T::Key,
        what: Do<UserValue<T::Value>>,
    ) {
        let known = match what {
            Do::Nothing => return,
            _ => self.service(&key),
        };
        match (what, known) {
            (Do::Refuse, _) => {
                let name = name_of(&key).unwrap_or_default();
                let error = ServiceError::new(NameTaken { name });
                self.reject(hands, Some(&key), error);
            }
            (Do::Look, _) => life.look_changed(key),
            (Do::Start(value), _) => {
                if life.turns.are_spaced() {
                    life.turns.put_off(key, Turn::Start);
                } else {
                    let _told = self.add(hands, life, &key, &value);
                }
            }
            (Do::Renew(value), Some(service)) => {
                let _told = self.renew(hands, &key, &value, &service);
            }
            (Do::Restart(value), Some(service)) => {
                if self.renew(hands, &key, &value, &service) == Renewed::No {
                    return;
                }
                let token = service.token();
                if life.turns.are_spaced() {
                    // What is started before by itself has the new value already.
                    let turn = Turn::Restart(token, service.core().generation());
                    life.turns.put_off(key, turn);
                } else {
                    hands.restart(token);
                }
            }
            (Do::Reset(value), Some(service)) => {
                if let Some(value) = value {
                    let _or_the_old_one = self.renew(hands, &key, &value, &service);
                }
                let token = service.token();
                if life.turns.are_spaced() {
                    life.turns.put_off(key, Turn::Reset(token));
                } else {
                    let _whatever_it_does = give_another_chance(hands, token);
                }
            }
            (Do::Replace, Some(service)) => {
                let token = service.token();
                self.left.insert(token, self.plan.begin_read());
                life.again.insert(key, ());
                let _nobody_waits = hands.remove(token);
            }
            (Do::Nothing | Do::Replace | Do::Renew(_) | Do::Restart(_) | Do::Reset(_), _) => {}
        }
    }

    /// The token of the service of a key.
    fn token(&self, key: &T::Key) -> Option<ServiceToken> {
        match self.shared.read().get(key) {
            Some(Entry::Service(service)) => Some(service.token()),
            Some(Entry::Reserved(_)) | None => None,
        }
    }

    /// The service of a key.
    pub(super) fn service(&self, key: &T::Key) -> Option<ServiceRef<A>> {
        match self.shared.read().get(key) {
            Some(Entry::Service(service)) if !service.core().is_released() => Some(service.clone()),
            Some(_) | None => None,
        }
    }

    /// Reports whether somebody starts the key.
    pub(super) fn is_reserved(&self, key: &T::Key) -> bool {
        matches!(self.shared.read().get(key), Some(Entry::Reserved(_)))
    }

    /// The spec of the service of a row, as this follower treats services.
    pub(super) fn spec(
        &mut self,
        key: &T::Key,
        value: &T::Value,
    ) -> Result<ServiceSpec<A>, ServiceError> {
        let name = name_of(key).map_err(ServiceError::new)?;
        let make = &mut self.make;
        let mut spec = guard(|| make(key, value)).map_err(ServiceError::new)?;
        spec.rename(name);
        match self.settings.revival {
            Revival::AtNextScan => spec = spec.restart(RestartType::Temporary),
            Revival::ByPolicy => spec.consult(),
        }
        Ok(spec)
    }

    /// Does what a row has waited for, if that is still to be done.
    pub(super) fn take_turn(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        (key, turn): (T::Key, Turn),
    ) {
        let known = self.service(&key);
        let taken = match (turn, known) {
            // Gone, or started by somebody since.
            (Turn::Start, None) if !self.is_reserved(&key) => {
                match self.plan.value(&key).cloned() {
                    Some(value) => self.add(hands, life, &key, &value),
                    None => Taken::No,
                }
            }
            (Turn::Restart(token, generation), Some(service))
                if service.token() == token
                    && service.core().generation() == generation
                    && hands.standing(token) == Some(Standing::Kept) =>
            {
                hands.restart(token);
                Taken::Yes
            }
            (Turn::Reset(token), Some(service)) if service.token() == token => {
                give_another_chance(hands, token)
            }
            (Turn::Start | Turn::Restart(..) | Turn::Reset(_), _) => Taken::No,
        };
        // One that comes to nothing holds nobody up.
        if taken == Taken::Yes {
            life.turns.started(now());
        }
    }

    /// Adds the service of a row.
    fn add(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        key: &T::Key,
        value: &T::Value,
    ) -> Taken {
        let added = self
            .spec(key, value)
            .and_then(|spec| hands.add(spec).map_err(ServiceError::new));
        match added {
            Ok(service) => {
                self.rejected.remove(key);
                life.first
                    .started(service.token(), now(), self.settings.ready_within);
                self.keep(key, service);
                Taken::Yes
            }
            Err(error) => {
                self.plan.forget(key);
                self.reject(hands, Some(key), error);
                Taken::No
            }
        }
    }

    pub(super) fn keep(&mut self, key: &T::Key, service: ServiceRef<A>) {
        self.keys.insert(service.token(), key.clone());
        let mut services = self.shared.write();
        services.insert(key.clone(), Entry::Service(service));
    }

    /// Has the next start of a service be with another value.
    pub(super) fn renew(
        &mut self,
        hands: &mut Hands<'_>,
        key: &T::Key,
        value: &T::Value,
        service: &ServiceRef<A>,
    ) -> Renewed {
        let renewed = self
            .spec(key, value)
            .and_then(|spec| hands.renew(service, spec).map_err(ServiceError::new));
        match renewed {
            Ok(()) => {
                self.rejected.remove(key);
                Renewed::Yes
            }
            Err(error) => {
                self.plan.not_made(key);
                self.reject(hands, Some(key), error);
                Renewed::No
            }
        }
    }

    /// Tells that a row is passed over, once until something else is wrong with it.
    pub(super) fn reject(
        &mut self,
        hands: &mut Hands<'_>,
        key: Option<&T::Key>,
        error: ServiceError,
    ) {
        let Some(key) = key else {
            hands.tell(EventKind::RowRejected { key: None, error });
            return;
        };
        let text = error.to_string();
        let scan = self.plan.latest_scan();
        if let Some(rejected) = self.rejected.value_mut(key)
            && rejected.text == text
        {
            rejected.scan = scan;
            return;
        }
        self.rejected.insert(key.clone(), Rejected { text, scan });
        let key = name_of(key).ok();
        hands.tell(EventKind::RowRejected { key, error });
    }
}

/// Starts a service that has given up, or has ended for good.
fn give_another_chance(hands: &mut Hands<'_>, token: ServiceToken) -> Taken {
    match hands.standing(token) {
        Some(Standing::GivenUp) => hands.reset(token),
        Some(Standing::Finished) => hands.restart(token),
        // Somebody was quicker.
        Some(Standing::Kept | Standing::HeldDown | Standing::Gone | Standing::Leaving) | None => {
            return Taken::No;
        }
    }
    Taken::Yes
}

/// Whether a row has used its turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    No,
    Yes,
}

/// Whether a service got another factory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Renewed {
    No,
    Yes,
}

/// Another service has the name of a key.
#[derive(Debug, thiserror::Error)]
#[error("another service has the name `{name}`")]
struct NameTaken {
    name: Arc<str>,
}
