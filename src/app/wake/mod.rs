//! Waiting without polling: one watcher per process and workspace polls for all waiters.
//!
//! Waiting claims and readers hold no connection and run no queries. The watcher reads the number
//! of the newest event, because every change writes an event. It reads when a commit of this
//! process hints at a change, and twice a second in any case, which finds the changes of other
//! processes: polling decides, hints only speed it up. Only if the number has changed does it query
//! ready tasks, and it calls as many claims as there are ready tasks, in the order of their arrival
//! ([`queue`]). A watcher lives as long as its workspace has waiters.
//!
//! Guarantees:
//! - While nothing changes, any number of waiters costs one statement per look and workspace.
//! - No change is missed: a waiter takes its place before its own query.
//! - The longest waiter is called first, and a claim that was called in vain keeps its place. Where agents are known
//!   to differ, the better one is called first.
//! - No call is lost: if a called claim ends without an answer of its own query (its wait is over, its caller went away,
//!   its query failed), the next look queries again.
//! - When a task that was left for a better agent goes to anybody, the claims that were passed over are called.

mod queue;
pub(in crate::app) mod reads;
mod watcher;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::ids::{KeyId, WorkspaceId};

use queue::WaitQueue;
pub(super) use queue::{Known, Who};

/// The waiters of the whole process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    watched: Mutex<HashMap<WorkspaceId, Watched>>,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Watched {
    watch: Arc<Watch>,
    /// Places in use; the watcher ends when there are none.
    places: usize,
}

/// State shared by a workspace's waiters and their watcher.
#[derive(Debug)]
struct Watch {
    queue: Mutex<WaitQueue>,
    /// Number of the newest event that the watcher saw.
    head: watch::Sender<i64>,
    hinted: Notify,
}

impl Watch {
    fn new() -> Self {
        Self {
            queue: Mutex::new(WaitQueue::default()),
            head: watch::Sender::new(0),
            hinted: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, WaitQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    /// Hints at a change in the workspace: a commit of this process had events.
    pub fn changed(&self, workspace: WorkspaceId) {
        if let Some(watch) = self.watch(workspace) {
            watch.hinted.notify_one();
        }
    }

    /// Hints at ready tasks in the workspace.
    pub fn ready(&self, workspace: WorkspaceId) {
        if let Some(watch) = self.watch(workspace) {
            watch.queue().hint();
            watch.hinted.notify_one();
        }
    }

    /// Has the passed-over claims of the workspace called again after `left`, when a task goes to anybody.
    pub(super) fn deferred(&self, workspace: WorkspaceId, left: Duration) {
        if let Some(watch) = self.watch(workspace) {
            watch.queue().rouse_in(left);
            // The watcher notices a later end at its next look; a look now would only call others in vain.
            if left < watcher::LOOK_AGAIN {
                watch.hinted.notify_one();
            }
        }
    }

    /// Number of waiting claims in the workspace.
    #[must_use]
    pub fn waiting(&self, workspace: WorkspaceId) -> usize {
        self.watch(workspace).map_or(0, |watch| watch.queue().len())
    }

    /// Ends every wait, because the service is stopping.
    pub fn stop_waiting(&self) {
        self.shared.stopping.cancel();
    }

    /// Whether waits must end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.is_cancelled()
    }

    /// Returns when waits must end.
    pub(super) async fn stopping(&self) {
        self.shared.stopping.cancelled().await;
    }

    /// Takes a place among the waiters of the workspace; the first one starts the watcher.
    pub(super) fn place(&self, app: &App, workspace: WorkspaceId) -> Place {
        let mut watched = self.watched();
        let entry = watched.entry(workspace).or_insert_with(|| {
            let watch = Arc::new(Watch::new());
            tokio::spawn(watcher::watch(app.clone(), workspace, Arc::clone(&watch)));
            Watched { watch, places: 0 }
        });
        entry.places += 1;
        Place { wake: self.clone(), workspace, watch: Arc::clone(&entry.watch) }
    }

    /// The remembered entry of a key with recent claims here.
    pub(super) fn recall(&self, workspace: WorkspaceId, key: KeyId) -> Option<Known> {
        self.watch(workspace)?.queue().recall(key)
    }

    fn watch(&self, workspace: WorkspaceId) -> Option<Arc<Watch>> {
        self.watched().get(&workspace).map(|watched| Arc::clone(&watched.watch))
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Watched>> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a workspace without waiters; returns whether its watcher may end.
    fn forget_if_unused(&self, workspace: WorkspaceId) -> bool {
        let mut watched = self.watched();
        let unused = watched.get(&workspace).is_none_or(|watched| watched.places == 0);
        if unused {
            watched.remove(&workspace);
        }
        unused
    }
}

/// A place among the waiters of a workspace; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    wake: Wake,
    workspace: WorkspaceId,
    watch: Arc<Watch>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(watched) = self.wake.watched().get_mut(&self.workspace) {
            watched.places -= 1;
        }
    }
}

