//! An upgrade of the data to another major version of PostgreSQL.
//!
//! The old programs run the old files once more, and the new ones copy every database out of that
//! server and into new files beside. The new files get their place when they are whole (see
//! [`super::switch`]), and the old ones are kept. A kill at any moment leaves the old or the new files
//! usable.
//!
//! Why not `pg_upgrade`: it needs the same settings on both sides and all programs of the old version,
//! and many packages leave it out. A copy takes longer and also makes all indexes anew.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::claim::DataDir;
use super::copy::{Dumper, Loader};
use super::error::EmbeddedError;
use super::install::Install;
use super::layout::{CLUSTER, Layout};
use super::lock::LockFile;
use super::options::{EmbeddedOptions, Lifetime};
use super::switch::{self, UPGRADING};
use super::{EmbeddedPostgres, blocking, cluster};

/// What an upgrade did.
#[derive(Debug)]
pub enum Upgrade {
    /// The data has this major version already, the newest installed.
    NotNeeded(u32),
    /// The data was copied.
    Done {
        /// The major version before.
        from: u32,
        /// The version now.
        to: String,
        /// The data directory of the server.
        data: PathBuf,
        /// The old files.
        kept: Option<PathBuf>,
    },
}

/// Both versions, and the directory.
struct Plan {
    dir: DataDir,
    server_lock: LockFile,
    from: u32,
    old: Install,
    new: Install,
    dumper: Dumper,
    loader: Loader,
}

/// Copies the data to the newest installed version, or to the one of `options`. The old programs are
/// searched, or are in `old_bin`.
///
/// # Errors
/// Every error leaves the data as it was, and says how to go on.
pub async fn upgrade(
    options: EmbeddedOptions,
    old_bin: Option<PathBuf>,
) -> Result<Upgrade, EmbeddedError> {
    let of_plan = options.clone();
    let planned = blocking(move || plan(&of_plan, old_bin.as_deref())).await?;
    let Plan { dir, server_lock, from, old, new, dumper, loader } = match planned {
        Ok(plan) => plan,
        Err(major) => return Ok(Upgrade::NotNeeded(major)),
    };
    let to = new.version.to_string();
    let data_dir = dir.layout.data_dir.clone();
    tracing::info!(from, to, "copying the data out of the old version");
    let layout = dir.layout.closed(CLUSTER);
    let dumps = with_server(&dir, server_lock, layout, old, &options, async |postgres| {
        let mut dumps = Vec::new();
        for database in databases(postgres).await? {
            let file = nameless(&data_dir)?;
            dumper.dump(&postgres.address, &database, None, &file).await?;
            dumps.push((database, file));
        }
        Ok(dumps)
    })
    .await?;
    tracing::info!(databases = dumps.len(), "copying the data into the new version");
    let layout = dir.layout.closed(UPGRADING);
    let taken = dir.clone();
    let server_lock = blocking(move || taken.server_lock()).await?;
    with_server(&dir, server_lock, layout, new, &options, async |postgres| {
        for (database, file) in &dumps {
            postgres.load(&loader, database, file).await?;
        }
        Ok(())
    })
    .await?;
    switch::mark_upgraded(&dir.layout)?;
    let kept = switch::complete_upgrade(&dir.layout)?;
    dir.layout.closed(CLUSTER).remove_socket_dir(&dir.account);
    Ok(Upgrade::Done { from, to, data: dir.layout.cluster.clone(), kept })
}

/// All checks. The error is the major version of data that needs no upgrade.
fn plan(
    options: &EmbeddedOptions,
    old_bin: Option<&Path>,
) -> Result<Result<Plan, u32>, EmbeddedError> {
    let no_data = |place: &Path| {
        EmbeddedError::unusable(format!(
            "there is no data in {}; name its place with --data-dir",
            place.display()
        ))
    };
    // Taking the directory makes it: a mistyped path would be left there, with locks in it.
    if cluster::major(&switch::current(&options.data_dir))?.is_none() {
        return no_data(&options.data_dir);
    }
    let (dir, server_lock) = DataDir::take(options)?;
    let cluster = &dir.layout.cluster;
    switch::settle(&dir.layout)?;
    let Some(from) = cluster::major(cluster)? else { return no_data(&dir.layout.data_dir) };
    let new = Install::newest(options.bin_dir.as_deref())?;
    let to = new.version.major;
    if to == from {
        return Ok(Err(from));
    }
    if to < from {
        let (cluster, found) = (cluster.clone(), new.version.to_string());
        return Err(EmbeddedError::OtherMajor { cluster, data: from, newest: to, found });
    }
    let old = Install::of_data(old_bin, from, cluster)?;
    switch::refuse_mount(&dir.layout)?;
    // Those of the new version read older servers too.
    let (dumper, loader) = (Dumper::of(&new)?, Loader::of(&new)?);
    Ok(Ok(Plan { dir, server_lock, from, old, new, dumper, loader }))
}

/// Runs a server for some work, and stops it.
async fn with_server<T>(
    dir: &DataDir,
    server_lock: LockFile,
    layout: Layout,
    install: Install,
    options: &EmbeddedOptions,
    work: impl AsyncFnOnce(&EmbeddedPostgres) -> Result<T, EmbeddedError>,
) -> Result<T, EmbeddedError> {
    let (dir, options) = (dir.clone(), options.clone());
    let launch = move || dir.launch(server_lock, layout, &install, &options);
    let postgres = EmbeddedPostgres::run(launch, Lifetime::Kept).await?;
    let done = work(&postgres).await;
    let stopped = postgres.stop_cleanly().await;
    let done = done?;
    stopped?;
    Ok(done)
}

/// The databases with data, also such that muster did not make.
async fn databases(postgres: &EmbeddedPostgres) -> Result<Vec<String>, EmbeddedError> {
    let list = async {
        let options = postgres.connect_options("postgres");
        let mut connection = PgConnection::connect_with(&options).await?;
        let names = sqlx::query_scalar(
            "SELECT datname::text FROM pg_database
             WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' ORDER BY datname",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(names)
    };
    list.await.map_err(|source| EmbeddedError::Database { name: "postgres".to_owned(), source })
}

/// A file that no path leads to: it is gone with us.
fn nameless(data_dir: &Path) -> Result<File, EmbeddedError> {
    let path = data_dir.join(format!("{UPGRADING}.dump"));
    let made = EmbeddedError::io("create", &path);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(made)?;
    std::fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?;
    Ok(file)
}
