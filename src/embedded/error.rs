//! What can go wrong with the private PostgreSQL, said so that the reader can do something about it.

use std::path::{Path, PathBuf};

use super::install::Version;

/// How to do without a private server, for the end of a message.
const ELSEWHERE: &str = "or give muster a server that is already there: set DATABASE_URL \
     (postgres://user:password@host/database), or start both with `docker compose up`";

/// How to install one.
const INSTALL: &str = "Debian and Ubuntu `apt install postgresql`, Fedora and RHEL \
     `dnf install postgresql-server`, macOS `brew install postgresql@17`";

/// The private PostgreSQL cannot be used; each message says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No usable PostgreSQL is installed.
    #[error(
        "no PostgreSQL 14 or newer was found ({looked}). Install it: {INSTALL}; \
         if it is installed somewhere else, set MUSTER_PG_BIN to the \
         directory that holds `initdb` and `postgres`; {ELSEWHERE}"
    )]
    NotInstalled {
        /// Where it was looked for and what was there.
        looked: String,
    },
    /// The directory that was named has no usable PostgreSQL.
    #[error(
        "MUSTER_PG_BIN is {}, but {reason}; set it to the directory that holds `initdb` and \
         `postgres` (`pg_config --bindir` prints it), or leave it out to have them looked for; to install \
         PostgreSQL: {INSTALL}; {ELSEWHERE}",
        path.display()
    )]
    BinDir {
        /// The directory that was named.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
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
        /// The major version that wrote it.
        data: u32,
        /// The versions that are installed.
        found: String,
    },
    /// Another muster has this data directory.
    #[error(
        "another muster{} already uses the data directory {}; stop it first, choose another \
         --data-dir, or give both the same DATABASE_URL",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        data_dir.display()
    )]
    InUse {
        /// The directory both want.
        data_dir: PathBuf,
        /// The process that has it, if it left its number.
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
        /// The process that was found there.
        pid: i32,
    },
    /// What an earlier muster left running does not end.
    #[error(
        "a PostgreSQL server left running on {} by a muster that was killed does not stop; end its \
         processes and start again",
        cluster.display()
    )]
    Orphan {
        /// The data directory of the server.
        cluster: PathBuf,
    },
    /// Started as root, and there is nobody else to run the server as.
    #[error(
        "PostgreSQL does not run as root, and none of the accounts {tried} exists to run it as; \
         create one (`useradd --system postgres`), start muster as an ordinary user, {ELSEWHERE}"
    )]
    NoAccount {
        /// The names that were tried.
        tried: String,
    },
    /// The user has a number but no name.
    #[error(
        "user id {uid} has no name (no entry in /etc/passwd), and PostgreSQL needs one; add an \
         entry, start muster as a user that has one, {ELSEWHERE}"
    )]
    NoUserName {
        /// The number.
        uid: u32,
    },
    /// A parent of the data directory is closed to the account of the server.
    #[error(
        "PostgreSQL runs as user id {uid} because it refuses root, and that user cannot pass \
         through {}; choose a --data-dir that everybody can reach, such as /var/lib/muster, \
         or `chmod o+x` it",
        closed.display()
    )]
    Unreachable {
        /// The directory that is closed.
        closed: PathBuf,
        /// The account of the server.
        uid: u32,
    },
    /// The data belongs to somebody else.
    #[error(
        "{} belongs to user id {owner}, which is not usable here (muster runs as user id {us}); \
         start muster as the user that made it, change its owner, or choose another --data-dir",
        path.display()
    )]
    Owner {
        /// What belongs to somebody else.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who muster runs as.
        us: u32,
    },
    /// A directory is where the data should be, but it holds something else.
    #[error(
        "{} is there but holds no PostgreSQL data (no PG_VERSION); muster does not touch it: move \
         it away or choose another --data-dir",
        cluster.display()
    )]
    NotACluster {
        /// The directory.
        cluster: PathBuf,
    },
    /// There is no directory short enough for the socket.
    #[error(
        "no directory for the server's socket: the path below {} is longer than the {limit} bytes \
         a socket may have, and nothing in {tried} can be used instead; choose a shorter --data-dir",
        data_dir.display()
    )]
    NoSocketDir {
        /// The data directory.
        data_dir: PathBuf,
        /// How long a socket path may be.
        limit: usize,
        /// Where else it was tried.
        tried: String,
    },
    /// `initdb` failed.
    #[error("initdb could not create the database files in {}: {output}", cluster.display())]
    Initdb {
        /// Where the files were to be.
        cluster: PathBuf,
        /// What it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL did not start on {}; it ended with {status} and said: {log}", cluster.display())]
    Start {
        /// The data directory of the server.
        cluster: PathBuf,
        /// How it ended.
        status: String,
        /// The end of what it logged.
        log: String,
    },
    /// The server is not ready in time.
    #[error(
        "PostgreSQL on {} was not ready after {seconds} s (a long crash recovery?); it said: {log}",
        cluster.display()
    )]
    Slow {
        /// The data directory of the server.
        cluster: PathBuf,
        /// How long we waited.
        seconds: u64,
        /// The end of what it logged.
        log: String,
    },
    /// The server survives even SIGKILL, for as long as we looked.
    #[error("PostgreSQL (process {pid}) does not stop, not even killed; look for a hanging disk")]
    Stop {
        /// The process.
        pid: u32,
    },
    /// No home directory, so no default data directory.
    #[error("there is no home directory to keep data in; set HOME, or choose a --data-dir")]
    NoHome,
    /// The name cannot be that of a database.
    #[error("{name:?} cannot name a database: 1 to 63 bytes, none of them NUL")]
    DatabaseName {
        /// The name.
        name: String,
    },
    /// A database cannot be looked up or created.
    #[error("cannot create the database {name:?} on the private PostgreSQL: {source}")]
    Database {
        /// The database.
        name: String,
        /// What sqlx says.
        source: sqlx::Error,
    },
    /// A program cannot be run.
    #[error("cannot run {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file cannot be read, written, made or removed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: what was tried on which path.
    pub(super) fn io<E: Into<std::io::Error>>(
        what: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source: source.into() }
    }

    /// Nothing found, or nothing new enough.
    pub(super) fn not_installed(seen: &[Version]) -> Self {
        let looked = if seen.is_empty() {
            "looked in PATH, `pg_config --bindir` and the usual Debian, RPM and Homebrew places"
                .to_owned()
        } else {
            let seen: Vec<_> = seen.iter().map(ToString::to_string).collect();
            format!("only {}", seen.join(", "))
        };
        Self::NotInstalled { looked }
    }
}
