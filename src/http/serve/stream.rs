//! The bytes of a connection, against the clock.
//!
//! A head that does not arrive in time ends the connection, and so does a client that takes nothing of
//! its answer.

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

use super::connections::{Connection, Connections};

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
    stall: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Watches over `stream`.
    #[must_use]
    pub fn new(stream: TcpStream, connection: Arc<Connection>, all: Arc<Connections>) -> Self {
        Self { stream, connection, all, head: None, set_for: Duration::ZERO, stall: None }
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
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let longest = self.all.limits.stall;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(longest)));
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
