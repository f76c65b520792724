//! The server: a listener, a runtime, an end.
//!
//! Input: a database, an address. Output: answers until it is told to stop. Invariant: when
//! [`Server::run`] returns, the database is closed and what was acknowledged is durable.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener as AsyncListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use treering::Db;
use treering_promql::Features;

use super::connections::{Listening, MOST_CONNECTIONS, SILENCE};
use super::door::{Door, MOST_QUERIES, MOST_WRITES};
use super::routes::routes;

/// How long requests under way have to end by themselves, and then once more after their queries
/// were cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// A server that listens, but does not answer before [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
}

/// Ends a server from another thread. Clones end the same one.
#[derive(Debug, Clone)]
pub struct Stop {
    told: Arc<watch::Sender<bool>>,
}

impl Server {
    /// Listens at an address; port 0 takes a free one. Queries are read with `features`.
    pub fn bind(db: Db, address: impl ToSocketAddrs, features: Features) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let door = Door::new(db, features);
        Ok(Self {
            listener,
            address,
            door,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is told, or the process by a signal where `signals` made it of that;
    /// then lets requests under way end, and closes the database for all its handles.
    pub fn run(self, stop: &Stop) -> Result<(), String> {
        let Self { listener, door, .. } = self;
        // More would only wait for the turns of the door.
        let runtime = Builder::new_multi_thread()
            .max_blocking_threads(MOST_QUERIES + MOST_WRITES)
            .enable_all()
            .build()
            .map_err(|error| format!("no threads: {error}"))?;
        let served = runtime.block_on(serve(listener, door.clone(), stop.clone()));
        door.begin_closing();
        door.cancel_all();
        runtime.shutdown_timeout(GRACE);
        let closed = door.db().close();
        served.map_err(|error| format!("cannot go on listening: {error}"))?;
        closed.map_err(|error| error.to_string())
    }
}

impl Stop {
    /// For a server that runs until [`Stop::stop`].
    pub fn new() -> Self {
        let (told, _) = watch::channel(false);
        Self {
            told: Arc::new(told),
        }
    }

    /// Tells the server to end. A second time does nothing.
    pub fn stop(&self) {
        self.told.send_replace(true);
    }

    async fn told(&self) {
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`.
        let _ = told.wait_for(|told| *told).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Stop`] that SIGTERM and SIGINT tell, from now on, in place of ending the process.
pub fn signals() -> Result<Stop, String> {
    let stop = Stop::new();
    let told = stop.clone();
    let runtime = Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| format!("no signals: {error}"))?;
    let streams = {
        let _inside = runtime.enter();
        let terminate = signal(SignalKind::terminate());
        terminate.and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)))
    };
    let (mut terminate, mut interrupt) = streams.map_err(|error| format!("no signals: {error}"))?;
    let wait = move || {
        runtime.block_on(std::future::poll_fn(|context| {
            let first = terminate.poll_recv(context).is_ready();
            match first || interrupt.poll_recv(context).is_ready() {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        }));
        told.stop();
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let spawned = thread.spawn(wait);
    spawned.map_err(|error| format!("no signals: {error}"))?;
    Ok(stop)
}

async fn serve(listener: TcpListener, door: Door, stop: Stop) -> io::Result<()> {
    let listener = AsyncListener::from_std(listener)?;
    let listener = Listening::new(listener, MOST_CONNECTIONS, SILENCE);
    let (told, closing) = (stop.clone(), door.clone());
    let until = async move {
        told.told().await;
        closing.begin_closing();
    };
    let server = axum::serve(listener, routes(door.clone())).with_graceful_shutdown(until);
    let serving = tokio::spawn(async move { server.await });
    let abort = serving.abort_handle();
    // A connection that neither asks nor goes away must not hold the end up.
    tokio::spawn(async move {
        stop.told().await;
        sleep(GRACE).await;
        door.cancel_all();
        sleep(GRACE).await;
        abort.abort();
    });
    match serving.await {
        Ok(served) => served,
        Err(_) => Ok(()),
    }
}