impl Place {
    /// Turns the place into a reader.
    pub(super) fn reader(self) -> Reader {
        Reader { head: self.watch.head.subscribe(), _place: self }
    }

    /// Turns the place into a ticket of the claim queue.
    pub(super) fn ticket(self) -> WaitTicket {
        let ticket = self.watch.queue().ticket();
        WaitTicket { ticket, in_vain: 0, looks: 0, call: None, owes: false, place: self }
    }
}

/// Waits for changes. It sees every change after its creation, so create it before the first query.
#[derive(Debug)]
pub(super) struct Reader {
    head: watch::Receiver<i64>,
    _place: Place,
}

impl Reader {
    /// Returns after a change since the last call.
    pub(super) async fn changed(&mut self) {
        // The sender lives as long as the place; a closed channel counts as a change.
        let _ = self.head.changed().await;
    }
}

/// A claim's place in the queue, given back on drop.
#[derive(Debug)]
pub(super) struct WaitTicket {
    ticket: u64,
    /// Number of calls after which it found nothing.
    in_vain: u32,
    /// Number of completed looks when its own last query began.
    looks: u64,
    call: Option<oneshot::Receiver<()>>,
    /// Whether it was called, and its query has no answer yet.
    owes: bool,
    place: Place,
}

impl WaitTicket {
    /// Marks the begin of the claim's own query: anything ready from here on will be noticed.
    pub(super) fn begin(&mut self) {
        self.looks = self.place.watch.queue().looks();
    }

    /// Waits for a call, after the claim's own query found nothing.
    pub(super) fn enqueue(&mut self, who: Who, known: Option<Known>) {
        let mut queue = self.place.watch.queue();
        if let Some(known) = known {
            queue.remember(who.key, known, self.looks);
        }
        self.call = Some(queue.enqueue(self.ticket, who, self.looks, self.in_vain));
        self.in_vain += 1;
        self.owes = false;
        if queue.is_unseen() {
            self.place.watch.hinted.notify_one();
        }
    }

    /// Waits without a query, if the watcher's last look found nothing for the agent. Returns
    /// whether it waits.
    pub(super) fn enqueue_unverified(&mut self, who: Who) -> bool {
        self.call = self.place.watch.queue().enqueue_unverified(self.ticket, who);
        self.in_vain += u32::from(self.call.is_some());
        self.call.is_some()
    }

    /// Whether it waits without a query and the watcher has not verified its key yet.
    pub(super) fn is_unverified(&self) -> bool {
        self.place.watch.queue().is_unverified(self.ticket)
    }

    /// Returns after a call.
    pub(super) async fn called(&mut self) {
        if let Some(call) = &mut self.call {
            // A dropped sender counts as a call.
            let _ = call.await;
            self.owes = true;
        }
        self.call = None;
    }

    /// Its query found tasks.
    pub(super) fn served(&mut self) {
        self.owes = false;
    }
}

impl Drop for WaitTicket {
    fn drop(&mut self) {
        let mut queue = self.place.watch.queue();
        let called = self.call.as_mut().is_some_and(|call| call.try_recv().is_ok());
        queue.leave(self.ticket);
        if self.owes || called {
            queue.lost();
            self.place.watch.hinted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
