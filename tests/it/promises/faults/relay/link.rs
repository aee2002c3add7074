//! One connection through a relay: two pumps, one for each direction.

use std::{
    io,
    sync::{Arc, Mutex},
};

use rand::RngExt as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::watch,
};

use super::{
    Language, Shared, Side, Then, Upstream,
    frames::{Frames, Message},
    session::{Answered, Session, Statements},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Swallowed,
    Cut,
}

/// What a relay may do to a link.
#[derive(Debug)]
pub struct Control {
    fate: watch::Sender<Fate>,
    session: Mutex<Session>,
}

impl Control {
    /// Ends it with a reset.
    pub fn cut(&self) {
        self.fate.send_replace(Fate::Cut);
    }

    pub fn swallow(&self) {
        self.fate.send_if_modified(|fate| {
            let passes = *fate == Fate::Passes;
            if passes {
                *fate = Fate::Swallowed;
            }
            passes
        });
    }
}

/// Carries a client's connection to the other side until one of them ends it.
pub fn start(id: u64, mut client: TcpStream, shared: Arc<Shared>) {
    let control = Arc::new(Control {
        fate: watch::Sender::new(Fate::Passes),
        session: Mutex::new(Session::default()),
    });
    shared.links.lock().unwrap().insert(id, Arc::clone(&control));
    tokio::spawn(async move {
        let _ = client.set_nodelay(true);
        let link = Link { control, shared };
        match &link.shared.upstream {
            Upstream::Tcp(address) => {
                if let Ok(mut server) = TcpStream::connect(address).await {
                    let _ = server.set_nodelay(true);
                    link.carry(client.split(), server.split()).await;
                    link.reset(&server);
                }
            }
            Upstream::Unix(path) => {
                if let Ok(mut server) = UnixStream::connect(path).await {
                    link.carry(client.split(), server.split()).await;
                }
            }
        }
        link.reset(&client);
        link.shared.links.lock().unwrap().remove(&id);
    });
}

struct Link {
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Link {
    /// Makes a cut one a reset; otherwise the kernel says goodbye politely.
    fn reset(&self, stream: &TcpStream) {
        if *self.control.fate.borrow() == Fate::Cut {
            let _ = stream.set_zero_linger();
        }
    }

    async fn carry(
        &self,
        client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) {
        let mut fate = self.control.fate.subscribe();
        tokio::select! {
            _ = self.pump(client, server) => {}
            _ = fate.wait_for(|fate| *fate == Fate::Cut) => {}
        }
    }

    async fn pump(
        &self,
        (from_client, to_client): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        (from_server, to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let ended = tokio::select! {
            ended = self.requests(from_client, to_server) => ended,
            ended = self.answers(from_server, to_client) => ended,
        };
        // Who is on a half-open connection is not told that the other side has gone.
        if *self.control.fate.borrow() == Fate::Swallowed {
            std::future::pending::<()>().await;
        }
        ended
    }

    async fn requests(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut frames = Frames::of_client();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            if self.shared.language == Language::Plain {
                self.pass(&mut to, &buffer[..read]).await?;
                continue;
            }
            frames.push(&buffer[..read]);
            let mut ready = Vec::new();
            while let Some(message) = frames.pop() {
                let starts = self.control.session.lock().unwrap().asks(&message);
                if let Some(statements) = starts {
                    // What came before it must have gone through for the trap to be where it says.
                    if self.is_trapped(&statements, Side::Before) {
                        self.pass(&mut to, &std::mem::take(&mut ready)).await?;
                        self.spring(statements);
                    }
                }
                ready.extend(message.bytes);
            }
            self.pass(&mut to, &ready).await?;
        }
    }

    async fn answers(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut frames = Frames::of_server();
        let mut buffer = vec![0; 16 * 1024];
        let mut held = Vec::new();
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                // The server's last word, an error perhaps, has no "ready" behind it.
                self.pass(&mut to, &held).await?;
                return Ok(());
            }
            if self.shared.language == Language::Plain {
                self.pass(&mut to, &buffer[..read]).await?;
                continue;
            }
            frames.push(&buffer[..read]);
            while let Some(message) = frames.pop() {
                let whole = self.note(&message);
                held.extend(message.bytes);
                if whole {
                    self.pass(&mut to, &std::mem::take(&mut held)).await?;
                }
            }
        }
    }

    /// Notes a message of the server; says whether everything up to it may pass.
    fn note(&self, message: &Message) -> bool {
        let answered = self.control.session.lock().unwrap().answers(message);
        match answered {
            Answered::More => false,
            Answered::Greeting | Answered::Ready => true,
            Answered::Statement(statements) => {
                if self.is_trapped(&statements, Side::After) {
                    self.spring(statements);
                }
                true
            }
            Answered::End(transaction) => {
                if self.is_trapped(&transaction.statements, Side::After) {
                    self.spring(transaction.statements.clone());
                }
                self.shared.seen.lock().unwrap().push(transaction);
                true
            }
        }
    }

    fn is_trapped(&self, statements: &Statements, side: Side) -> bool {
        let trap = self.shared.trap.lock().unwrap();
        trap.as_ref().is_some_and(|trap| trap.side == side && trap.at == *statements)
    }

    fn spring(&self, statements: Statements) {
        let Some(trap) = self.shared.trap.lock().unwrap().take() else { return };
        match trap.then {
            Then::Freeze => {
                self.shared.frozen.send_replace(true);
            }
            Then::Cut => self.control.cut(),
            Then::Swallow => self.control.swallow(),
        }
        let _ = self.shared.sprung.send(statements);
    }

    /// Writes, unless the link is past that; later when the relay is slow or stands still.
    async fn pass(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let longest = *self.shared.delay.borrow();
        if !longest.is_zero() {
            let share = rand::rng().random_range(0.0..1.0);
            tokio::time::sleep(longest.mul_f64(share)).await;
        }
        let mut frozen = self.shared.frozen.subscribe();
        let _ = frozen.wait_for(|frozen| !frozen).await;
        match *self.control.fate.borrow() {
            Fate::Passes => {}
            Fate::Swallowed => return Ok(()),
            Fate::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        to.write_all(bytes).await
    }
}
