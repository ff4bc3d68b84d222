//! A web server, and the service behind it.

use std::{error::Error, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use actix::prelude::*;
use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use futures::{
    future::{Either, join, select},
    poll,
};
use resurgam::{
    Backoff, Placement, Readiness, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, Shutdown,
    SupervisorActor, SupervisorRef, SupervisorSpec, TaskActor, TaskContext,
};
use tokio::sync::{Notify, Semaphore, mpsc};

/// A root that restarts without limit.
pub(crate) async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// The service behind the server. A question that takes long waits for the gate.
pub(crate) struct Store {
    gate: Arc<Gate>,
}

/// What a test knows of slow questions.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) arrived: Notify,
    pub(crate) open: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Notify::new(),
            open: Semaphore::new(0),
        })
    }
}

pub(crate) fn store(gate: &Arc<Gate>) -> ServiceSpec<Store> {
    let gate = Arc::clone(gate);
    ServiceSpec::new("store", move || Store {
        gate: Arc::clone(&gate),
    })
}

/// A store that starts when its gate is open.
pub(crate) fn slow_store(gate: &Arc<Gate>) -> ServiceSpec<Store> {
    let gate = Arc::clone(gate);
    ServiceSpec::new_async("store", move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.arrived.notify_one();
            gate.open.acquire().await?.forget();
            Ok::<_, tokio::sync::AcquireError>(Store { gate })
        }
    })
}

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "String")]
enum Ask {
    Quick,
    Slow,
    Crash,
}

impl Handler<Ask> for Store {
    type Result = ResponseActFuture<Self, String>;

    fn handle(&mut self, question: Ask, ctx: &mut Self::Context) -> Self::Result {
        let gate = Arc::clone(&self.gate);
        let answer = format!("store {}", ctx.generation());
        let answering = async move {
            match question {
                Ask::Quick => {}
                Ask::Slow => {
                    gate.arrived.notify_one();
                    gate.open.acquire().await.unwrap().forget();
                }
                Ask::Crash => panic!("crash"),
            }
            answer
        };
        Box::pin(answering.into_actor(self))
    }
}

/// What a test and the incarnations of a server tell each other.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    handles: mpsc::UnboundedSender<ServerHandle>,
    pub(crate) crash: Arc<Notify>,
    /// Told when the threads of a server are.
    pub(crate) stopping: Arc<Notify>,
}

impl Site {
    /// A site to be served there, and the handle of each of its servers.
    pub(crate) fn new(address: SocketAddr) -> (Self, mpsc::UnboundedReceiver<ServerHandle>) {
        let (handles, served) = mpsc::unbounded_channel();
        let site = Self {
            address,
            handles,
            crash: Arc::default(),
            stopping: Arc::default(),
        };
        (site, served)
    }

    /// The server as a service.
    pub(crate) fn spec(&self) -> ServiceSpec<TaskActor> {
        let site = self.clone();
        ServiceSpec::task("web", move |cx| site.clone().serve(cx))
            .requires("store")
            .readiness(Readiness::Explicit)
            .placement(Placement::Dedicated)
            .shutdown(Shutdown::Timeout(Duration::from_secs(20)))
            .backoff(Backoff::constant(Duration::from_millis(10)))
    }

    async fn serve(self, cx: TaskContext) -> Result<(), Box<dyn Error + Send + Sync>> {
        let store = web::Data::new(cx.get::<Store>("store")?);
        let app = move || {
            App::new()
                .app_data(store.clone())
                .route("/{question}", web::get().to(ask))
        };
        let mut server = HttpServer::new(app)
            .workers(2)
            .disable_signals()
            .bind(self.address)?
            .run();
        if let Poll::Ready(ended) = poll!(&mut server) {
            return Ok(ended?);
        }
        cx.ready();
        let _nobody_asks = self.handles.send(server.handle());
        let crash = Box::pin(self.crash.notified());
        match cx.run_until_shutdown(select(&mut server, crash)).await {
            Some(Either::Left((ended, _))) => Ok(ended?),
            Some(Either::Right(_)) => panic!("the server crashes"),
            None => {
                let mut stopping = pin!(join(server.handle().stop(true), server));
                let ended = poll!(&mut stopping);
                self.stopping.notify_one();
                match ended {
                    Poll::Ready(((), ended)) => Ok(ended?),
                    Poll::Pending => Ok(stopping.await.1?),
                }
            }
        }
    }
}

async fn ask(store: web::Data<ServiceRef<Store>>, question: web::Path<String>) -> HttpResponse {
    let question = match question.as_str() {
        "quick" => Ask::Quick,
        "slow" => Ask::Slow,
        "crash" => Ask::Crash,
        _ => return HttpResponse::NotFound().finish(),
    };
    match store.send(question).await {
        Ok(answer) => HttpResponse::Ok().body(answer),
        Err(lost) => HttpResponse::ServiceUnavailable().body(lost.to_string()),
    }
}
