//! Evaluates the intervention rules: finds what they apply to, and acts.
//!
//! For each rule that acts, what it may be about is found without a lock ([`store::rules::candidates`]) and
//! judged by its facts. What is left is done one by one, each in a unit of work of its own that holds the
//! rule, the goal and the task, collects the facts again and judges again. Two processes that find the
//! same meet at the goal's row; the later one finds that the rule has an open intervention.
//!
//! Before that, what is over is closed: tasks and goals that ended, freezes that were lifted, questions
//! that were withdrawn, and nudges whose condition has ceased. A question is closed by its
//! decision, in that transaction.

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
        states::{GoalState, TaskState},
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

/// How often a rule acts at most in one run of the step; what is left over comes with the next.
const ACTS: usize = 200;
/// How many open interventions are looked at together.
const LOOKED_AT: i64 = 500;

/// The duty.
pub(super) const DUTY: Duty = Duty {
    name: "intervene",
    pace: Duration::from_secs(1),
    is_due: |due| due.intervene,
    run: |app, workspace| Box::pin(app.intervene(workspace)),
};

impl App {
    /// Acts by the rules, and closes what is over.
    async fn intervene(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tally = Tally::default();
        tally.note(self.close_interventions(workspace).await);
        let rows = store::rules::at_work(&mut self.reader(workspace).await?).await?;
        if !rows.is_empty() {
            self.forget_ended(workspace).await?;
        }
        for row in rows {
            let rule = Rule::try_from(row)?;
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

    /// What is left of attempts and tasks that have ended is no longer looked at.
    async fn forget_ended(&self, workspace: WorkspaceId) -> Result<()> {
        let mut tx = self.reader(workspace).await?;
        store::attempts::loops::forget_ended(&mut tx).await?;
        store::rules::nudges::forget_ended(&mut tx).await?;
        Ok(())
    }

    /// What a rule is to act about, as far as can be seen without locks.
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

    /// Acts, if everything is still so under the locks. Returns how many things were done.
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

/// Whether an intervention is over.
enum Over {
    Yes(Closing),
    No,
    /// It is when the condition does not hold for this task or goal.
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
            // The rule is about something else by now.
            Ok(_) | Err(_) => Over::Yes(Closing::Withdrawn),
        },
    }
}

/// Whether a task has left the states that the condition is about: it waits for a person already, or it
/// has ended.
fn is_past(task: &TaskFacts, condition: Condition) -> bool {
    let open = match task.state {
        TaskState::Running | TaskState::Ready | TaskState::Waiting => true,
        TaskState::Parked => condition == Condition::SubtasksOver,
        TaskState::Reviewing | TaskState::Done | TaskState::Failed | TaskState::Cancelled => false,
    };
    task.cancelling || !open
}

/// Holds the rule, the goal and the task and judges again.
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
    let Some(goal) = goals.into_iter().find(|goal| goal.state == GoalState::Active) else {
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
