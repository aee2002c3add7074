//! The report on bottlenecks: where work waits for agents, people, budgets and time, and what one more agent would
//! bring.
//!
//! It reads one snapshot, and a bounded part of it: see [`crate::domain::report::bottleneck`] and
//! [`crate::domain::report::open_work`]. The database is released before anything is simulated.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::{
        App, Result,
        approvals::standing::vote,
        caller::{Caller as _, ReportCaller},
        error::corrupt,
    },
    domain::{
        access::person::Person,
        budget::{BudgetNode, Period},
        goal::progress::left::PathStep,
        ids::{ApprovalId, BudgetId, GoalId, LimitId, TaskId},
        plan::{ground::AgentGroup, upward},
        policy::{PolicySpec, StagePosition},
        report::{
            bottleneck::{
                APPROVALS_MAX, Awaited, AwaitedKind, OnlineGroup, PathRisk, ROWS_MAX, Supply,
                awaited, missing, path_risk,
            },
            open_work::{Makespan, NEEDS_MAX, OpenTask, OpenWork, TASKS_MAX},
        },
        spend::measured::Quantiles,
        states::TaskState,
        task::claim::capabilities,
    },
    store::{
        self, Tx,
        approvals::votes::VoteRow,
        attention::{Scope, ShortSet},
        goals::progress::TaskName,
        reports::bottlenecks::{OnlineRow, OpenRow, PathRow, PendingRow, ShortLimitRow},
    },
};

/// Most sets of capabilities of ready tasks that are looked at.
const SETS_MAX: usize = 500;
/// Most tasks of a path that are shown.
const STEPS_SHOWN: usize = 3;

/// Where work waits, and what would help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BottleneckReport {
    /// Time of the report.
    pub at: DateTime<Utc>,
    /// Sets of capabilities with more ready tasks than free slots of the agents online that have them; those that
    /// take the longest to drain first. At most 100.
    pub capabilities: Vec<ShortCapabilities>,
    /// Who is waited for, the longest wait first. At most 100.
    pub people: Vec<AwaitedAnswers>,
    /// Limits that tasks wait for, the longest wait first. At most 100.
    pub budgets: Vec<ShortLimit>,
    /// Open goals whose critical path ends after the deadline, or leaves less than a tenth of the time to it as
    /// slack; the least slack first. At most 100.
    pub at_risk: Vec<PathAtRisk>,
    /// How long the open work takes, and what one more agent would bring.
    pub open_work: OpenWorkForecast,
}

/// Ready tasks that are more than the agents online can start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShortCapabilities {
    /// The capabilities that the tasks require; empty: none.
    #[schema(example = json!(["review", "rust"]))]
    pub capabilities: Vec<String>,
    /// Number of ready tasks that require exactly these, counted up to 1,000. Tasks under a freeze and tasks that
    /// are kept for one agent do not count.
    #[schema(example = 12, minimum = 0)]
    pub ready: i64,
    /// Since when the first of them has been ready.
    pub since: DateTime<Utc>,
    /// The same as a time, in milliseconds.
    #[schema(example = 840_000, minimum = 0)]
    pub oldest_wait_ms: i64,
    /// Number of agents online that can do them: active, not frozen.
    #[schema(example = 2, minimum = 0)]
    pub agents_online: i64,
    /// Attempts that these may run at once.
    #[schema(example = 3, minimum = 0)]
    pub slots: i64,
    /// Further attempts that these can start now.
    #[schema(example = 0, minimum = 0)]
    pub free_slots: i64,
    /// Usual duration of such a task in milliseconds; a minute if none was measured.
    #[schema(example = 60_000, minimum = 0)]
    pub usual_ms: i64,
    /// Time in milliseconds until all of them are done, if their agents do nothing else and each takes as long as usual;
    /// `null`: nobody online can do them.
    #[schema(example = 240_000)]
    pub drain_ms: Option<i64>,
}

