//! The bytes of artifacts: in a directory, or in an object store that speaks S3.
//!
//! Bytes arrive in a file of the [`spool`] first. It is a file of this machine with the name of its upload. Only the
//! whole and checked file goes on: it is moved into the [`directory`], or sent to the [`s3`] store in one
//! request that can be repeated. So no half object is ever in a store.

pub mod directory;
pub mod s3;
pub mod spool;

use std::{io, pin::Pin, time::Duration};

use futures_util::Stream;
use hyper::body::Bytes;

use crate::domain::artifact::StoredName;
use directory::Directory;
use s3::S3;
use spool::Spooled;

/// Bytes of an artifact, piece by piece.
pub type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Files of killed uploads are removed from the spool when they are older: longer than any upload takes.
const SPOOLED_FOR: Duration = Duration::from_secs(25 * 3600);

/// A store of bytes.
#[derive(Debug)]
pub enum Store {
    /// A directory of this machine, or one that all servers share.
    Directory(Directory),
    /// An object store.
    S3(Box<S3>),
}

impl Store {
    /// Begins a file for an upload.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn begin(&self, name: &StoredName) -> io::Result<Spooled> {
        match self {
            Self::Directory(directory) => directory.spool().begin(name.upload).await,
            Self::S3(s3) => s3.spool().begin(name.upload).await,
        }
    }

    /// Stores a whole file under its name. Afterwards the bytes outlast a crash.
    ///
    /// # Errors
    /// When it cannot be stored. Its bytes may be there in part or whole: [`Self::remove`] removes them.
    pub async fn keep(&self, spooled: Spooled, name: &StoredName) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.keep(spooled, name).await,
            Self::S3(s3) => s3.keep(spooled, name).await,
        }
    }

    /// Reads `length` bytes from `first` on.
    ///
    /// # Errors
    /// When they cannot be read; `NotFound` if there are none with this name.
    pub async fn read(&self, name: &StoredName, first: u64, length: u64) -> io::Result<Chunks> {
        match self {
            Self::Directory(directory) => directory.read(name, first, length).await,
            Self::S3(s3) => s3.read(name, first, length).await,
        }
    }

    /// Removes everything of an upload, if there is anything.
    ///
    /// # Errors
    /// When something is left.
    pub async fn remove(&self, name: &StoredName) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.remove(name).await,
            Self::S3(s3) => s3.remove(name).await,
        }
    }

    /// Removes the files that killed uploads left in the spool of this machine.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn tidy(&self) -> io::Result<u64> {
        match self {
            Self::Directory(directory) => directory.spool().tidy(SPOOLED_FOR).await,
            Self::S3(s3) => s3.spool().tidy(SPOOLED_FOR).await,
        }
    }
}
