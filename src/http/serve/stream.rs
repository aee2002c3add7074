//! The bytes of a connection, against the clock.
//!
//! A head that does not arrive in time ends the connection, and so does a client that takes nothing of
//! its answer, or takes too little of it for too long: an answer that is sent piece by piece, such as an artifact,
//! keeps its place until its last piece. Only the time for which the client is waited for counts.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::connections::{Connection, ConnectionLimits, Connections};
use crate::app::Stopwatch;

/// How a client takes the answer to one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taking {
    /// The number of the request.
    request: u64,
    /// Bytes taken so far.
    taken: u64,
    /// How long the client was waited for.
    waited: Duration,
}

impl Taking {
    /// Begins anew with another request.
    fn of(&mut self, request: u64) {
        if self.request != request {
            *self = Self { request, ..Self::default() };
        }
    }

    /// The client has taken more, after a wait.
    fn takes(&mut self, bytes: usize, waited: Duration) {
        self.taken = self.taken.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
    }

    /// How long the client is waited for now. A fast beginning earns no long silence.
    fn left(&self, limits: &ConnectionLimits) -> Duration {
        let allowed = limits.stall + Duration::from_secs(self.taken / limits.slowest.max(1));
        allowed.saturating_sub(self.waited).min(limits.stall)
    }
}

/// A stream that ends when its time is over.
#[derive(Debug)]
pub struct Timed {
    stream: TcpStream,
    connection: Arc<Connection>,
    all: Arc<Connections>,
    /// Fires at the end of a head, or before it.
    head: Option<Pin<Box<Sleep>>>,
    /// The wait that `head` was set for: a shorter one needs another timer.
    set_for: Duration,
    stall: Option<(Stopwatch, Pin<Box<Sleep>>)>,
    taking: Taking,
}

impl Timed {
    /// Watches over `stream`.
    #[must_use]
    pub fn new(stream: TcpStream, connection: Arc<Connection>, all: Arc<Connections>) -> Self {
        let taking = Taking::default();
        Self { stream, connection, all, head: None, set_for: Duration::ZERO, stall: None, taking }
    }

    /// Ready when the head is overdue.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // While a request is at work its own limits apply.
            let Some(left) = self.connection.time_left(&self.all.limits) else {
                return Poll::Pending;
            };
            if left.is_zero() {
                return Poll::Ready(());
            }
            if left < self.set_for {
                self.head = None;
            }
            let head = self.head.get_or_insert_with(|| {
                self.set_for = left;
                Box::pin(sleep(left))
            });
            ready!(head.as_mut().poll(cx));
            // Set for an earlier head: look at the time again.
            self.head = None;
        }
    }

    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let request = self.connection.request();
        if let Some(request) = request {
            self.taking.of(request);
        }
        if let Poll::Ready(written) = written {
            let waited = self.stall.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            self.taking.takes(written.as_ref().copied().unwrap_or_default(), waited);
            return Poll::Ready(written);
        }
        let limits = &self.all.limits;
        let longest = request.map_or(limits.stall, |_| self.taking.left(limits));
        let (_, stall) =
            self.stall.get_or_insert_with(|| (Stopwatch::start(), Box::pin(sleep(longest))));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    self.connection.receives();
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(self.overdue(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_waited_for_as_long_as_the_least_rate_takes() {
        let limits = ConnectionLimits {
            stall: Duration::from_secs(30),
            slowest: 100,
            ..ConnectionLimits::default()
        };
        let mut taking = Taking::default();
        taking.of(1);
        // A byte every 29 seconds.
        taking.takes(1, Duration::from_secs(29));
        assert_eq!(taking.left(&limits), Duration::from_secs(1));
        taking.takes(1, Duration::from_secs(1));
        assert_eq!(taking.left(&limits), Duration::ZERO);
        // At the least rate it goes on for ever.
        for _ in 0..1_000 {
            taking.takes(3_000, Duration::from_secs(30));
        }
        taking.takes(3_000, Duration::ZERO);
        assert_eq!(taking.left(&limits), Duration::from_secs(30));
        taking.of(1);
        assert_ne!(taking, Taking::default());
        taking.of(2);
        assert_eq!(taking, Taking { request: 2, ..Taking::default() });
    }
}
