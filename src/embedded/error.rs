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
    #[error(
        "the data in {} was written by PostgreSQL {data}, and another major version cannot read \
         it; found: {found}. Install PostgreSQL {data} (Debian `postgresql-{data}`, macOS \
         `postgresql@{data}`) and point MUSTER_PG_BIN at it, move the data with `pg_upgrade` or \
         `pg_dump`, or choose another --data-dir to begin anew",
        cluster.display()
    )]
    OtherMajor {
        /// The data directory of the server.
        cluster: PathBuf,
        /// The major version of the data.
        data: u32,
        /// The installed versions.
        found: String,
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
    /// A database cannot be looked up or created.
    #[error("cannot create the database {name:?} on the private PostgreSQL: {source}")]
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
