//! Reading goals and their plans.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::progress::{self, ShortProgress};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
        knowledge::answers::SolvedTasks,
    },
    domain::{
        access::person::Person,
        goal::TaskCounts,
        goal::criteria::CriterionState,
        ids::{AttemptId, GoalId, KeyId, PlanId, ProjectId, ScheduleId, TaskId},
        outline::OutlineNote,
        plan::{
            discovered::DiscoveredPolicy,
            finding::Finding,
            new_goal::TaskDefaults,
            numbers::{CostBand, PlanNumbers},
        },
        refusal::Refusal,
        routing::turns,
        spend::Amounts,
        states::{GoalState, PlanState, Planner},
    },
    store::{
        self, Tx,
        goals::{
            criteria::GoalCriterionRow,
            plans::PlanSummaryRow,
            read::{GoalRow, GoalScope},
        },
    },
};

/// A goal as it was posted, with what its planner says about the brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PostedGoal {
    /// The goal.
    #[serde(flatten)]
    pub goal: Goal,
    /// Remarks of the planner, each with its line of the brief: what looks like a task and is none, marks and
    /// dependencies that were not understood, gaps. The plan keeps them. Read them before the work begins.
    pub notes: Vec<OutlineNote>,
    /// What is wrong or doubtful in the plan by the present fleet, budgets and deadline, errors first. The plan
    /// keeps it: `GET /v1/goals/{goal_id}/plans`.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What the plan is expected to use, how long it takes and what holds it up. The plan keeps it; `null` in
    /// replays of answers of earlier versions.
    #[serde(default)]
    pub numbers: Option<PlanNumbers>,
    /// Whether it was there already: it holds the dedup key of the request, and nothing was created.
    #[serde(default)]
    pub deduplicated: bool,
    /// Tasks of its plan that finished ones may have answered already: by their titles. Empty in replays.
    #[serde(default)]
    pub solved: SolvedTasks,
}

/// A condition of success of a goal as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GoalCriterion {
    /// Ordinal of the criterion within its goal, from 1.
    pub number: i16,
    /// The condition.
    #[schema(example = "last year's file imports without an error")]
    pub text: String,
    /// Whether the goal completes only if it is satisfied.
    pub required: bool,
    /// `open` (not decided, or being checked), `satisfied` or `rejected`.
    pub state: CriterionState,
    /// Number of rework tasks made for it so far.
    pub reworks: i16,
    /// The task made last for it, which checks or reworks it; `null` before the first.
    pub task_id: Option<TaskId>,
    /// The attempt whose evidence decided it: `GET /v1/attempts/{attempt_id}`; `null` if none did.
    pub attempt_id: Option<AttemptId>,
    /// The reason of the person, the finding of the agent, or the reason of a waiver; `null` without one.
    pub note: Option<String>,
    /// The key that decided it, or waived its evidence; `null`: evidence, or the document.
    pub decided_by: Option<KeyId>,
    /// The person who decided it, or waived its evidence; `null` if unknown or nobody.
    pub decided_by_person: Option<Person>,
    /// When it was decided; `null` while it is `open`.
    pub decided_at: Option<DateTime<Utc>>,
}

/// The latest plan of a goal, in short. The numbers are as of when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanSummary {
    /// Id of the plan.
    pub plan_id: PlanId,
    /// Ordinal of the plan within its goal, from 1.
    pub number: i32,
    /// Its state: its tasks exist if it is `applied`.
    pub state: PlanState,
    /// Number of errors that were found in it: `GET /v1/goals/{goal_id}/plans` lists them.
    pub errors: i64,
    /// Number of warnings about it.
    pub warnings: i64,
    /// Expected use by unit.
    pub cost: Vec<CostBand>,
    /// Sum of the durations of its tasks, in milliseconds; `null` for plans of earlier versions.
    pub work_ms: Option<i64>,
    /// Length of its longest chain of tasks, in milliseconds; `null` for plans of earlier versions.
    pub critical_path_ms: Option<i64>,
    /// Expected duration with the agents that were online, in milliseconds; `null` if none of them could do one
    /// of its tasks.
    pub expected_ms: Option<i64>,
}

