//! Where a private PostgreSQL can be reached, by us and by other processes of the same user.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::ROLE;
use super::error::EmbeddedError;
use super::layout::{PORT, RUN};

/// The address of a private PostgreSQL. Says nothing about whether it runs.
#[derive(Debug, Clone)]
pub struct Address {
    socket_dir: PathBuf,
}

impl Address {
    /// Where the server is that another process of the same user runs on this data directory.
    pub fn of_running(data_dir: &Path) -> Result<Self, EmbeddedError> {
        // When the path is too long for a socket, this is a link to the place of the socket.
        let run = data_dir.join(RUN);
        let socket_dir = run.canonicalize().map_err(EmbeddedError::io("resolve", &run))?;
        Ok(Self { socket_dir })
    }

    pub(super) fn at(socket_dir: PathBuf) -> Self {
        Self { socket_dir }
    }

    /// How to connect to `database`. Nothing comes from the `PG*` variables of the caller, except
    /// `PGOPTIONS`, which sqlx cannot be told to leave out.
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

    /// The same as a URL for `psql`, or for the `DATABASE_URL` of another process of the same user.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(self.socket_dir.as_os_str().as_bytes());
        let database = percent_encode(database.as_bytes());
        format!("postgresql://{ROLE}@{host}:{PORT}/{database}?sslmode=disable")
    }
}

/// Everything but letters and digits: a socket directory stands where a URL has its host.
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
