//! Locks on files, which the kernel releases when their holder ends in any way.
//!
//! Two of them protect a data directory. `muster.lock` belongs to the muster that uses the directory:
//! a second muster fails at once. `server.lock` is the standard input of every program we start, so it
//! stays locked until the last of *their* processes has ended: the lock proves that no process of an
//! earlier muster still writes, also without /proc, and also from another container.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::error::EmbeddedError;

/// A file with its lock.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Opens the file, without taking the lock.
    pub(super) fn open(path: PathBuf) -> Result<Self, EmbeddedError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        Ok(Self { file, path })
    }

    /// Takes the lock if it is free.
    pub(super) fn try_lock(&self) -> Result<bool, EmbeddedError> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(EmbeddedError::io("lock", &self.path)(error)),
        }
    }

    /// Writes our process number into the file, for the error of a second muster.
    pub(super) fn sign(&mut self) -> Result<(), EmbeddedError> {
        let sign = |file: &mut File| {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        sign(&mut self.file).map_err(EmbeddedError::io("write", &self.path))
    }

    /// The process number in the file.
    pub(super) fn signature(&mut self) -> Option<u32> {
        let mut text = String::new();
        self.file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// A second handle on the same lock, for a child.
    pub(super) fn as_stdin(&self) -> Result<Stdio, EmbeddedError> {
        let file = self.file.try_clone().map_err(EmbeddedError::io("open", &self.path))?;
        Ok(file.into())
    }
}

/// The lock of the muster that uses the directory.
#[derive(Debug)]
pub(super) struct InstanceLock(LockFile);

impl InstanceLock {
    /// Takes the lock; the error has its holder.
    pub(super) fn take(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let mut lock = LockFile::open(data_dir.join("muster.lock"))?;
        if !lock.try_lock()? {
            let holder = lock.signature();
            return Err(EmbeddedError::InUse { data_dir: data_dir.to_owned(), holder });
        }
        lock.sign()?;
        Ok(Self(lock))
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Closing is not enough: a child forked by another thread at this moment has a copy until
        // its exec, and the next start would find the directory in use.
        let _ = flock(&self.0.file, FlockOperation::Unlock);
    }
}
