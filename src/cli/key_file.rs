//! The file of the master keys.
//!
//! The file of `MUSTER_SECRET_KEY_FILE`, or `secret.key` in the data directory of the private PostgreSQL,
//! which is made at the first start. With a PostgreSQL of `DATABASE_URL` and no file there are no keys:
//! muster does not know a place that is as safe and as lasting as that database.
//!
//! A file is written beside its place and then moved or linked there, so a killed process leaves a whole
//! file or none.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use super::failure::Failure;
use crate::{
    app::secrets::{KeySource, Keyless, NoKeys},
    config::DatabaseConfig,
    domain::secret::{MasterKey, MasterKeys},
    entropy::Entropy,
};

/// The name of the file in the data directory.
const NAME: &str = "secret.key";
/// Longest file that is read.
const LONGEST: u64 = 4096;

/// A file of master keys, read at every use.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

impl KeySource for KeyFile {
    fn keys(&self) -> Result<MasterKeys, NoKeys> {
        let path = self.0.display();
        let failed = |error| NoKeys(format!("the key file {path} cannot be read: {error}"));
        let mut text = Zeroizing::new(String::new());
        let file = File::open(&self.0).map_err(failed)?;
        file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
        MasterKeys::parse(&text)
            .map_err(|error| NoKeys(format!("{path} is not a key file: {error}")))
    }
}

impl KeyFile {
    /// The file with this path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file that the settings name. `None`: none, with a PostgreSQL of `DATABASE_URL`.
    pub fn of(database: &DatabaseConfig) -> Result<Option<Self>, Failure> {
        match (database.secret_key_file(), database.url()) {
            (Some(path), _) => Ok(Some(Self::at(path))),
            (None, Some(_)) => Ok(None),
            (None, None) => Ok(Some(Self(database.data_dir()?.join(NAME)))),
        }
    }

    /// Whether there is a file.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Makes the file with a new key, unless there is one.
    pub fn ensure(&self, entropy: &Entropy) -> Result<(), Failure> {
        if self.exists() {
            return Ok(());
        }
        let key = MasterKey::new(entropy.bytes())?;
        if self.make(&key.line())? {
            tracing::info!(path = %self.0.display(), key = %key.fingerprint(), "made a master key for secrets");
        }
        Ok(())
    }

    /// Makes the file. Returns `false` if there is one.
    pub fn make(&self, text: &SecretString) -> Result<bool, Failure> {
        let beside = self.write_beside(text)?;
        let linked = std::fs::hard_link(&beside, &self.0);
        let _ = std::fs::remove_file(&beside);
        match linked {
            Ok(()) => self.sync_directory().map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.failed("make", &error)),
        }
    }

    /// Replaces the file.
    pub fn replace(&self, text: &SecretString) -> Result<(), Failure> {
        let beside = self.write_beside(text)?;
        std::fs::rename(&beside, &self.0).map_err(|error| self.failed("replace", &error))?;
        self.sync_directory()
    }

    fn write_beside(&self, text: &SecretString) -> Result<PathBuf, Failure> {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let beside = self.0.with_file_name(name);
        let write = || {
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.expose_secret().as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| self.failed("write", &error))?;
        Ok(beside)
    }

    fn sync_directory(&self) -> Result<(), Failure> {
        let directory = match self.0.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| self.failed("write", &error))
    }

    fn failed(&self, verb: &str, error: &std::io::Error) -> Failure {
        format!("cannot {verb} the key file {}: {error}", self.0.display()).into()
    }

    /// Warns if other accounts may read the file.
    fn warn_if_open(&self) {
        let mode = std::fs::metadata(&self.0).map(|about| about.mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            let mode = format!("{:03o}", mode & 0o777);
            tracing::warn!(path = %self.0.display(), mode, "other accounts may use the key file");
        }
    }
}

/// The master keys of a service. Makes the file of the private PostgreSQL; a named file must be there.
pub fn of_service(database: &DatabaseConfig) -> Result<Arc<dyn KeySource>, Failure> {
    let Some(file) = KeyFile::of(database)? else {
        tracing::info!("no MUSTER_SECRET_KEY_FILE is set, so secrets are refused");
        return Ok(Arc::new(Keyless));
    };
    if database.secret_key_file().is_none() {
        file.ensure(&Entropy::system())?;
    }
    file.keys()?;
    file.warn_if_open();
    Ok(Arc::new(file))
}

/// The master keys of a command beside a service.
pub fn of_command(database: &DatabaseConfig) -> Result<Arc<dyn KeySource>, Failure> {
    match KeyFile::of(database)? {
        Some(file) => Ok(Arc::new(file)),
        None => Ok(Arc::new(Keyless)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_closed_to_others_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::at(&dir.path().join(NAME));
        assert!(file.keys().unwrap_err().0.contains("cannot be read"));
        file.ensure(&Entropy::system()).unwrap();
        let made = file.keys().unwrap();
        file.ensure(&Entropy::system()).unwrap();
        assert_eq!(file.keys().unwrap().current().fingerprint(), made.current().fingerprint());
        assert_eq!(std::fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);

        let other = MasterKey::new(Entropy::system().bytes()).unwrap();
        assert!(!file.make(&other.line()).unwrap());
        file.replace(&MasterKeys::before(other, made).text()).unwrap();
        assert_eq!(file.keys().unwrap().older().len(), 1);
        assert_eq!(std::fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "something is left");

        std::fs::write(file.path(), "no key").unwrap();
        assert!(file.keys().unwrap_err().0.contains("is not a key file"));
        std::fs::write(file.path(), [0xff; 10_000]).unwrap();
        assert!(file.keys().is_err());
    }
}
