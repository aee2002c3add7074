//! A connection and the scope of its statements.
//!
//! Every function of the store takes a [`Tx`]: the connection, the workspace named by its
//! statements, and the instant of the unit of work. Statements outside of any workspace
//! (authentication, checks of the whole database) take a [`SystemTx`]; a [`Tx`] dereferences to
//! one.
//!
//! Each statement runs in a debug-level span with the name of its function and the number of rows
//! it returned or changed. If the level is disabled, no span is created and nothing is counted.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryFutureExt as _, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tracing::Span;

use crate::{domain::ids::WorkspaceId, turns::Turn};

/// A connection without a workspace.
#[derive(Debug)]
pub struct SystemTx(Connection);

#[derive(Debug)]
enum Connection {
    /// Each statement commits by itself.
    Pooled(PoolConnection<Postgres>),
    /// Rolls back if dropped before the commit.
    Transaction(Transaction<'static, Postgres>),
}

impl From<PoolConnection<Postgres>> for SystemTx {
    fn from(conn: PoolConnection<Postgres>) -> Self {
        Self(Connection::Pooled(conn))
    }
}

impl From<Transaction<'static, Postgres>> for SystemTx {
    fn from(tx: Transaction<'static, Postgres>) -> Self {
        Self(Connection::Transaction(tx))
    }
}

impl SystemTx {
    /// The same connection, for statements in a workspace at an instant.
    #[must_use]
    pub fn within(self, workspace: WorkspaceId, now: DateTime<Utc>) -> Tx {
        Tx { workspace, now, system: self, _turn: None }
    }

    /// The same connection, for statements at an instant in the workspace that holds the turn.
    #[must_use]
    pub fn on_turn(self, turn: Turn<WorkspaceId>, now: DateTime<Utc>) -> Tx {
        Tx { workspace: turn.holder(), now, system: self, _turn: Some(turn) }
    }

    /// The raw connection.
    pub fn conn(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Connection::Pooled(conn) => conn,
            Connection::Transaction(tx) => tx,
        }
    }

    /// Commits the transaction. Statements outside a transaction are committed already.
    ///
    /// # Errors
    /// When the database fails; whether the transaction was committed is then unknown.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self.0 {
            Connection::Pooled(_) => Ok(()),
            Connection::Transaction(tx) => tx.commit().await,
        }
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// When the database fails; nothing was changed then either.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self.0 {
            Connection::Pooled(_) => Ok(()),
            Connection::Transaction(tx) => tx.rollback().await,
        }
    }

    /// The connection for one statement, with `span`: see [`traced!`].
    pub fn traced(&mut self, span: Span) -> Traced<'_> {
        Traced { conn: self.conn(), span }
    }
}

/// A connection for statements in one workspace at one instant.
#[derive(Debug)]
pub struct Tx {
    /// The workspace; every statement names it.
    pub workspace: WorkspaceId,
    /// The instant of the whole unit of work, by the database's clock.
    pub now: DateTime<Utc>,
    system: SystemTx,
    /// Kept until the connection is given back.
    _turn: Option<Turn<WorkspaceId>>,
}

impl Tx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// When the database fails; whether the transaction was committed is then unknown.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.system.commit().await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// When the database fails; nothing was changed then either.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.system.rollback().await
    }
}

impl std::ops::Deref for Tx {
    type Target = SystemTx;
    fn deref(&self) -> &SystemTx {
        &self.system
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SystemTx {
        &mut self.system
    }
}

/// The connection of a [`Tx`] or [`SystemTx`] for one statement, in a span with this name.
macro_rules! traced {
    ($tx:expr, $name:literal) => {
        $tx.traced(tracing::debug_span!($name, rows = tracing::field::Empty))
    };
}
pub(crate) use traced;

/// A connection with a span for its next statement.
#[derive(Debug)]
pub struct Traced<'c> {
    conn: &'c mut PgConnection,
    span: Span,
}

/// Row count of a statement; recorded in its span at the end.
struct Rows {
    span: Span,
    count: u64,
}

impl Rows {
    /// The result at the end of a statement also counts the returned rows.
    fn add(&mut self, step: &sqlx::Result<Either<PgQueryResult, PgRow>>) {
        if let Ok(Either::Left(result)) = step {
            self.count += result.rows_affected();
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.span.record("rows", self.count);
    }
}

impl<'c> Executor<'c> for Traced<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Self { conn, span } = self;
        let steps = conn.fetch_many(query);
        if span.is_disabled() {
            return steps;
        }
        let mut rows = Rows { span, count: 0 };
        steps.inspect(move |step| rows.add(step)).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Self { conn, span } = self;
        let row = conn.fetch_optional(query);
        if span.is_disabled() {
            return row;
        }
        Box::pin(row.inspect_ok(move |row| drop(Rows { span, count: row.is_some().into() })))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        self.conn.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        self.conn.describe(sql)
    }
}
