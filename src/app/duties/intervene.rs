//! Duty `intervene`: evaluates the intervention rules and acts.
//!
//! First, finished interventions are closed: on ended tasks and goals, with lifted freezes, with
//! withdrawn approvals, and nudges whose condition no longer holds. (The decision of an approval
//! closes its intervention in its own transaction.)
//!
//! Then each enabled rule searches its candidates without a lock ([`store::rules::candidates`]) and
//! judges them by their facts. Each match gets a unit of work of its own, which locks the rule, the
//! goal and the task, collects the facts again and judges again. Two processes with the same match
//! meet at the goal's row; the later one finds the open intervention.

use std::time::Duration;

use uuid::Uuid;

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result, Unit,
        caller::Actor,
        rules::{
            Rule,
            act::{self, Target, close},
            facts::{self, Known},
        },
    },
    domain::{
        ids::{InterventionId, TaskId, WorkspaceId},
        rule::{Action, Closing, Condition, Finding, Subject, When},
        states::TaskState,
        task::TaskFacts,
    },
    store::{
        self,
        rules::{
            candidates::{Candidate, Search, closed_before},
            interventions::OpenRow,
        },
    },
};

/// Most actions of one rule per run; the next run continues.
const ACTS: usize = 200;
/// Open interventions read per query.
const LOOKED_AT: i64 = 500;

pub(super) const DUTY: Duty = Duty {
    name: "intervene",
    pace: Duration::from_secs(1),
    is_due: |due| due.intervene,
    run: |app, workspace| Box::pin(app.intervene(workspace)),
};

impl App {
    /// Closes finished interventions, then acts by the rules.
    async fn intervene(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tally = Tally::default();
        tally.note(self.close_interventions(workspace).await);
        let rows = store::rules::at_work(&mut self.reader(workspace).await?).await?;
        if !rows.is_empty() {
            self.forget_ended(workspace).await?;
        }
        for rule in rows.into_iter().map(Rule::from) {
            match self.find(workspace, &rule).await {
                Ok(found) => {
                    for candidate in found {
                        tally.note(self.act(workspace, &rule, &candidate).await);
                    }
                }
                Err(error) => tally.note(Err(error)),
            }
        }
        Ok(tally.report())
    }

    /// Deletes loops and nudges of ended attempts and tasks.
    async fn forget_ended(&self, workspace: WorkspaceId) -> Result<()> {
        let mut tx = self.reader(workspace).await?;
        store::attempts::loops::forget_ended(&mut tx).await?;
        store::rules::nudges::forget_ended(&mut tx).await?;
        Ok(())
    }

    /// The candidates that a rule matches, judged without locks.
    async fn find(&self, workspace: WorkspaceId, rule: &Rule) -> Result<Vec<Candidate>> {
        let mut tx = self.reader(workspace).await?;
        let closed_before = closed_before(tx.now, rule.cooldown_seconds * 1_000);
        let search =
            Search { workspace, rule: rule.id, scope: &rule.scope, closed_before, now: tx.now };
        let mut found = store::rules::candidates::find(&mut tx, search, &rule.when).await?;
        let ids: Vec<Uuid> = found.iter().map(|candidate| candidate.subject_id).collect();
        let known = facts::gather(&mut tx, &rule.when, &ids).await?;
        found.retain(|candidate| {
            let facts = known.get(&candidate.subject_id).map(|known| &known.facts);
            let finding = facts.and_then(|facts| rule.when.judge(facts, tx.now));
            finding.is_some_and(|finding| finding.is_news(candidate.closing.zip(candidate.measure)))
        });
        found.truncate(ACTS);
        Ok(found)
    }

    /// Acts, if the rule still matches under the locks. Returns the number of actions.
    async fn act(&self, workspace: WorkspaceId, rule: &Rule, candidate: &Candidate) -> Result<u64> {
        let mut unit = if rule.then.holds_alone() {
            self.begin_alone(workspace, Actor::SERVICE).await?
        } else {
            self.begin(workspace, Actor::SERVICE).await?
        };
        let Some((target, finding)) = judge_again(&mut unit, rule, candidate).await? else {
            self.undo(unit).await?;
            return Ok(0);
        };
        if !act::open(&mut unit, rule, target, &finding).await? {
            self.undo(unit).await?;
            return Ok(0);
        }
        self.commit(unit).await?;
        Ok(1)
    }

