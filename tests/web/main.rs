//! An actix-web server as a service: real requests over real sockets, in real time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod client;
mod failing;
mod serving;
mod site;
mod stopping;
