//! The lines of a file, read one by one.

use std::io::{BufRead, Read as _, Seek};

use super::{MoveError, tables};
use crate::domain::moving::{FileError, Header, Reader, Row};

/// Longest line. A row holds less: its longest texts are limited by the body of a request.
const LINE_BYTES: u64 = 256 << 20;

/// A file that is read from its beginning.
#[derive(Debug)]
pub(super) struct Lines<'f, F> {
    file: &'f mut F,
    line: Vec<u8>,
    reader: Reader,
    /// The first line.
    pub header: Header,
}

impl<'f, F: BufRead + Seek> Lines<'f, F> {
    /// Reads the first line.
    ///
    /// # Errors
    /// When it is no header.
    pub fn open(file: &'f mut F) -> Result<Self, MoveError> {
        file.rewind()?;
        let mut line = Vec::new();
        read_line(file, &mut line)?;
        let header = Header::read(&line)?;
        let reader = Reader::new(tables(), &line);
        Ok(Self { file, line, reader, header })
    }

    /// The next row; `None` at the end of a whole file.
    ///
    /// # Errors
    /// When the file is not whole.
    pub fn row(&mut self) -> Result<Option<Row<'_>>, MoveError> {
        read_line(self.file, &mut self.line)?;
        match self.reader.read(&self.line)? {
            Some(row) => Ok(Some(row)),
            None if self.file.fill_buf()?.is_empty() => Ok(None),
            None => Err(FileError::AfterEnd.into()),
        }
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.reader.rows()
    }
}

/// Reads a line with its line break; an empty one is the end.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<()> {
    line.clear();
    file.by_ref().take(LINE_BYTES).read_until(b'\n', line)?;
    Ok(())
}
