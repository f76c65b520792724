//! Connections: how many there are at a time, and how long one may be silent.
//!
//! Input: a listener. Output: streams. Invariant: there are never more streams than places, so that
//! the files that the database needs can be opened; one over which nothing went for too long ends,
//! whether it is idle, begins a request and stops, or does not take its answer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Connections at a time, as many as Prometheus lets by default; more wait to be accepted.
pub(crate) const MOST_CONNECTIONS: usize = 512;

/// How long a connection may be silent, as Prometheus has it; longer than any query takes.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);

/// How long nothing is accepted after the system refused to.
const PAUSE: Duration = Duration::from_secs(1);

/// A listener with a place for each connection.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Duration,
}

/// A connection in its place.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    silence: Duration,
    /// When something went over it last.
    heard: Instant,
    alarm: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Listening {
    pub(crate) fn new(listener: TcpListener, places: usize, silence: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(places)),
            silence,
        }
    }
}

impl Listener for Listening {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // The end of an answer must not wait for the acknowledgement of its beginning.
                    // A socket that refuses is as good as before.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(stream, self.silence, place);
                    return (connection, address);
                }
                Err(error) if is_of_one(&error) => {}
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Whether an error is about one connection that went away, not about accepting.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Connection {
    fn new(stream: TcpStream, silence: Duration, place: OwnedSemaphorePermit) -> Self {
        let heard = Instant::now();
        Self {
            stream,
            silence,
            heard,
            alarm: Box::pin(sleep_until(heard + silence)),
            _place: place,
        }
    }

    /// What an attempt to read or write came to: an error where it must wait and nothing went over
    /// the connection for too long.
    fn heard<T>(
        &mut self,
        tried: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.heard = Instant::now();
            return tried;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let until = self.heard + self.silence;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.heard(tried, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.heard(tried, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.heard(tried, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    async fn listening(places: usize, silence: Duration) -> (Listening, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Listening::new(listener, places, silence), address)
    }

    fn run<T>(story: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(story)
    }

    /// Reads or writes once.
    async fn read(connection: &mut Connection) -> io::Result<usize> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        std::future::poll_fn(|context| Pin::new(&mut *connection).poll_read(context, &mut buffer))
            .await
            .map(|()| buffer.filled().len())
    }

    #[test]
    fn more_connections_than_places_wait_for_one_to_end() {
        run(async {
            let (mut listening, address) = listening(1, LONG).await;
            let _both = (
                TcpStream::connect(address).await.unwrap(),
                TcpStream::connect(address).await.unwrap(),
            );
            let (first, _) = listening.accept().await;
            {
                let mut next = pin!(listening.accept());
                std::future::poll_fn(|context| {
                    assert!(next.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                drop(first);
                next.await;
            }
            assert_eq!(listening.places.available_permits(), 1);
        });
    }

    #[test]
    fn a_silent_connection_ends_and_one_that_speaks_does_not() {
        run(async {
            let (mut listening, address) = listening(2, Duration::from_millis(50)).await;
            let client = TcpStream::connect(address).await.unwrap();
            let (mut connection, _) = listening.accept().await;
            client.writable().await.unwrap();
            assert_eq!(client.try_write(b"GET / HT").unwrap(), 8);
            assert_eq!(read(&mut connection).await.unwrap(), 8);
            let silent = read(&mut connection).await.unwrap_err();
            assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
            assert!(connection.heard.elapsed() >= Duration::from_millis(50));
        });
    }

    #[test]
    fn an_answer_that_nobody_takes_ends_the_connection() {
        run(async {
            let (mut listening, address) = listening(1, Duration::from_millis(50)).await;
            let _client = TcpStream::connect(address).await.unwrap();
            let (mut connection, _) = listening.accept().await;
            let answer = vec![b'x'; 1 << 20];
            let ended = loop {
                let wrote = std::future::poll_fn(|context| {
                    Pin::new(&mut connection).poll_write(context, &answer)
                });
                if let Err(ended) = wrote.await {
                    break ended;
                }
            };
            assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        });
    }
}
