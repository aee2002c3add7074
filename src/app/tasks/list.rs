//! Listing tasks, and finding some of them.
//!
//! A list walks the tasks in its order by an index: of one goal, or of the whole workspace. Goal, parent,
//! states and priorities are conditions of that walk. The other filters test one task after the other. A page
//! tests at most [`EXAMINED`] tasks and reads at most [`SEARCHED_BYTES`] of descriptions, however many there
//! are in the workspace. So it may have fewer items than asked for, or none, and still name a next page.
//!
//! Decisions:
//! - The search for a text runs here and not in the database: what upper and lower case are does not depend on
//!   the locale of the database then.
//! - The orders by position and by last change exist only within a goal. An index of all tasks by their last
//!   change would be written with every claim and every completion.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        access::scope::sees_goal,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        budget::shown::BudgetWait,
        check::Checks,
        gate::resource::Touch,
        ids::{AgentId, AttemptId, GoalId, KeyId, ProjectId, TaskId},
        price::PriceWait,
        refusal::Refusal,
        settings,
        spend::Amounts,
        states::{FailureClass, TaskState},
        task::{
            self, claim,
            find::{Needle, TaskPlace, TaskSort},
        },
        words::Words as _,
    },
    store::{
        self, Tx,
        tasks::{
            find::{Sieve, Walk},
            list::TaskRow,
        },
    },
};

/// A task of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// Id of the task, the same over all attempts: use it to make your own effects idempotent.
    pub id: TaskId,
    /// Id of the goal that it belongs to.
    pub goal_id: GoalId,
    /// The container that it is in, or the task whose attempt added it; `null` at the top level.
    pub parent_id: Option<TaskId>,
    /// The task whose attempt discovered it; `null`: none did.
    #[serde(default)]
    pub discovered_from: Option<TaskId>,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "api")]
    pub r#ref: String,
    /// Position in the plan, from 0; subtasks added later follow.
    pub position: i32,
    /// What to do, in one line.
    #[schema(example = "Write the REST endpoints")]
    pub title: String,
    /// `waiting` (for other tasks or a time), `ready` (may be claimed), `running`, `parked` (for an
    /// approval, its subtasks, a budget or a price), `reviewing`, `done`, `failed` or `cancelled`; the last
    /// three are ends: only a retry or reopening brings it back.
    pub state: TaskState,
    /// Whether it only contains other tasks: it is never offered, and ends with its children.
    pub container: bool,
    /// Priority, 0 (lowest) to 9; operators can change it.
    pub priority: i16,
    /// Capabilities that an agent needs to claim it; empty: none.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// Labels from the plan; muster does not interpret them.
    #[schema(example = json!(["US1"]))]
    pub labels: Vec<String>,
    /// Heading above it in the brief; `null` without one.
    pub section: Option<String>,
    /// Attempts that count against `max_attempts`: failed and expired ones.
    pub attempts_used: i32,
    /// Number of used attempts after which a failure is final.
    pub max_attempts: i32,
    /// Number of rejected results. Set to one below `max_rework` when a person grants another
    /// round.
    pub reworks: i32,
    /// Number of rejected results after which a person decides how the task continues.
    pub max_rework: i32,
    /// Needed tasks that are not done, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Number of its children that have not ended.
    pub children_open: i32,
    /// Since when it is ready, or was last. Of a waiting task: the earliest time at which it is offered,
    /// which is its start time or the end of the backoff after a failure.
    pub ready_from: DateTime<Utc>,
    /// The current or latest attempt; `null` before the first.
    pub attempt_id: Option<AttemptId>,
    /// The agent that works on it or delivered the result under review; `null` without one.
    pub agent_id: Option<AgentId>,
    /// The operator's key that works on it after a takeover, or delivered the result under review;
    /// `null` without one.
    pub held_by_key: Option<KeyId>,
    /// The only agent that may take its next attempt, after a reassignment or hand-off; `null` without one.
    pub assigned_agent_id: Option<AgentId>,
    /// The agent that may not take its next attempt, because the task was taken from it, or because it handed it over to
    /// others; `null` without one.
    pub barred_agent_id: Option<AgentId>,
    /// A capability that an agent needs besides to take its next attempt, after a hand-off; `null` without one.
    #[serde(default)]
    #[schema(example = "review")]
    pub offered_capability: Option<String>,
    /// When the offer of a hand-off ends: from then on every able agent may take its next attempt. `null` without one.
    #[serde(default)]
    pub offer_until: Option<DateTime<Utc>>,
    /// Class of its final failure; `null` unless it is `failed`.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because three attempts in a row lost their lease. The task may harm its
    /// agents: a person should look before it is tried again.
    pub quarantined: bool,
    /// When its cancellation was requested while it ran; `null` otherwise. Its holder gets the
    /// directive `stop` from then on.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Why it failed or was cancelled; `null` otherwise.
    pub end_reason: Option<String>,
    /// Total spend of its attempts, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
    /// The limit that it waits for; `null` unless it is `parked` for a budget.
    pub waits_for_budget: Option<BudgetWait>,
    /// Models without a price that its attempts used under a budget that refuses such models, usually
    /// none. The task is not offered until each has a price.
    #[serde(default)]
    pub waits_for_prices: Vec<PriceWait>,
    /// Version, raised by every edit and change of state; the `ETag`.
    pub version: i32,
    /// When the task was created.
    pub created_at: DateTime<Utc>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// When it reached a final state; `null` until then.
    pub ended_at: Option<DateTime<Utc>>,
    /// Since when it is `parked` because it is too large for one attempt, until somebody divides it; `null`: it
    /// is not.
    #[serde(default)]
    pub oversized_at: Option<DateTime<Utc>>,
    /// When it was divided: since then it contains its parts; `null`: never.
    #[serde(default)]
    pub split_at: Option<DateTime<Utc>>,
    /// Concurrency keys: each attempt needs a grant of every one to start.
    #[serde(default)]
    #[schema(example = json!(["deploy"]))]
    pub concurrency_keys: Vec<String>,
    /// Resources that each attempt takes at its start, by name.
    #[serde(default)]
    pub touches: Vec<Touch>,
}

