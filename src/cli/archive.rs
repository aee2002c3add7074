//! The file of a backup.
//!
//! A custom-format file of `pg_dump`, and behind it one line that describes it: its length, its
//! digest, the schema, the version of PostgreSQL. The line is written last, so a file that was cut off
//! has none; and `pg_restore` reads the file as it is, which is the way to another server.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use crate::store::schema::Schema;

/// The beginning of every file of `pg_dump`.
const DUMP: &[u8] = b"PGDMP";
/// The beginning of the last line.
const MARK: &str = "muster-backup ";
/// Version of the form of the last line.
pub const FORMAT: u32 = 1;
/// Longest last line.
const LONGEST: u64 = 64 * 1024;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Version of the form of this line.
    pub format: u32,
    /// Version of the program that made the backup.
    pub muster: String,
    /// The moment of the data.
    pub taken_at: DateTime<Utc>,
    /// Major version of the PostgreSQL that wrote the file.
    pub postgres: u32,
    /// The schema of the data.
    pub schema: Schema,
    /// Fingerprints of the master keys of its secrets; `None` if the program did not know the schema.
    pub master_keys: Option<Vec<String>>,
    /// Bytes before this line.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub sha256: String,
}

/// A backup that is being written, beside its place. Dropped, it is removed.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Makes the file, closed to others.
    pub fn at(place: &Path) -> Result<Self, Failure> {
        let Some(name) = place.file_name() else {
            return Err(format!("{} does not name a file", place.display()).into());
        };
        let mut name = name.to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = place.with_file_name(name);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self { file, path, place: place.to_owned() })
    }

    /// The place for the dump.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes the last line, waits for the disk, and puts the file in its place.
    pub fn complete(mut self, about: impl FnOnce(u64, String) -> About) -> Result<About, Failure> {
        let failed = |error: std::io::Error| -> Failure {
            format!("cannot write {}: {error}", self.path.display()).into()
        };
        let bytes = self.file.metadata().map_err(failed)?.len();
        let sha256 = digest(&self.file, bytes).map_err(failed)?;
        let about = about(bytes, sha256);
        let line = format!("\n{MARK}{}\n", serde_json::to_string(&about)?);
        let written = (|| {
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(line.as_bytes())?;
            self.file.sync_all()?;
            std::fs::rename(&self.path, &self.place)?;
            File::open(folder(&self.place))?.sync_all()
        })();
        written.map_err(failed)?;
        Ok(about)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is none.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// A backup that was read from its first byte to its last, and is whole.
#[derive(Debug)]
pub struct Archive {
    /// The file.
    pub file: File,
    /// Its last line.
    pub about: About,
}

impl Archive {
    /// Opens and checks a file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let failed =
            |error: std::io::Error| -> Failure { format!("cannot read {shown}: {error}").into() };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        (&file).take(DUMP.len() as u64).read_to_end(&mut start).map_err(failed)?;
        if start != DUMP {
            return Err(format!("{shown} is no backup of muster").into());
        }
        file.seek(SeekFrom::Start(length.saturating_sub(LONGEST))).map_err(failed)?;
        let mut end = Vec::new();
        (&file).take(LONGEST).read_to_end(&mut end).map_err(failed)?;
        let Some((line, about)) = last_line(&end) else {
            return Err(format!(
                "{shown} has no last line of `muster backup`: it is cut off, or a file of pg_dump. \
                 Such a file is restored with `pg_restore` into a database of DATABASE_URL"
            )
            .into());
        };
        if about.format > FORMAT {
            return Err(format!("{shown} was made by a newer muster ({})", about.muster).into());
        }
        let damaged = || -> Failure {
            format!("{shown} is damaged: its content is not what its last line says").into()
        };
        if about.bytes.checked_add(line) != Some(length) {
            return Err(damaged());
        }
        if digest(&file, about.bytes).map_err(failed)? != about.sha256 {
            return Err(damaged());
        }
        Ok(Self { file, about })
    }
}

/// The last line with its length, if there is one.
fn last_line(end: &[u8]) -> Option<(u64, About)> {
    let text = end.strip_suffix(b"\n")?;
    let start = text.iter().rposition(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&text[start + 1..]).ok()?;
    let about = serde_json::from_str(line.strip_prefix(MARK)?).ok()?;
    Some(((end.len() - start) as u64, about))
}

/// The digest of the first bytes.
fn digest(mut file: &File, bytes: u64) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(bytes);
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 128 * 1024]);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(bytes: u64, sha256: String) -> About {
        About {
            format: FORMAT,
            muster: "1".to_owned(),
            taken_at: DateTime::UNIX_EPOCH,
            postgres: 15,
            schema: Schema::current(),
            master_keys: Some(Vec::new()),
            bytes,
            sha256,
        }
    }

    #[test]
    fn only_whole_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("backup");
        let draft = Draft::at(&place).unwrap();
        draft.file().write_all(b"PGDMP and data\nand more").unwrap();
        let made = draft.complete(about).unwrap();
        assert_eq!(Archive::open(&place).unwrap().about, made);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "something is left");

        let whole = std::fs::read(&place).unwrap();
        let refused = |content: &[u8]| {
            std::fs::write(&place, content).unwrap();
            Archive::open(&place).unwrap_err().to_string()
        };
        for end in 0..whole.len() {
            refused(&whole[..end]);
        }
        for at in 0..made.bytes as usize {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            refused(&changed);
        }
        assert!(refused(b"").contains("no backup"));
        assert!(refused(&whole[..40]).contains("cut off"));
        assert!(refused(&[&whole[..], b"x\n"].concat()).contains("cut off"));
        assert!(refused(&[b"PGDMP", &whole[..]].concat()).contains("damaged"));
    }

    #[test]
    fn a_dropped_draft_leaves_the_file_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("backup");
        std::fs::write(&place, "before").unwrap();
        drop(Draft::at(&place).unwrap());
        assert_eq!(std::fs::read(&place).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
