//! Exports of the journal, and the reading order that exports and checks share.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::{
    app::{
        App, Error, Result,
        caller::{Caller as _, MonitorCaller},
    },
    domain::{
        ids::WorkspaceId,
        journal::{ExportHead, Head, Line, Seal},
    },
    store::{
        self, Tx,
        journal::seals::{self, Chain},
    },
};

/// Rows per read.
const ROWS: usize = 1_000;
/// Seals per read.
const SEALS: usize = 64;

impl App {
    /// The sealed rows of the caller's workspace with their seals, in order.
    pub async fn export_audit(&self, caller: &MonitorCaller) -> Result<AuditExport> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let (exported_at, chain) = (tx.now, seals::chain_of(&mut tx).await?);
        let walk = Walk::new(chain.head.number);
        Ok(AuditExport { app: self.clone(), workspace, exported_at, chain, walk, ended: false })
    }
}

/// An export in progress. It reads one batch at a time, at the pace of the client, without a
/// connection or transaction in between. It ends when nothing was sealed during its last batch, so
/// it contains the announcement of every erasure that its rows show.
#[derive(Debug)]
pub struct AuditExport {
    app: App,
    workspace: WorkspaceId,
    exported_at: DateTime<Utc>,
    chain: Chain,
    walk: Walk,
    ended: bool,
}

impl AuditExport {
    /// When the export began.
    #[must_use]
    pub fn exported_at(&self) -> DateTime<Utc> {
        self.exported_at
    }

    /// The next lines; empty at the end.
    ///
    /// # Errors
    /// `unavailable` if rows were pruned since the export began.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        let mut tx = self.app.reader(self.workspace).await?;
        while !self.ended {
            let lines = self.walk.next(&mut tx).await?;
            let chain = seals::chain_of(&mut tx).await?;
            if chain.pruned_to != self.chain.pruned_to {
                return Err(Error::Unavailable("rows were pruned during the export".into()));
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
            if chain.head == self.chain.head {
                self.ended = true;
                return Ok(vec![Line::Head(self.head())]);
            }
            self.walk.go_on(chain.head.number);
            self.chain = chain;
        }
        Ok(Vec::new())
    }

    fn head(&self) -> ExportHead {
        let Chain { head: Head { number, chain_sha256 }, pruned_to } = self.chain;
        let (workspace_id, exported_at) = (self.workspace, self.exported_at);
        ExportHead { workspace_id, number, chain_sha256, pruned_to, exported_at }
    }
}

/// Reads seals and rows in the order of their numbers, each seal before its rows.
#[derive(Debug)]
pub(super) struct Walk {
    until: i64,
    /// Number of the last row that was read.
    row: i64,
    /// First number of the last seal that was read.
    seal: i64,
    /// Whether there may be unread seals.
    more_seals: bool,
    /// Seals that were read, with unread rows.
    pending: VecDeque<Seal>,
}

impl Walk {
    /// A walk up to the last number of a seal.
    pub fn new(until: i64) -> Self {
        let (row, seal, more_seals) = (i64::MIN, i64::MIN, true);
        Self { until, row, seal, more_seals, pending: VecDeque::new() }
    }

    /// Continues a finished walk up to a higher number.
    pub fn go_on(&mut self, until: i64) {
        self.until = until;
        self.more_seals = true;
    }

    /// The next lines; empty at the end.
    pub async fn next(&mut self, tx: &mut Tx) -> Result<Vec<Line>> {
        let until = self.until;
        if self.pending.is_empty() && self.more_seals {
            let seals = seals::range(tx, self.seal, until, SEALS as i64).await?;
            self.more_seals = seals.len() == SEALS;
            self.seal = seals.last().map_or(self.seal, |seal| seal.first);
            self.pending.extend(seals);
        }
        let last = self.pending.back().filter(|_| self.more_seals);
        let to = last.map_or(until, |seal| seal.last.min(until));
        let rows = store::journal::range(tx, self.row, to, ROWS as i64).await?;
        let full = rows.len() == ROWS;
        self.row = rows.last().filter(|_| full).map_or(to.max(self.row), |row| row.number);
        let mut lines = Vec::with_capacity(rows.len() + self.pending.len());
        for row in rows {
            while let Some(seal) = self.pending.pop_front_if(|seal| seal.first <= row.number) {
                lines.push(Line::Seal(seal));
            }
            lines.push(Line::Row(Box::new(row)));
        }
        if !full {
            lines.extend(self.pending.drain(..).map(Line::Seal));
        }
        Ok(lines)
    }
}