/// Filter of a list of tasks.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only tasks of this goal.
    pub goal: Option<GoalId>,
    /// Only children of this task.
    pub parent: Option<TaskId>,
    /// Only these states; empty: all.
    pub states: Vec<TaskState>,
    /// Only these priorities; empty: all.
    pub priorities: Vec<i16>,
    /// Only tasks with this in the title or the description.
    pub text: Option<String>,
    /// Only tasks with this ref.
    pub reference: Option<String>,
    /// Only tasks with this label.
    pub label: Option<String>,
    /// Only tasks that require this capability.
    pub capability: Option<String>,
    /// Only tasks whose latest attempt is of this agent.
    pub agent: Option<AgentId>,
    /// The order; `None`: that of the plan for a goal or parent, otherwise newest first.
    pub sort: Option<TaskSort>,
}

impl TaskFilter {
    fn check(&self, after: Option<TaskPlace>) -> std::result::Result<TaskSort, Refusal> {
        let mut checks = Checks::new();
        for priority in &self.priorities {
            checks.range("?priority", *priority, 0..=settings::PRIORITY_MAX);
        }
        for (name, text, most) in [
            ("?text", &self.text, settings::TITLE_CHARS),
            ("?ref", &self.reference, settings::REF_CHARS),
            ("?label", &self.label, settings::NAME_CHARS),
        ] {
            if let Some(text) = text {
                checks.ensure(!text.trim().is_empty(), name, "must not be empty");
                checks.chars(name, text, most);
            }
        }
        if let Some(capability) = &self.capability {
            checks.capability("?capability", capability);
        }
        let of_one_goal = self.goal.is_some() || self.parent.is_some();
        let sort = self.sort.unwrap_or(TaskSort::usual(of_one_goal));
        if sort.needs_goal() && !of_one_goal {
            checks.add("?sort", wide_sorts(sort));
        }
        if after.is_some_and(|place| place.sort != sort) {
            checks
                .add("?cursor", "this cursor is of another `sort`; send the one of the first page");
        }
        checks.finish()?;
        Ok(sort)
    }

