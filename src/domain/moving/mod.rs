//! The file of an exported workspace: its lines, and how a difference between two rows is named.
//!
//! NDJSON. The first line is the [`Header`]. Then there is one line per row, table by table:
//! `{"table":"goals","row":{...}}`. The last line counts the rows of each table and has the SHA-256 of
//! all bytes before it: a file that was cut off or edited is refused. The digest is no signature. It
//! finds accidents, not an author who writes a new digest.
//!
//! A row stays text here. Only the database reads its values, so no number passes through a float.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::{ids::WorkspaceId, journal::Digest};

pub mod difference;

/// What the first line of every export says that it is.
pub const FORMAT: &str = "muster-workspace";
/// Version of the format of the lines; rises when an older reader would misread them.
pub const FORMAT_VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Number of the last migration of the database.
    pub schema_version: i64,
    /// Version of the muster that wrote the file.
    pub program: String,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its name, for people.
    pub name: String,
    /// Time of the snapshot.
    pub exported_at: DateTime<Utc>,
}

/// The part of the first line that every version of the format has.
#[derive(Debug, Deserialize)]
struct Opening {
    format: String,
    format_version: u32,
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The first line is no header.
    #[error("this is not an export of a workspace, as `muster workspace export` writes it")]
    Foreign,
    /// Another version of the format.
    #[error(
        "the file has version {0} of the format, and this muster reads version {FORMAT_VERSION}; import \
         it with the version of muster that exported it"
    )]
    OtherFormat(u32),
    /// Another schema.
    #[error(
        "the file was exported by muster {program} with schema {file}, and this server has schema {here}; \
         import it with muster {program}, or bring its source to this version and export again"
    )]
    OtherSchema {
        /// The schema of the file.
        file: i64,
        /// The muster that wrote the file.
        program: String,
        /// The schema of this server.
        here: i64,
    },
    /// A line that is neither a row nor the last line.
    #[error("line {0} is neither a row nor the last line: the file was cut off or changed")]
    Line(u64),
    /// A row of a table that no export has, or has earlier.
    #[error("line {0} is a row of `{1}`, which has no place there")]
    Table(u64, String),
    /// The last line is missing.
    #[error("the file was cut off: its last line, with the digest, is missing")]
    Cut,
    /// The digest or the counts are not those of the lines.
    #[error(
        "the file was changed after the export: its lines do not have the digest of its last line"
    )]
    Changed,
    /// Something follows the last line.
    #[error("there is something after the last line of the export")]
    AfterEnd,
}

impl Header {
    /// Reads the first line.
    ///
    /// # Errors
    /// `Foreign`, `OtherFormat`.
    pub fn read(line: &[u8]) -> Result<Self, FileError> {
        let opening: Opening = serde_json::from_slice(line).map_err(|_| FileError::Foreign)?;
        if opening.format != FORMAT {
            return Err(FileError::Foreign);
        }
        if opening.format_version != FORMAT_VERSION {
            return Err(FileError::OtherFormat(opening.format_version));
        }
        serde_json::from_slice(line).map_err(|_| FileError::Foreign)
    }

    /// Refuses the file unless it has this schema.
    ///
    /// # Errors
    /// `OtherSchema`.
    pub fn fits(&self, here: i64) -> Result<(), FileError> {
        let file = self.schema_version;
        if file == here {
            return Ok(());
        }
        Err(FileError::OtherSchema { file, program: self.program.clone(), here })
    }
}

/// The lines so far: their digest, and the number of rows of each table.
#[derive(Debug, Clone)]
pub struct Tally {
    digest: Sha256,
    rows: BTreeMap<&'static str, u64>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct End<'a> {
    rows: &'a BTreeMap<&'static str, u64>,
    sha256: Digest,
}

/// How the last line begins.
const END: &str = r#"{"rows":"#;

impl Tally {
    /// Nothing yet, of these tables.
    #[must_use]
    pub fn new(tables: &[&'static str]) -> Self {
        let rows = tables.iter().map(|table| (*table, 0)).collect();
        Self { digest: Sha256::new(), rows }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Writes the first line.
    pub fn header(&mut self, header: &Header) -> String {
        let line = format!("{}\n", serde_json::to_string(header).unwrap_or_default());
        self.digest.update(line.as_bytes());
        line
    }

    /// Writes the line of a row, which is a JSON object on one line.
    pub fn row(&mut self, table: &'static str, row: &str) -> String {
        let line = format!("{{\"table\":\"{table}\",\"row\":{row}}}\n");
        self.count(table, line.as_bytes());
        line
    }

    fn count(&mut self, table: &'static str, line: &[u8]) {
        self.digest.update(line);
        *self.rows.entry(table).or_default() += 1;
    }

    /// Writes the last line.
    #[must_use]
    pub fn end(&self) -> String {
        let sha256 = Digest(self.digest.clone().finalize().into());
        let end = End { rows: &self.rows, sha256 };
        format!("{}\n", serde_json::to_string(&end).unwrap_or_default())
    }
}

/// A row of the file: its table, and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The table.
    pub table: &'static str,
    /// A JSON object.
    pub text: &'a str,
}

/// Reads the lines in order and checks that they are whole.
#[derive(Debug)]
pub struct Reader {
    tables: Vec<&'static str>,
    /// Place of the table of the last row.
    place: usize,
    line: u64,
    tally: Tally,
}

impl Reader {
    /// A reader of the lines after the first, which is `header`; `tables` in the order of an export.
    #[must_use]
    pub fn new(tables: Vec<&'static str>, header: &[u8]) -> Self {
        let mut tally = Tally::new(&tables);
        tally.digest.update(header);
        Self { tables, place: 0, line: 1, tally }
    }

