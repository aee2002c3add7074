//! Connections: their acceptance, cost and end.
//!
//! HTTP/1.1 with keep-alive; other protocols are the business of a proxy. A connection that sends no
//! complete request head within [`IDLE`] is closed, so a silent or slow client occupies nothing for long.
//! Thousands of agents wait on connections at once, so a connection costs little: small buffers, and no
//! state for other protocols.
//!
//! On shutdown the service accepts no more connections, closes idle ones at once, and the others after
//! their answer.

pub mod layers;
pub mod request_id;
pub mod telemetry;

use std::{io, pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};

/// The longest wait for the head of the next request. Longer than the pause between two heartbeats of a
/// common lease, so that agents keep their connections.
const IDLE: Duration = Duration::from_secs(120);
/// The largest request head, and the largest single write, in bytes.
const BUFFER: usize = 64 * 1024;
/// The pause after the system could not accept a connection, for lack of files or memory.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves the router until `stop` completes, and returns when every connection has ended.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with(listener, router, stop, IDLE).await
}

async fn serve_with(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    idle: Duration,
) -> io::Result<()> {
    listener.local_addr()?;
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(BUFFER);
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener) => stream,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Clients disconnect and send invalid HTTP all the time.
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// The next connection. Errors concern one client, or are temporary.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small, and clients wait for them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::{Notify, oneshot},
    };

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    async fn answer(stream: &mut TcpStream) -> String {
        let mut read = Vec::new();
        while !read.ends_with(b"hello") {
            let mut part = [0; 256];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&part[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    /// An idle connection is closed when the stop begins, one in the works after its answer, and the
    /// server has ended then.
    #[tokio::test]
    async fn a_stop_closes_what_is_idle_and_answers_what_is_in_the_works() {
        let gate: &'static Notify = Box::leak(Box::new(Notify::new()));
        let slow = move || async move {
            gate.notified().await;
            "hello"
        };
        let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", get(slow));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));

        let mut idle = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            idle.write_all(REQUEST).await.unwrap();
            assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"), "it is kept alive");
        }
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        // Answered after the slow request has come in: both are read by the same runtime.
        idle.write_all(REQUEST).await.unwrap();
        answer(&mut idle).await;
        stop.send(()).unwrap();
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "it is closed");
        assert!(!server.is_finished());
        gate.notify_one();
        assert!(answer(&mut busy).await.to_ascii_lowercase().contains("connection: close"));
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let idle = Duration::from_millis(50);
        tokio::spawn(serve_with(listener, Router::new(), std::future::pending(), idle));
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(&REQUEST[..20]).await.unwrap();
        let mut said = Vec::new();
        let _ = silent.read_to_end(&mut said).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");
    }
}
