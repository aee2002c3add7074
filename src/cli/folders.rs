//! Directories whose entries are on the disk: a new entry lasts only after its directory was synced.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::Path,
};

/// The directory of a file or directory.
pub fn of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Syncs the entries of a directory.
pub fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory and those above it that are missing, and syncs the directory of each.
pub fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = of(directory);
    make(above)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made?,
    }
    sync(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_directories_are_made_and_files_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b/c");
        make(&below).unwrap();
        make(&below).unwrap();
        assert!(below.is_dir());
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(make(&file).is_err() && make(&file.join("x")).is_err());
        assert_eq!(of(Path::new("name")), Path::new("."));
    }
}