    async fn close_interventions(&self, workspace: WorkspaceId) -> Result<u64> {
        let (mut after, mut closed) = (None, 0);
        loop {
            let mut tx = self.reader(workspace).await?;
            let rows = store::rules::interventions::open_ones(&mut tx, after, LOOKED_AT).await?;
            let Some(last) = rows.last() else { return Ok(closed) };
            after = Some(last.intervention_id);
            let mut closings = Vec::new();
            for row in &rows {
                let over = match over(row) {
                    Over::Yes(closing) => Some(closing),
                    Over::No => None,
                    Over::Unless(when, subject) => {
                        let known = facts::gather(&mut tx, &when, &[subject]).await?;
                        let facts = known.get(&subject).map(|known| &known.facts);
                        let holds = facts.and_then(|facts| when.judge(facts, tx.now)).is_some();
                        (!holds).then_some(Closing::Cleared)
                    }
                };
                closings.extend(over.map(|closing| (row, closing)));
            }
            drop(tx);
            if !closings.is_empty() {
                closed += self.close(workspace, &closings).await?;
            }
        }
    }

    async fn close(&self, workspace: WorkspaceId, rows: &[(&OpenRow, Closing)]) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let asks: Vec<_> = rows.iter().filter_map(|(row, _)| row.asks).collect();
        act::withdraw(&mut unit, &asks).await?;
        let closings: Vec<(InterventionId, Closing)> =
            rows.iter().map(|(row, closing)| (row.intervention_id, *closing)).collect();
        let closed = close(&mut unit, &closings).await?;
        self.commit(unit).await?;
        Ok(closed)
    }
}

/// Whether an intervention has ended.
enum Over {
    Yes(Closing),
    No,
    /// Unless the condition still holds for this task or goal.
    Unless(When, Uuid),
}

fn over(row: &OpenRow) -> Over {
    if row.ended {
        return Over::Yes(Closing::Ended);
    }
    if row.lifted {
        return Over::Yes(Closing::Lifted);
    }
    if row.withdrawn {
        return Over::Yes(Closing::Withdrawn);
    }
    match row.action {
        Action::Ask | Action::Park | Action::Freeze | Action::Reassign => Over::No,
        Action::Nudge if !row.enabled => Over::Yes(Closing::Withdrawn),
        Action::Nudge => match serde_json::from_value::<When>(row.condition_is.clone()) {
            Ok(when) if when.subject() == row.subject => {
                Over::Unless(when, row.task_id.map_or(row.goal_id.0, |task| task.0))
            }
            // The rule now has another subject.
            Ok(_) | Err(_) => Over::Yes(Closing::Withdrawn),
        },
    }
}

/// Whether a task has left the states that the condition is about: it has ended, or already waits
/// for a person.
fn is_past(task: &TaskFacts, condition: Condition) -> bool {
    let open = match task.state {
        TaskState::Running | TaskState::Ready | TaskState::Waiting => true,
        TaskState::Parked => condition == Condition::SubtasksOver,
        TaskState::Reviewing | TaskState::Done | TaskState::Failed | TaskState::Cancelled => false,
    };
    task.cancelling || !open
}

/// Locks the rule, the goal and the task and judges again.
async fn judge_again(
    unit: &mut Unit,
    rule: &Rule,
    candidate: &Candidate,
) -> Result<Option<(Target, Finding)>> {
    let now = unit.now();
    if !store::rules::hold(unit.tx(), rule.id, rule.version).await? {
        return Ok(None);
    }
    let goals = store::goals::lock(unit.tx(), &[candidate.goal_id]).await?;
    let Some(goal) = goals.into_iter().find(|goal| goal.state.is_worked_on()) else {
        return Ok(None);
    };
    let tasks: Vec<TaskId> = match rule.when.subject() {
        Subject::Task => vec![candidate.task()],
        Subject::Goal => Vec::new(),
    };
    let task = store::tasks::lock(unit.tx(), &tasks).await?.into_iter().next();
    if task.as_ref().is_some_and(|task| is_past(task, rule.when.condition())) {
        return Ok(None);
    }
    let ids = [candidate.subject_id];
    let known = facts::gather(unit.tx(), &rule.when, &ids).await?;
    let Some(Known { facts, attempt }) = known.into_values().next() else { return Ok(None) };
    let Some(finding) = rule.when.judge(&facts, now) else { return Ok(None) };
    let last = store::rules::interventions::last_closed(unit.tx(), rule.id, candidate.subject_id);
    let last = last.await?;
    let silent_after = closed_before(now, rule.cooldown_seconds * 1_000);
    let silent = last.is_some_and(|(closed_at, ..)| closed_at > silent_after);
    let news = finding.is_news(last.map(|(_, closing, measure)| (closing, measure)));
    let target = Target { goal: goal.goal_id, task, attempt };
    Ok((news && !silent).then_some((target, finding)))
}
