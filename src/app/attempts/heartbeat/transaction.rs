//! Batches of heartbeats.
//!
//! A heartbeat is a compare-and-set: the lease moves if the attempt is running and its holder and
//! lease match. A whole batch is one statement ([`store::attempts::heartbeat::renew`]). The
//! attempts it did not renew are read once more to find the reasons. Heartbeats with a report
//! (spend, progress, checkpoint) write more and are journaled. They form batches of their own, each
//! a unit of work, so that plain heartbeats never wait for them.
//!
//! Freezes are read after the renewal, and only if any are in force. A heartbeat never waits for a
//! freeze being set: it either comes before it, or finds its attempt stopped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    answer::{HeartbeatAnswer, HeartbeatFreeze, Nudge},
    command::{HeartbeatCommand, Lane},
    comments, nudges,
};
use crate::{
    app::{
        App, Error, Result,
        budgets::standing::{self, Standings},
        caller::Actor,
        coalesce::{Batched, Limits},
        spend::{charge::charge, waits},
    },
    domain::{
        agent,
        freeze::{self, Act},
        ids::{AgentId, AttemptId, CommentId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::Refusal,
        spend::Amounts,
        states::Directive,
        task::{self, AttemptFacts, heartbeat},
    },
    store::{
        self, SystemTx, Tx,
        attempts::heartbeat::{Beat, Heard, TaskOf},
        comments::deliveries::Delivered,
        freezes::Over,
    },
};

/// Least time between two batches of a workspace. Agents send heartbeats seconds apart, so this
/// delay does not matter to them, and five thousand agents cause a few dozen batches a second
/// instead of hundreds.
const APART: Duration = Duration::from_millis(25);

/// Limits of heartbeat batches.
pub(in crate::app) fn in_no_hurry(limits: Limits) -> Limits {
    Limits { apart: APART, ..limits }
}

impl Batched for HeartbeatCommand {
    type Context = App;
    type Group = Lane;
    type Answer = HeartbeatAnswer;
    const KIND: &'static str = "heartbeat";

    fn group(&self) -> Lane {
        Lane { workspace: self.workspace, reports: self.reports() }
    }

    /// A failure after the renewal does not undo it: renewing a lease again is harmless.
    async fn run(app: App, lane: Lane, batch: Vec<Self>) -> Result<Vec<Result<HeartbeatAnswer>>> {
        let Lane { workspace, reports } = lane;
        if reports {
            return report(&app, workspace, &batch).await;
        }
        let mut system = app.system().await?;
        let heard = renew(&mut system, workspace, app.clock.set(), &batch).await?;
        let now = match heard.values().next() {
            Some(heard) => heard.now,
            None => app.now().await?,
        };
        let mut tx = system.within(workspace, now);
        note_presence(&mut tx, &heard).await?;
        let missed = missed(&mut tx, &batch, &heard).await?;
        let standings = standing::of(&mut tx, heard.keys().copied()).await?;
        let unpriced = unpriced(&mut tx, &heard, &standings).await?;
        let frozen = frozen(&mut tx, &heard).await?;
        let mut nudges = nudges::of(&mut tx, &heard).await?;
        let mut comments = comments::of(&mut tx, seen(&batch, &heard), &heard).await?;
        drop(tx);
        app.note_loops(workspace, &heard).await;
        let answers = batch.iter().map(|command| {
            let heard = find(&heard, command).ok_or_else(|| why(&missed, command))?;
            let told = (nudges.take(heard, command), comments.take(heard));
            Ok(answer(heard, Amounts::new(), (&standings, &unpriced), &frozen, told))
        });
        Ok(answers.collect())
    }
}

impl HeartbeatCommand {
    /// Whether it carries a report besides the renewal.
    fn reports(&self) -> bool {
        let shown = self.progress.is_some() || self.checkpoint.is_some();
        shown || !self.steps.is_empty() || !self.spend.is_empty()
    }

    /// Journal row of a report: percentage, presence of steps and of a checkpoint, and the
    /// attempt's total spend if it reports spend.
    fn row(&self, attempt: &AttemptFacts, spent: Option<&Amounts>) -> NewRow {
        let spent = spent.filter(|_| !self.spend.is_empty());
        let percent = self.progress.as_ref().map(|progress| &progress["percent"]);
        let row = NewRow::new(Kind::AttemptProgressReported).of_attempt(attempt);
        row.by(self.actor.clone()).data(json!({
            "percent": percent, "steps": !self.steps.is_empty(),
            "checkpoint": self.checkpoint.is_some(), "attempt_spend": spent,
        }))
    }
}

async fn report(
    app: &App,
    workspace: WorkspaceId,
    batch: &[HeartbeatCommand],
) -> Result<Vec<Result<HeartbeatAnswer>>> {
    let mut unit = app.begin(workspace, Actor::SERVICE).await?;
    let now = unit.now();
    let heard = renew(unit.tx(), workspace, Some(now), batch).await?;
    note_presence(unit.tx(), &heard).await?;
    let missed = missed(unit.tx(), batch, &heard).await?;
    let kept = batch.iter().filter_map(|command| Some((find(&heard, command)?, command)));
    let reports: Vec<_> = kept.map(|(heard, command)| (&heard.attempt, &command.spend)).collect();
    let spent = charge(&mut unit, "/spend", &reports, &[]).await?;
    for command in batch {
        if let Some(heard) = find(&heard, command) {
            unit.record(command.row(&heard.attempt, spent.get(&command.attempt)));
        }
    }
    let standings = standing::of(unit.tx(), heard.keys().copied()).await?;
    let unpriced = unpriced(unit.tx(), &heard, &standings).await?;
    let frozen = frozen(unit.tx(), &heard).await?;
    let mut nudges = nudges::of(unit.tx(), &heard).await?;
    let mut comments = comments::of(unit.tx(), seen(batch, &heard), &heard).await?;
    app.commit(unit).await?;
    app.note_loops(workspace, &heard).await;
    let answers = batch.iter().map(|command| {
        let heard = find(&heard, command).ok_or_else(|| why(&missed, command))?;
        let spent = spent.get(&command.attempt).cloned().unwrap_or_default();
        let told = (nudges.take(heard, command), comments.take(heard));
        Ok(answer(heard, spent, (&standings, &unpriced), &frozen, told))
    });
    Ok(answers.collect())
}

/// Renews the leases of a batch. `now`: `None` takes the database's time.
async fn renew(
    tx: &mut SystemTx,
    workspace: WorkspaceId,
    now: Option<DateTime<Utc>>,
    batch: &[HeartbeatCommand],
) -> Result<HashMap<AttemptId, Heard>> {
    let heard = store::attempts::heartbeat::renew(tx, workspace, now, &heartbeats(batch)).await?;
    Ok(heard.into_iter().map(|heard| (heard.attempt.attempt_id, heard)).collect())
}

/// Records when agents were last seen, unless a recent record exists.
async fn note_presence(tx: &mut Tx, heard: &HashMap<AttemptId, Heard>) -> Result<()> {
    let due = |heard: &&Heard| agent::must_record_contact(heard.agent_seen_at, heard.now);
    let agents: Vec<AgentId> =
        heard.values().filter(due).filter_map(|heard| heard.attempt.holder.agent()).collect();
    if agents.is_empty() {
        return Ok(());
    }
    Ok(store::attempts::claim::touch_presence(tx, &agents).await?)
}

/// Merges heartbeats of the same attempt; later values win.
fn heartbeats(batch: &[HeartbeatCommand]) -> Vec<Beat> {
    let mut beats: BTreeMap<_, Beat> = BTreeMap::new();
    for command in batch {
        let key = (command.attempt, command.holder, command.lease_sha256);
        let beat = beats.entry(key).or_insert(Beat {
            attempt_id: command.attempt,
            holder: command.holder,
            lease_sha256: command.lease_sha256,
            progress: None,
            checkpoint: None,
            steps: None,
        });
        beat.progress = command.progress.clone().or(beat.progress.take());
        beat.checkpoint = command.checkpoint.clone().or(beat.checkpoint.take());
        if !command.steps.is_empty() {
            beat.steps.get_or_insert_default().extend(&command.steps);
        }
    }
    beats.into_values().collect()
}

/// The renewal for this command, not for another holder's command on the same attempt.
fn find<'a>(heard: &'a HashMap<AttemptId, Heard>, command: &HeartbeatCommand) -> Option<&'a Heard> {
    let heard = heard.get(&command.attempt)?;
    task::fence(&heard.attempt, command.holder, &command.lease_sha256).ok()?;
    Some(heard)
}

