//! Exporting the journal, and the order in which exports and checks read it.

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

/// Rows that are read at once.
const ROWS: usize = 1_000;
/// Seals that are read at once.
const SEALS: usize = 64;

impl App {
    /// The sealed rows of the caller's workspace with their seals, in their order.
    pub async fn export_audit(&self, caller: &MonitorCaller) -> Result<AuditExport> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let (exported_at, chain) = (tx.now, seals::chain_of(&mut tx).await?);
        let walk = Walk::new(chain.head.number);
        Ok(AuditExport { app: self.clone(), workspace, exported_at, chain, walk, ended: false })
    }
}

/// An export under way: read a batch at a time, at the pace of the client, with no connection and no
/// transaction in between. It ends where nothing was sealed during its last batch, so that it has the
/// announcement of every erasure that its rows show.
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
    /// When it began.
    #[must_use]
    pub fn exported_at(&self) -> DateTime<Utc> {
        self.exported_at
    }

    /// The next lines; none at the end.
    ///
    /// # Errors
    /// `unavailable` if rows were pruned since it began.
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
    /// The number up to which rows were read.
    row: i64,
    /// The first number of the last seal that was read.
    seal: i64,
    /// Whether there may be seals that were not read.
    more_seals: bool,
    /// Seals that were read and whose rows were not.
    pending: VecDeque<Seal>,
}

impl Walk {
    /// A walk up to a number that a seal ends with.
    pub fn new(until: i64) -> Self {
        let (row, seal, more_seals) = (i64::MIN, i64::MIN, true);
        Self { until, row, seal, more_seals, pending: VecDeque::new() }
    }

    /// Sets a higher number as the end of a walk that has ended.
    pub fn go_on(&mut self, until: i64) {
        self.until = until;
        self.more_seals = true;
    }

    /// The next lines; none at the end.
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