/// Answers that somebody is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AwaitedAnswers {
    /// Who: one named approver, any operator, or an admin.
    pub kind: AwaitedKind,
    /// The approver; `null` for the other kinds.
    pub person: Option<Person>,
    /// Number of pending approvals and questions that they may answer; of the oldest 1,000 of the workspace.
    #[schema(example = 3, minimum = 0)]
    pub approvals: i64,
    /// Number of these that nobody else may answer.
    #[schema(example = 1, minimum = 0)]
    pub alone: i64,
    /// Number of failed and quarantined tasks that wait to be retried or acknowledged; only of operators, at most 200
    /// of each.
    #[schema(example = 0, minimum = 0)]
    pub failed_tasks: i64,
    /// Since when the oldest of all these has waited.
    pub since: DateTime<Utc>,
    /// The same as a time, in milliseconds.
    #[schema(example = 7_200_000, minimum = 0)]
    pub oldest_wait_ms: i64,
    /// The oldest approval: `GET /v1/approvals/{approval_id}`; `null` without one.
    pub approval_id: Option<ApprovalId>,
    /// Number of goals with one of these.
    #[schema(example = 2, minimum = 0)]
    pub goals: i64,
    /// Number of tasks that cannot go on before: those that are asked about, and all behind them.
    #[schema(example = 14, minimum = 0)]
    pub tasks_blocked: i64,
}

/// A limit that tasks wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShortLimit {
    /// Id of the limit within its budget.
    pub limit_id: LimitId,
    /// Id of the budget: `GET /v1/budgets/{budget_id}`.
    pub budget_id: BudgetId,
    /// Kind of the node that the budget limits.
    pub node: BudgetNode,
    /// Id of that node.
    pub node_id: Uuid,
    /// Unit of the amounts.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Period after which the limit renews.
    pub period: Period,
    /// When the current period ends and the limit renews; `null`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// The limit.
    #[schema(example = 5_000_000)]
    pub limit: i64,
    /// Used of it, rounded up.
    #[schema(example = 4_800_000)]
    pub used: i64,
    /// Reserved by running attempts.
    #[schema(example = 150_000)]
    pub reserved: i64,
    /// Number of tasks that wait for it, counted up to 1,000.
    #[schema(example = 4, minimum = 0)]
    pub waiting: i64,
    /// Sum of the least amounts that these need.
    #[schema(example = 400_000, minimum = 0)]
    pub needed: i64,
    /// What is missing so that all of them can start. Less if running attempts give back what they reserved.
    #[schema(example = 350_000, minimum = 0)]
    pub missing: i64,
    /// Since when the first of them has waited.
    pub since: DateTime<Utc>,
    /// The same as a time, in milliseconds.
    #[schema(example = 600_000, minimum = 0)]
    pub oldest_wait_ms: i64,
    /// The pending approval that would raise it; `null` without one.
    pub approval_id: Option<ApprovalId>,
    /// Number of tasks that cannot go on before: those that wait, and all behind them.
    #[schema(example = 9, minimum = 0)]
    pub tasks_blocked: i64,
}

/// A goal whose critical path is at risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathAtRisk {
    /// Id of the goal: `GET /v1/goals/{goal_id}/progress`.
    pub goal_id: GoalId,
    /// Its title.
    #[schema(example = "Ship the importer")]
    pub title: String,
    /// Why it is at risk.
    pub risk: PathRisk,
    /// When it should be completed.
    pub deadline: DateTime<Utc>,
    /// When its longest path ends, if work begins at once and its tasks take as long as usual; not before now.
    pub ends_at: DateTime<Utc>,
    /// From `ends_at` to the deadline, in milliseconds; negative: too late.
    #[schema(example = -1_800_000)]
    pub slack_ms: i64,
    /// Length of the path at `as_of`, in milliseconds of work.
    #[schema(example = 5_400_000, minimum = 0)]
    pub path_ms: i64,
    /// When the path was computed.
    pub as_of: DateTime<Utc>,
    /// The first tasks of the path, in order; at most 3.
    pub path: Vec<PathTaskAtRisk>,
}

/// A task of a critical path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathTaskAtRisk {
    /// Id of the task: `GET /v1/tasks/{task_id}`.
    pub task_id: TaskId,
    /// Its name in the plan.
    #[schema(example = "T004")]
    pub r#ref: String,
    /// Its title.
    #[schema(example = "Write the manual")]
    pub title: String,
    /// Its state now.
    pub state: TaskState,
    /// Its own work left, in milliseconds.
    #[schema(example = 300_000, minimum = 0)]
    pub work_ms: i64,
}

