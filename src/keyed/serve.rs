//! What references ask of a follower.

use std::sync::Arc;

use actix::Actor;

use super::{
    error::{StartKeyError, StopKeyError},
    follower::Follower,
    life::Life,
    name::name_of,
    read::Why,
    shared::{Entry, Request, Stopping},
};
use crate::{
    policy::{ExitReason, ServiceError},
    service::{StartError, guard},
    state::AddError,
    supervisor::{Awaiting, Hands, now},
    table::Table,
    user_value::UserValue,
};

impl<T: Table, A: Actor> Follower<T, A> {
    /// Does what a reference asks for.
    pub(super) fn serve(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        request: Request<T::Key, A>,
    ) {
        match request {
            Request::Start(key, number, caller) => {
                let name = match name_of(&key) {
                    Ok(name) => name,
                    Err(error) => {
                        let _caller_gone = caller.send(Err(StartKeyError::BadKey(error)));
                        return;
                    }
                };
                let taken = self.service(&key).is_some() || self.is_reserved(&key);
                if taken || hands.named(&name).is_some() {
                    let _caller_gone = caller.send(Err(StartKeyError::Exists { key: name }));
                    return;
                }
                self.shared
                    .write()
                    .insert(key.clone(), Entry::Reserved(number));
                life.starts.insert(number, caller);
                life.look(key, Why::Start(number));
            }
            Request::Cancel(key, number, caller) => {
                if let Some(starter) = life.starts.remove(&number) {
                    self.shared.write().remove(&key);
                    let key = name_of(&key).unwrap_or_default();
                    let _caller_gone = starter.send(Err(StartKeyError::Stopped { key }));
                }
                let _caller_gone = caller.send(());
            }
            Request::Stop(key, caller) => {
                let _caller_gone = caller.send(self.stop(hands, life, &key));
            }
            Request::FirstScan(caller) => match &mut life.first_callers {
                Some(callers) => callers.push(caller),
                None => {
                    let _caller_gone = caller.send(());
                }
            },
            Request::Rescan(caller) => {
                self.plan.rescan(now());
                life.rescans.push(caller);
            }
        }
    }

    fn stop(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        key: &T::Key,
    ) -> Result<Stopping, StopKeyError> {
        let name = name_of(key).unwrap_or_default();
        let reserved = match self.shared.read().get(key) {
            Some(Entry::Reserved(number)) => Some(*number),
            Some(Entry::Service(_)) | None => None,
        };
        if let Some(number) = reserved {
            self.shared.write().remove(key);
            if let Some(starter) = life.starts.remove(&number) {
                let _caller_gone = starter.send(Err(StartKeyError::Stopped { key: name }));
            }
            return Ok(Stopping::Cancelled);
        }
        let service = self.service(key);
        let service = service.ok_or(StopKeyError::NotFound { key: name })?;
        self.plan.forget(key);
        let token = service.token();
        // What was read before does not start it again as soon as it has ended.
        let now = self.plan.begin_read();
        self.left.entry(token).or_insert(now);
        Ok(Stopping::Service(hands.remove(token)))
    }

    /// The row was read of a key that somebody starts.
    pub(super) fn start_read(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        key: &T::Key,
        number: u64,
        value: Result<Option<UserValue<T::Value>>, ServiceError>,
    ) {
        // Stopped meanwhile, and perhaps started by somebody else.
        let Some(caller) = life.starts.remove(&number) else {
            return;
        };
        let started = guard(|| {
            self.shared.write().remove(key);
            self.start(hands, key, value)
        });
        let started = started.unwrap_or_else(|panic| {
            self.shared.clear_reserved(number);
            Err(StartKeyError::Table {
                key: name_of(key).unwrap_or_default(),
                error: ServiceError::new(panic),
            })
        });
        let _caller_gone = caller.send(started);
    }

    fn start(
        &mut self,
        hands: &mut Hands<'_>,
        key: &T::Key,
        value: Result<Option<UserValue<T::Value>>, ServiceError>,
    ) -> Result<Awaiting<A>, StartKeyError> {
        let name = name_of(key).map_err(StartKeyError::BadKey)?;
        let value = match value {
            Ok(Some(value)) => value,
            Ok(None) => return Err(StartKeyError::NoRow { key: name }),
            Err(error) => return Err(StartKeyError::Table { key: name, error }),
        };
        let spec = self.spec(key, &value).map_err(|error| {
            StartKeyError::Start(StartError::Failed {
                path: Arc::clone(&name),
                reason: ExitReason::Failed(error),
                unwinding: Vec::new(),
            })
        })?;
        match hands.add_and_tell(spec) {
            Ok(starting) => {
                self.plan.note(key, value);
                self.keep(key, starting.service.clone());
                Ok(starting)
            }
            Err(AddError::Full { max }) => Err(StartKeyError::Full { max }),
            Err(AddError::DuplicateName { .. }) => Err(StartKeyError::Exists { key: name }),
            Err(AddError::ShuttingDown | AddError::SupervisorGone) => {
                Err(StartKeyError::NotRunning)
            }
            Err(refused) => Err(StartKeyError::Start(refused.into())),
        }
    }
}