/// The comments that renewed attempts acknowledge; in order, since their deliveries are locked.
fn seen(
    batch: &[HeartbeatCommand],
    heard: &HashMap<AttemptId, Heard>,
) -> BTreeSet<(AttemptId, CommentId)> {
    let renewed = batch.iter().filter(|command| find(heard, command).is_some());
    let pairs = |command: &HeartbeatCommand| {
        let attempt = command.attempt;
        command.seen.clone().into_iter().map(move |comment| (attempt, comment))
    };
    renewed.flat_map(pairs).collect()
}

/// An attempt that was not renewed, and its task, as last read.
struct Missed {
    attempt: AttemptFacts,
    task: Option<TaskOf>,
}

/// Current facts of attempts that were not renewed.
async fn missed(
    tx: &mut Tx,
    batch: &[HeartbeatCommand],
    heard: &HashMap<AttemptId, Heard>,
) -> Result<HashMap<AttemptId, Missed>> {
    let missed = batch.iter().filter(|command| find(heard, command).is_none());
    let missed: Vec<AttemptId> = missed.map(|command| command.attempt).collect();
    if missed.is_empty() {
        return Ok(HashMap::new());
    }
    let facts = store::attempts::lock(tx, &missed).await?;
    // Not locked, because tasks are locked before attempts: it is told, and decides nothing.
    let mut tasks = store::attempts::heartbeat::tasks_of(tx, &missed).await?;
    let missed = |attempt: AttemptFacts| {
        let task = tasks.remove(&attempt.attempt_id);
        (attempt.attempt_id, Missed { attempt, task })
    };
    Ok(facts.into_iter().map(missed).collect())
}