/// How long the open work of the workspace takes, by list scheduling with the agents online.
///
/// Tasks take as long as estimated or usual. People answer and budgets are raised at once, nothing fails, and gates and
/// rates are not counted. What nobody online can do, and what waits behind that or behind a failed task, is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OpenWorkForecast {
    /// Number of open tasks, without containers.
    #[schema(example = 120, minimum = 0)]
    pub tasks: i64,
    /// Whether these are all. If the workspace has more than 10,000 open tasks, or more than 100,000 needs among
    /// them, waiting tasks of low priority are left out.
    pub complete: bool,
    /// Number of tasks that the agents online can do; `null`: the tasks require too many different sets of
    /// capabilities to be simulated.
    #[schema(example = 118)]
    pub tasks_doable: Option<i64>,
    /// Time until the last of these is done, in milliseconds.
    #[schema(example = 10_800_000)]
    pub makespan_ms: Option<i64>,
    /// The same with one more agent, for each of the first ten of `capabilities`; what helps most first.
    pub one_more: Vec<OneMoreAgent>,
}

/// The open work with one more agent, which has exactly these capabilities and runs one attempt at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OneMoreAgent {
    /// Its capabilities.
    #[schema(example = json!(["review", "rust"]))]
    pub capabilities: Vec<String>,
    /// Number of tasks that can then be done.
    #[schema(example = 118, minimum = 0)]
    pub tasks_doable: i64,
    /// Time until the last of these is done, in milliseconds.
    #[schema(example = 7_200_000, minimum = 0)]
    pub makespan_ms: i64,
    /// How much less that is, in milliseconds; negative in rare cases. `null`: other tasks can be done, so both times
    /// cannot be compared.
    #[schema(example = 3_600_000)]
    pub saved_ms: Option<i64>,
}

impl App {
    /// Reports where work waits.
    pub async fn bottlenecks_report(&self, caller: &ReportCaller) -> Result<BottleneckReport> {
        let mut tx = self.moment(caller.principal().workspace).await?;
        let now = tx.now;
        let read = Read::of(&mut tx).await?;
        tx.rollback().await?;
        // Up to a second of computing, and other requests are answered on this thread, too.
        let done = tokio::task::spawn_blocking(move || read.report(now)).await;
        done.map_err(corrupt)?
    }
}

/// What was read for a report.
struct Read {
    durations: HashMap<String, Quantiles>,
    online: Vec<OnlineGroup>,
    /// Ready tasks by the set of capabilities that they require.
    ready: Vec<(Vec<String>, ShortSet)>,
    open: Vec<OpenRow>,
    needs: Vec<(TaskId, TaskId)>,
    complete: bool,
    pending: Vec<PendingRow>,
    votes: HashMap<ApprovalId, Vec<VoteRow>>,
    failed: Vec<FailedWork>,
    limits: Vec<ShortLimitRow>,
    paths: Vec<PathRow>,
    names: HashMap<TaskId, TaskName>,
}

/// A failed task that waits for an operator.
#[derive(Debug, Clone, Copy)]
struct FailedWork {
    task: TaskId,
    goal: GoalId,
    since: DateTime<Utc>,
}

