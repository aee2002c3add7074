//! The address of a private PostgreSQL, for us and for other processes of the same user.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::EmbeddedError;
use super::layout::{PORT, ROLE, RUN};

/// The address of a private PostgreSQL, which may have ended.
#[derive(Debug, Clone)]
pub struct Address {
    socket_dir: PathBuf,
}

impl Address {
    /// The address of the server that another process of the same user runs on this data directory.
    pub fn of_running(data_dir: &Path) -> Result<Self, EmbeddedError> {
        // A link to the directory of the socket if the path is too long.
        let run = data_dir.join(RUN);
        match run.canonicalize() {
            Ok(dir) if dir.join(format!(".s.PGSQL.{PORT}")).exists() => {
                Ok(Self { socket_dir: dir })
            }
            Ok(_) | Err(_) => EmbeddedError::unusable(format!(
                "another muster uses the data directory {}, and its database takes no connections \
                 now: it starts, stops, restores or upgrades; try again later",
                data_dir.display()
            )),
        }
    }

    pub(super) fn at(socket_dir: PathBuf) -> Self {
        Self { socket_dir }
    }

    /// The options to connect to `database`. They ignore the caller's `PG*` variables, except
    /// `PGOPTIONS`, which sqlx always reads.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("localhost")
            .port(PORT)
            .socket(&self.socket_dir)
            .username(ROLE)
            .password("")
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("muster")
    }

    /// The same as a URL, for `psql` or for `DATABASE_URL` of another process of the same user.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(self.socket_dir.as_os_str().as_bytes());
        let database = percent_encode(database.as_bytes());
        format!("postgresql://{ROLE}@{host}:{PORT}/{database}?sslmode=disable")
    }
}

/// Encodes all but letters and digits: the socket directory is the host of the URL.
fn percent_encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(*byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
