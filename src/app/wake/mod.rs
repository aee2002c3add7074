//! Waiting without asking: one watcher per process and workspace looks for everybody.
//!
//! Whoever waits (claims for ready tasks, readers for changes) holds no connection and asks the
//! database nothing. A watcher asks for all of them: whether the number of the newest event has
//! moved, because nothing changes without an event. It asks when a commit of this process hints at
//! a change, and twice a second in any case, which is how changes made by other processes are seen:
//! polling is the truth, waking is a hint. Only when the number has moved does it look at what is
//! ready, and calls as many claims as there are ready tasks, in the order of their arrival
//! ([`queue`]). A watcher lives as long as somebody waits in its workspace.
//!
//! Guarantees:
//! - While nothing changes, any number of waiters costs one statement per look and workspace.
//! - Nobody misses a change: a waiter takes its place before it looks for itself.
//! - Who waits longest is called first, and a claim that was called in vain keeps its place.

mod queue;
pub(in crate::app) mod reads;
mod watcher;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::ids::{KeyId, WorkspaceId};

use queue::WaitQueue;
pub(super) use queue::{Known, Who};

/// Those who wait, shared by the whole process. Cheap to clone.
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
    /// Places taken; the watcher ends when there are none.
    places: usize,
}

/// What those who wait in one workspace and their watcher share.
#[derive(Debug)]
struct Watch {
    queue: Mutex<WaitQueue>,
    /// The number of the newest event that was seen.
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
    /// Something changed in the workspace: a commit of this process had events.
    pub fn changed(&self, workspace: WorkspaceId) {
        if let Some(watch) = self.watch(workspace) {
            watch.hinted.notify_one();
        }
    }

    /// Tasks became ready in the workspace.
    pub fn ready(&self, workspace: WorkspaceId) {
        if let Some(watch) = self.watch(workspace) {
            watch.queue().hint();
            watch.hinted.notify_one();
        }
    }

    /// Number of claims that wait in the workspace.
    #[must_use]
    pub fn waiting(&self, workspace: WorkspaceId) -> usize {
        self.watch(workspace).map_or(0, |watch| watch.queue().len())
    }

    /// Ends every wait: the service stops.
    pub fn stop_waiting(&self) {
        self.shared.stopping.cancel();
    }

    /// Whether waits should end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.is_cancelled()
    }

    /// Returns when waits should end.
    pub(super) async fn stopping(&self) {
        self.shared.stopping.cancelled().await;
    }

    /// A place among those who wait in the workspace; the first one starts the watcher.
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

    /// What is remembered of a key whose claims wait here.
    pub(super) fn recall(&self, workspace: WorkspaceId, key: KeyId) -> Option<Known> {
        self.watch(workspace)?.queue().recall(key)
    }

    fn watch(&self, workspace: WorkspaceId) -> Option<Arc<Watch>> {
        self.watched().get(&workspace).map(|watched| Arc::clone(&watched.watch))
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Watched>> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a workspace in which nobody waits any more; its watcher may end then.
    fn forget_if_unused(&self, workspace: WorkspaceId) -> bool {
        let mut watched = self.watched();
        let unused = watched.get(&workspace).is_none_or(|watched| watched.places == 0);
        if unused {
            watched.remove(&workspace);
        }
        unused
    }
}

/// A place among those who wait in one workspace.
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
    /// Waits for changes.
    pub(super) fn reader(self) -> Reader {
        Reader { head: self.watch.head.subscribe(), _place: self }
    }

    /// Takes a ticket in the queue of claims.
    pub(super) fn ticket(self) -> WaitTicket {
        let ticket = self.watch.queue().ticket();
        WaitTicket { ticket, in_vain: 0, looks: 0, call: None, place: self }
    }
}

/// Waits for changes. Made before looking, it misses none that comes after.
#[derive(Debug)]
pub(super) struct Reader {
    head: watch::Receiver<i64>,
    _place: Place,
}

impl Reader {
    /// Returns when something changed since the last call.
    pub(super) async fn changed(&mut self) {
        // The sender lives as long as the place; a closed channel is just no change.
        let _ = self.head.changed().await;
    }
}

/// A claim's place in the queue, given back on drop.
#[derive(Debug)]
pub(super) struct WaitTicket {
    ticket: u64,
    /// How often it was called and came back with nothing.
    in_vain: u32,
    /// Looks that had ended when it last began to look for itself.
    looks: u64,
    call: Option<oneshot::Receiver<()>>,
    place: Place,
}

impl WaitTicket {
    /// Says that the claim looks for itself now: what becomes ready from here on is not missed.
    pub(super) fn begin(&mut self) {
        self.looks = self.place.watch.queue().looks();
    }

    /// Waits until it is called, after it looked for itself and found nothing.
    pub(super) fn enqueue(&mut self, who: Who, known: Option<Known>) {
        let mut queue = self.place.watch.queue();
        if let Some(known) = known {
            queue.remember(who.key, known, self.looks);
        }
        self.call = Some(queue.enqueue(self.ticket, who, self.looks, self.in_vain));
        self.in_vain += 1;
        if queue.is_unseen() {
            self.place.watch.hinted.notify_one();
        }
    }

    /// Waits without looking, if the watcher knows that there is nothing for it.
    pub(super) fn enqueue_unverified(&mut self, who: Who) -> bool {
        self.call = self.place.watch.queue().enqueue_unverified(self.ticket, who);
        self.in_vain += u32::from(self.call.is_some());
        self.call.is_some()
    }

    /// Whether it waits without looking and the watcher has not yet looked after its key.
    pub(super) fn is_unverified(&self) -> bool {
        self.place.watch.queue().is_unverified(self.ticket)
    }

    /// Returns when it is called.
    pub(super) async fn called(&mut self) {
        if let Some(call) = &mut self.call {
            // Whoever could call is gone: look again, as if called.
            let _ = call.await;
        }
        self.call = None;
    }
}

impl Drop for WaitTicket {
    fn drop(&mut self) {
        self.place.watch.queue().leave(self.ticket);
    }
}
