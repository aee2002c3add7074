//! Editing a task.
//!
//! The rules of what may change when are in [`crate::domain::task::edit`]. An edit locks the goal and then
//! the task, as an ending does: so needs are judged against tasks that cannot end meanwhile, and a claim
//! that came first is seen. In the same transaction a ready task that got a need or a start time waits
//! again, and a waiting one that lost its last need is freed. What is parked for the approval of its start
//! is asked about again, because people approve the text that they were shown; what is parked for a budget
//! is offered again if it needs another amount. An attempt that has lapsed may complete the task only while
//! nothing changed of what its claim handed over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    create::numbered,
    detail::{self, TaskDetail},
    unblock::{self, Needs},
    upward, weigh,
};
use crate::{
    app::{
        App, Result, Unit,
        approvals::{ask, planned},
        caller::{Caller as _, Principal, ProjectOperatorCaller},
        edit::present,
        error::same_version,
        unit::locks::lock_goal_of,
    },
    domain::{
        budget::ask::Estimate,
        check::Checks,
        criterion::COMMAND,
        ids::{GoalId, LimitId, TaskId},
        journal::{Kind, NewRow},
        plan::{CriterionSpec, TaskSpec, around::Around, check_new_needs, check_values},
        refusal::{Code, Refusal},
        settings,
        states::TaskState,
        task::{
            TaskFacts, claim,
            edit::{self, EditedTask, Effect, Standing, TaskField, moved_deadline},
        },
    },
    store::{
        self,
        goals::GoalFacts,
        tasks::{
            edit::{Editable, Edited, EditedTexts},
            moves::TaskMove,
        },
    },
};

/// An edit of a task. Fields left out stay; `null` sets a field back to its default.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskChange {
    /// New title, one line. It cannot be `null`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// New instructions for the agent, in Markdown; at most 64 KiB. `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// New input for the agent, any JSON; at most 256 KiB. `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    pub input: Option<Option<Value>>,
    /// The complete new list of capabilities that an agent needs, at most 32. `null`: any agent.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["rust"]))]
    pub capabilities: Option<Option<Vec<String>>>,
    /// The complete new list of tasks that must be done before it, by ref or id, of the same goal. Done
    /// ones count as met. With a need that is not done, a ready task waits again; without one, a waiting
    /// task is offered. `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["schema"]))]
    pub needs: Option<Option<Vec<String>>>,
    /// New expected spend of one attempt by unit, the complete list. `null`: unknown.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<BTreeMap<String, Estimate>>, example = json!({"usd_micros": 250000}))]
    pub estimate: Option<Option<BTreeMap<String, Estimate>>>,
    /// The complete new list of conditions of success, numbered from 1; at most 200. `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<CriterionSpec>>)]
    pub criteria: Option<Option<Vec<CriterionSpec>>>,
    /// The complete new list of labels, at most 32. `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    pub labels: Option<Option<Vec<String>>>,
    /// New priority, 0 (lowest) to 9. One point outranks five minutes of waiting, including time
    /// already waited. `null`: the goal's.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 9)]
    pub priority: Option<Option<i16>>,
    /// The earliest time of an offer. In the past or `null`: at once, which also ends a backoff.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub not_before: Option<Option<DateTime<Utc>>>,
    /// Failed or expired attempts after which it fails; more than it has used. `null`: 3.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100)]
    pub max_attempts: Option<Option<i32>>,
    /// Rejected results after which a person chooses; more than it has. `null`: 3.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 20)]
    pub max_rework: Option<Option<i32>>,
    /// The lease of its next attempt, in seconds. `null`: 60.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 3600)]
    pub lease_seconds: Option<Option<u32>>,
    /// Hard limit of its next attempt, in seconds. `null`: 14,400 (four hours).
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2592000)]
    pub attempt_timeout_seconds: Option<Option<u32>>,
    /// It fails if no agent claims it within this many seconds of being ready. A deadline that runs
    /// moves by the difference. `null`: no limit.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2592000)]
    pub start_within_seconds: Option<Option<u32>>,
    /// It fails if it is not done within this many seconds of first being ready. A deadline that runs
    /// moves by the difference. `null`: no limit.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2592000)]
    pub finish_within_seconds: Option<Option<u32>>,
}

