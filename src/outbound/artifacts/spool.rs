//! The spool: files of uploads that arrive.
//!
//! A file is removed when its upload is dropped, whatever the reason. Only a killed process leaves one.

use std::{
    fs::DirBuilder,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt as _,
};

use crate::domain::ids::UploadId;

/// The folder of arriving files.
#[derive(Debug, Clone)]
pub struct Spool(PathBuf);

/// A file of an upload. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Spooled {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Spool {
    /// The folder at this path, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        // What agents upload is for nobody else on the machine.
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self, upload: UploadId) -> PathBuf {
        self.0.join(upload.to_string())
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn begin(&self, upload: UploadId) -> io::Result<Spooled> {
        let path = self.path(upload);
        let mut options = OpenOptions::new();
        let file = options.write(true).read(true).create_new(true).mode(0o600).open(&path).await?;
        Ok(Spooled { file, path, size: 0 })
    }

    /// Removes the file of an upload, if there is one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self, upload: UploadId) -> io::Result<()> {
        gone(fs::remove_file(self.path(upload)).await)
    }

    /// Removes files that nobody has written to for `age`; returns their number.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn tidy(&self, age: Duration) -> io::Result<u64> {
        let mut removed = 0;
        let mut entries = fs::read_dir(&self.0).await?;
        while let Some(entry) = entries.next_entry().await? {
            let modified = entry.metadata().await.and_then(|metadata| metadata.modified());
            let old = modified.ok().and_then(|at| at.elapsed().ok()).is_some_and(|is| is > age);
            if old && gone(fs::remove_file(entry.path()).await).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Whether something is not there, whoever removed it.
pub(super) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Spooled {
    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Has everything on the disk.
    ///
    /// # Errors
    /// When it is not.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await
    }

    /// Has everything in the file, for readers of this machine.
    ///
    /// # Errors
    /// When it is not.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.file.flush().await
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Spooled {
    /// After a move there is nothing to remove.
    fn drop(&mut self) {
        if let Err(error) = gone(std::fs::remove_file(&self.path)) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the file of an upload");
        }
    }
}
