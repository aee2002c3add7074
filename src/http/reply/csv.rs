//! Tables as CSV, for spreadsheets and billing tools.
//!
//! The format is RFC 4180: a header, lines that end with CR LF, and quotes around cells that need them.
//! Names and titles come from agents and submitters, and a spreadsheet runs a cell that begins like a
//! formula. Such a cell gets the prefix `'`, which spreadsheets show as text; plain numbers stay as they
//! are, also below zero.

use axum::response::{IntoResponse, Response};

use super::{attachment, describe_attachment};
use crate::http::describe::{self, Describe, Description};

const CSV_TYPE: &str = "text/csv; charset=utf-8";
/// The first characters of a formula in spreadsheets.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// The characters that need quotes around the cell.
const QUOTED: [char; 4] = ['"', ',', '\r', '\n'];

/// 200 with a table, as a file.
#[derive(Debug, Clone)]
pub struct Csv {
    /// The name of the file without its extension: letters, digits and dashes.
    pub name: String,
    /// The table.
    pub table: Table,
}

/// A table under construction.
#[derive(Debug, Clone)]
pub struct Table {
    text: String,
}

impl Table {
    /// A table with this header and no rows.
    pub fn new<C: AsRef<str>>(header: impl IntoIterator<Item = C>) -> Self {
        let mut table = Self { text: String::new() };
        table.row(header);
        table
    }

    /// Adds a row with as many cells as the header.
    pub fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.text.push_str("\r\n");
    }

    fn cell(&mut self, cell: &str) {
        let risky = cell.starts_with(FORMULA_STARTS) && !is_number(cell);
        let quoted = cell.contains(QUOTED);
        if quoted {
            self.text.push('"');
        }
        if risky {
            self.text.push('\'');
        }
        if quoted {
            self.text.push_str(&cell.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(cell);
        }
    }
}

/// Whether a cell is digits, with at most a minus before them and one point among them.
fn is_number(cell: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let cell = cell.strip_prefix('-').unwrap_or(cell);
    cell.split_once('.').map_or_else(|| digits(cell), |(whole, part)| digits(whole) && digits(part))
}

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        let Self { name, table } = self;
        attachment(CSV_TYPE, &format!("{name}.csv"), table.text.into())
    }
}

impl Describe for Csv {
    fn describe(doc: &mut Description<'_>) {
        let table = describe::string();
        describe_attachment(doc, &[(CSV_TYPE, table.into())], "A table with a header.");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(cell: &str) -> String {
        let table = Table::new([cell]);
        table.text.strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn cells_are_quoted_where_they_need_it() {
        for (cell, want) in [
            ("", ""),
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("é'", "é'"),
        ] {
            assert_eq!(line(cell), want);
        }
        let mut table = Table::new(["a", "b"]);
        table.row(["1", "x,y"]);
        assert_eq!(table.text, "a,b\r\n1,\"x,y\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, want) in [
            ("=1+1", "'=1+1"),
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("+49 1", "'+49 1"),
            ("+5", "'+5"),
            ("-x", "'-x"),
            ("-", "'-"),
            ("--1", "'--1"),
            ("-1-1", "'-1-1"),
            ("-1.", "'-1."),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=a,b", "\"'=a,b\""),
            ("-5", "-5"),
            ("-0.25", "-0.25"),
            ("47.608895", "47.608895"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(line(cell), want);
        }
    }

    proptest! {
        /// Whatever is in a cell, the line is one cell, and taking the quotes away gives it back.
        #[test]
        fn a_cell_is_read_back(cell in any::<String>()) {
            let line = line(&cell);
            let read = match line.strip_prefix('"') {
                Some(inner) => inner.strip_suffix('"').unwrap().replace("\"\"", "\""),
                None => {
                    prop_assert!(!line.contains(QUOTED));
                    line.clone()
                }
            };
            let read = if cell.starts_with(FORMULA_STARTS) && !is_number(&cell) {
                read.strip_prefix('\'').unwrap().to_owned()
            } else {
                read
            };
            prop_assert_eq!(read, cell);
        }
    }
}