impl TaskChange {
    /// The values given, in the form that the check of a plan knows.
    fn given(&self) -> TaskSpec {
        TaskSpec {
            r#ref: "task".into(),
            title: self.title.clone().flatten().unwrap_or_else(|| "task".into()),
            description: self.description.clone().flatten().unwrap_or_default(),
            input: self.input.clone().flatten(),
            capabilities: self.capabilities.clone().flatten().unwrap_or_default(),
            estimate: self.estimate.clone().flatten().unwrap_or_default(),
            criteria: self.criteria.clone().flatten().unwrap_or_default(),
            labels: self.labels.clone().flatten().unwrap_or_default(),
            priority: self.priority.flatten(),
            not_before: self.not_before.flatten(),
            max_attempts: self.max_attempts.flatten(),
            max_rework: self.max_rework.flatten(),
            lease_seconds: self.lease_seconds.flatten(),
            attempt_timeout_seconds: self.attempt_timeout_seconds.flatten(),
            start_within_seconds: self.start_within_seconds.flatten(),
            finish_within_seconds: self.finish_within_seconds.flatten(),
            ..TaskSpec::default()
        }
    }

    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.ensure(self.title != Some(None), "/title", "cannot be null: a task has a title");
        checks.finish()?;
        Ok(check_values("", &self.given(), false)?)
    }
}

impl App {
    /// Edits a task that is neither done nor cancelled. `version`: the version the caller read (`If-Match`); `None`
    /// skips the check. An edit that changes nothing is no edit.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `task_ended`, `invalid`; `wrong_state` for values that must
    /// not change while the task is where it is; `plan_invalid` for needs; `separation_of_duties` and
    /// `not_an_approver` for what an approved plan says, if the caller could not have approved it alone.
    pub async fn update_task(
        &self,
        caller: &ProjectOperatorCaller,
        task: TaskId,
        version: Option<i64>,
        change: &TaskChange,
    ) -> Result<TaskDetail> {
        change.check()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let goal = lock_goal_of(&mut unit, task).await?;
        if !principal.scope.sees(goal.project_id) {
            return Err(Refusal::not_found("task").into());
        }
        let facts = store::tasks::lock(unit.tx(), &[task]).await?.pop();
        let facts = facts.ok_or_else(|| Refusal::not_found("task"))?;
        let stored = store::tasks::edit::editable(unit.tx(), task).await?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        edit_task(&mut unit, principal, &goal, &facts, &stored, change).await?;
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }
}

