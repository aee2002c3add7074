//! Batches of concurrent commands.
//!
//! While one batch runs, further commands collect and become the next batch. On an idle service a
//! command is a batch of one and waits for nothing; under load batches grow up to
//! [`Limits::batch`]. A kind that may wait can space its batches by [`Limits::apart`]: they are
//! fewer and larger. Even then the first command after a pause waits for nothing, and a full batch
//! waits only for the previous one.
//!
//! Guarantees:
//! - Every submitted command is answered exactly once, each with its own answer.
//! - A batch holds commands of one [`Batched::Group`] only (a workspace, for example). Groups take
//!   turns, so a busy group cannot block the others.
//! - A group has one running batch at a time. A second one would wait for the same rows (the
//!   busiest goal, the totals), and both would be smaller, although the cost of a batch is mostly
//!   fixed.
//! - At most [`Limits::in_flight`] batches of a kind run, and at most [`Limits::queue`] commands
//!   wait; beyond that a command is refused as unavailable and not executed.
//! - A caller that goes away affects no other. If it is gone before its batch starts, its command
//!   is not executed; after that the command is executed like any other, and
//!   [`Batched::undelivered`] may undo it.
//! - A command that makes the database reject a whole batch (an amount that overflows, say) fails
//!   alone: the batch was rolled back, so its commands are executed again one by one. After any
//!   other failure, and after a panic, every command of the batch gets the error, because it is
//!   unknown whether the batch was committed.
//! - A batch that the database does not answer in time is abandoned: its callers get an error, and
//!   the next batch takes its place. Otherwise a few silent connections would block a kind forever.
//! - [`Coalescer::drain`] accepts no more and returns after every accepted command is answered.
//!
//! Batches run on their own tasks, so the future of a request may be dropped at any moment.

use std::{
    fmt,
    hash::Hash,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::TaskTracker;

use super::{Error, Result};
use crate::clock::Stopwatch;

mod queue;
#[cfg(test)]
mod tests;

use queue::{Queue, Waiting};

/// A kind of command that is executed in batches.
pub trait Batched: Clone + Send + 'static {
    /// The context of a batch: the app, or a part of it.
    type Context: Clone + Send + Sync + 'static;
    /// Commands of different groups never share a batch.
    type Group: Clone + Eq + Hash + Send + Sync + 'static;
    /// The answer to one command.
    type Answer: Send + 'static;
    /// Name of the kind in metrics and logs.
    const KIND: &'static str;

    /// The group of this command.
    fn group(&self) -> Self::Group;

    /// Executes a batch: one answer per command, in their order.
    ///
    /// Returns an error of the whole only if nothing of the batch was committed, or if that is
    /// unknown.
    fn run(
        context: Self::Context,
        group: Self::Group,
        batch: Vec<Self>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer>>>> + Send;

    /// Undoes a command whose caller went away before the answer. By default the command stands: a
    /// repeated request gets the same answer.
    fn undelivered(
        _context: Self::Context,
        _answer: Self::Answer,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Limits of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of running batches.
    pub in_flight: usize,
    /// Maximum number of commands per batch.
    pub batch: usize,
    /// Maximum number of waiting commands.
    pub queue: usize,
    /// Time limit of a batch.
    pub patience: Duration,
    /// Minimum time between the starts of two batches of a group, unless the second is full.
    pub apart: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 2,
            batch: 100,
            queue: 10_000,
            patience: Duration::from_secs(30),
            apart: Duration::ZERO,
        }
    }
}

/// Executes commands of one kind in batches. Cheap to clone; clones share the queue.
pub struct Coalescer<B: Batched> {
    shared: Arc<Shared<B>>,
}

struct Shared<B: Batched> {
    limits: Limits,
    queue: Mutex<Queue<B>>,
    /// Notified when a group has enough commands for a full batch.
    filled: Notify,
    workers: TaskTracker,
}

impl<B: Batched> Clone for Coalescer<B> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<B: Batched> fmt::Debug for Coalescer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.shared.queue();
        f.debug_struct("Coalescer")
            .field("kind", &B::KIND)
            .field("waiting", &queue.waiting)
            .field("workers", &queue.workers)
            .field("open", &queue.open)
            .finish()
    }
}

impl<B: Batched> Default for Coalescer<B> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<B: Batched> Coalescer<B> {
    /// A coalescer with an empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let shared = Shared {
            limits,
            queue: Mutex::new(Queue::open()),
            filled: Notify::new(),
            workers: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Executes `command` in a batch and returns its answer.
    ///
    /// # Errors
    /// Those of the command or its batch; `Unavailable` if the queue is full or the service stops.
    pub async fn submit(&self, context: &B::Context, command: B) -> Result<B::Answer> {
        let (caller, answer) = oneshot::channel();
        let group = command.group();
        let worker_wanted = {
            let mut queue = self.shared.queue();
            let wanted =
                queue.push(group.clone(), Waiting { command, caller }, self.shared.limits)?;
            let Limits { apart, batch, .. } = self.shared.limits;
            if !apart.is_zero() && queue.waits(&group) == batch {
                self.shared.filled.notify_waiters();
            }
            wanted
        };
        if worker_wanted {
            let worker = work(Arc::clone(&self.shared), context.clone());
            self.shared.workers.spawn(worker);
        }
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Accepts no more commands, and returns after every accepted one is answered.
    pub async fn drain(&self) {
        self.shared.queue().open = false;
        self.shared.workers.close();
        self.shared.workers.wait().await;
    }
}

impl<B: Batched> Shared<B> {
    fn queue(&self) -> MutexGuard<'_, Queue<B>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, after that of `done`. `None` if no waiting command can run now; the calling
    /// worker ends then.
    fn next(&self, done: Option<B::Group>) -> Option<(B::Group, Vec<Waiting<B>>)> {
        let mut queue = self.queue();
        if let Some(done) = done {
            queue.at_work.remove(&done);
        }
        let next = queue.pop(self.limits.batch);
        if next.is_none() {
            queue.workers -= 1;
        }
        next
    }