    /// Whether tasks are tested one after the other because of what the caller asked for.
    const fn sifts(&self) -> bool {
        self.text.is_some()
            || self.reference.is_some()
            || self.label.is_some()
            || self.capability.is_some()
            || self.agent.is_some()
    }
}

fn wide_sorts(sort: TaskSort) -> String {
    let wide = TaskSort::ALL.iter().filter(|sort| !sort.needs_goal());
    let wide: Vec<String> = wide.map(|sort| format!("`{sort}`")).collect();
    format!("`{sort}` needs `goal_id` or `parent_id`; without these: {}", wide.join(", "))
}

/// A page of a list of tasks.
#[derive(Debug, Default)]
pub struct TaskPage {
    /// The tasks, each with its place as the list was walked: it may have moved since.
    pub tasks: Vec<(TaskPlace, Task)>,
    /// If there are fewer than asked for and more to test: the place after which to go on.
    pub goes_on: Option<TaskPlace>,
}

/// Tasks that one step of a search tests.
const STEP: u32 = 1_000;
/// The most tasks that one page tests.
const EXAMINED: usize = 10_000;
/// Bytes of descriptions that one step of a search reads.
const STEP_BYTES: i64 = 4 * 1024 * 1024;
/// The most bytes of descriptions that one page reads, but for those of one more step.
const SEARCHED_BYTES: usize = 16 * 1024 * 1024;

pub(in crate::app) async fn find(tx: &mut Tx, id: TaskId) -> Result<Task> {
    let rows = store::tasks::list::list(tx, &[id]).await?;
    Ok(view(rows.into_iter().next().ok_or_else(|| Refusal::not_found("task"))?))
}

fn view(row: TaskRow) -> Task {
    let TaskRow {
        task_id,
        goal_id,
        parent_id,
        discovered_from,
        reference,
        position,
        title,
        state,
        container,
        priority,
        capability_key,
        labels,
        section,
        attempts_used,
        max_attempts,
        reworks,
        max_rework,
        lost_in_row,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        held_by_key,
        assigned_agent_id,
        barred_agent_id,
        offered_capability,
        offer_until,
        failure_class,
        cancel_requested_at,
        end_reason,
        spend,
        waits_for_budget,
        waits_for_prices,
        version,
        created_at,
        updated_at,
        ended_at,
        oversized_at,
        split_at,
        concurrency_keys,
        touches,
    } = row;
    Task {
        id: task_id,
        goal_id,
        parent_id,
        discovered_from,
        r#ref: reference,
        position,
        title,
        state,
        container,
        priority,
        capabilities: claim::capabilities(&capability_key),
        labels,
        section,
        attempts_used,
        max_attempts,
        reworks,
        max_rework,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        held_by_key,
        assigned_agent_id,
        barred_agent_id,
        offered_capability,
        offer_until,
        failure_class,
        quarantined: task::quarantined(failure_class, lost_in_row),
        cancel_requested_at,
        end_reason,
        spend: spend.0,
        waits_for_budget: waits_for_budget.map(|wait| wait.0),
        waits_for_prices: waits_for_prices.0,
        version,
        created_at,
        updated_at,
        ended_at,
        oversized_at,
        split_at,
        concurrency_keys,
        touches: touches.0,
    }
}

