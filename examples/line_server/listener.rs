//! Waits for clients, and adds a service for each.

use std::{io, net::SocketAddr, time::Duration};

use actix::prelude::*;
use futures::stream;
use resurgam::{RestartType, ServiceContext, ServiceRef, ServiceSpec, Shutdown};
use tokio::net::{TcpListener, TcpStream};

use crate::{connection::Connection, statistics::Statistics};

/// The service that listens.
pub(crate) struct Listener {
    socket: Option<TcpListener>,
    address: SocketAddr,
    statistics: ServiceRef<Statistics>,
}

type Accepted = io::Result<(TcpStream, SocketAddr)>;

impl Listener {
    /// Binds the address. An error is a start that has failed.
    pub(crate) async fn bind(
        address: SocketAddr,
        statistics: ServiceRef<Statistics>,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket: Some(socket),
            statistics,
        })
    }
}

impl Actor for Listener {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(socket) = self.socket.take() {
            ctx.add_stream(stream::poll_fn(move |cx| socket.poll_accept(cx).map(Some)));
        }
    }
}

impl StreamHandler<Accepted> for Listener {
    fn handle(&mut self, accepted: Accepted, ctx: &mut Self::Context) {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            // Out of file descriptors, say. The supervisor knows what to do: bind again, and pause if that is no help.
            Err(error) => return ctx.fail(error),
        };
        let statistics = self.statistics.clone();
        let mut socket = Some(socket);
        let connection = ServiceSpec::try_new(peer.to_string(), move |_| {
            let socket = socket.take().ok_or("a connection has one life")?;
            Ok::<_, &str>(Connection::new(socket, statistics.clone()))
        })
        .restart(RestartType::Temporary)
        .shutdown(Shutdown::Timeout(Duration::from_secs(1)));
        let supervisor = ctx.supervisor();
        let adding = async move { supervisor.add(connection).await };
        ctx.spawn(adding.into_actor(self).map(|added, _, ctx| {
            if let Err(error) = added {
                ctx.fail(error);
            }
        }));
    }
}

/// Asks for the address that the service listens on.
#[derive(Message)]
#[rtype(result = "SocketAddr")]
pub(crate) struct LocalAddress;

impl Handler<LocalAddress> for Listener {
    type Result = MessageResult<LocalAddress>;

    fn handle(&mut self, _: LocalAddress, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.address)
    }
}
