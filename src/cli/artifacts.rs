//! The store of artifacts, from the settings of the service.
//!
//! A directory beside the private PostgreSQL, another directory, or an object store. With a PostgreSQL of
//! `DATABASE_URL` there is no default: other servers of the same database would not find the bytes.

use std::{path::PathBuf, sync::Arc};

use secrecy::ExposeSecret as _;
use tokio_util::bytes::Bytes;

use super::failure::Failure;
use crate::{
    app::{
        App,
        artifacts::{
            Artifacts,
            store::{ArtifactStore, Chunks, Incoming, Later},
        },
    },
    config::{ArtifactConfig, DatabaseConfig},
    domain::artifact::StoredName,
    outbound::artifacts::{
        Store,
        directory::Directory,
        s3::{S3, S3Settings},
        spool::{Spool, Spooled},
    },
};

/// The name of the directory in the data directory.
const NAME: &str = "artifacts";

/// A store, as the use cases call it.
#[derive(Debug, Clone)]
pub struct Bytewise(pub Arc<Store>);

/// An upload to a store.
struct Arriving {
    store: Arc<Store>,
    spooled: Spooled,
    name: StoredName,
}

impl ArtifactStore for Bytewise {
    fn begin(&self, name: StoredName) -> Later<'_, Box<dyn Incoming>> {
        Box::pin(async move {
            let spooled = self.0.begin(&name).await?;
            let arriving = Arriving { store: Arc::clone(&self.0), spooled, name };
            Ok(Box::new(arriving) as Box<dyn Incoming>)
        })
    }

    fn read(&self, name: StoredName, first: u64, length: u64) -> Later<'_, Chunks> {
        Box::pin(async move { self.0.read(&name, first, length).await })
    }

    fn remove(&self, name: StoredName) -> Later<'_, ()> {
        Box::pin(async move { self.0.remove(&name).await })
    }

    fn tidy(&self) -> Later<'_, u64> {
        Box::pin(self.0.tidy())
    }
}

impl Incoming for Arriving {
    fn write(&mut self, bytes: Bytes) -> Later<'_, ()> {
        Box::pin(async move { self.spooled.write(&bytes).await })
    }

    fn keep(self: Box<Self>) -> Later<'static, ()> {
        Box::pin(async move {
            let Self { store, spooled, name } = *self;
            store.keep(spooled, &name).await
        })
    }
}

/// The app with a store of artifacts, if the settings have a place for one.
pub fn configured(
    app: App,
    database: &DatabaseConfig,
    config: &ArtifactConfig,
) -> Result<App, Failure> {
    let dir = directory(database, config)?;
    let store = match (config.url(), dir) {
        (Some(url), dir) => {
            let spool = dir.unwrap_or_else(|| std::env::temp_dir().join("muster-artifacts"));
            Store::S3(Box::new(object_store(url, config, spool)?))
        }
        (None, Some(dir)) => {
            let opened = Directory::open(&dir);
            Store::Directory(opened.map_err(|error| {
                format!("the directory of artifacts {} cannot be used: {error}", dir.display())
            })?)
        }
        (None, None) => {
            tracing::info!(
                "artifacts are refused: set MUSTER_ARTIFACTS_DIR to a directory that all servers of the \
                 database share, or MUSTER_ARTIFACTS_URL"
            );
            return Ok(app);
        }
    };
    let store = Arc::new(Bytewise(Arc::new(store)));
    Ok(app.with_artifacts(Artifacts { store, largest: config.artifact_bytes }))
}

/// The directory of the settings.
fn directory(
    database: &DatabaseConfig,
    config: &ArtifactConfig,
) -> Result<Option<PathBuf>, Failure> {
    match (config.dir(), database.url()) {
        (Some(dir), _) => Ok(Some(dir.to_owned())),
        (None, Some(_)) => Ok(None),
        (None, None) => Ok(Some(database.data_dir()?.join(NAME))),
    }
}

fn object_store(url: &str, config: &ArtifactConfig, spool: PathBuf) -> Result<S3, Failure> {
    let named = |why: String| format!("MUSTER_ARTIFACTS_URL {why}");
    let mut settings = S3Settings::parse(url).map_err(named)?;
    let exposed = |secret: &Option<secrecy::SecretString>| {
        let secret = secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        secret.filter(|secret| !secret.is_empty())
    };
    let key_id = config.artifacts_key_id.clone().filter(|id| !id.is_empty());
    let (Some(key_id), Some(secret)) = (key_id, exposed(&config.artifacts_secret)) else {
        let why = "needs an access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(named(why.to_owned()).into());
    };
    settings.key_id = key_id;
    settings.secret = secret;
    settings.token = exposed(&config.artifacts_token);
    let opened = Spool::open(spool.clone());
    let spool = opened.map_err(|error| {
        format!("the directory of arriving artifacts {} cannot be used: {error}", spool.display())
    })?;
    let s3 = S3::new(settings, spool);
    Ok(s3.map_err(|error| named(format!("cannot be used: {error}")))?)
}
