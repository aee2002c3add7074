//! A restore: database files that are made beside their place, filled, and put there when they are
//! whole.
//!
//! A kill leaves files that every start refuses and that the next restore removes.

use std::fs::File;
use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use super::claim::DataDir;
use super::copy::Loader;
use super::error::EmbeddedError;
use super::install::Install;
use super::options::{EmbeddedOptions, Lifetime};
use super::switch::{self, RESTORING};
use super::{EmbeddedPostgres, blocking};

/// A restore that has begun. The server on its files is found by no other process.
#[derive(Debug)]
pub struct Restore {
    dir: DataDir,
    loader: Loader,
    postgres: EmbeddedPostgres,
}

impl Restore {
    /// Begins a restore of a file that PostgreSQL of this major version wrote.
    ///
    /// # Errors
    /// The data directory holds anything, another muster uses it, or no PostgreSQL is installed that
    /// reads the file. Then nothing was changed.
    pub async fn begin(options: EmbeddedOptions, written_by: u32) -> Result<Self, EmbeddedError> {
        let of_all = options.clone();
        let (dir, server_lock, install, loader) = blocking(move || {
            let install = Install::at_least(of_all.bin_dir.as_deref(), written_by)?;
            let loader = Loader::of(&install)?;
            switch::refuse_unless_empty(&of_all.data_dir)?;
            let (dir, server_lock) = DataDir::take(&of_all)?;
            // Now under the lock.
            switch::refuse_unless_empty(&of_all.data_dir)?;
            switch::remove_restore(&dir.layout)?;
            Ok((dir, server_lock, install, loader))
        })
        .await?;
        let taken = dir.clone();
        let layout = dir.layout.closed(RESTORING);
        let launch = move || taken.launch(server_lock, layout, &install, &options);
        let postgres = EmbeddedPostgres::run(launch, Lifetime::Kept).await?;
        Ok(Self { dir, loader, postgres })
    }

    /// The options to connect to `database`.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        self.postgres.connect_options(database)
    }

    /// Makes the database and copies the file into it.
    pub async fn load(&self, database: &str, from: &File) -> Result<(), EmbeddedError> {
        self.postgres.load(&self.loader, database, from).await
    }

    /// Puts the files in their place. Connections must be closed. Returns the data directory.
    pub async fn complete(self) -> Result<PathBuf, EmbeddedError> {
        self.postgres.stop_cleanly().await?;
        switch::complete_restore(&self.dir.layout)?;
        self.dir.layout.closed(RESTORING).remove_socket_dir(&self.dir.account);
        Ok(self.dir.layout.data_dir.clone())
    }

    /// Ends the server and removes the files.
    pub async fn abandon(self) -> Result<(), EmbeddedError> {
        self.postgres.stop().await?;
        self.dir.layout.closed(RESTORING).remove_socket_dir(&self.dir.account);
        switch::remove_restore(&self.dir.layout)
    }
}
