//! Errors of the private PostgreSQL. Each text says what is wrong and what to do.
//!
//! A variant exists where a caller distinguishes it; all other errors are a text, written where the
//! fault is found.

use std::path::{Path, PathBuf};

/// How to do without a private server, for the end of a message.
pub(super) const ELSEWHERE: &str = "or give muster an existing server: set DATABASE_URL \
     (postgres://user:password@host/database), or start both with `docker compose up`";

/// The private PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The data was written by a major version that is not installed.
    #[error("{}", other_major(cluster, *data, *newest, found))]
    OtherMajor {
        /// The data directory of the server.
        cluster: PathBuf,
        /// The major version of the data.
        data: u32,
        /// The newest installed major version.
        newest: u32,
        /// The installed versions.
        found: String,
    },
    /// An upgrade needs the programs that wrote the data.
    #[error(
        "the data in {} was written by PostgreSQL {data}, which is not installed; the upgrade needs \
         it once more. Nothing was changed. Either {}; if it is in an unusual place, name its \
         directory with --old-bin. Or {}",
        cluster.display(), packages(*data), from_a_backup(cluster, *data)
    )]
    OldProgramsMissing {
        /// The data directory of the server.
        cluster: PathBuf,
        /// The major version of the data.
        data: u32,
    },
    /// A restore into this data directory did not end.
    #[error(
        "a restore into this data directory was interrupted; repeat it (`muster restore FILE`), or \
         remove {} to begin without data",
        restoring.display()
    )]
    RestoreInterrupted {
        /// The files of the restore.
        restoring: PathBuf,
    },
    /// Another muster uses this data directory.
    #[error(
        "another muster{} already uses the data directory {}; stop it first, choose another \
         --data-dir, or give both the same DATABASE_URL",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        data_dir.display()
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The process number of the other muster, if it is known.
        holder: Option<u32>,
    },
    /// A server that muster did not start runs on the data.
    #[error(
        "process {pid} runs on {} and was not started by muster; stop it \
         (`pg_ctl stop -D {}`) and start again",
        cluster.display(), cluster.display()
    )]
    Occupied {
        /// The data directory of the server.
        cluster: PathBuf,
        /// The process number of that server.
        pid: i32,
    },
    /// A parent of the data directory is closed to the account of the server.
    #[error(
        "PostgreSQL runs as user id {uid} because it refuses root, and that user cannot pass \
         through {}; choose a --data-dir that every user can reach, such as /var/lib/muster, \
         or `chmod o+x` it",
        closed.display()
    )]
    Unreachable {
        /// The closed directory.
        closed: PathBuf,
        /// The account of the server.
        uid: u32,
    },
    /// The directory of the data holds something else.
    #[error(
        "{} exists but holds no PostgreSQL data (no PG_VERSION); muster does not touch it: move \
         it away or choose another --data-dir",
        cluster.display()
    )]
    NotACluster {
        /// The directory.
        cluster: PathBuf,
    },
    /// The name cannot be that of a database.
    #[error("{name:?} cannot name a database: 1 to 63 bytes, none of them NUL")]
    DatabaseName {
        /// The name.
        name: String,
    },
    /// A database cannot be looked up, created or filled.
    #[error(
        "cannot look up, create or fill the database {name:?} on the private PostgreSQL: {source}"
    )]
    Database {
        /// The name of the database.
        name: String,
        /// The error of sqlx.
        source: sqlx::Error,
    },
    /// A file or program cannot be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The verb.
        what: &'static str,
        /// The file or program.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// All other reasons: the fault and its remedy.
    #[error("{0}")]
    Unusable(String),
}

fn other_major(cluster: &Path, data: u32, newest: u32, found: &str) -> String {
    let (packages, backup) = (packages(data), from_a_backup(cluster, data));
    let cluster = cluster.display();
    let fault = format!(
        "the data in {cluster} was written by PostgreSQL {data}, and another major version cannot \
         read it; found: {found}."
    );
    if newest < data {
        return format!(
            "{fault} The data is newer than that: {packages}, or point MUSTER_PG_BIN at it; or \
             choose another --data-dir to begin anew"
        );
    }
    format!(
        "{fault} `muster database upgrade` moves the data to version {newest} and keeps the old \
         files. For that the programs of version {data} are needed once more: {packages}. Without \
         them: {backup}"
    )
}

/// How to install a major version.
fn packages(major: u32) -> String {
    format!(
        "install PostgreSQL {major} (Debian and Ubuntu `postgresql-{major}`, if need be from \
         apt.postgresql.org; Fedora and RHEL `postgresql{major}-server` from yum.postgresql.org; \
         macOS `postgresql@{major}`)"
    )
}

/// How to go on without the programs of the data.
fn from_a_backup(cluster: &Path, data: u32) -> String {
    format!(
        "restore a backup: `mv {} {}`, then `muster restore FILE`",
        cluster.display(),
        cluster.with_file_name(format!("postgres.old-{data}")).display()
    )
}

impl EmbeddedError {
    /// For `map_err`; `what` is the verb of the failed attempt on `path`.
    pub(super) fn io<E: Into<std::io::Error>>(
        what: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source: source.into() }
    }

    /// An error as a text.
    pub(super) fn unusable<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Self::Unusable(text.into()))
    }
}
