//! The files of goals that were exported before they are pruned.
//!
//! A file is named after the ids of its workspace and goal, so no name leaves the directory. It is written
//! beside its place under a name of its own, synced and renamed, so a killed process leaves a whole file or none,
//! and maybe a hidden one that may be deleted. Several machines may share the directory. Only the account of the
//! service may read the files.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{failure::Failure, folders};
use crate::{
    app::{
        App,
        retention::export::{GoalFile, GoalFiles},
    },
    config::PruneConfig,
    domain::ids::{GoalId, WorkspaceId},
    entropy::Entropy,
};

/// A directory of exported goals.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    entropy: Entropy,
}

impl GoalFiles for Directory {
    fn begin(&self, workspace: WorkspaceId, goal: GoalId) -> io::Result<Box<dyn GoalFile>> {
        let name = format!("{workspace}.{goal}.ndjson");
        let random = u64::from_be_bytes(self.entropy.bytes());
        let temporary = self.path.join(format!(".{name}.{random:016x}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let place = self.path.join(name);
        Ok(Box::new(Writing { file, temporary, place, directory: self.path.clone() }))
    }
}

/// A file that is being written.
struct Writing {
    file: File,
    temporary: PathBuf,
    place: PathBuf,
    directory: PathBuf,
}

impl GoalFile for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn keep(self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.place)?;
        folders::sync(&self.directory)
    }
}

impl Drop for Writing {
    /// After a rename there is nothing to remove.
    fn drop(&mut self) {
        if let Err(error) = remove(&self.temporary) {
            tracing::warn!(path = %self.temporary.display(), %error, "cannot remove a file");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The app with the directory that the settings name, which is made if it is missing.
pub fn configured(app: App, config: &PruneConfig) -> Result<App, Failure> {
    let Some(directory) = config.export_dir() else { return Ok(app) };
    folders::make(directory).map_err(|error| {
        format!("the directory {} for exports cannot be used: {error}", directory.display())
    })?;
    let files = Directory { path: directory.to_owned(), entropy: app.entropy().clone() };
    Ok(app.with_goal_files(Arc::new(files)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let files = Directory { path: dir.path().to_owned(), entropy: Entropy::system() };
        let (workspace, goal) = (WorkspaceId(Uuid::from_u128(1)), GoalId(Uuid::from_u128(2)));
        let mut file = files.begin(workspace, goal).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something is left");
        for text in ["one\n", "two\n"] {
            let mut file = files.begin(workspace, goal).unwrap();
            file.write(text.as_bytes()).unwrap();
            file.keep().unwrap();
            let path = dir.path().join(format!("{workspace}.{goal}.ndjson"));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
