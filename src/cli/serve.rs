//! `muster serve`: start and stop of the service.
//!
//! Start: take the address (so a second service fails at once), open and migrate the database, create
//! the first key, start the supervisor and the server.
//!
//! Stop, on a signal: `/readyz` reports not ready while requests are served for `--notice-seconds`;
//! then long polls are answered, the server accepts no new connections and finishes its requests; the
//! supervisor ends its duty; accepted commands are committed; the pool closes; the private PostgreSQL
//! stops last. After `--drain-seconds` the rest is cut off.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::net::{TcpListener, TcpSocket};

use super::{
    artifacts,
    database::{Database, Use},
    embeddings,
    failure::Failure,
    goal_files, key_file, models, print,
    readiness::ServiceReadiness,
    sign_in,
};
use crate::{
    app::{App, access::bootstrap::Bootstrap},
    clock::Clock,
    config::{Capture, DatabaseConfig, ServeConfig},
    domain::access::token::Token,
    entropy::Entropy,
    http::{
        self,
        serve::connections::ConnectionLimits,
        state::{HttpState, Limits},
    },
    open_files,
    shutdown::{Drain, Shutdown},
    store, supervisor, telemetry,
};

/// Longest close of the unused pool.
const CLOSE_POOL: Duration = Duration::from_secs(5);

/// What the service may be used for at once.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Limits of requests.
    pub requests: Limits,
    /// Limits of connections.
    pub connections: ConnectionLimits,
}

/// Runs the service until it is asked to stop.
pub async fn run(settings: &DatabaseConfig, config: &ServeConfig) -> Result<(), Failure> {
    let given = given_key(config)?;
    let shutdown = Shutdown::on_signals()?;
    let files = match open_files::raise() {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            open_files::limit()
        }
    };
    let others = usize::from(settings.database_connections);
    let allowed =
        Allowed { requests: config.limits(), connections: config.connections(files, others) };
    let listener = listen(config.listen)?;
    let connections = settings.database_connections;
    let database = tokio::select! {
        opened = Database::open(settings, Use::Own) => opened?,
        // No request was accepted yet; a started PostgreSQL ends with the future.
        () = shutdown.begun() => return Ok(()),
    };
    let service = async |opened: &Database, app: App| {
        let app = app.patient(config.limits().timeout).capped(config.workspace_caps());
        let app = app.with_master_keys(key_file::of_service(settings)?);
        let app = app.capturing(config.knowledge.capture == Capture::On);
        let app = goal_files::configured(app, &config.prune)?;
        if let Some(why) = app.unreadable_secrets().await? {
            tracing::error!(why, "stored secrets cannot be read");
        }
        bootstrap(&app, given.as_ref()).await?;
        let app = sign_in::configured(app, &config.sign_in).await?;
        let app = models::configured(app, &config.planner)?;
        let app = embeddings::configured(app, &config.knowledge)?;
        let app = artifacts::configured(app, settings, &config.artifacts)?;
        serve(opened, &app, listener, allowed, config.drain(), &shutdown).await
    };
    on(database, connections, &shutdown, service).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Runs a service on a database, which is migrated before and closed after it.
pub async fn on(
    database: Database,
    connections: u16,
    shutdown: &Shutdown,
    service: impl AsyncFnOnce(&Database, App) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pool = database.connect(connections).await?;
    let served = match store::migrate(&pool).await {
        Ok(()) => {
            let app = App::new(pool.clone(), Clock::default(), Entropy::system());
            service(&database, app).await
        }
        Err(error) => Err(error.into()),
    };
    shutdown.force();
    if tokio::time::timeout(CLOSE_POOL, pool.close()).await.is_err() {
        tracing::warn!("connections to the database are cut off");
    }
    database.close().await?;
    served
}

/// Serves until the stop has begun and all accepted work is done, or the time to drain is over.
pub async fn serve(
    database: &Database,
    app: &App,
    listener: TcpListener,
    allowed: Allowed,
    drain: Drain,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let state = HttpState {
        app: Arc::new(app.clone()),
        readiness: Arc::new(ServiceReadiness::new(app.clone(), shutdown.clone())),
        metrics: Arc::new(telemetry::metrics(shutdown)?),
        limits: Arc::new(allowed.requests),
    };
    supervisor::spawn(app, shutdown);
    let router = http::router(&state);
    tracing::info!(address = %listener.local_addr()?, "listening");

    let on_stop = {
        let (app, shutdown) = (app.clone(), shutdown.clone());
        async move {
            // A second signal ends the notice.
            tokio::select! {
                () = shutdown.after(drain.notice) => {}
                () = shutdown.forced() => {}
            }
            app.wake().stop_waiting();
        }
    };
    let deadline = shutdown.deadline(drain.notice + drain.patience);
    let serving = http::serve::serve_within(allowed.connections, listener, router, on_stop);
    let serving = until_drained(serving, app, shutdown);
    tokio::select! {
        outcome = serving => outcome,
        () = deadline => {
            tracing::warn!("the time to drain is over; the remaining work is cut off");
            Ok(())
        }
        status = database.ended() => {
            shutdown.force();
            Err(format!("the private PostgreSQL ended: {status}").into())
        }
    }
}

/// Serves until the stop has begun and all accepted work is done.
async fn until_drained(
    serving: impl Future<Output = std::io::Result<()>>,
    app: &App,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    serving.await?;
    // Also if the server ended by itself.
    shutdown.begin();
    shutdown.finished().await;
    app.drain().await;
    Ok(())
}

/// Connections that wait for their acceptance: a health check that finds no room among a flood of them is
/// tried again by its system only after a second. The system has a limit of its own.
const BACKLOG: u32 = 4096;

/// Takes the address.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As a restarted service needs it: connections of the one before may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error: std::io::Error| {
        format!("cannot listen on {address}: {error}; choose another address with --listen").into()
    })
}

/// The key given for the first start. An empty variable is none.
fn given_key(config: &ServeConfig) -> Result<Option<Token>, Failure> {
    let given = config.bootstrap_key.as_ref().map(|key| key.expose_secret());
    let given = given.filter(|key| !key.is_empty());
    let token = given.map(Token::parse).transpose();
    token.map_err(|error| format!("MUSTER_BOOTSTRAP_KEY cannot be used: {error}").into())
}

async fn bootstrap(app: &App, given: Option<&Token>) -> Result<(), Failure> {
    match app.bootstrap(given).await? {
        Bootstrap::Existing { given_key_known: true } => Ok(()),
        Bootstrap::Existing { given_key_known: false } => {
            tracing::warn!(
                "MUSTER_BOOTSTRAP_KEY is no valid key of this database; it only takes effect on \
                 an empty one (`muster keys create` creates more keys)"
            );
            Ok(())
        }
        Bootstrap::Given => {
            tracing::info!("created the workspace `default` with the key of MUSTER_BOOTSTRAP_KEY");
            Ok(())
        }
        Bootstrap::Made(token) => {
            tracing::info!("created the workspace `default`; its admin key is on standard output");
            print::text(&format!("Admin key, shown only now: {}\n", token.expose()))
        }
    }
}
