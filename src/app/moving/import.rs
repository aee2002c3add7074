//! Storing the workspace of a file, or comparing it with the one that exists.

use std::io::{BufRead, Seek};

use futures_util::TryStreamExt as _;

use super::{MoveError, lines::Lines};
use crate::{
    app::{App, caller::Actor},
    domain::{
        ids::WorkspaceId,
        moving::{FileError, Header, Row, difference},
    },
    store::{self, Tx, moving::Shape},
};

/// Rows of one statement have about this many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// What an import found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The workspace of the file.
    pub workspace: WorkspaceId,
    /// Number of its rows.
    pub rows: u64,
    /// Whether they were stored, or would be without the dry run. `false`: they are there already.
    pub stored: bool,
}

impl App {
    /// Stores the workspace of an exported file, in one transaction, or finds that it exists with the
    /// same rows. A dry run does the same and stores nothing. Reads block: not for a server's
    /// requests.
    ///
    /// # Errors
    /// When the file is not whole, has another schema, or a workspace with other rows exists. Nothing
    /// was changed then.
    pub async fn import_workspace<F: BufRead + Seek>(
        &self,
        file: &mut F,
        dry_run: bool,
    ) -> Result<Imported, MoveError> {
        let (header, rows) = check(file)?;
        let workspace = header.workspace_id;
        loop {
            if self.is_the_same(file, &header).await? {
                return Ok(Imported { workspace, rows, stored: false });
            }
            if self.store(file, &header, dry_run).await? {
                return Ok(Imported { workspace, rows, stored: true });
            }
        }
    }

    /// Compares the workspace with the file; `false`: it does not exist.
    async fn is_the_same<F: BufRead + Seek>(
        &self,
        file: &mut F,
        header: &Header,
    ) -> Result<bool, MoveError> {
        let mut tx = self.still(header.workspace_id).await?;
        let exists = store::workspaces::settings(&mut tx).await?.is_some();
        let found = if exists { compare(&mut tx, file, header).await? } else { None };
        tx.rollback().await?;
        match found {
            None => Ok(exists),
            Some(difference) => Err(MoveError::Differs(header.workspace_id, difference)),
        }
    }

    /// Stores the workspace; `false`: another import has just done so.
    async fn store<F: BufRead + Seek>(
        &self,
        file: &mut F,
        header: &Header,
        dry_run: bool,
    ) -> Result<bool, MoveError> {
        // Alone, so that two imports of one workspace come one after the other.
        let mut unit = self.begin_alone(header.workspace_id, Actor::SERVICE).await?;
        if store::workspaces::settings(unit.tx()).await?.is_some() {
            self.undo(unit).await?;
            return Ok(false);
        }
        insert(unit.tx(), file, header).await?;
        if let Some(difference) = compare(unit.tx(), file, header).await? {
            return Err(MoveError::Unfaithful(difference));
        }
        if dry_run {
            self.undo(unit).await?;
        } else {
            self.commit(unit).await?;
        }
        Ok(true)
    }
}

/// Reads the whole file; returns its header and the number of its rows.
fn check<F: BufRead + Seek>(file: &mut F) -> Result<(Header, u64), MoveError> {
    let mut lines = Lines::open(file)?;
    lines.header.fits(store::schema_version())?;
    while lines.row()?.is_some() {}
    Ok((lines.header.clone(), lines.rows()))
}

/// Reads the file again. It must still be the one that was checked.
fn again<'f, F: BufRead + Seek>(
    file: &'f mut F,
    header: &Header,
) -> Result<Lines<'f, F>, MoveError> {
    let lines = Lines::open(file)?;
    if lines.header == *header { Ok(lines) } else { Err(FileError::Changed.into()) }
}

/// Stores the rows of the file in their order.
async fn insert<F: BufRead + Seek>(
    tx: &mut Tx,
    file: &mut F,
    header: &Header,
) -> Result<(), MoveError> {
    store::moving::prepare(tx).await?;
    store::moving::defer_references(tx).await?;
    let shapes = store::moving::shapes(tx).await?;
    let mut lines = again(file, header)?;
    let mut batch = Batch::default();
    while let Some(Row { table, text }) = lines.row()? {
        if batch.table != table || batch.rows.len() > BATCH_BYTES {
            batch.store(tx, &shapes).await?;
            batch.table = table;
        }
        batch.rows.push(if batch.rows.is_empty() { '[' } else { ',' });
        batch.rows.push_str(text);
    }
    batch.store(tx, &shapes).await?;
    let references = store::moving::check_references(tx).await;
    references.map_err(|error| refused(batch.table, error))
}

/// Rows of one table for one statement.
#[derive(Debug, Default)]
struct Batch {
    table: &'static str,
    /// A JSON array, still open.
    rows: String,
}

impl Batch {
    /// Stores the rows, if there are any, and empties the batch.
    async fn store(&mut self, tx: &mut Tx, shapes: &[Shape]) -> Result<(), MoveError> {
        let shape = shapes.iter().find(|shape| shape.table == self.table);
        let Some(shape) = shape.filter(|_| !self.rows.is_empty()) else { return Ok(()) };
        self.rows.push(']');
        let stored = store::moving::insert(tx, shape, &self.rows).await;
        self.rows.clear();
        stored.map_err(|error| refused(shape.table, error))
    }
}

/// A row that breaks a type or a constraint is the fault of the file.
fn refused(table: &str, error: sqlx::Error) -> MoveError {
    let Some(inner) = error.as_database_error() else { return error.into() };
    let code = inner.code().unwrap_or_default();
    if !code.starts_with("22") && !code.starts_with("23") {
        return error.into();
    }
    MoveError::Row(inner.table().unwrap_or(table).to_owned(), inner.message().to_owned())
}

/// The first difference between the file and the workspace; `None`: they are the same.
async fn compare<F: BufRead + Seek>(
    tx: &mut Tx,
    file: &mut F,
    header: &Header,
) -> Result<Option<String>, MoveError> {
    store::moving::prepare(tx).await?;
    let shapes = store::moving::shapes(tx).await?;
    let mut lines = again(file, header)?;
    let mut next = lines.row()?;
    for shape in &shapes {
        let differ = |file: Option<Row<'_>>, stored: Option<&str>| {
            difference::of(shape.table, &shape.key(), file.map(|row| row.text), stored)
        };
        let mut rows = store::moving::rows(tx, shape);
        while let Some(stored) = rows.try_next().await? {
            let row = next.filter(|row| row.table == shape.table);
            if row.is_none_or(|row| row.text != stored) {
                return Ok(Some(differ(row, Some(&stored))));
            }
            next = lines.row()?;
        }
        if let Some(row) = next.filter(|row| row.table == shape.table) {
            return Ok(Some(differ(Some(row), None)));
        }
    }
    Ok(None)
}
