//! Which service a request is about, and on which supervisor's way it lies.

use std::sync::Arc;

use super::{error::Unaddressed, machine::SupervisorState};
use crate::{
    policy::names_below,
    token::{Key, ServiceKey, ServiceToken},
};

/// Whose business a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// Its own: the service, which may be gone, or another supervisor's.
    Here(ServiceToken),
    /// That of this service, a supervisor, or of one below it.
    Below(ServiceToken),
    /// That of the supervisor above, or of one that is reached through it.
    Above,
}

/// Whose business a request is that names a service like this.
pub(super) fn route(state: &SupervisorState, key: &ServiceKey) -> Result<Route, Unaddressed> {
    match key.key() {
        Key::Token(token) => Ok(Route::Here(*token)),
        Key::Name(name) => match state.named(name) {
            Some(token) => Ok(Route::Here(token)),
            None if state.is_ending() => Err(Unaddressed::ShuttingDown),
            None => Err(Unaddressed::UnknownName {
                name: Arc::clone(name),
            }),
        },
        Key::Path(path) => along(state, path),
    }
}

/// The way along a path. Each supervisor knows its own path and its services, and so one step.
fn along(state: &SupervisorState, path: &Arc<str>) -> Result<Route, Unaddressed> {
    let Some(below) = names_below(path, &state.path) else {
        return Ok(Route::Above);
    };
    let unknown = || Unaddressed::UnknownPath {
        path: Arc::clone(path),
    };
    match below.split_once('/') {
        Some((name, _)) => state.named(name).map(Route::Below).ok_or_else(unknown),
        None => match state.named(below) {
            Some(token) => Ok(Route::Here(token)),
            None if state.is_ending() => Err(Unaddressed::ShuttingDown),
            None => Err(unknown()),
        },
    }
}

/// The slot of a service that can be operated on.
pub(super) fn address(state: &SupervisorState, token: ServiceToken) -> Result<u32, Unaddressed> {
    if token.supervisor() != state.id {
        // A token may be made of text, and name nobody.
        return Err(if token.supervisor().was_issued() {
            Unaddressed::WrongSupervisor { token }
        } else {
            Unaddressed::UnknownToken { token }
        });
    }
    if state.is_ending() {
        return Err(Unaddressed::ShuttingDown);
    }
    let slot = state.services.slot(token);
    slot.ok_or(Unaddressed::UnknownToken { token })
}
