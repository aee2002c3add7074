//! Locks on files, which the kernel gives back however their holder ends.
//!
//! Two of them guard a data directory. `muster.lock` belongs to the muster that uses the directory:
//! a second one fails at once, before it looks at anything. `server.lock` is handed to every program
//! we start as its standard input, so that it stays taken until the last of *their* processes is
//! gone: whoever gets it knows that nothing started by an earlier muster still writes, even where
//! there is no /proc to look into, and even from another container.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::error::EmbeddedError;

/// A file to lock, and the lock once it is taken.
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

    /// Writes our process number into the file, for the message of whoever comes second.
    pub(super) fn sign(&mut self) -> Result<(), EmbeddedError> {
        let sign = |file: &mut File| {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        sign(&mut self.file).map_err(EmbeddedError::io("write", &self.path))
    }

    /// The process that signed last.
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
    /// Takes the lock, or says who has it.
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
        // Closing is not enough: a child that another thread forks at this moment holds a copy
        // until it execs, and the next start would find the directory in use.
        let _ = flock(&self.0.file, FlockOperation::Unlock);
    }
}
