//! `muster backup` and `muster restore`: the database of a private PostgreSQL in one file.
//!
//! A backup is the data of one moment, also beside a service at work, and has every change that was
//! acknowledged before it began. A restore makes new database files, and puts them in their place when
//! they are whole.

use std::path::PathBuf;

use clap::Args;

use super::{
    archive::{About, Archive, Draft, FORMAT},
    failure::Failure,
    key_file::KeyFile,
    print,
};
use crate::{
    app::secrets::KeySource as _,
    config::{DATABASE, DatabaseConfig},
    embedded::{Address, Dumper, EmbeddedError, EmbeddedPostgres, Restore},
    shutdown::Shutdown,
    store::{
        self,
        schema::{Schema, Snapshot},
    },
};

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file of the backup; replaced if there is one
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The file of `muster backup`
    file: PathBuf,
}

/// `muster backup`.
pub async fn backup(config: &DatabaseConfig, args: &BackupArgs) -> Result<(), Failure> {
    if config.url().is_some() {
        return Err("DATABASE_URL is set; back up its database with the programs of PostgreSQL: \
             `pg_dump --format=custom --file=FILE \"$DATABASE_URL\"`"
            .into());
    }
    let shutdown = Shutdown::on_signals()?;
    let about = tokio::select! {
        done = back_up(config, args) => done?,
        () = shutdown.begun() => return Err("stopped; no backup was made".into()),
    };
    let file = args.file.display();
    let About { taken_at, bytes, schema: Schema { newest, .. }, .. } = &about;
    print::text(&format!(
        "{file} has the database as it was at {taken_at}: {bytes} bytes, schema {newest}\n"
    ))?;
    let fault = match about.master_keys.as_deref() {
        Some([]) => return print::text("Key files are not in it; it has no secrets.\n"),
        Some([_, ..]) => "It has secrets, and not their master key.",
        None => "It has no master key; this version does not know whether it has secrets.",
    };
    let keys = KeyFile::of(config)?;
    let keys = keys.map_or("the key file".to_owned(), |keys| keys.path().display().to_string());
    print::text(&format!("{fault} Keep a copy of {keys}, apart from this file.\n"))
}

async fn back_up(config: &DatabaseConfig, args: &BackupArgs) -> Result<About, Failure> {
    let options = config.embedded()?;
    let dumper = Dumper::of_data(&options)?;
    let draft = Draft::at(&args.file)?;
    let (private, address) = match EmbeddedPostgres::start(options).await {
        Ok(private) => {
            let address = private.address().clone();
            (Some(private), address)
        }
        Err(EmbeddedError::InUse { data_dir, .. }) => (None, Address::of_running(&data_dir)?),
        Err(error) => return Err(error.into()),
    };
    let pool = store::connect(address.connect_options(DATABASE), 1).await?;
    let snapshot = Snapshot::take(&pool).await?;
    dumper.dump(&address, DATABASE, Some(&snapshot.name), draft.file()).await?;
    let Snapshot { taken_at, ref schema, ref master_keys, .. } = snapshot;
    let (schema, master_keys) = (schema.clone(), master_keys.clone());
    drop(snapshot);
    pool.close().await;
    if let Some(private) = private {
        private.stop().await?;
    }
    draft.complete(|bytes, sha256| About {
        format: FORMAT,
        muster: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        postgres: dumper.major(),
        schema,
        master_keys,
        bytes,
        sha256,
    })
}

/// `muster restore`.
pub async fn restore(config: &DatabaseConfig, args: &RestoreArgs) -> Result<(), Failure> {
    if config.url().is_some() {
        return Err(
            "DATABASE_URL is set; restore into its database, an empty one, with the programs \
             of PostgreSQL: `pg_restore --no-owner --dbname=\"$DATABASE_URL\" FILE`, which also \
             reads the files of `muster backup`"
                .into(),
        );
    }
    let archive = Archive::open(&args.file)?;
    let about = &archive.about;
    known(about)?;
    let shutdown = Shutdown::on_signals()?;
    let restore = tokio::select! {
        begun = Restore::begin(config.embedded()?, about.postgres) => begun?,
        () = shutdown.begun() => return Err("stopped; nothing was restored".into()),
    };
    let filled = tokio::select! {
        filled = fill(&restore, &archive) => filled,
        () = shutdown.begun() => Err("stopped; nothing was restored".into()),
    };
    if let Err(error) = filled {
        restore.abandon().await?;
        return Err(error);
    }
    let data_dir = restore.complete().await?;
    print::text(&format!(
        "restored the database as it was at {} into {}\n\
         `muster migrate` brings the schema up to date, `muster verify --at-rest` checks the data, \
         `muster serve` does the first by itself.\n",
        about.taken_at,
        data_dir.display()
    ))?;
    missing_keys(config, about)?.map_or(Ok(()), |text| print::text(&text))
}

/// Fails if this program does not know the schema.
fn known(about: &About) -> Result<(), Failure> {
    let (of_backup, own) = (&about.schema, Schema::current());
    if of_backup.newest > own.newest {
        return Err(format!(
            "the backup is of muster {} with schema {}, and this muster ({}) knows schemas up to {}; \
             restore it with that version or a newer one",
            about.muster,
            of_backup.newest,
            env!("CARGO_PKG_VERSION"),
            own.newest
        )
        .into());
    }
    if *of_backup != Schema::up_to(of_backup.newest) {
        return Err(format!(
            "the schema {} of the backup is none of this muster's; restore it with the version that \
             made it, {}",
            of_backup.newest, about.muster
        )
        .into());
    }
    Ok(())
}

async fn fill(restore: &Restore, archive: &Archive) -> Result<(), Failure> {
    restore.load(DATABASE, &archive.file).await?;
    let pool = store::connect(restore.connect_options(DATABASE), 1).await?;
    let schema = store::schema::schema(&mut *pool.acquire().await?).await;
    pool.close().await;
    if schema? != archive.about.schema {
        return Err(
            "the restored schema is not that of the backup: its last line was changed".into()
        );
    }
    Ok(())
}

/// What to do about master keys of the backup that the key file does not have.
fn missing_keys(config: &DatabaseConfig, about: &About) -> Result<Option<String>, Failure> {
    let Some(file) = KeyFile::of(config)? else { return Ok(None) };
    let Some(master_keys) = &about.master_keys else {
        return Ok(Some(format!(
            "The backup does not say which master keys its secrets need. If it has secrets, put the \
             key file of that time at {} before you start the service.\n",
            file.path().display()
        )));
    };
    let found = file.keys().map(|keys| keys.fingerprints()).unwrap_or_default();
    let missing: Vec<&str> =
        master_keys.iter().map(String::as_str).filter(|key| !found.contains(key)).collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "Its secrets are under the master key {}, which is not in {}. Put the key file there \
             before you start the service; without it the secrets must be set again.\n",
            missing.join(", "),
            file.path().display()
        )
    }))
}