/// A goal: the outcome somebody wants, worked on as tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Goal {
    /// Id of the goal; stable for its life.
    pub id: GoalId,
    /// The wanted outcome, in one line.
    #[schema(example = "Ship the importer")]
    pub title: String,
    /// `planning` (a planner makes its plan, or all failed and a person decides), `proposed`, `active`, `verifying` (its tasks are done, a required criterion of its own
    /// is not satisfied), `completed`, `failed` or `cancelled`; the last three are ends, and a retry or a
    /// reopened task makes the goal `active` again.
    pub state: GoalState,
    /// Producer of its plan; while the goal is `planning`, the planner that has its turn, or had the last one.
    pub planner: Planner,
    /// Priority, 0 (lowest) to 9; its tasks inherit it. Each point doubles its share of the claims.
    pub priority: i16,
    /// Weight, 1 to 1000: its share of the claims beside other goals with ready tasks.
    #[serde(default = "usual_weight")]
    pub weight: i32,
    /// Project whose budgets and totals it counts for; `null` without one.
    pub project_id: Option<ProjectId>,
    /// Target time for its tasks. It stops nothing, but rules can use it; `null` without one.
    pub deadline: Option<DateTime<Utc>>,
    /// When its work begins: none of its tasks is ready before; `null`: at once.
    #[serde(default)]
    pub start_at: Option<DateTime<Utc>>,
    /// Number of its tasks, by state.
    pub tasks: TaskCounts,
    /// How far it is, in short: `GET /v1/goals/{goal_id}/progress` has the rest.
    #[serde(default)]
    pub progress: ShortProgress,
    /// Its own conditions of success. Only when one goal is read; `null` in lists.
    pub criteria: Option<Vec<GoalCriterion>>,
    /// Its latest plan in short. Only when one goal is read; `null` in lists, and before there is a plan.
    #[serde(default)]
    pub plan: Option<PlanSummary>,
    /// Reworks of one criterion up to which an agent's report that it is not met makes a further one.
    #[serde(default)]
    pub max_rework: i16,
    /// What becomes of work that its agents discover: `ask`, `accept` or `refuse`.
    #[serde(default = "ask")]
    pub discovered: DiscoveredPolicy,
    /// Total spend of its attempts, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Why it failed or was cancelled; `null` otherwise.
    pub end_reason: Option<String>,
    /// JSON object chosen by its poster; muster does not interpret it.
    #[schema(value_type = Object)]
    pub metadata: BTreeMap<String, Value>,
    /// Settings of its tasks that set none themselves: of its plan, and of tasks added later.
    #[serde(default)]
    pub task_defaults: TaskDefaults,
    /// The text that it was posted with. Only when one goal is read; `null` in lists.
    pub brief: Option<String>,
    /// The key that posted the goal.
    pub created_by: KeyId,
    /// The people for whom it was posted, nearest first. None of them may decide about it.
    pub on_behalf_of: Vec<Person>,
    /// The schedule that posted it; `null`: none did.
    #[serde(default)]
    pub schedule_id: Option<ScheduleId>,
    /// Version, raised by every edit and change of state, but not by `tasks`, `progress` and `spend`; the
    /// `ETag`.
    pub version: i32,
    /// When the goal was posted.
    pub created_at: DateTime<Utc>,
    /// When its state or task counts last changed.
    pub updated_at: DateTime<Utc>,
    /// When it reached a final state; `null` until then.
    pub ended_at: Option<DateTime<Utc>>,
    /// When an operator acknowledged its failure; `null` until then, and again when the goal is active again.
    /// Who it was: `GET /v1/audit?goal_id={goal_id}&kind=goal.acknowledged`.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When it was archived; `null`: it is not, and lists have it.
    pub archived_at: Option<DateTime<Utc>>,
}

/// The policy of goals that were stored before there was one.
fn ask() -> DiscoveredPolicy {
    DiscoveredPolicy::Ask
}

/// The weight of goals that were stored before there was one.
fn usual_weight() -> i32 {
    turns::DEFAULT_WEIGHT
}

/// Filter of a list of goals.
#[derive(Debug, Clone, Default)]
pub struct GoalFilter {
    /// Only these states; empty: all.
    pub states: Vec<GoalState>,
    /// Only goals of this project.
    pub project: Option<ProjectId>,
    /// Only archived goals; `false`: only others.
    pub archived: bool,
}

