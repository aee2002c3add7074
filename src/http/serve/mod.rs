//! Connections: their acceptance, cost and end.
//!
//! HTTP/1.1 with keep-alive; other protocols are the business of a proxy. How many connections there may
//! be is in [`connections`], how long a head may take in [`stream`], so a silent or slow client occupies
//! nothing for long; nor does one that takes its answer slowly. Thousands of agents wait on connections at once, so a connection costs little:
//! small buffers, and no state for other protocols.
//!
//! On shutdown the service accepts no more connections, closes idle ones at once, and the others after
//! their answer.

pub mod connections;
pub mod layers;
pub mod request_id;
pub mod stream;
pub mod telemetry;

use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    http::Request,
    response::Response,
};
use futures_util::StreamExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

use super::{
    fairness::{HeldBack, address::PeerAddress},
    problem::{Error, UNAVAILABLE_DETAIL},
};
use connections::{Connection, ConnectionLimits, Connections};
use stream::Timed;

/// The largest request head, and the largest single write, in bytes.
const BUFFER: usize = 64 * 1024;
/// The pause after the system could not accept a connection, for lack of files or memory.
const PAUSE: Duration = Duration::from_millis(200);
/// What a connection in the reserve may ask for.
const HEALTH: [&str; 2] = ["/livez", "/readyz"];

/// Serves the router until `stop` completes, and returns when every connection has ended.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(ConnectionLimits::default(), listener, router, stop).await
}

/// The same with these limits.
///
/// # Errors
/// If the listener has no address.
pub async fn serve_within(
    limits: ConnectionLimits,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let all = Connections::new(limits);
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    // The stream has the time limits of heads.
    http.header_read_timeout(None).max_buf_size(BUFFER);
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
        };
        let Some(open) = all.admit(peer) else { continue };
        let connection = Arc::clone(&open.connection);
        let stream = Timed::new(stream, Arc::clone(&connection), Arc::clone(&all));
        let service = {
            let (router, connection) = (router.clone(), Arc::clone(&connection));
            service_fn(move |request| answer(router.clone(), Arc::clone(&connection), request))
        };
        let serving =
            http.keep_alive(!connection.is_reserve).serve_connection(TokioIo::new(stream), service);
        let serving = graceful.watch(serving);
        tokio::spawn(async move {
            let _open = open;
            tokio::select! {
                ended = serving => {
                    if let Err(error) = ended {
                        // Clients disconnect and send invalid HTTP all the time.
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                () = connection.closed() => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn answer(
    mut router: Router,
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    connection.begins();
    if connection.is_reserve && !HEALTH.contains(&request.uri().path()) {
        let error = Error::unavailable(UNAVAILABLE_DETAIL, "no connection is free");
        return Ok(error.into_response_for(""));
    }
    request.extensions_mut().insert(PeerAddress(connection.address));
    let mut response = router.call(request).await?;
    if let Some(HeldBack(time)) = response.extensions_mut().remove() {
        // No request is at work meanwhile: the connection makes room for others.
        connection.rests();
        tokio::time::sleep(time).await;
    }
    if response.body().size_hint().exact().is_some() {
        connection.rests();
        return Ok(response);
    }
    let rest = Rest(connection);
    Ok(response.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            let _ = &rest;
        }))
    }))
}

/// Tells the connection, when it is dropped with the body of an answer, that the answer is complete.
struct Rest(Arc<Connection>);

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.rests();
    }
}

/// The next connection. Errors concern one client, or are temporary.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small, and clients wait for them.
                let _ = stream.set_nodelay(true);
                return (stream, peer.ip());
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

    async fn serving(limits: ConnectionLimits) -> std::net::SocketAddr {
        let refuse = || async { axum::Extension(HeldBack(Duration::from_secs(3_600))) };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/refused", get(refuse))
            .route("/livez", get(|| async { "hello" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_within(limits, listener, router, std::future::pending()));
        address
    }

    fn brief() -> ConnectionLimits {
        ConnectionLimits { head: Duration::from_millis(100), ..ConnectionLimits::default() }
    }

    /// Reads to the end, which comes within seconds.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        let end = stream.read_to_end(&mut said);
        let _ = tokio::time::timeout(Duration::from_secs(20), end).await.expect("an end");
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let address = serving(brief()).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(rest(&mut silent).await, "");
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(&REQUEST[..20]).await.unwrap();
        assert_eq!(rest(&mut half).await, "");
    }

    /// Each byte in time does not make the head be in time.
    #[tokio::test]
    async fn a_head_that_trickles_is_cut_off() {
        let address = serving(brief()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(REQUEST).await.unwrap();
        answer(&mut slow).await;
        let trickle = async {
            slow.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
            loop {
                slow.write_all(b"a").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let cut: Result<io::Result<()>, _> =
            tokio::time::timeout(Duration::from_secs(20), trickle).await;
        assert!(cut.expect("an end").is_err());
    }

    /// A pause between two requests is no slow head.
    #[tokio::test]
    async fn an_idle_connection_is_kept() {
        let address = serving(brief()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            idle.write_all(REQUEST).await.unwrap();
            answer(&mut idle).await;
            tokio::time::sleep(brief().head * 3).await;
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_too_slowly_is_cut_off() {
        const PIECE: usize = 256 * 1024;
        const PIECES: usize = 512;
        let body = || async {
            let pieces = futures_util::stream::iter(
                (0..PIECES)
                    .map(|_| Ok::<_, io::Error>(axum::body::Bytes::from_static(&[0; PIECE]))),
            );
            Body::from_stream(pieces)
        };
        let limits = ConnectionLimits {
            stall: Duration::from_secs(1),
            slowest: u64::MAX,
            ..ConnectionLimits::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(body));
        tokio::spawn(serve_within(limits, listener, router, std::future::pending()));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(REQUEST).await.unwrap();
        // It takes something all the time, which would do for ten seconds.
        let mut taken = 0;
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = slow.read(&mut buffer).await {
            taken += count;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(taken < PIECE * PIECES, "{taken} bytes");
    }

    #[tokio::test]
    async fn idle_connections_make_room_and_busy_ones_leave_health() {
        let limits = ConnectionLimits { most: 16, per_address: 16, ..ConnectionLimits::default() };
        let address = serving(limits).await;
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut new = TcpStream::connect(address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut new).await.starts_with("HTTP/1.1 200"));
        assert_eq!(rest(&mut idle[0]).await, "", "the oldest is closed");
    }

    #[tokio::test]
    async fn connections_with_a_held_back_answer_make_room() {
        let limits = ConnectionLimits { most: 16, per_address: 16, ..ConnectionLimits::default() };
        let address = serving(limits).await;
        let mut held = Vec::new();
        for _ in 0..40 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /refused HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            held.push(stream);
        }
        assert_eq!(rest(&mut held[0]).await, "", "the oldest is closed");
        let mut new = TcpStream::connect(address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut new).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn beyond_the_cap_of_an_address_only_health_answers() {
        let limits = ConnectionLimits { per_address: 1, ..ConnectionLimits::default() };
        let address = serving(limits).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        answer(&mut first).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        assert!(rest(&mut second).await.starts_with("HTTP/1.1 503"));
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let health = rest(&mut third).await;
        assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("hello"), "{health}");
    }
}