    /// Returns after the rest of a group, or as soon as it has enough commands for a full batch.
    async fn rest(&self, group: &B::Group, rest: Duration) {
        let mut over = pin!(tokio::time::sleep(rest));
        loop {
            // Registered before the check, so that no full batch is missed.
            let mut filled = pin!(self.filled.notified());
            filled.as_mut().enable();
            if self.queue().waits(group) >= self.limits.batch {
                return;
            }
            tokio::select! {
                () = &mut over => return,
                () = filled => {}
            }
        }
    }

    /// Ends the rest of a group; returns whether another worker should start.
    fn has_rested(&self, group: &B::Group) -> bool {
        let mut queue = self.queue();
        queue.at_work.remove(group);
        let more = queue.waits(group) > 0 && queue.workers < self.limits.in_flight;
        queue.workers += usize::from(more);
        more
    }
}

async fn work<B: Batched>(shared: Arc<Shared<B>>, context: B::Context) {
    let mut done = None;
    while let Some((group, batch)) = shared.next(done.take()) {
        let began = Stopwatch::start();
        metrics::histogram!("muster_batch_commands", "kind" => B::KIND).record(batch.len() as f64);
        let (commands, callers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.command, waiting.caller)).unzip();
        let answers = answers(&context, &group, commands, shared.limits.patience).await;
        for (caller, answer) in callers.into_iter().zip(answers) {
            if let Err(Ok(answer)) = caller.send(answer) {
                B::undelivered(context.clone(), answer).await;
            }
        }
        let rest = shared.limits.apart.saturating_sub(began.elapsed());
        if rest.is_zero() {
            done = Some(group);
        } else {
            let_rest(&shared, &context, group, rest);
        }
    }
}

/// Blocks a group as if its batch were still running; its worker continues with others.
fn let_rest<B: Batched>(
    shared: &Arc<Shared<B>>,
    context: &B::Context,
    group: B::Group,
    rest: Duration,
) {
    let (resting, context) = (Arc::clone(shared), context.clone());
    shared.workers.spawn(async move {
        resting.rest(&group, rest).await;
        if resting.has_rested(&group) {
            work(resting, context).await;
        }
    });
}

/// One answer per command in every case.
async fn answers<B: Batched>(
    context: &B::Context,
    group: &B::Group,
    commands: Vec<B>,
    patience: Duration,
) -> Vec<Result<B::Answer>> {
    let count = commands.len();
    // Kept for execution one by one; a batch of one is never repeated.
    let kept = if count > 1 { commands.clone() } else { Vec::new() };
    match attempt(context, group, commands, patience).await {
        Ok(answers) => answers,
        Err(error) if count > 1 && error.rolled_back() => {
            tracing::warn!(kind = B::KIND, count, %error, "a batch failed; its commands go one by one");
            let mut answers = Vec::with_capacity(count);
            for command in kept {
                let alone = attempt(context, group, vec![command], patience).await;
                answers.push(alone.and_then(|mut answers| {
                    answers.pop().unwrap_or_else(|| Err(miscounted::<B>()))
                }));
            }
            answers
        }
        Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
    }
}

/// Runs one batch: as many answers as commands, or an error of the whole.
async fn attempt<B: Batched>(
    context: &B::Context,
    group: &B::Group,
    commands: Vec<B>,
    patience: Duration,
) -> Result<Vec<Result<B::Answer>>> {
    let count = commands.len();
    // On the heap, once: inside, it would be in the worker twice, and be copied with it at every start.
    let run = async { Box::pin(B::run(context.clone(), group.clone(), commands)).await };
    let run = tokio::time::timeout(patience, AssertUnwindSafe(run).catch_unwind());
    let Ok(outcome) = run.await else {
        let error = format!("a batch of {} took longer than {patience:?}", B::KIND);
        tracing::warn!(kind = B::KIND, count, %error, "a batch is given up");
        return Err(Error::Unavailable(error));
    };
    match outcome {
        Ok(Ok(answers)) if answers.len() == count => Ok(answers),
        Ok(Ok(_)) => Err(miscounted::<B>()),
        Ok(Err(error)) => Err(error),
        Err(_panic) => Err(Error::Corrupt(format!("a batch of {} panicked", B::KIND))),
    }
}

fn miscounted<B: Batched>() -> Error {
    Error::Corrupt(format!("a batch of {} has another number of answers", B::KIND))
}

fn stopping() -> Error {
    Error::Unavailable("the service is stopping".into())
}