impl App {
    /// Goals, newest first.
    pub async fn list_goals(
        &self,
        caller: &ProjectReaderCaller,
        filter: &GoalFilter,
        after: Option<GoalId>,
        rows: u32,
    ) -> Result<Vec<Goal>> {
        let GoalFilter { states, project, archived } = filter;
        let principal = caller.principal();
        if project.is_some_and(|project| !principal.scope.sees(Some(project))) {
            return Ok(Vec::new());
        }
        let within = principal.scope.projects.as_deref();
        let archived = *archived;
        let scope = GoalScope { states, project: *project, within, archived, after, rows };
        let workspace = principal.workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::goals::read::list(&mut tx, &scope).await?;
        let progress = progress::short(&mut tx, &rows).await?;
        Ok(rows.into_iter().zip(progress).map(|(row, progress)| view(row, progress)).collect())
    }

    /// Reads one goal. Waits up to `wait` until it has ended or, with a known version, until its
    /// version changes; then answers with its present state.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_goal(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
        known: Option<i64>,
        wait: Duration,
    ) -> Result<Goal> {
        let workspace = caller.principal().workspace;
        self.see_goal(caller.principal(), goal).await?;
        let waiting = self.wait_until(caller.principal().waiting(), wait, || async {
            let mut tx = self.reader(workspace).await?;
            let found = store::goals::read::version(&mut tx, goal).await?;
            let (version, ended) = found.ok_or_else(|| Refusal::not_found("goal"))?;
            Ok(known.map_or(ended, |known| known != version))
        });
        let _turn = waiting.await?;
        read(&mut self.reader(workspace).await?, goal).await
    }
}

/// Reads one goal.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn read(tx: &mut Tx, goal: GoalId) -> Result<Goal> {
    let row = store::goals::read::read(tx, goal).await?;
    let row = row.ok_or_else(|| Refusal::not_found("goal"))?;
    let progress = progress::short(tx, std::slice::from_ref(&row)).await?;
    let goal = view(row, progress.first().copied().unwrap_or_default());
    let criteria = store::goals::criteria::list(tx, goal.id).await?;
    let plan = store::goals::plans::latest(tx, goal.id).await?.map(summary);
    Ok(Goal { criteria: Some(criteria.into_iter().map(criterion).collect()), plan, ..goal })
}

fn summary(row: PlanSummaryRow) -> PlanSummary {
    let PlanSummaryRow {
        plan_id,
        number,
        state,
        errors,
        warnings,
        cost,
        work_ms,
        critical_path_ms,
        expected_ms,
    } = row;
    let cost = cost.0;
    PlanSummary {
        plan_id,
        number,
        state,
        errors,
        warnings,
        cost,
        work_ms,
        critical_path_ms,
        expected_ms,
    }
}

fn criterion(row: GoalCriterionRow) -> GoalCriterion {
    let GoalCriterionRow {
        number,
        text,
        required,
        state,
        reworks,
        task_id,
        attempt_id,
        note,
        decided_by,
        decided_by_person,
        decided_at,
    } = row;
    GoalCriterion {
        number,
        text,
        required,
        state,
        reworks,
        task_id,
        attempt_id,
        note,
        decided_by,
        decided_by_person,
        decided_at,
    }
}

fn view(row: GoalRow, progress: ShortProgress) -> Goal {
    let GoalRow {
        goal_id,
        title,
        state,
        planner,
        priority,
        weight,
        project_id,
        deadline,
        start_at,
        tasks_total,
        tasks_open,
        tasks_done,
        tasks_failed,
        tasks_cancelled,
        max_rework,
        weight_total: _,
        weight_done: _,
        weight_cancelled: _,
        computed_at: _,
        ahead: _,
        discovered,
        spend,
        end_reason,
        metadata,
        task_defaults,
        brief,
        created_by,
        on_behalf_of,
        schedule_id,
        version,
        created_at,
        updated_at,
        ended_at,
        acknowledged_at,
        archived_at,
    } = row;
    Goal {
        id: goal_id,
        title,
        state,
        planner,
        priority,
        weight,
        project_id,
        deadline,
        start_at,
        tasks: TaskCounts {
            total: tasks_total,
            open: tasks_open,
            done: tasks_done,
            failed: tasks_failed,
            cancelled: tasks_cancelled,
        },
        progress,
        criteria: None,
        plan: None,
        max_rework,
        discovered,
        spend: spend.0,
        end_reason,
        metadata: metadata.0,
        task_defaults: task_defaults.0,
        brief,
        created_by,
        on_behalf_of,
        schedule_id,
        version,
        created_at,
        updated_at,
        ended_at,
        acknowledged_at,
        archived_at,
    }
}
