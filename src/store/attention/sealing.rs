//! A journal that is not sealed, and the transactions in the way.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::store::{Tx, traced};

/// Time of the oldest row that is not sealed; `None`: all are.
pub async fn unsealed_since(tx: &mut Tx) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"select at from journal
           where workspace_id = $1
             and number > coalesce((select sealed_to from journal_chains where workspace_id = $1), 0)
           order by number limit 1"#,
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "attention.unsealed_since"))
    .await
}

/// A transaction that may keep the sealer from the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Process id of its backend; `None`: a prepared transaction without a backend.
    pub pid: Option<i32>,
    /// Name that its program gave itself; may be empty.
    pub application: String,
    /// Its database role; empty for a prepared transaction.
    pub role: String,
    /// State of its backend, for example `idle in transaction`; empty if it may not be seen.
    pub state: String,
    /// Time of its start, if it may be seen.
    pub since: Option<DateTime<Utc>>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, application, role, state, since } = self;
        match pid {
            Some(pid) => write!(f, "backend pid {pid}")?,
            None => write!(f, "a prepared transaction")?,
        }
        for (what, text) in [("application", application), ("role", role), ("state", state)] {
            if !text.is_empty() {
                write!(f, ", {what} `{text}`")?;
            }
        }
        match since {
            Some(since) => write!(f, ", open since {}", since.to_rfc3339()),
            None => Ok(()),
        }
    }
}

/// Up to ten transactions that have locked the journal, its chain or its seals, the oldest first. Those
/// that only read do not count.
pub async fn blockers_of_sealing(tx: &mut Tx) -> sqlx::Result<Vec<Blocker>> {
    sqlx::query_as!(
        Blocker,
        r#"
        select l.pid as "pid?", left(coalesce(b.application_name, ''), 100) as "application!",
               left(coalesce(b.usename::text, ''), 100) as "role!", coalesce(b.state, '') as "state!",
               b.xact_start as "since?"
        from (
            select distinct l.pid, l.virtualtransaction from pg_locks l
            join pg_class c on c.oid = l.relation
            where l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
              and l.database = (select oid from pg_database where datname = current_database())
              and c.relnamespace = current_schema()::regnamespace
              and c.relname in ('journal', 'journal_chains', 'journal_heads', 'journal_seals')
              and l.pid is distinct from pg_backend_pid()
        ) l
        left join pg_stat_activity b on b.pid = l.pid
        order by b.xact_start nulls first limit 10
        "#,
    )
    .fetch_all(traced!(tx, "attention.blockers_of_sealing"))
    .await
}