fn rows(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

impl Read {
    async fn of(tx: &mut Tx) -> Result<Self> {
        use store::reports::bottlenecks as reads;
        let durations = store::goals::progress::durations(tx).await?;
        let online = reads::online(tx).await?.into_iter().map(group).collect();
        let ready = ready(tx).await?;
        let mut open = reads::open_tasks(tx, rows(TASKS_MAX + 1)).await?;
        let mut complete = open.len() <= TASKS_MAX;
        open.truncate(TASKS_MAX);
        let ids: Vec<TaskId> = open.iter().map(|row| row.task_id).collect();
        let mut needs = reads::needs(tx, &ids, rows(NEEDS_MAX + 1)).await?;
        complete = complete && needs.len() <= NEEDS_MAX;
        needs.truncate(NEEDS_MAX);
        let pending = reads::pending(tx, rows(APPROVALS_MAX)).await?;
        let with_policy = pending.iter().filter(|row| row.policy.is_some());
        let asked: Vec<ApprovalId> = with_policy.map(|row| row.approval_id).collect();
        let mut votes: HashMap<ApprovalId, Vec<VoteRow>> = HashMap::new();
        for vote in store::approvals::votes::list(tx, &asked).await? {
            votes.entry(vote.approval_id).or_default().push(vote);
        }
        let failed = failed(tx).await?;
        let limits = reads::short_limits(tx, rows(ROWS_MAX)).await?;
        let paths = reads::paths_at_risk(tx, rows(ROWS_MAX)).await?;
        let steps = paths.iter().flat_map(|row| row.path.0.iter().take(STEPS_SHOWN));
        let steps: Vec<TaskId> = steps.map(|step| step.task_id).collect();
        let names = store::goals::progress::names(tx, &steps).await?;
        Ok(Self {
            durations,
            online,
            ready,
            open,
            needs,
            complete,
            pending,
            votes,
            failed,
            limits,
            paths,
            names: names.into_iter().map(|name| (name.task_id, name)).collect(),
        })
    }

    fn report(self, now: DateTime<Utc>) -> Result<BottleneckReport> {
        let tasks = self.open.iter().map(|row| self.task(row, now)).collect();
        let work = OpenWork::new(tasks, &self.needs);
        let capabilities = self.short(now);
        Ok(BottleneckReport {
            at: now,
            people: self.people(&work, now)?,
            budgets: self.limits.iter().map(|row| self.limit(row, &work, now)).collect(),
            at_risk: self.paths.iter().filter_map(|row| self.path(row, now)).collect(),
            open_work: self.forecast(&work, &capabilities),
            capabilities,
        })
    }

    fn usual(&self, key: &str) -> Option<i64> {
        self.durations.get(key).map(|spread| spread.p50)
    }

    fn task(&self, row: &OpenRow, now: DateTime<Utc>) -> OpenTask {
        let estimate = row.estimate.as_ref().map(|estimate| &estimate.0);
        let whole = upward::expected(estimate, self.usual(&row.capability_key));
        let gone = row.started_at.map_or(0, |started| between(started, now));
        let duration_ms = match row.state {
            TaskState::Reviewing => 0,
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Done
            | TaskState::Failed
            | TaskState::Cancelled => (whole - gone).max(0),
        };
        OpenTask {
            task_id: row.task_id,
            parent: row.parent,
            container: row.container,
            capabilities: capabilities(&row.capability_key),
            duration_ms,
            not_before_ms: between(now, row.ready_from).min(upward::MOST_MS),
        }
    }

    fn short(&self, now: DateTime<Utc>) -> Vec<ShortCapabilities> {
        let of = |(required, set): &(Vec<String>, ShortSet)| {
            let supply = Supply::of(&self.online, required);
            let Supply { online, slots, free } = supply;
            let usual_ms = upward::expected(None, self.usual(&set.capability_key));
            let short = ShortCapabilities {
                capabilities: required.clone(),
                ready: set.waiting,
                since: set.since,
                oldest_wait_ms: between(set.since, now),
                agents_online: online,
                slots,
                free_slots: free,
                usual_ms,
                drain_ms: supply.drained_in(set.waiting, usual_ms),
            };
            (set.waiting > free).then_some(short)
        };
        let mut short: Vec<ShortCapabilities> = self.ready.iter().filter_map(of).collect();
        short.sort_by(|a, b| {
            let drain = |one: &ShortCapabilities| one.drain_ms.unwrap_or(i64::MAX);
            drain(b)
                .cmp(&drain(a))
                .then(a.since.cmp(&b.since))
                .then(a.capabilities.cmp(&b.capabilities))
        });
        short.truncate(ROWS_MAX);
        short
    }

    fn people(&self, work: &OpenWork, now: DateTime<Utc>) -> Result<Vec<AwaitedAnswers>> {
        let mut waits: BTreeMap<(AwaitedKind, Option<Person>), Waits> = BTreeMap::new();
        for row in &self.pending {
            let tasks = self.asked_about(row);
            let whom = match self.awaited(row)? {
                Awaited::People(people) => {
                    people.into_iter().map(|person| (AwaitedKind::Person, Some(person))).collect()
                }
                Awaited::Operator => vec![(AwaitedKind::Operator, None)],
                Awaited::Admin => vec![(AwaitedKind::Admin, None)],
            };
            let alone = whom.len() == 1;
            for key in whom {
                let waits = waits.entry(key).or_insert_with(|| Waits::since(row.created_at));
                waits.approvals += 1;
                waits.alone += i64::from(alone);
                // They come in the order of their age.
                waits.oldest = waits.oldest.or(Some(row.approval_id));
                waits.add(row.created_at, row.goal_id, &tasks);
            }
        }
        for failed in &self.failed {
            let key = (AwaitedKind::Operator, None);
            let waits = waits.entry(key).or_insert_with(|| Waits::since(failed.since));
            waits.failed += 1;
            waits.add(failed.since, failed.goal, &[failed.task]);
        }
        let mut list: Vec<AwaitedAnswers> =
            waits.into_iter().map(|(key, waits)| waits.shown(key, work, now)).collect();
        list.sort_by_key(|answers| answers.since);
        list.truncate(ROWS_MAX);
        Ok(list)
    }

    fn awaited(&self, row: &PendingRow) -> Result<Awaited> {
        let Some(policy) = &row.policy else { return Ok(Awaited::Operator) };
        let spec: PolicySpec = serde_json::from_value(policy.clone()).map_err(corrupt)?;
        let place = StagePosition { stage: row.stage, escalation: row.escalation };
        let votes: Vec<_> =
            self.votes.get(&row.approval_id).into_iter().flatten().map(vote).collect();
        Ok(awaited(Some((&spec, place)), &row.excluded.0, &votes, row.revision))
    }

    /// The tasks that wait for an approval.
    fn asked_about(&self, row: &PendingRow) -> Vec<TaskId> {
        match (row.task_id, row.limit_id) {
            (_, Some(limit)) => self.waiting_for(limit),
            (Some(task), None) => vec![task],
            (None, None) => Vec::new(),
        }
    }

    fn waiting_for(&self, limit: LimitId) -> Vec<TaskId> {
        let waiting = self.open.iter().filter(|task| task.limit_id == Some(limit));
        waiting.map(|task| task.task_id).collect()
    }

    fn limit(&self, row: &ShortLimitRow, work: &OpenWork, now: DateTime<Utc>) -> ShortLimit {
        ShortLimit {
            limit_id: row.limit_id,
            budget_id: row.budget_id,
            node: row.node,
            node_id: row.node_id,
            unit: row.unit.clone(),
            period: row.period,
            ends_at: row.ends_at,
            limit: row.amount,
            used: row.used,
            reserved: row.reserved,
            waiting: row.waiting,
            needed: row.needed,
            missing: missing(row.amount, row.used, row.reserved, row.needed),
            since: row.since,
            oldest_wait_ms: between(row.since, now),
            approval_id: row.approval_id,
            tasks_blocked: work.behind(self.waiting_for(row.limit_id)),
        }
    }

    fn path(&self, row: &PathRow, now: DateTime<Utc>) -> Option<PathAtRisk> {
        let step = |step: &PathStep| {
            let TaskName { task_id, reference, title, state } = self.names.get(&step.task_id)?;
            Some(PathTaskAtRisk {
                task_id: *task_id,
                r#ref: reference.clone(),
                title: title.clone(),
                state: *state,
                work_ms: step.work_ms,
            })
        };
        Some(PathAtRisk {
            goal_id: row.goal_id,
            title: row.title.clone(),
            risk: path_risk(now, row.ends_at, row.deadline)?,
            deadline: row.deadline,
            ends_at: row.ends_at,
            slack_ms: row.deadline.signed_duration_since(row.ends_at).num_milliseconds(),
            path_ms: row.path_ms,
            as_of: row.computed_at,
            path: row.path.0.iter().take(STEPS_SHOWN).filter_map(step).collect(),
        })
    }

    fn forecast(&self, work: &OpenWork, short: &[ShortCapabilities]) -> OpenWorkForecast {
        let groups: Vec<AgentGroup> =
            self.online.iter().map(|online| online.group.clone()).collect();
        let sets: Vec<Vec<String>> = short.iter().map(|short| short.capabilities.clone()).collect();
        let tasks = rows(self.open.iter().filter(|row| !row.container).count());
        let found = work.with_one_more(&groups, &sets);
        let now = found.as_ref().map(|(now, _)| *now);
        let more = found.into_iter().flat_map(|(now, more)| {
            more.into_iter().zip(sets.clone()).map(move |(then, set)| one_more(set, now, then))
        });
        let mut one_more: Vec<OneMoreAgent> = more.collect();
        one_more.sort_by_key(|more| (-more.tasks_doable, -more.saved_ms.unwrap_or_default()));
        OpenWorkForecast {
            tasks,
            complete: self.complete,
            tasks_doable: now.map(|now| now.tasks),
            makespan_ms: now.map(|now| now.ms),
            one_more,
        }
    }
}

fn one_more(capabilities: Vec<String>, now: Makespan, then: Makespan) -> OneMoreAgent {
    OneMoreAgent {
        capabilities,
        tasks_doable: then.tasks,
        makespan_ms: then.ms,
        saved_ms: (then.tasks == now.tasks).then(|| now.ms - then.ms),
    }
}

/// Milliseconds from one instant to another; 0 if it is earlier.
fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    to.signed_duration_since(from).max(TimeDelta::zero()).num_milliseconds()
}

