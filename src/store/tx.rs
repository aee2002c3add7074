//! A connection, and the scope of what is done on it.
//!
//! Every function of the store takes one [`Tx`]: the connection, the workspace that its statements
//! name, and the instant of the unit of work. What belongs to no workspace (finding a key, looking
//! at the whole database) takes a [`SystemTx`], which a [`Tx`] can stand in for.
//!
//! A statement runs in a span at debug level that has the name of its function and the number of rows
//! that it returned or changed. When nobody listens at that level, no span is made and nothing is
//! counted.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryFutureExt as _, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tracing::Span;

use crate::domain::ids::WorkspaceId;

/// A connection that is tied to no workspace.
#[derive(Debug)]
pub struct SystemTx(Connection);

#[derive(Debug)]
enum Connection {
    /// Each statement is a transaction of its own.
    Pooled(PoolConnection<Postgres>),
    /// Dropped before it is committed, it changes nothing.
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
    /// The same connection for statements in a workspace at an instant.
    #[must_use]
    pub fn within(self, workspace: WorkspaceId, now: DateTime<Utc>) -> Tx {
        Tx { workspace, now, system: self }
    }

    /// The bare connection.
    pub fn conn(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Connection::Pooled(conn) => conn,
            Connection::Transaction(tx) => tx,
        }
    }

    /// Makes what was done last. Statements outside a transaction are committed already.
    ///
    /// # Errors
    /// When the database fails. Whether the transaction was committed is then unknown.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self.0 {
            Connection::Pooled(_) => Ok(()),
            Connection::Transaction(tx) => tx.commit().await,
        }
    }

    /// Takes back what was done in the transaction.
    ///
    /// # Errors
    /// When the database fails. Nothing was changed then either.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self.0 {
            Connection::Pooled(_) => Ok(()),
            Connection::Transaction(tx) => tx.rollback().await,
        }
    }

    /// The connection for one statement, observed by `span`: see [`traced!`].
    pub fn traced(&mut self, span: Span) -> Traced<'_> {
        Traced { conn: self.conn(), span }
    }
}

/// A connection for statements in one workspace at one instant.
#[derive(Debug)]
pub struct Tx {
    /// The tenant. Every statement names it.
    pub workspace: WorkspaceId,
    /// The instant of the whole unit of work, from the database's clock.
    pub now: DateTime<Utc>,
    system: SystemTx,
}

impl Tx {
    /// Makes what was done last.
    ///
    /// # Errors
    /// When the database fails. Whether the transaction was committed is then unknown.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.system.commit().await
    }

    /// Takes back what was done in the transaction.
    ///
    /// # Errors
    /// When the database fails. Nothing was changed then either.
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

/// The connection of a [`Tx`] or [`SystemTx`] for one statement, in a span with the given name.
macro_rules! traced {
    ($tx:expr, $name:literal) => {
        $tx.traced(tracing::debug_span!($name, rows = tracing::field::Empty))
    };
}
pub(crate) use traced;

/// A connection whose next statement a span observes.
#[derive(Debug)]
pub struct Traced<'c> {
    conn: &'c mut PgConnection,
    span: Span,
}

/// Rows of a statement so far; written into its span when the statement has ended.
struct Rows {
    span: Span,
    count: u64,
}

impl Rows {
    /// The result that ends a statement counts the rows that it returned, too.
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
