//! What the load is compared with: listeners that accept and hold, on a thread of their own.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
};

use super::attack::Attack;
use crate::bench::error::{BenchError, Result};

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Two listeners: one holds what comes, one answers each request with 204.
#[derive(Debug)]
pub struct Dummy {
    holds: SocketAddr,
    answers: SocketAddr,
    /// Its end is the end of the thread.
    _stop: oneshot::Sender<()>,
}

impl Dummy {
    /// Starts listening.
    pub fn start() -> Result<Self> {
        let bind = || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        };
        let failed = |error| BenchError::system("start the dummy")(error);
        let ((holds, holding), (answers, answering)) =
            (bind().map_err(failed)?, bind().map_err(failed)?);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("muster-dummy".to_owned());
        let run = move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let (Ok(holding), Ok(answering)) =
                    (TcpListener::from_std(holding), TcpListener::from_std(answering))
                else {
                    return;
                };
                tokio::select! {
                    _ = stopped => {}
                    () = accept(&holding, false) => {}
                    () = accept(&answering, true) => {}
                }
            });
        };
        thread.spawn(run).map_err(failed)?;
        Ok(Self { holds, answers, _stop: stop })
    }

    /// The listener for the load of this attack.
    pub fn address(&self, attack: Attack) -> SocketAddr {
        if attack.is_answered() { self.answers } else { self.holds }
    }
}

async fn accept(listener: &TcpListener, answers: bool) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hold(stream, answers));
        }
    }
}

async fn hold(mut stream: TcpStream, answers: bool) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
        if answers && stream.write_all(NO_CONTENT).await.is_err() {
            return;
        }
    }
}