    /// Number of rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tally.rows()
    }

    /// Reads a line with its line break; an empty one is the end of the file. `None`: it was the last
    /// line, and the file is whole if nothing follows.
    ///
    /// # Errors
    /// When the file is not whole.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Option<Row<'a>>, FileError> {
        self.line += 1;
        if line.is_empty() {
            return Err(FileError::Cut);
        }
        let text = std::str::from_utf8(line).map_err(|_| FileError::Line(self.line))?;
        if text.starts_with(END) {
            let whole = text.trim_end_matches('\n') == self.tally.end().trim_end_matches('\n');
            return if whole { Ok(None) } else { Err(FileError::Changed) };
        }
        let (table, text) = row_of(text).ok_or(FileError::Line(self.line))?;
        let mut later = self.tables.iter().copied().enumerate().skip(self.place);
        let found = later.find(|(_, name)| *name == table);
        let misplaced = || FileError::Table(self.line, table.chars().take(63).collect());
        let (place, table) = found.ok_or_else(misplaced)?;
        self.place = place;
        self.tally.count(table, line);
        Ok(Some(Row { table, text }))
    }
}

/// The table and the row of a line, as [`Tally::row`] writes it.
fn row_of(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("{\"table\":\"")?.strip_suffix("}\n")?;
    rest.split_once("\",\"row\":")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLES: [&str; 3] = ["goals", "tasks", "attempts"];

    fn header() -> Header {
        Header {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            schema_version: 7,
            program: "1.2.3".to_owned(),
            workspace_id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            name: "default".to_owned(),
            exported_at: DateTime::UNIX_EPOCH,
        }
    }

    fn file(rows: &[(&'static str, String)]) -> String {
        let mut tally = Tally::new(&TABLES);
        let mut file = tally.header(&header());
        for (table, row) in rows {
            file += &tally.row(table, row);
        }
        file + &tally.end()
    }

    /// Reads a whole file as an import does.
    fn read(file: &[u8]) -> Result<Vec<(String, String)>, FileError> {
        let mut lines = file.split_inclusive(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        Header::read(first)?.fits(7)?;
        let mut reader = Reader::new(TABLES.to_vec(), first);
        let mut rows = Vec::new();
        while let Some(row) = reader.read(lines.next().unwrap_or_default())? {
            rows.push((row.table.to_owned(), row.text.to_owned()));
        }
        if lines.next().is_some() { Err(FileError::AfterEnd) } else { Ok(rows) }
    }

    fn rows() -> impl Strategy<Value = Vec<(&'static str, String)>> {
        let row = (0..TABLES.len(), "[^\u{0}-\u{1f}]{0,20}");
        prop::collection::vec(row, 0..8).prop_map(|mut rows| {
            rows.sort_by_key(|(table, _)| *table);
            let text = |text| serde_json::json!({"a": text, "b": null}).to_string();
            rows.into_iter().map(|(table, row)| (TABLES[table], text(row))).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in rows()) {
            let found = read(file(&rows).as_bytes()).unwrap();
            let rows: Vec<_> = rows.into_iter().map(|(table, row)| (table.to_owned(), row)).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn another_byte_anywhere_is_refused(rows in rows(), place: prop::sample::Index, byte: u8) {
            let mut file = file(&rows).into_bytes();
            // Without the last line break, which may be missing.
            file.pop();
            let place = place.index(file.len());
            prop_assume!(file[place] != byte);
            file[place] = byte;
            prop_assert!(read(&file).is_err());
        }

        #[test]
        fn a_part_is_refused(rows in rows(), end: prop::sample::Index) {
            let file = file(&rows);
            prop_assert!(read(&file.as_bytes()[..end.index(file.len() - 1)]).is_err());
        }
    }

    #[test]
    fn each_refusal_says_what_is_wrong() {
        let rows = [("goals", "{}".to_owned()), ("tasks", "{}".to_owned())];
        let whole = file(&rows);
        assert_eq!(read(b""), Err(FileError::Foreign));
        assert_eq!(read(b"{\"format\":\"other\",\"format_version\":1}\n"), Err(FileError::Foreign));
        let newer = whole.replacen("\"format_version\":1", "\"format_version\":2", 1);
        assert_eq!(read(newer.as_bytes()), Err(FileError::OtherFormat(2)));
        let newer =
            read(whole.replacen("\"schema_version\":7", "\"schema_version\":8", 1).as_bytes());
        assert!(newer.unwrap_err().to_string().contains("import it with muster 1.2.3"));
        let cut: String = whole.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(read(cut.as_bytes()), Err(FileError::Cut));
        let more = format!("{whole}\n");
        assert_eq!(read(more.as_bytes()), Err(FileError::AfterEnd));
        let backwards = [rows[1].clone(), rows[0].clone()];
        assert_eq!(read(file(&backwards).as_bytes()), Err(FileError::Table(3, "goals".to_owned())));
        let changed = whole.replacen("\"goals\",\"row\":{}", "\"goals\",\"row\":{ }", 1);
        assert_eq!(read(changed.as_bytes()), Err(FileError::Changed));
    }
}
