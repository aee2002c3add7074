//! The HTTP client for calls to others.
//!
//! HTTPS with the certificates of the machine; plain HTTP only to this machine itself. Redirects are not
//! followed: an answer that leads elsewhere is a wrong answer. Every call has a deadline and a largest
//! answer. Proxies of the environment are not used.

use std::{net::IpAddr, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, Uri, body::Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Time of a call, from the connection to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer in bytes.
const LARGEST: usize = 1024 * 1024;

/// Why a call has no answer. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is neither HTTPS nor this machine.
    #[error("{0} is not https://")]
    NotSecure(String),
    /// The call failed.
    #[error("{host} does not answer: {cause}")]
    Failed {
        /// Who was called.
        host: String,
        /// Why.
        cause: String,
    },
}

/// The client; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    deadline: Duration,
}

impl HttpClient {
    /// A client with the certificates of the machine.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn new() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, deadline: DEADLINE })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default().to_owned();
        if !is_safe(uri) {
            return Err(HttpError::NotSecure(host));
        }
        let failed = |cause: String| HttpError::Failed { host: host.clone(), cause };
        let call = async {
            let request = request.map(|body| Full::new(Bytes::from(body)));
            let response = self.client.request(request).await.map_err(|error| whole(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(Response::from_parts(head, body.to_vec()))
        };
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answered) => answered.map_err(failed),
            Err(_) => Err(failed(format!("not within {:?}", self.deadline))),
        }
    }
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether nobody on the way can read or change a call.
fn is_safe(uri: &Uri) -> bool {
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => uri.host().is_some_and(is_here),
        Some(_) | None => false,
    }
}

/// Whether a host is this machine.
#[must_use]
pub fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn plain_http_stays_on_the_machine() {
        for good in [
            "https://id.example.com/a",
            "http://127.0.0.1:8/",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert!(is_safe(&good.parse().unwrap()), "{good}");
        }
        for bad in [
            "http://id.example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "/path",
        ] {
            assert!(!is_safe(&bad.parse().unwrap()), "{bad}");
        }
    }

    /// Asks a server of this machine that does with its only connection what `serve` says.
    async fn ask<F, S>(deadline: Duration, serve: F) -> Result<Response<Vec<u8>>, HttpError>
    where
        F: FnOnce(TcpStream) -> S + Send + 'static,
        S: Future<Output = std::io::Result<()>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let mut stream = listener.accept().await?.0;
            // A client takes an answer that comes before its request for a fault of the connection.
            let _request = stream.read(&mut [0; 4096]).await?;
            serve(stream).await
        });
        let client = HttpClient { deadline, ..HttpClient::new().unwrap() };
        let asked = Request::get(format!("http://{address}/secret-path?secret-query"));
        let answer = client.send(asked.body(Vec::new()).unwrap()).await;
        served.abort();
        answer
    }

    fn failure(answer: Result<Response<Vec<u8>>, HttpError>) -> String {
        let text = answer.unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
        text
    }

    #[tokio::test]
    async fn a_silent_server_is_left_after_the_deadline() {
        let silent = ask(Duration::from_millis(200), |stream| async move {
            let _open = stream;
            std::future::pending().await
        });
        let text = failure(silent.await);
        assert!(text.ends_with("not within 200ms"), "{text}");
    }

    #[tokio::test]
    async fn an_endless_answer_ends_at_the_largest() {
        let endless = ask(DEADLINE, async |mut stream: TcpStream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 64 * 1024]).await?;
            }
        });
        let text = failure(endless.await);
        assert!(text.contains("length limit exceeded"), "{text}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let redirect =
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        let redirected =
            ask(DEADLINE, async move |mut stream: TcpStream| stream.write_all(redirect).await);
        assert_eq!(redirected.await.unwrap().status(), 302);
    }
}
