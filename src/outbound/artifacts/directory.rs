//! Artifacts as files of a directory.
//!
//! A file comes into its place by a rename, after its bytes are on the disk, and the folder is synced after it.
//! So a killed server or a lost machine leaves whole files only. Several servers may share the directory, if its
//! file system has atomic renames.

use std::{
    fs,
    io::{self, SeekFrom},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use futures_util::stream;
use hyper::body::Bytes;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, Take},
    task::spawn_blocking,
};

use super::{
    Chunks,
    spool::{Spool, Spooled, gone},
};
use crate::domain::artifact::StoredName;

/// The folder of arriving files.
const INCOMING: &str = "incoming";
/// Most bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// A directory of artifacts.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    spool: Spool,
}

impl Directory {
    /// The directory at this path, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> io::Result<Self> {
        let spool = Spool::open(root.join(INCOMING))?;
        Ok(Self { root: root.to_owned(), spool })
    }

    /// The folder of arriving files, in the same file system.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    fn path(&self, name: &StoredName) -> PathBuf {
        self.root.join(name.path())
    }

    /// Moves a whole file into its place.
    ///
    /// # Errors
    /// When it is not there for good.
    pub async fn keep(&self, mut spooled: Spooled, name: &StoredName) -> io::Result<()> {
        spooled.sync().await?;
        let (root, place) = (self.root.clone(), self.path(name));
        let moved = move || {
            let folder = place.parent().unwrap_or(&root);
            make(folder)?;
            fs::rename(spooled.path(), &place)?;
            sync(folder)
        };
        spawn_blocking(moved).await.map_err(io::Error::other)?
    }

    /// Reads `length` bytes from `first` on.
    ///
    /// # Errors
    /// When they cannot be read; `NotFound` if there is no such file.
    pub async fn read(&self, name: &StoredName, first: u64, length: u64) -> io::Result<Chunks> {
        let mut file = File::open(self.path(name)).await?;
        if first > 0 {
            file.seek(SeekFrom::Start(first)).await?;
        }
        Ok(pieces(file, length))
    }

    /// Removes everything of an upload, if there is anything.
    ///
    /// # Errors
    /// When something is left.
    pub async fn remove(&self, name: &StoredName) -> io::Result<()> {
        self.spool.remove(name.upload).await?;
        gone(tokio::fs::remove_file(self.path(name)).await)
    }
}

/// The next `length` bytes of a file, piece by piece. A file that ends before them is an error.
pub(super) fn pieces(file: File, length: u64) -> Chunks {
    Box::pin(stream::try_unfold(file.take(length), piece))
}

async fn piece(mut file: Take<File>) -> io::Result<Option<(Bytes, Take<File>)>> {
    let left = usize::try_from(file.limit()).unwrap_or(usize::MAX).min(CHUNK);
    if left == 0 {
        return Ok(None);
    }
    let mut buffer = vec![0; left];
    let read = file.read(&mut buffer).await?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(read);
    Ok(Some((buffer.into(), file)))
}

/// Makes a folder and those above it that are missing, and syncs the folder of each.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    make(above)?;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync(above)
}

/// Syncs the entries of a folder.
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::TryStreamExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        artifact::digest::ArtifactDigest,
        ids::{UploadId, WorkspaceId},
    };

    fn name(upload: u128) -> StoredName {
        StoredName {
            workspace: WorkspaceId(Uuid::from_u128(1)),
            digest: ArtifactDigest([7; 32]),
            upload: UploadId(Uuid::from_u128(upload)),
        }
    }

    /// All files below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found
    }

    async fn read(directory: &Directory, upload: u128, first: u64, length: u64) -> Vec<u8> {
        let chunks = directory.read(&name(upload), first, length).await.unwrap();
        chunks.try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn bytes_are_read_as_they_were_kept_and_removed_for_good() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        for upload in [1, 2] {
            let mut spooled = directory.spool().begin(name(upload).upload).await.unwrap();
            spooled.write(b"hello ").await.unwrap();
            spooled.write(&[b'0' + upload as u8; 5]).await.unwrap();
            directory.keep(spooled, &name(upload)).await.unwrap();
        }
        assert_eq!(read(&directory, 1, 0, 11).await, b"hello 11111");
        assert_eq!(read(&directory, 2, 4, 3).await, b"o 2");
        directory.remove(&name(1)).await.unwrap();
        directory.remove(&name(1)).await.unwrap();
        let gone = directory.read(&name(1), 0, 11).await.err().unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&directory, 2, 0, 5).await, b"hello");
        assert_eq!(files(root.path()).len(), 1);
    }

    #[tokio::test]
    async fn a_broken_upload_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let mut spooled = directory.spool().begin(name(1).upload).await.unwrap();
        spooled.write(b"half").await.unwrap();
        drop(spooled);
        assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_removed_by_its_name_or_its_age() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        for upload in [1, 2] {
            fs::write(root.path().join(INCOMING).join(name(upload).upload.to_string()), "x")
                .unwrap();
        }
        directory.remove(&name(1)).await.unwrap();
        assert_eq!(files(root.path()).len(), 1);
        assert_eq!(directory.spool().tidy(Duration::from_secs(60)).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(directory.spool().tidy(Duration::from_millis(1)).await.unwrap(), 1);
        assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    }
}