impl App {
    /// Up to `rows` tasks after `after`.
    ///
    /// # Errors
    /// `invalid` at a parameter: an order that needs a goal, a cursor of another order, a value out of bounds.
    pub async fn list_tasks(
        &self,
        caller: &ProjectReaderCaller,
        filter: &TaskFilter,
        after: Option<TaskPlace>,
        rows: u32,
    ) -> Result<TaskPage> {
        let sort = filter.check(after)?;
        // Few tasks may pass, so many are tested: few such searches leave the database to others.
        let workspace = caller.principal().workspace;
        let _turn = if filter.sifts() { Some(self.sieves.take(workspace).await) } else { None };
        let mut tx = self.reader(workspace).await?;
        let goal = match (filter.goal, filter.parent) {
            (None, Some(parent)) => {
                let goal = store::tasks::goal_of(&mut tx, parent).await?;
                let Some(goal) = goal else { return Ok(TaskPage::default()) };
                Some(goal)
            }
            (goal, _) => goal,
        };
        if let Some(goal) = goal
            && !sees_goal(&mut tx, caller.principal(), goal).await?
        {
            return Ok(TaskPage::default());
        }
        let walk = Walk {
            goal,
            parent: filter.parent,
            states: &filter.states,
            priorities: &filter.priorities,
            sort,
        };
        // The goal has been seen.
        let within = match goal {
            Some(_) => None,
            None => caller.principal().scope.projects.as_deref(),
        };
        let (found, goes_on) = search(&mut tx, filter, (walk, within), after, rows).await?;
        let ids: Vec<TaskId> = found.iter().map(|place| place.id).collect();
        let rows = store::tasks::list::list(&mut tx, &ids).await?;
        let mut tasks: HashMap<TaskId, Task> =
            rows.into_iter().map(|row| (row.task_id, view(row))).collect();
        let tasks = found.into_iter().filter_map(|place| Some((place, tasks.remove(&place.id)?)));
        Ok(TaskPage { tasks: tasks.collect(), goes_on })
    }
}

/// Up to `rows` tasks of a walk that pass the filter, and where to go on if too many were tested.
async fn search(
    tx: &mut Tx,
    filter: &TaskFilter,
    (walk, within): (Walk<'_>, Option<&[ProjectId]>),
    after: Option<TaskPlace>,
    rows: u32,
) -> Result<(Vec<TaskPlace>, Option<TaskPlace>)> {
    if !filter.sifts() && within.is_none() {
        return Ok((store::tasks::find::walk(tx, walk, after, rows.into()).await?, None));
    }
    let sieve = Sieve {
        reference: filter.reference.as_deref(),
        label: filter.label.as_deref(),
        capability: filter.capability.as_deref(),
        agent: filter.agent,
        within,
    };
    let needle = filter.text.as_deref().and_then(Needle::of);
    let mut found: Vec<TaskPlace> = Vec::new();
    let mut place = after;
    let (mut examined, mut read) = (0, 0);
    while examined < EXAMINED && read < SEARCHED_BYTES {
        let walked = store::tasks::find::walk(tx, walk, place, STEP.into()).await?;
        let ids: Vec<TaskId> = walked.iter().map(|place| place.id).collect();
        let passed = store::tasks::find::sift(tx, &ids, sieve).await?;
        let Matches { tasks, bytes, last } = match &needle {
            Some(needle) => matching(tx, needle, passed).await?,
            None => Matches { tasks: passed, bytes: 0, last: None },
        };
        let tasks: HashSet<TaskId> = tasks.into_iter().collect();
        found.extend(walked.iter().copied().filter(|place| tasks.contains(&place.id)));
        if found.len() >= rows as usize {
            found.truncate(rows as usize);
            return Ok((found, None));
        }
        // Descriptions too long for one step: the next begins after the last one that was read.
        let tested = last.and_then(|last| ids.iter().position(|id| *id == last));
        let tested = tested.map_or(walked.len(), |index| index + 1);
        if tested == walked.len() && walked.len() < STEP as usize {
            return Ok((found, None));
        }
        place = walked.get(tested.saturating_sub(1)).copied();
        examined += tested;
        read += bytes;
    }
    Ok((found, place))
}

/// Tasks with a text.
struct Matches {
    tasks: Vec<TaskId>,
    /// Bytes of descriptions read for that.
    bytes: usize,
    /// The last task that was read, if there are more.
    last: Option<TaskId>,
}

async fn matching(tx: &mut Tx, needle: &Needle, tasks: Vec<TaskId>) -> Result<Matches> {
    let texts = store::tasks::find::texts(tx, &tasks, STEP_BYTES).await?;
    let bytes = texts.iter().map(|text| text.description.len()).sum();
    let last = texts.last().filter(|_| texts.len() < tasks.len()).map(|text| text.task_id);
    let matching = texts.iter().filter(|text| needle.is_in(&text.title, &text.description));
    Ok(Matches { tasks: matching.map(|text| text.task_id).collect(), bytes, last })
}
