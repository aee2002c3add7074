//! Copies of a database: out of a server into a file, and back, by the programs of PostgreSQL.
//!
//! They run as our user, the only one that may connect, and inherit the open file: the account of the
//! server needs no access to it.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::cluster;
use super::error::EmbeddedError;
use super::install::Install;
use super::options::EmbeddedOptions;
use super::running::Address;
use super::{spawn, switch};

/// The program that copies a database into a file (`pg_dump`).
#[derive(Debug, Clone)]
pub struct Dumper {
    program: PathBuf,
    major: u32,
}

impl Dumper {
    /// That of the version of the server on this data directory, which may be running.
    ///
    /// # Errors
    /// There is no data, or the program is not installed.
    pub fn of_data(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let cluster = switch::current(&options.data_dir);
        let Some(major) = cluster::major(&cluster)? else {
            return EmbeddedError::unusable(format!(
                "there is no database in {}; name its place with --data-dir",
                options.data_dir.display()
            ));
        };
        Self::of(&Install::find(options.bin_dir.as_deref(), Some(major), &cluster)?)
    }

    /// That of an installed version.
    pub(super) fn of(install: &Install) -> Result<Self, EmbeddedError> {
        Ok(Self { program: install.client("pg_dump")?, major: install.version.major })
    }

    /// The major version of the program. No older one reads its files.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Copies a database into the file, as it is or as a `snapshot` of it was.
    pub async fn dump(
        &self,
        server: &Address,
        database: &str,
        snapshot: Option<&str>,
        into: &File,
    ) -> Result<(), EmbeddedError> {
        let mut command = spawn::ours(&self.program);
        // Beside a service under load, the quick compression.
        command.args(["--format=custom", "--compress=1", "--no-password"]);
        command.arg(format!("--dbname={}", server.url(database)));
        command.args(snapshot.map(|snapshot| format!("--snapshot={snapshot}")));
        command.stdout(into.try_clone().map_err(EmbeddedError::io("run", &self.program))?);
        run(command, &self.program).await
    }
}

/// The program that copies a file into an empty database (`pg_restore`).
#[derive(Debug, Clone)]
pub(super) struct Loader {
    program: PathBuf,
}

impl Loader {
    /// That of an installed version.
    pub(super) fn of(install: &Install) -> Result<Self, EmbeddedError> {
        Ok(Self { program: install.client("pg_restore")? })
    }

    /// Copies all of the file, or nothing.
    pub(super) async fn load(
        &self,
        from: &File,
        server: &Address,
        database: &str,
    ) -> Result<(), EmbeddedError> {
        let failed = EmbeddedError::io("run", &self.program);
        let start = from.try_clone().and_then(|mut from| {
            from.seek(SeekFrom::Start(0))?;
            Ok(from)
        });
        let mut command = spawn::ours(&self.program);
        command.args(["--single-transaction", "--exit-on-error", "--no-password"]);
        command.args(["--no-owner", "--no-privileges"]);
        command.arg(format!("--dbname={}", server.url(database)));
        command.stdin(start.map_err(failed)?);
        run(command, &self.program).await
    }
}

/// Runs a program that ends with us.
async fn run(mut command: Command, program: &Path) -> Result<(), EmbeddedError> {
    let (report, ended) = oneshot::channel::<std::io::Result<Output>>();
    // Its thread must live as long as the program.
    std::thread::Builder::new()
        .name("muster-copy".to_owned())
        .spawn(move || {
            command.stderr(std::process::Stdio::piped());
            spawn::die_with_thread(&mut command, Signal::KILL);
            let _ = report.send(command.output());
        })
        .map_err(EmbeddedError::io("start", "a thread".as_ref()))?;
    let output = match ended.await {
        Ok(output) => output.map_err(EmbeddedError::io("run", program))?,
        Err(_) => return EmbeddedError::unusable("the thread that copies a database panicked"),
    };
    if output.status.success() {
        return Ok(());
    }
    EmbeddedError::unusable(format!(
        "{} failed: {}: {}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