/// Why an attempt was not renewed.
fn why(missed: &HashMap<AttemptId, Missed>, command: &HeartbeatCommand) -> Error {
    let Some(Missed { attempt, task }) = missed.get(&command.attempt) else {
        return Refusal::not_found("attempt").into();
    };
    let owned = task::own(attempt, command.holder, &command.lease_sha256);
    match (task::fence(attempt, command.holder, &command.lease_sha256), task) {
        (Err(_), Some(TaskOf { state, latest, frozen, .. })) if owned.is_ok() => {
            let stopped = freeze::admit(*frozen, Act::Rest).is_err();
            task::too_late(attempt, *state, *latest, stopped).into()
        }
        (Err(refusal), _) => refusal.into(),
        (Ok(()), _) => {
            Error::Unavailable("the attempt changed at this moment; send it again".into())
        }
    }
}

/// The strongest freeze over each renewed attempt.
async fn frozen(
    tx: &mut Tx,
    heard: &HashMap<AttemptId, Heard>,
) -> Result<HashMap<AttemptId, Over>> {
    if !heard.values().any(|heard| heard.freezes) {
        return Ok(HashMap::new());
    }
    let attempts: Vec<AttemptId> = heard.keys().copied().collect();
    Ok(store::freezes::strongest_over(tx, &attempts).await?)
}

/// Why tasks of renewed attempts wait for the prices of models.
async fn unpriced(
    tx: &mut Tx,
    heard: &HashMap<AttemptId, Heard>,
    standings: &Standings,
) -> Result<HashMap<TaskId, String>> {
    let is_told = |heard: &&Heard| {
        let rows = standings.get(&heard.attempt.attempt_id);
        rows.is_some_and(|rows| !standing::awaited(rows).is_empty())
    };
    let waiting = heard.values().filter(is_told).map(|heard| heard.attempt.task_id);
    waits::reasons(tx, &waiting.collect::<Vec<_>>()).await
}

fn answer(
    heard: &Heard,
    attempt_spend: Amounts,
    (standings, unpriced): (&Standings, &HashMap<TaskId, String>),
    frozen: &HashMap<AttemptId, Over>,
    (nudges, comments): (Vec<Nudge>, Delivered),
) -> HeartbeatAnswer {
    let Heard { attempt, started_at, cancelling, agent_state, now, .. } = heard;
    let told = heartbeat::directive(attempt, *started_at, *cancelling, *agent_state, *now);
    let none = Vec::new();
    let standings = standings.get(&attempt.attempt_id).unwrap_or(&none);
    let freeze = frozen.get(&attempt.attempt_id);
    let frozen = freeze.map_or(Directive::Continue, |freeze| freeze.mode.directive());
    let limited = standing::directive(standings, *now);
    let directive = told.max(limited).max(frozen);
    let reason = if directive == Directive::Continue {
        None
    } else if directive == told {
        Some(heartbeat::reason(*cancelling, *agent_state).to_owned())
    } else if directive == limited {
        let unpriced = unpriced.get(&attempt.task_id).cloned();
        Some(unpriced.unwrap_or_else(|| standing::reason(standings, limited).to_owned()))
    } else {
        Some("an operator froze the work: see `freeze`".to_owned())
    };
    HeartbeatAnswer {
        directive,
        reason,
        freeze: freeze.cloned().map(HeartbeatFreeze::from),
        budget: standings.iter().map(|row| standing::view(row, *now)).collect(),
        lease_expires_in_ms: (attempt.lease_expires_at - now).num_milliseconds().max(0),
        lease_expires_at: attempt.lease_expires_at,
        hard_deadline: attempt.hard_deadline,
        attempt_spend,
        nudges,
        comments: comments.comments,
        more_comments: comments.more,
    }
}
