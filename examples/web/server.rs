//! The web server.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use futures::{future::join, poll};
use resurgam::{
    Backoff, Placement, Readiness, ServiceRef, ServiceSpec, Shutdown, TaskActor, TaskContext,
};
use tokio::sync::Notify;

use crate::divider::{Divide, Divider};

/// What a handler is given: the address of the service outlives restarts of it, so that nobody has to look it up again.
type Asked = web::Data<ServiceRef<Divider>>;

/// What the example and its server tell each other.
#[derive(Default)]
pub(crate) struct Shared {
    /// Where the server listens, also after a restart.
    pub(crate) address: OnceLock<SocketAddr>,
    pub(crate) slow_arrived: Notify,
    pub(crate) stopping: Notify,
    pub(crate) go_on: Notify,
}

/// A server that starts after the divider and stops before it.
pub(crate) fn spec(shared: &Arc<Shared>) -> ServiceSpec<TaskActor> {
    let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(10));
    let shared = Arc::clone(shared);
    ServiceSpec::task("web", move |cx| serve(cx, Arc::clone(&shared)))
        .requires("divider")
        .readiness(Readiness::Explicit)
        .backoff(Backoff::exponential(shortest, longest)) // the port may be taken
        .shutdown(Shutdown::Timeout(Duration::from_secs(10))) // more than the server's own
        .placement(Placement::Dedicated) // to start and to stop its threads blocks this one
}

/// One incarnation of the server.
async fn serve(cx: TaskContext, shared: Arc<Shared>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let divider: Asked = web::Data::new(cx.get("divider")?);
    let address = shared.address.get().copied();
    let data = web::Data::from(Arc::clone(&shared));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(divider.clone())
            .app_data(data.clone())
            .route("/{dividend}/{divisor}", web::get().to(divide))
            .route("/slow/{dividend}/{divisor}", web::get().to(divide_slowly))
    })
    .workers(2)
    .disable_signals() // they are the supervisor's; and no `shutdown_signal`, which would stop the actix system
    .shutdown_timeout(5)
    .bind(address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))))?;
    shared.address.get_or_init(|| server.addrs()[0]);

    let mut server = server.run();
    // The first poll starts its threads, or says why it cannot.
    if let Poll::Ready(ended) = poll!(&mut server) {
        return Ok(ended?);
    }
    cx.ready();
    if let Some(ended) = cx.run_until_shutdown(&mut server).await {
        return Ok(ended?);
    }
    shared.stopping.notify_one();
    // Takes no more requests, and answers those that are under way. One that is dropped, for its stop timeout or a panic, answers nobody and
    // gives up its port, as of actix-server 2.9.2.
    Ok(join(server.handle().stop(true), server).await.1?)
}

async fn divide(divider: Asked, question: web::Path<(u64, u64)>) -> HttpResponse {
    let (dividend, divisor) = question.into_inner();
    match divider.send(Divide { dividend, divisor }).await {
        Ok((result, by)) => HttpResponse::Ok().body(format!("{result} by divider {by}")),
        Err(_) => HttpResponse::ServiceUnavailable().body("the divider has lost the question"),
    }
}

async fn divide_slowly(
    shared: web::Data<Shared>,
    divider: Asked,
    question: web::Path<(u64, u64)>,
) -> HttpResponse {
    shared.slow_arrived.notify_one();
    shared.go_on.notified().await;
    divide(divider, question).await
}