fn group(row: OnlineRow) -> OnlineGroup {
    let OnlineRow { capabilities, online, slots, free } = row;
    let capabilities = capabilities.into_iter().collect();
    OnlineGroup { group: AgentGroup { capabilities, agents: online, online, slots }, free }
}

async fn ready(tx: &mut Tx) -> Result<Vec<(Vec<String>, ShortSet)>> {
    let mut wanted = store::attention::ready_capabilities(tx).await?;
    wanted.truncate(SETS_MAX);
    let keys: Vec<String> = wanted.iter().map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut required: HashMap<String, Vec<String>> = wanted.into_iter().collect();
    let sets = store::attention::waiting_in(tx, Scope::default(), &keys).await?;
    let with = |set: ShortSet| Some((required.remove(&set.capability_key)?, set));
    Ok(sets.into_iter().filter_map(with).collect())
}

/// Failed and quarantined tasks that wait for an operator.
async fn failed(tx: &mut Tx) -> Result<Vec<FailedWork>> {
    const MOST: i64 = 200;
    let first = (DateTime::UNIX_EPOCH, Uuid::nil());
    let lost = store::attention::quarantined(tx, Scope::default(), first, MOST).await?;
    let failed = store::attention::failed_tasks(tx, Scope::default(), first, MOST).await?;
    let lost = lost.into_iter().map(|row| (row.task_id, row.goal_id, row.ended_at));
    let failed = failed.into_iter().map(|row| (row.task_id, row.goal_id, row.ended_at));
    let all = lost.chain(failed).map(|(task, goal, since)| FailedWork { task, goal, since });
    Ok(all.collect())
}