/// Edits a locked task of a locked goal.
async fn edit_task(
    unit: &mut Unit,
    principal: &Principal,
    goal: &GoalFacts,
    facts: &TaskFacts,
    stored: &Editable,
    change: &TaskChange,
) -> Result<()> {
    let task = facts.task_id;
    let standing = edit::standing(facts, stored.short_limit.is_some());
    edit::check(standing, &[])?;
    if facts.container {
        check_values("", &change.given(), true)?;
    }
    let before = values(&detail::read(unit.tx(), task).await?, stored);
    let around = around(unit, goal.goal_id, change).await?;
    let mut after = edited(&before, change, goal.priority, &around, stored, unit.now());
    let mut below_goal = false;
    if change.not_before.is_some() {
        // Not before its goal.
        let start = store::tasks::starts::of_goal(unit.tx(), goal.goal_id).await?;
        let start = start.filter(|start| *start > unit.now());
        after.not_before =
            start.map_or(after.not_before, |start| after.not_before.max(Some(start)));
        below_goal = start.is_some();
    }
    let mut fields = changed(&before, &after);
    // Below the start of its goal its own does not show. It counts as soon as that of the goal moves.
    if below_goal
        && standing.may_change(TaskField::NotBefore)
        && !fields.contains(&TaskField::NotBefore)
    {
        fields.push(TaskField::NotBefore);
    }
    edit::check(standing, &fields)?;
    if fields.is_empty() {
        return Ok(());
    }
    check_used(facts, &after, &fields)?;
    let has = |field| fields.contains(&field);
    if has(TaskField::Criteria) && store::goals::criteria::is_check(unit.tx(), task).await? {
        let detail =
            "the task checks criteria of its goal: a person decides these, and edits none of them";
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    if facts.checks.is_some() {
        let runs = |task: &TaskSpec| task.capabilities.iter().any(|one| one == COMMAND);
        edit::check_check(&fields, runs(&before) && !runs(&after))?;
    }
    let shown = [
        TaskField::Title,
        TaskField::Description,
        TaskField::Input,
        TaskField::Estimate,
        TaskField::Capabilities,
        TaskField::Criteria,
    ];
    let shown = shown.into_iter().any(has);
    if shown || has(TaskField::Needs) {
        planned::check(unit, principal, goal).await?;
    }
    let approved = shown && store::tasks::edit::start_was_approved(unit.tx(), task).await?;
    edit::check_approved(standing, approved)?;
    if edit::changes_work(&fields) {
        store::attempts::withdraw(unit.tx(), &[task]).await?;
    }
    let mut needs_unmet = stored.needs_unmet;
    if let Some(own) = change.not_before {
        let own = own.filter(|time| *time > unit.now());
        store::tasks::starts::set_own(unit.tx(), &[(task, own)]).await?;
    }
    if has(TaskField::Needs) {
        needs_unmet += change_needs(unit, facts, &after, around).await?;
    }
    record(unit, facts, &before, &after, &fields);
    let ready_from = after.not_before.unwrap_or(stored.ready_from);
    let edited_task = EditedTask {
        standing,
        needs_unmet,
        ready_from,
        shown,
        approved,
        priced: has(TaskField::Estimate) || has(TaskField::Capabilities),
    };
    let effect = edit::effect(edited_task, unit.now());
    if approved {
        store::tasks::edit::approve_start_again(unit.tx(), &[task]).await?;
    }
    let written = Written {
        needs_unmet,
        ready_from,
        standing,
        effect,
        estimate: has(TaskField::Estimate),
        criteria: has(TaskField::Criteria),
    };
    // Before the needs: a task with unmet needs is in no other state.
    hold_back(unit, &[(facts, stored, written)]).await?;
    write(unit, facts, stored, &after, written).await?;
    if [TaskField::Needs, TaskField::Estimate, TaskField::Capabilities].into_iter().any(has) {
        upward::refresh(unit, facts.goal_id).await?;
    }
    settle(unit, &[(facts, stored, written)]).await
}

/// The present values of a task.
fn values(task: &TaskDetail, stored: &Editable) -> TaskSpec {
    let seconds = |millis: Option<i64>| millis.and_then(|ms| u32::try_from(ms / 1000).ok());
    let criteria = task.criteria.iter().map(|criterion| CriterionSpec {
        text: criterion.text.clone(),
        required: criterion.required,
        satisfied: criterion.satisfied,
        r#type: criterion.r#type,
        terms: criterion.terms.clone(),
        min_tier: CriterionSpec::beyond(criterion.min_tier, criterion.r#type),
    });
    TaskSpec {
        r#ref: task.task.r#ref.clone(),
        title: task.task.title.clone(),
        description: task.description.clone(),
        needs: task.needs.iter().map(|need| need.r#ref.clone()).collect(),
        capabilities: task.task.capabilities.clone(),
        priority: Some(task.task.priority),
        criteria: criteria.collect(),
        estimate: task.estimate.clone(),
        input: task.input.clone(),
        labels: task.task.labels.clone(),
        not_before: Some(stored.ready_from),
        max_attempts: Some(task.task.max_attempts),
        max_rework: Some(task.task.max_rework),
        lease_seconds: seconds(stored.lease_ms),
        attempt_timeout_seconds: seconds(stored.attempt_timeout_ms),
        start_within_seconds: seconds(stored.start_within_ms),
        finish_within_seconds: seconds(stored.finish_within_ms),
        ..TaskSpec::default()
    }
}

/// The tasks that an edit names as needs.
async fn around(unit: &mut Unit, goal: GoalId, change: &TaskChange) -> Result<Around> {
    let Some(Some(needs)) = &change.needs else { return Ok(Around::default()) };
    let ids: Vec<Uuid> = needs.iter().filter_map(|name| name.parse().ok()).collect();
    let known = store::tasks::around::known(unit.tx(), goal, needs, &ids).await?;
    Ok(Around::of(known))
}

/// The values of a task after an edit.
fn edited(
    before: &TaskSpec,
    change: &TaskChange,
    priority: i16,
    around: &Around,
    stored: &Editable,
    now: DateTime<Utc>,
) -> TaskSpec {
    let mut after = before.clone();
    let given = change.given();
    if change.title.is_some() {
        after.title = given.title;
    }
    if change.description.is_some() {
        after.description = given.description;
    }
    if change.input.is_some() {
        after.input = given.input;
    }
    if change.capabilities.is_some() {
        after.capabilities = claim::normal(&given.capabilities);
    }
    if let Some(needs) = &change.needs {
        after.needs = needs.iter().flatten().map(|name| around.reference(name)).collect();
        if sorted(&after.needs) == sorted(&before.needs) {
            after.needs.clone_from(&before.needs);
        }
    }
    if change.estimate.is_some() {
        after.estimate = given.estimate;
    }
    if change.criteria.is_some() {
        let criteria = given.criteria.into_iter();
        after.criteria = criteria.map(|criterion| criterion.stored(None)).collect();
    }
    if change.labels.is_some() {
        after.labels = given.labels;
    }
    if change.priority.is_some() {
        after.priority = given.priority.or(Some(priority));
    }
    if change.not_before.is_some() {
        // A time that has passed holds nothing back and changes nothing.
        let later = given.not_before.filter(|time| *time > now);
        after.not_before = Some(later.unwrap_or(stored.ready_from.min(now)));
    }
    if change.max_attempts.is_some() {
        after.max_attempts = given.max_attempts.or(Some(settings::MAX_ATTEMPTS));
    }
    if change.max_rework.is_some() {
        after.max_rework = given.max_rework.or(Some(settings::MAX_REWORK));
    }
    if change.lease_seconds.is_some() {
        after.lease_seconds = given.lease_seconds;
    }
    if change.attempt_timeout_seconds.is_some() {
        after.attempt_timeout_seconds = given.attempt_timeout_seconds;
    }
    if change.start_within_seconds.is_some() {
        after.start_within_seconds = given.start_within_seconds;
    }
    if change.finish_within_seconds.is_some() {
        after.finish_within_seconds = given.finish_within_seconds;
    }
    after
}

fn sorted(needs: &[String]) -> Vec<String> {
    let mut needs = needs.to_vec();
    needs.sort_unstable();
    needs
}

fn changed(before: &TaskSpec, after: &TaskSpec) -> Vec<TaskField> {
    let pairs = [
        (TaskField::Title, before.title != after.title),
        (TaskField::Description, before.description != after.description),
        (TaskField::Input, before.input != after.input),
        (TaskField::Capabilities, before.capabilities != after.capabilities),
        (TaskField::Needs, before.needs != after.needs),
        (TaskField::Estimate, before.estimate != after.estimate),
        (TaskField::Criteria, before.criteria != after.criteria),
        (TaskField::Labels, before.labels != after.labels),
        (TaskField::Priority, before.priority != after.priority),
        (TaskField::NotBefore, before.not_before != after.not_before),
        (TaskField::MaxAttempts, before.max_attempts != after.max_attempts),
        (TaskField::MaxRework, before.max_rework != after.max_rework),
        (TaskField::Lease, before.lease_seconds != after.lease_seconds),
        (
            TaskField::AttemptTimeout,
            before.attempt_timeout_seconds != after.attempt_timeout_seconds,
        ),
        (TaskField::StartWithin, before.start_within_seconds != after.start_within_seconds),
        (TaskField::FinishWithin, before.finish_within_seconds != after.finish_within_seconds),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

/// Refuses limits that the task has reached already.
fn check_used(facts: &TaskFacts, after: &TaskSpec, fields: &[TaskField]) -> Result<()> {
    let mut checks = Checks::new();
    let limits = [
        (TaskField::MaxAttempts, after.max_attempts, facts.attempts_used, "attempts are used"),
        (TaskField::MaxRework, after.max_rework, facts.reworks, "results were rejected"),
    ];
    for (field, limit, used, what) in limits {
        let enough = !fields.contains(&field) || limit.is_none_or(|limit| limit > used);
        let detail = format!("must be at least {}: {used} {what}", used + 1);
        checks.ensure(enough, &format!("/{field}"), detail);
    }
    Ok(checks.finish()?)
}

/// Checks and stores the new needs of a task; returns the change in the number of unmet needs.
async fn change_needs(
    unit: &mut Unit,
    facts: &TaskFacts,
    after: &TaskSpec,
    mut around: Around,
) -> Result<i32> {
    let named = |around: &Around| -> Vec<(TaskId, bool)> {
        let known = after.needs.iter().filter_map(|name| around.known.get(name));
        known.map(|known| (known.task_id, known.state == TaskState::Done)).collect()
    };
    let needs = named(&around);
    if !needs.is_empty() {
        around.ordered = store::tasks::around::ordered(unit.tx(), facts.goal_id).await?;
        for task in around.ordered.iter_mut().filter(|task| task.task_id == facts.task_id) {
            task.needs = needs.iter().map(|(need, _)| *need).collect();
        }
    }
    check_new_needs("", after, &around)?;
    let ids: Vec<TaskId> = needs.iter().map(|(need, _)| *need).collect();
    let before = store::tasks::edit::unsatisfied(unit.tx(), facts.task_id).await?;
    store::tasks::edit::keep_dependencies(unit.tx(), facts.task_id, &ids).await?;
    let edges: Vec<(TaskId, TaskId, bool)> =
        needs.iter().map(|(need, done)| (facts.task_id, *need, *done)).collect();
    store::tasks::links::add_dependencies(unit.tx(), &edges).await?;
    Ok(store::tasks::edit::unsatisfied(unit.tx(), facts.task_id).await? - before)
}

fn record(
    unit: &mut Unit,
    facts: &TaskFacts,
    before: &TaskSpec,
    after: &TaskSpec,
    fields: &[TaskField],
) {
    let mut data = json!({"changed": fields});
    if before.priority != after.priority {
        data["priority"] = json!(after.priority);
        data["priority_before"] = json!(before.priority);
    }
    let row = NewRow::new(Kind::TaskUpdated).goal(facts.goal_id).task(facts.task_id);
    // Needs have no order: what is after one edit is before the next.
    let bound = |task: &TaskSpec| TaskSpec { needs: sorted(&task.needs), ..task.clone() };
    unit.record(row.before(&bound(before)).after(&bound(after)).data(data));
}

/// A locked task, what is stored of it, and what its edit decides.
pub(super) type Decided<'a> = (&'a TaskFacts, &'a Editable, Written);

/// Takes back those tasks that wait again: they were offered, or parked before their start.
pub(super) async fn hold_back(unit: &mut Unit, tasks: &[Decided<'_>]) -> Result<()> {
    let waiting = tasks.iter().filter(|(.., written)| written.effect == Effect::Wait);
    let waiting: Vec<Decided<'_>> = waiting.copied().collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let moves: Vec<TaskMove> =
        waiting.iter().map(|(facts, ..)| TaskMove::of(facts, TaskState::Waiting, now)).collect();
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    for (facts, ..) in &waiting {
        unit.record(NewRow::new(Kind::TaskWaiting).goal(facts.goal_id).task(facts.task_id));
    }
    let asked = waiting.iter().filter(|(.., written)| written.standing == Standing::AsksToStart);
    let asked: Vec<TaskId> = asked.map(|(facts, ..)| facts.task_id).collect();
    if !asked.is_empty() {
        let reason = "the task waits again: an edit gave it a need or a start time";
        ask::withdraw_questions(unit, &asked, reason).await?;
    }
    withdraw_for_budget(unit, &waiting).await
}

/// Withdraws the approvals to raise limits that nothing waits for.
async fn withdraw_for_budget(unit: &mut Unit, tasks: &[Decided<'_>]) -> Result<()> {
    let limits: BTreeSet<LimitId> =
        tasks.iter().filter_map(|(_, stored, _)| stored.short_limit).collect();
    if limits.is_empty() {
        return Ok(());
    }
    let limits = Vec::from_iter(limits);
    for (approval, goal) in store::budgets::waits::withdraw_questions(unit.tx(), &limits).await? {
        unit.record(ask::withdrawn(approval, goal));
    }
    Ok(())
}

/// What an edit decides beside the values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub needs_unmet: i32,
    pub ready_from: DateTime<Utc>,
    pub standing: Standing,
    pub effect: Effect,
    /// Whether the estimate changes.
    pub estimate: bool,
    /// Whether the criteria change.
    pub criteria: bool,
}

async fn write(
    unit: &mut Unit,
    facts: &TaskFacts,
    stored: &Editable,
    after: &TaskSpec,
    written: Written,
) -> Result<()> {
    let task = facts.task_id;
    let edited = columns(facts, stored, after, written, unit.now());
    let key = std::slice::from_ref(&edited.capability_key);
    store::tasks::know_capability_sets(unit.tx(), key).await?;
    store::tasks::edit::write(unit.tx(), task, &edited).await?;
    let estimate = (!after.estimate.is_empty()).then(|| json!(after.estimate));
    let texts = EditedTexts {
        title: &after.title,
        description: &after.description,
        labels: &after.labels,
        input: after.input.as_ref(),
        estimate: estimate.as_ref(),
    };
    store::tasks::edit::write_texts(unit.tx(), task, &texts).await?;
    if written.estimate {
        weigh::again(unit, &[(facts, &after.estimate)]).await?;
    }
    if written.criteria {
        store::tasks::edit::drop_criteria(unit.tx(), task).await?;
        let numbered = numbered(task, &after.criteria, None);
        store::tasks::links::insert_criteria(unit.tx(), &numbered).await?;
    }
    Ok(())
}

/// The columns of a task after an edit.
pub(super) fn columns(
    facts: &TaskFacts,
    stored: &Editable,
    after: &TaskSpec,
    written: Written,
    now: DateTime<Utc>,
) -> Edited {
    let Written { needs_unmet, ready_from, standing, effect, estimate: _, criteria: _ } = written;
    let millis = |seconds: Option<u32>| seconds.map(|seconds| i64::from(seconds) * 1000);
    let offered = standing == Standing::Offered && effect != Effect::Wait;
    let (start_within_ms, finish_within_ms) =
        (millis(after.start_within_seconds), millis(after.finish_within_seconds));
    let start_by = moved_deadline(
        stored.start_by.filter(|_| offered),
        stored.start_within_ms,
        start_within_ms,
        offered && stored.unclaimed,
        now,
    );
    // While it waited for a budget no deadline ran.
    let rested = match (effect, stored.rests_since) {
        (Effect::Wait, Some(since)) => now - since,
        _ => chrono::TimeDelta::zero(),
    };
    let finish_by = if effect == Effect::Wait && stored.unclaimed {
        // Not begun: it begins anew when the task is next ready.
        None
    } else {
        let by = stored.finish_by.map(|by| by + rested);
        moved_deadline(by, stored.finish_within_ms, finish_within_ms, offered, now)
    };
    Edited {
        priority: after.priority.unwrap_or(facts.priority),
        capability_key: claim::capability_key(&after.capabilities),
        ready_from,
        needs_unmet,
        max_attempts: after.max_attempts.unwrap_or(facts.max_attempts),
        max_rework: after.max_rework.unwrap_or(facts.max_rework),
        lease_ms: millis(after.lease_seconds),
        attempt_timeout_ms: millis(after.attempt_timeout_seconds),
        start_within_ms,
        finish_within_ms,
        start_by,
        finish_by,
    }
}

/// Brings the written tasks into the states that follow from their edits. The statements are few however many tasks
/// there are.
pub(super) async fn settle(unit: &mut Unit, tasks: &[Decided<'_>]) -> Result<()> {
    let of = |effect: Effect| -> Vec<Decided<'_>> {
        tasks.iter().filter(|(.., written)| written.effect == effect).copied().collect()
    };
    let ids = |tasks: &[Decided<'_>]| -> Vec<TaskId> {
        tasks.iter().map(|(facts, ..)| facts.task_id).collect()
    };
    let places = |tasks: &[Decided<'_>]| -> Vec<(TaskId, GoalId)> {
        tasks.iter().map(|(facts, ..)| (facts.task_id, facts.goal_id)).collect()
    };
    let freed = of(Effect::Free);
    if !freed.is_empty() {
        let facts = store::tasks::lock(unit.tx(), &ids(&freed)).await?;
        unblock::unblock(unit, facts, Needs::Written).await?;
    }
    let again = of(Effect::AskAgain);
    if !again.is_empty() {
        let reason = "the task was edited; its start is asked for again";
        ask::withdraw_questions(unit, &ids(&again), reason).await?;
        unblock::ask_start(unit, &places(&again)).await?;
    }
    let first = of(Effect::AskFirst);
    let mut offered = of(Effect::Offer);
    offered.extend(first.iter().filter(|(_, stored, _)| stored.short_limit.is_some()));
    offer(unit, &offered).await?;
    if first.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let locked = store::tasks::lock(unit.tx(), &ids(&first)).await?;
    let parked: Vec<TaskMove> =
        locked.iter().map(|facts| TaskMove::of(facts, TaskState::Parked, now)).collect();
    store::tasks::moves::apply(unit.tx(), &parked).await?;
    for facts in &locked {
        unit.record(NewRow::new(Kind::TaskParked).goal(facts.goal_id).task(facts.task_id));
    }
    unblock::ask_start(unit, &places(&first)).await
}

/// Offers tasks that waited for a budget.
async fn offer(unit: &mut Unit, tasks: &[Decided<'_>]) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let before: HashMap<TaskId, Decided<'_>> =
        tasks.iter().map(|decided| (decided.0.task_id, *decided)).collect();
    let ids: Vec<TaskId> = tasks.iter().map(|(facts, ..)| facts.task_id).collect();
    let now = unit.now();
    let mut moves = Vec::with_capacity(tasks.len());
    for facts in store::tasks::lock(unit.tx(), &ids).await? {
        let Some((_, stored, _)) = before.get(&facts.task_id) else { continue };
        // It keeps its place in the queue.
        let ranked_from = stored.ranked_from;
        moves.push(TaskMove { ranked_from, ..TaskMove::of(&facts, TaskState::Ready, now) });
        unit.record(NewRow::new(Kind::TaskReady).goal(facts.goal_id).task(facts.task_id));
    }
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    withdraw_for_budget(unit, tasks).await
}
