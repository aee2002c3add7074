//! The watcher of a workspace: it queries the database for all waiters there.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    Watch,
    queue::{Better, Unverified},
};
use crate::{
    app::{App, Result},
    clock::Stopwatch,
    domain::ids::{AgentId, WorkspaceId},
    store::{self, Tx, attempts::waiting::Standing, journal::Head},
};

/// Maximum time between two looks, without hints.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Minimum time between two looks, so that a busy fleet costs a bounded number of looks and not one
/// per commit.
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two removals of unused entries.
const TIDY: Duration = Duration::from_secs(30);

/// Looks until the workspace has no waiters, or the service stops.
pub(super) async fn watch(app: App, workspace: WorkspaceId, watch: Arc<Watch>) {
    let tidied = Stopwatch::start();
    let mut watcher = Watcher {
        app,
        workspace,
        watch,
        head: None,
        missed: false,
        free_at: None,
        look_again: LOOK_AGAIN,
        tidied,
    };
    loop {
        let app = watcher.app.clone();
        let looked = app.in_time(watcher.look()).await;
        watcher.missed = looked.is_err();
        if let Err(error) = looked {
            tracing::warn!(%error, "a look for waiting claims and readers failed; it is retried");
            watcher.watch.queue().blind();
        }
        tokio::time::sleep(PAUSE).await;
        let rouse = watcher.watch.queue().rouse_left();
        let again = rouse.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
        tokio::select! {
            () = watcher.app.wake().stopping() => return,
            () = watcher.watch.hinted.notified() => {}
            () = tokio::time::sleep(again.min(watcher.look_again)) => {}
        }
        if watcher.app.wake().forget_if_unused(watcher.workspace) {
            return;
        }
    }
}

struct Watcher {
    app: App,
    workspace: WorkspaceId,
    watch: Arc<Watch>,
    /// Number of the newest event that the last complete look saw.
    head: Option<i64>,
    /// Whether the last look failed; its hints are still pending.
    missed: bool,
    /// Earliest time at which a used up rate has a start free again. Nothing is recorded then.
    free_at: Option<DateTime<Utc>>,
    /// Time until the next look, without hints.
    look_again: Duration,
    tidied: Stopwatch,
}

impl Watcher {
    async fn look(&mut self) -> Result<()> {
        let (hints, unverified) = {
            let queue = self.watch.queue();
            (queue.hints(), queue.unverified())
        };
        let mut system = self.app.system().await?;
        let Head { newest, rated, now } = store::journal::head(&mut system, self.workspace).await?;
        let mut tx = system.within(self.workspace, self.app.clock.or(now));
        let freed = self.free_at.is_some_and(|at| at <= tx.now);
        let moved = self.missed || self.head != Some(newest) || freed;
        match self.head {
            None => self.watch.queue().begin(),
            Some(head) if moved => self.agents_that_changed(&mut tx, head, newest).await?,
            Some(_) => {}
        }
        // Asked now and not before the head was read: a claim that began to wait since then ran its
        // own query later, and so saw every change up to the head.
        let asks = {
            let mut queue = self.watch.queue();
            queue.rouse();
            queue.asks(moved)
        };
        if let Some(places) = asks {
            let most = i64::try_from(places).unwrap_or(i64::MAX);
            let ready = store::attempts::waiting::ready_sets(&mut tx, most).await?;
            let beliefs = self.app.routes.beliefs(self.workspace);
            let differ: Vec<bool> =
                ready.iter().map(|set| beliefs.differs(&set.capabilities)).collect();
            let mean = |agent: AgentId, required: &[String]| beliefs.mean(required, agent);
            let better = differ.contains(&true).then_some(Better { differ: &differ, mean: &mean });
            self.watch.queue().call_best(hints, ready, better);
        } else {
            self.watch.queue().looked(hints);
        }
        self.free_at = if rated { store::rates::next_free(&mut tx).await? } else { None };
        let until_free = self.free_at.map(|at| (at - tx.now).to_std().unwrap_or_default());
        self.look_again = until_free.map_or(LOOK_AGAIN, |time| time.clamp(PAUSE, LOOK_AGAIN));
        if !unverified.is_empty() {
            self.look_after(&mut tx, unverified).await?;
        }
        drop(tx);
        self.head = Some(newest);
        self.watch.head.send_if_modified(|head| std::mem::replace(head, newest) != newest);
        if self.tidied.elapsed() > TIDY {
            self.tidied = Stopwatch::start();
            self.watch.queue().tidy();
        }
        Ok(())
    }

    /// Wakes the claims of agents that were edited, or lost a key, since the last look.
    async fn agents_that_changed(&self, tx: &mut Tx, head: i64, newest: i64) -> Result<()> {
        let agents = store::journal::agents_touched(tx, head, newest).await?;
        if !agents.is_empty() {
            self.watch.queue().wake_agents(&agents);
        }
        Ok(())
    }

    /// Calls the unverified claims whose key is no longer valid, whose agent changed, or whose
    /// request was answered before. Updates the last contact of all their agents.
    async fn look_after(&self, tx: &mut Tx, unverified: Vec<Unverified>) -> Result<()> {
        let asked: Vec<_> =
            unverified.iter().map(|n| (n.key, n.agent, n.repeat.as_deref())).collect();
        let standing = store::attempts::waiting::standing(tx, &asked).await?;
        let heard: Vec<AgentId> = unverified.iter().map(|claim| claim.agent).collect();
        store::attempts::claim::touch_presence(tx, &heard).await?;
        let mut queue = self.watch.queue();
        queue.verified(unverified.iter().map(|claim| claim.ticket));
        let called = unverified.iter().zip(standing).filter(|(_, s)| *s == Standing::Calls);
        let called = called.map(|(claim, _)| claim.ticket).collect();
        queue.wake(called);
        Ok(())
    }
}
