//! What the load is compared with: listeners that accept and hold, in a process of their own, as the
//! service is. It ends when the value is dropped and, on Linux, when the bench dies in any way.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    process::{Child, Command},
};

use super::attack::Attack;
use crate::{
    bench::{
        error::{BenchError, Result},
        process,
    },
    embedded,
};

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// Connections that wait for their acceptance; the system has a limit of its own.
const BACKLOG: u32 = 4096;
/// Open files beside those of the connections.
const OTHER_FILES: u64 = 200;

/// A running dummy. Dropping it ends the process.
#[derive(Debug)]
pub struct Dummy {
    holds: SocketAddr,
    answers: SocketAddr,
    _child: Child,
}

impl Dummy {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let failed = BenchError::system("start the dummy");
        let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
        let mut command = std::process::Command::new(program);
        command.args(["bench", "--dummy"]).stdin(Stdio::null()).stdout(Stdio::piped());
        embedded::die_with_thread(&mut command, Signal::KILL);
        let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
        let says = child.stdout.take().map(|out| BufReader::new(out).lines());
        let silent = || BenchError::Impossible("the dummy says no address".into());
        let mut says = says.ok_or_else(silent)?;
        let mut address = async || {
            let line = says.next_line().await.ok().flatten();
            line.and_then(|line| line.parse::<SocketAddr>().ok()).ok_or_else(silent)
        };
        Ok(Self { holds: address().await?, answers: address().await?, _child: child })
    }

    /// The listener for the load of this attack.
    pub fn address(&self, attack: Attack) -> SocketAddr {
        if attack.is_answered() { self.answers } else { self.holds }
    }
}

/// Is the dummy: one listener holds what comes, one answers each request with 204.
pub async fn run(connections: u32) -> Result<()> {
    let _ = process::allow_open_files(u64::from(connections) + OTHER_FILES);
    let listen = || {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        Ok::<_, std::io::Error>((listener.local_addr()?, listener))
    };
    let failed = || BenchError::system("listen as the dummy");
    let (holds, holding) = listen().map_err(failed())?;
    let (answers, answering) = listen().map_err(failed())?;
    let mut out = std::io::stdout();
    writeln!(out, "{holds}\n{answers}").and_then(|()| out.flush()).map_err(failed())?;
    tokio::select! {
        () = accept(&holding, false) => {}
        () = accept(&answering, true) => {}
    }
    Ok(())
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