/// What waits for one person or role.
struct Waits {
    approvals: i64,
    alone: i64,
    failed: i64,
    since: DateTime<Utc>,
    oldest: Option<ApprovalId>,
    goals: BTreeSet<GoalId>,
    tasks: BTreeSet<TaskId>,
}

impl Waits {
    fn since(since: DateTime<Utc>) -> Self {
        Self {
            approvals: 0,
            alone: 0,
            failed: 0,
            since,
            oldest: None,
            goals: BTreeSet::new(),
            tasks: BTreeSet::new(),
        }
    }

    fn add(&mut self, since: DateTime<Utc>, goal: GoalId, tasks: &[TaskId]) {
        self.since = self.since.min(since);
        self.goals.insert(goal);
        self.tasks.extend(tasks);
    }

    fn shown(
        self,
        (kind, person): (AwaitedKind, Option<Person>),
        work: &OpenWork,
        now: DateTime<Utc>,
    ) -> AwaitedAnswers {
        AwaitedAnswers {
            kind,
            person,
            approvals: self.approvals,
            alone: self.alone,
            failed_tasks: self.failed,
            since: self.since,
            oldest_wait_ms: between(self.since, now),
            approval_id: self.oldest,
            goals: rows(self.goals.len()),
            tasks_blocked: work.behind(self.tasks),
        }
    }
}
