//! Claims: the claiming agents, the ready tasks, and the handover of a claimed task.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        budget::ask::Estimates,
        handover::{
            ChildResult, ClaimedComment, ClaimedCriterion, EarlierAttempt, HandedOver, NeededResult,
        },
        ids::{AgentId, GoalId, ProjectId, TaskId},
        routing::{
            assign::{Facts, Routed, Rules, Slots},
            policy::Policy,
            turns,
        },
        settings,
        states::AgentState,
        task::claim::Keeping,
    },
    store::{Tx, columns::uuids, traced},
};

/// A claiming agent.
#[derive(Debug, Clone)]
pub struct Claimer {
    /// The agent.
    pub agent_id: AgentId,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// Most attempts at once: the agent's own number, or the cap of the workspace if that is less.
    pub max_concurrent: i32,
    /// Longest lease that the workspace allows, in seconds.
    pub max_lease_seconds: Option<i32>,
    /// Only active agents may claim.
    pub state: AgentState,
    /// An archived agent may not, whatever its state.
    pub archived: bool,
    /// Number of its running attempts.
    pub running: i64,
    /// Whether a freeze covers the agent itself, whatever the task.
    pub frozen: bool,
    /// Given no tasks before this time: its provider limits its rate, or a quota window of its account is
    /// nearly used up.
    pub held_until: Option<DateTime<Utc>>,
    /// Its account, if that has quota windows.
    pub metered: Option<String>,
    /// Whether the workspace has rates.
    pub rated: bool,
    /// The routing policy of the workspace.
    pub policy: Policy,
    /// Longest time in milliseconds for which the workspace leaves a ready task for a better agent.
    pub max_deferral_ms: i32,
    /// Percentage of tasks that the workspace assigns at random.
    pub control_percent: i32,
}

impl Claimer {
    /// Longest lease that the workspace allows.
    #[must_use]
    pub fn longest_lease(&self) -> Option<Duration> {
        self.max_lease_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into()))
    }

    /// The rules of the workspace.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            policy: self.policy,
            max_deferral: TimeDelta::milliseconds(self.max_deferral_ms.into()),
            control_percent: self.control_percent,
        }
    }

    /// Its slots, if `free` of them are free.
    #[must_use]
    pub fn slots(&self, free: u32) -> Slots {
        Slots { free, running: u32::try_from(self.running).unwrap_or_default() }
    }
}

/// Reads agents without a lock: enough to decide how many tasks to look for.
pub async fn claimers(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<Vec<Claimer>> {
    sqlx::query_as!(
        Claimer,
        r#"select g.agent_id as "agent_id: AgentId", g.capabilities,
                  least(g.max_concurrent, w.agent_max_concurrent) as "max_concurrent!",
                  w.max_lease_seconds, w.routing as "policy: Policy", w.max_deferral_ms, w.control_percent,
                  g.state as "state: AgentState", g.archived,
                  (select count(*) from attempts a where a.workspace_id = $1
                   and a.agent_id = g.agent_id and a.state = 'running') as "running!",
                  exists (select from freezes_over($1, null, g.agent_id)) as "frozen!",
                  greatest(case when g.limited_until > $3 then g.limited_until end,
                           (select max(q.ends_at) from quota_windows q
                            where q.workspace_id = $1 and q.account = g.account and q.ends_at > $3
                              and q.used::numeric * 100 >= q.amount::numeric * q.stop_percent))
                      as held_until,
                  (select q.account from quota_windows q
                   where q.workspace_id = $1 and q.account = g.account limit 1) as metered,
                  (select exists (select from rates where workspace_id = $1)) as "rated!"
           from agents g
           join workspaces w on w.workspace_id = g.workspace_id
           where g.workspace_id = $1 and g.agent_id = any($2)"#,
        tx.workspace.0,
        &uuids(agents),
        tx.now,
    )
    .fetch_all(traced!(tx, "attempts.claim.claimers"))
    .await
}

/// Locks agents in id order. Excludes their other claims, so a count of their attempts read
/// afterwards is exact.
pub async fn lock_agents(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<()> {
    sqlx::query!(
        "select agent_id from agents where workspace_id = $1 and agent_id = any($2)
         order by agent_id for no key update",
        tx.workspace.0,
        &uuids(agents),
    )
    .fetch_all(traced!(tx, "attempts.claim.lock_agents"))
    .await?;
    Ok(())
}

/// A ready task, locked for this transaction.
#[derive(Debug, Clone)]
pub struct ReadyTask {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Whose turn it takes, and when that is.
    pub turn: Turn,
    /// Key of the claim order inside its goal; lower is claimed first.
    pub claim_rank: DateTime<Utc>,
    /// Since when it ages in the order of claims.
    pub ranked_from: DateTime<Utc>,
    /// Since when it has been ready.
    pub ready_from: DateTime<Utc>,
    /// Capabilities it requires.
    pub required: Vec<String>,
    /// Number of attempts ever started.
    pub attempts_started: i32,
    /// Its lease in milliseconds.
    pub lease_ms: Option<i64>,
    /// Hard limit of an attempt in milliseconds.
    pub attempt_timeout_ms: Option<i64>,
    /// When all attempts together must have ended.
    pub finish_by: Option<DateTime<Utc>>,
    /// Whether it may need grants to start.
    pub gated: bool,
    /// Assignment to one agent, or exclusion of one.
    pub keeping: Keeping,
}

/// The turn of a ready task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Its virtual time: the pass of its goal, and a stride for each task before it. Lower is claimed first.
    pub at: i64,
    /// Where the turns of its goal began in this search.
    pub start: i64,
    /// The stride of its goal; 0: goals take no turns.
    pub stride: i64,
    /// Whether no ready task of its goal is left if all that were locked are started.
    pub last: bool,
}

/// A goal that joins the turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    /// The goal.
    pub goal_id: GoalId,
    /// The pass that it joins at.
    pub start: i64,
}

impl Routed for ReadyTask {
    fn facts(&self) -> Facts {
        Facts {
            task: self.task_id,
            goal: self.goal_id,
            started: self.attempts_started,
            ready_from: self.ready_from,
        }
    }
}

/// Ready tasks that were locked.
#[derive(Debug, Default)]
pub struct LockedTasks {
    /// The tasks in the order of their turns.
    pub tasks: Vec<ReadyTask>,
    /// Whether there may be ready tasks beyond the examined candidates.
    pub more: bool,
    /// The goals seen that had no part in the turns before.
    pub joining: Vec<Joining>,
    /// Number of goals seen that compete.
    pub goals: i64,
    /// The last goal seen, if there may be others that were not.
    pub cut_at: Option<GoalId>,
}

/// The agents that look for ready tasks.
#[derive(Debug, Clone, Copy)]
pub struct Lookers<'a> {
    /// Capabilities that each of the agents has.
    pub able: &'a [String],
    /// The agents.
    pub agents: &'a [AgentId],
}

/// A locked task, and what the search found beside it.
struct Row {
    task_id: Option<TaskId>,
    goal_id: Option<GoalId>,
    claim_rank: Option<DateTime<Utc>>,
    ranked_from: Option<DateTime<Utc>>,
    ready_from: Option<DateTime<Utc>>,
    required: Option<Vec<String>>,
    attempts_started: Option<i32>,
    lease_ms: Option<i64>,
    attempt_timeout_ms: Option<i64>,
    finish_by: Option<DateTime<Utc>>,
    assigned: Option<AgentId>,
    barred: Option<AgentId>,
    gated: Option<bool>,
    may_not: Option<Vec<AgentId>>,
    turn: Option<i64>,
    start: Option<i64>,
    stride: Option<i64>,
    last: Option<bool>,
    more: bool,
    goals: i64,
    joining: Option<Vec<GoalId>>,
    starts: Option<Vec<i64>>,
    cut_at: Option<GoalId>,
}

/// How far a search for ready tasks goes.
#[derive(Debug, Clone, Copy)]
pub struct SearchBounds {
    /// Most tasks to lock.
    pub wanted: i64,
    /// Extra candidates, because other transactions may hold some.
    pub slack: i64,
    /// The goal at which the search begins; it goes on with the first after the last one. Matters only if there
    /// are more goals than it looks at.
    pub from: GoalId,
}

/// The search of a claim, up to its candidates in order, with `$tail` behind it. One text for those that lock what they
/// find and those that only look, so that both find the same.
macro_rules! search {
    ($row:ident, $tx:ident, $lookers:ident, $bounds:ident, $run:ident, $held:ident, $tail:tt) => {
        sqlx::query_as!(
            $row,
            r#"
        with recursive covered as materialized (
            select capability_key, capabilities from capability_sets
            where workspace_id = $1 and capabilities <@ $2::text[]
              -- Without a rate that is used up nothing is compared.
              and (not (select exists (select from rates where workspace_id = $1 and free_at > $10))
                   or not exists (select from rates r
                                  where r.workspace_id = $1 and r.free_at > $10
                                    and r.capability = any(capabilities)))
        ), ahead (capability_key, turn_of, depth) as (
            -- From goal to goal of each set, by one entry of the index each.
            select c.capability_key, n.turn_of, 1
            from covered c cross join lateral (
                select t.turn_of from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = c.capability_key and t.turn_of >= $7::uuid
                order by t.turn_of limit 1
            ) n
            union all
            select s.capability_key, n.turn_of, s.depth + 1
            from ahead s cross join lateral (
                select t.turn_of from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = s.capability_key and t.turn_of > s.turn_of
                order by t.turn_of limit 1
            ) n
        ), first_found as materialized (
            select capability_key, turn_of, depth, 1 as part from ahead limit $8
        ), around (capability_key, turn_of, depth) as (
            select c.capability_key, n.turn_of, 1
            from covered c cross join lateral (
                select t.turn_of from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = c.capability_key and t.turn_of < $7::uuid
                order by t.turn_of limit 1
            ) n
            union all
            select s.capability_key, n.turn_of, s.depth + 1
            from around s cross join lateral (
                select t.turn_of from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = s.capability_key and t.turn_of > s.turn_of
                  and t.turn_of < $7::uuid
                order by t.turn_of limit 1
            ) n
        ), found as materialized (
            select * from first_found
            union all
            (select capability_key, turn_of, depth, 2 from around
             limit $8 - (select count(*) from first_found))
        ), last_found as materialized (
            -- How far each set was followed that may have more; read only if the bound was reached.
            select max(f.turn_of::text)::uuid as turn_of
            from found f
            where f.part = (select max(part) from found)
            group by f.capability_key
            having max(f.depth) >= (select max(depth) from found
                                    where part = (select max(part) from found)) - 1
        ), standing as materialized (
            select f.turn_of, f.keys, u.pass, coalesce(u.drained, true) as joins,
                   coalesce(($9::bigint << 5 >> g.priority) / g.weight, 0) as stride
            from (select turn_of, array_agg(capability_key) as keys from found group by turn_of) f
            left join lateral (
                select g.priority, g.weight from goals g
                where g.workspace_id = $1 and g.goal_id = f.turn_of limit 1) g on true
            left join lateral (
                select u.pass, u.drained from goal_turns u
                where u.workspace_id = $1 and u.goal_id = f.turn_of limit 1) u on true
        ), front as materialized (
            -- How far the furthest is of those that compete, and the longest stride of those.
            select max(pass) as most, max(stride) as longest from standing where not joins
        ), competing as materialized (
            select s.*,
                   case when not s.joins
                        then greatest(s.pass, f.most - ($11::bigint * f.longest + s.stride)) end as start,
                   greatest(s.pass, f.most - (f.longest + s.stride)) - (f.most - 2 * f.longest) as near,
                   $9::float8 / nullif(s.stride, 0) as share
            from standing s cross join front f
        ), joint as materialized (
            -- Where newcomers join: the mean of those that compete, by their shares.
            select coalesce(
                f.most - 2 * f.longest + floor(sum(c.near * c.share) / sum(c.share))::bigint,
                (select max(pass) from standing), 0) as pass
            from front f left join competing c on not c.joins
            group by f.most, f.longest
        ), started as materialized (
            select c.turn_of, c.keys, c.stride, c.share, c.joins,
                   coalesce(c.start, greatest(c.pass, j.pass)) as start
            from competing c cross join joint j
        ), turns as materialized (
            select s.turn_of, s.keys, s.stride, s.joins, s.start,
                   -- As `look_at` of the domain, and as many as a few claims want: goals that stand still, because what
                   -- they have is kept for others, give none of their share, so others give more than theirs.
                   case when s.stride = 0 then w.wanted
                   else least(w.wanted, greatest(
                       least($3::bigint + cardinality($4::uuid[]), $11::bigint),
                       greatest(0, floor((w.mean + w.wanted * ($9::float8 / w.shares) - (s.start - w.least))
                                         / s.stride))::bigint + 1 + $12::bigint)) end as most
            from started s
            cross join (
                select min(b.least) as least, sum(s.share) as shares,
                       sum((s.start - b.least) * s.share) / sum(s.share) as mean,
                       $3::bigint + $5::bigint + cardinality($4::uuid[]) as wanted
                from started s cross join (select min(start) as least from started) b) w
            -- No further goal can have one of the first tasks, unless these have few.
            order by s.start, s.turn_of
            limit ($3::bigint + $5::bigint + cardinality($4::uuid[])) / $12::bigint + 1
        ), looked as materialized (
            select c.task_id, c.claim_rank, c.is_kept, k.capability_key, u.turn_of, u.start, u.stride, u.most,
                   u.start + u.stride * $12::bigint * ((row_number() over of_goal - 1) / $12::bigint) as turn,
                   first_value(c.claim_rank) over of_goal as goal_rank
            from turns u cross join unnest(u.keys) as k (capability_key)
            cross join lateral (
                select t.task_id, t.claim_rank,
                       coalesce(t.assigned_agent_id, t.barred_agent_id, t.checks_attempt_id) is not null as is_kept
                from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = k.capability_key and t.turn_of = u.turn_of
                  -- Null for nearly every task: kept for one of these, or for others than one.
                  and (t.assigned_agent_id is null or t.assigned_agent_id = any($6::uuid[]))
                  and (t.barred_agent_id is null or t.barred_agent_id <> any($6::uuid[]))
                  and (t.offered_capability is null or t.offered_capability = any($2::text[]))
                  -- Null for all but checks, which no author of what is checked may do.
                  and (t.checks_attempt_id is null
                       or not case when t.assigned_agent_id is null then $6::uuid[]
                                   else array[t.assigned_agent_id] end
                              <@ array(select barred_from_check($1, t.task_id)))
                  and (not (select exists (select from price_waits where workspace_id = $1))
                       or not exists (select from price_waits p
                                      where p.workspace_id = $1 and p.task_id = t.task_id))
                  and (not (select exists (select from freezes f
                                           where f.workspace_id = $1 and f.lifted_at is null))
                       or not exists (select from freezes_over($1, t.task_id, null)))
                  -- False for nearly every task. What passes is decided again under locks.
                  and (not t.gated or not exists (select from gates_over($1, t.task_id, $10)))
                order by t.claim_rank, t.task_id
                limit u.most
            ) c
            window of_goal as (partition by u.turn_of order by c.claim_rank, c.task_id)
        ), placed as materialized (
            select l.*, row_number() over (
                       order by l.turn, l.goal_rank, l.turn_of, l.claim_rank, l.task_id) as place
            from looked l
        ), ends as materialized (
            -- How far each goal was looked at: whether to its end, and to which place.
            select turn_of, count(*) < max(most) as is_all,
                   max(place) filter (where task_id <> all($4)) as last_place
            from placed
            group by turn_of
        ), candidates as materialized (
            select p.task_id, p.turn_of, p.capability_key, p.is_kept, p.turn, p.start, p.stride, p.place
            from placed p
            where p.task_id <> all($4)
            order by p.place
            limit $3::bigint + $5::bigint
        )"# + $tail,
            $tx.workspace.0,
            $lookers.able,
            $bounds.wanted,
            &uuids($held),
            $bounds.slack,
            &uuids($lookers.agents),
            $bounds.from.0,
            settings::GOALS_IN_TURN,
            turns::UNIT,
            $tx.now,
            turns::MOST_RUN,
            $run,
        )
    };
}

/// Locks up to `wanted` ready tasks for agents with the capabilities `able`, in the order of their turns and
/// without those in `held`. Tasks assigned to or barred from one of the agents come in addition,
/// since the other agents may be unable to take them.
///
/// Finds the goals with ready tasks first, at most [`settings::GOALS_IN_TURN`] pairs of goal and set of capabilities,
/// by one index entry each: their other tasks are not read. Then reads of each goal as many tasks as can
/// be among the wanted ones. The rules of turns are those of [`crate::domain::routing::turns`]. Passes and tasks are read in
/// one snapshot, and a task that another transaction holds keeps its place in its goal: so claims that run at
/// once share out the turns as claims one after the other would.
///
/// Searches only the sets of capabilities within `able`, each by its own index range: tasks of
/// other sets cost nothing. Skips tasks locked by other transactions. Skips frozen tasks, tasks that wait for a price
/// and those behind a closed gate during the search, so they do not block later ones; without any freeze, wait or gate
/// these checks do not run. Leaves out sets of capabilities whose rate is used up.
pub async fn lock_ready(
    tx: &mut Tx,
    lookers: Lookers<'_>,
    bounds: SearchBounds,
    held: &[TaskId],
) -> sqlx::Result<LockedTasks> {
    let run = turns::run(bounds.wanted);
    let rows = search!(
        Row,
        tx,
        lookers,
        bounds,
        run,
        held,
        r#", locked as materialized (
            select t.task_id, t.goal_id, t.attempts_started, t.lease_ms, t.attempt_timeout_ms,
                   t.finish_by, t.claim_rank, t.ranked_from, t.ready_from, t.assigned_agent_id, t.barred_agent_id, t.gated,
                   case when t.checks_attempt_id is not null
                        then array(select barred_from_check($1, t.task_id)) end as may_not,
                   -- Null for nearly every task: needed besides, after a hand-off.
                   case when t.offered_capability is null then covered.capabilities
                        else covered.capabilities || t.offered_capability end as capabilities,
                   c.turn_of, c.turn, c.start, c.stride, c.place
            from candidates c join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
            join covered on covered.capability_key = c.capability_key
            -- Judged again under the lock: an edit may have changed what it requires.
            where t.state = 'ready' and t.capability_key = c.capability_key
            order by c.place
            limit $3::bigint + (select count(*) from candidates where is_kept)
            for no key update of t skip locked
        )
        select l.task_id as "task_id?: TaskId", l.goal_id as "goal_id?: GoalId",
               l.claim_rank as "claim_rank?", l.ranked_from as "ranked_from?", l.ready_from as "ready_from?",
               l.capabilities as "required?", l.attempts_started as "attempts_started?",
               l.lease_ms as "lease_ms?", l.attempt_timeout_ms as "attempt_timeout_ms?",
               l.finish_by as "finish_by?", l.assigned_agent_id as "assigned?: AgentId",
               l.barred_agent_id as "barred?: AgentId", l.gated as "gated?",
               l.may_not as "may_not?: Vec<AgentId>", l.turn as "turn?", l.start as "start?",
               l.stride as "stride?",
               -- Those of its goal that are not locked here although they come before are held by others.
               (select e.is_all and e.last_place <= (select max(place) from locked)
                from ends e where e.turn_of = l.turn_of) as "last?",
               (select count(*) from candidates) >= $3::bigint + $5::bigint
                   or exists (select from ends where not is_all)
                   or (select count(*) from started) > (select count(*) from turns) as "more!",
               (select count(*) from started) as "goals!",
               (select array_agg(u.turn_of order by u.turn_of) from started u
                where u.joins and u.stride > 0) as "joining?: Vec<GoalId>",
               (select array_agg(u.start order by u.turn_of) from started u
                where u.joins and u.stride > 0) as "starts?",
               case when (select count(*) from found) >= $8 then
                   (select min(turn_of::text)::uuid from last_found) end as "cut_at?: GoalId"
        from (select 1) as always (one) left join locked l on true
        order by l.place
        "#
    )
    .fetch_all(traced!(tx, "attempts.claim.lock_ready"))
    .await?;
    let Some(first) = rows.first() else { return Ok(LockedTasks::default()) };
    let (more, goals, cut_at) = (first.more, first.goals, first.cut_at);
    let joining = first.joining.iter().flatten().zip(first.starts.iter().flatten());
    let joining = joining.map(|(goal_id, start)| Joining { goal_id: *goal_id, start: *start });
    let joining = joining.collect();
    let task = |row: Row| {
        Some(ReadyTask {
            task_id: row.task_id?,
            goal_id: row.goal_id?,
            turn: Turn { at: row.turn?, start: row.start?, stride: row.stride?, last: row.last? },
            claim_rank: row.claim_rank?,
            ranked_from: row.ranked_from?,
            ready_from: row.ready_from?,
            required: row.required?,
            attempts_started: row.attempts_started?,
            lease_ms: row.lease_ms,
            attempt_timeout_ms: row.attempt_timeout_ms,
            finish_by: row.finish_by,
            gated: row.gated?,
            keeping: Keeping::of(row.assigned, row.barred).except(row.may_not.unwrap_or_default()),
        })
    };
    // One row without a task if none was locked.
    let tasks = rows.into_iter().filter_map(task).collect();
    Ok(LockedTasks { tasks, more, joining, goals, cut_at })
}

/// A task that a search would lock.
#[derive(Debug, Clone)]
pub struct FoundTask {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub reference: String,
    /// Title, one line.
    pub title: String,
    /// Its goal.
    pub goal_id: GoalId,
    /// Title of the goal.
    pub goal_title: String,
    /// The project of the goal.
    pub project_id: Option<ProjectId>,
    /// Its turn.
    pub turn: i64,
    /// Key of the claim order inside its goal.
    pub claim_rank: DateTime<Utc>,
    /// Since when it has been ready.
    pub ready_from: DateTime<Utc>,
    /// Number of attempts ever started.
    pub attempts_started: i32,
    /// Capabilities it requires.
    pub required: Vec<String>,
    /// Whether there may be ready tasks beyond those.
    pub more: bool,
}

/// What [`lock_ready`] would lock for agents that claim one by one, in its order, without a lock: also tasks that other
/// transactions hold. Up to
/// `wanted` and `slack` tasks.
pub async fn look_ready(
    tx: &mut Tx,
    lookers: Lookers<'_>,
    bounds: SearchBounds,
) -> sqlx::Result<Vec<FoundTask>> {
    let (run, held): (i64, &[TaskId]) = (1, &[]);
    search!(
        FoundTask,
        tx,
        lookers,
        bounds,
        run,
        held,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title,
               t.goal_id as "goal_id: GoalId", g.title as goal_title,
               g.project_id as "project_id: ProjectId", c.turn as "turn!",
               t.claim_rank, t.ready_from, t.attempts_started,
               covered.capabilities as "required!",
               ((select count(*) from candidates) >= $3::bigint + $5::bigint
                or exists (select from ends where not is_all)
                or (select count(*) from started) > (select count(*) from turns)) as "more!"
        from candidates c
        join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
        join task_texts x on x.workspace_id = $1 and x.task_id = c.task_id
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        join covered on covered.capability_key = c.capability_key
        order by c.place
        "#
    )
    .fetch_all(traced!(tx, "attempts.claim.look_ready"))
    .await
}

/// Records that agents were seen now; leaves a recent record unchanged.
pub async fn touch_presence(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into agent_presence as old (workspace_id, agent_id, last_seen_at)
         select $1, agent_id, $2::timestamptz from (select distinct unnest($3::uuid[]) as agent_id) a
         where not exists (select from agent_presence p where p.workspace_id = $1
                           and p.agent_id = a.agent_id and p.last_seen_at > $4)
         order by agent_id
         on conflict (workspace_id, agent_id) do update set last_seen_at = excluded.last_seen_at
             where old.last_seen_at < excluded.last_seen_at",
        tx.workspace.0,
        tx.now,
        &uuids(agents),
        tx.now - settings::SEEN_EXACT_TO,
    )
    .execute(traced!(tx, "attempts.claim.touch_presence"))
    .await?;
    Ok(())
}

/// Everything a claim returns about a task.
#[derive(Debug, Clone)]
pub struct Handover {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan (`ref`).
    pub reference: String,
    /// Title of the task, one line.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// Input for the agent, JSON.
    pub input: Option<Value>,
    /// Expected spend of one attempt, by unit.
    pub estimate: Option<Json<Estimates>>,
    /// Labels set by the plan's author.
    pub labels: Vec<String>,
    /// Heading of the plan above the task.
    pub section: Option<String>,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its goal's title.
    pub goal_title: String,
    /// Its criteria.
    pub criteria: Json<Vec<ClaimedCriterion>>,
    /// Results of its dependencies.
    pub needs: Json<Vec<NeededResult>>,
    /// Outcomes of its children.
    pub children: Json<Vec<ChildResult>>,
    /// The latest earlier attempts, oldest first.
    pub earlier: Json<Vec<EarlierAttempt>>,
    /// The latest checkpoint of any attempt.
    pub checkpoint: Option<Value>,
    /// The hand-off that ended the attempt before.
    pub handed_over: Option<Json<HandedOver>>,
    /// The latest comments on the task and its goal, oldest first.
    pub comments: Json<Vec<ClaimedComment>>,
}

/// Size limits of a handover. Omitted parts can be read from the tasks.
#[derive(Debug, Clone, Copy)]
pub struct HandoverLimits {
    /// Most bytes of one result; a larger one is omitted (`null`).
    pub result_bytes: i32,
    /// Most bytes of all results of dependencies, and of all results of children.
    pub total_bytes: i64,
    /// Most dependencies, and most children.
    pub tasks: i64,
    /// Most comments.
    pub comments: i64,
    /// Most bytes of all comments; the oldest are omitted.
    pub comment_bytes: i64,
}

/// Reads the handovers of tasks. The database applies the limits, so a task with a thousand large
/// dependencies costs no more than another.
pub async fn handovers(
    tx: &mut Tx,
    tasks: &[TaskId],
    limits: HandoverLimits,
) -> sqlx::Result<Vec<Handover>> {
    sqlx::query_as!(
        Handover,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title, x.description, x.input,
               x.estimate as "estimate: Json<Estimates>", x.labels, x.section, t.priority, g.title as goal_title,
               coalesce((select jsonb_agg(jsonb_build_object('number', c.number, 'text', c.text,
                                          'required', c.required, 'satisfied', c.satisfied, 'type', c.type,
                                          'min_tier', c.min_tier) || coalesce(c.terms, '{}') order by c.number)
                from criteria c where c.workspace_id = $1 and c.task_id = t.task_id), '[]') as "criteria!: Json<Vec<ClaimedCriterion>>",
               coalesce((select jsonb_agg(jsonb_build_object('task_id', n.task_id, 'ref', n.ref,
                    'title', n.title, 'result', case when n.small and n.total <= $3::bigint then n.result end,
                    -- Nearly no result has artifacts; without them nothing is searched.
                    'artifacts', case when n.artifacts is null then '[]' else
                        coalesce((select jsonb_agg(jsonb_build_object('digest', 'sha256:' || encode(f.sha256, 'hex'),
                             'size', f.size, 'media_type', f.media_type) order by f.sha256)
                         from artifacts f where f.workspace_id = $1 and f.sha256 = any(n.artifacts)), '[]') end)
                    order by n.position, n.task_id)
                from (select n.task_id, n.ref, n.position, nx.title, nr.result, nr.artifacts,
                             nr.result_bytes <= $4::int as small,
                             sum(case when nr.result_bytes <= $4::int then nr.result_bytes end)
                                 over (order by n.position, n.task_id) as total
                      from dependencies d
                      join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
                      join task_texts nx on nx.workspace_id = $1 and nx.task_id = n.task_id
                      -- The current attempt of a task that is done is the one that was accepted.
                      left join attempt_results nr on nr.workspace_id = $1
                           and nr.attempt_id = n.current_attempt_id and n.state = 'done'
                      where d.workspace_id = $1 and d.task_id = t.task_id
                      order by n.position, n.task_id limit $5) n), '[]') as "needs!: Json<Vec<NeededResult>>",
               -- A first attempt has nothing behind it: no children, no attempt, no checkpoint.
               case when t.attempts_started <= 1 then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('task_id', n.task_id, 'ref', n.ref,
                    'title', n.title, 'state', n.state, 'reason', n.end_reason,
                    'result', case when n.small and n.total <= $3::bigint then n.result end)
                    order by n.position, n.task_id)
                from (select n.task_id, n.ref, n.position, n.state, nx.title, nx.end_reason, nr.result,
                             nr.result_bytes <= $4::int as small,
                             sum(case when nr.result_bytes <= $4::int then nr.result_bytes end)
                                 over (order by n.position, n.task_id) as total
                      from tasks n
                      join task_texts nx on nx.workspace_id = $1 and nx.task_id = n.task_id
                      left join attempt_results nr on nr.workspace_id = $1
                           and nr.attempt_id = n.current_attempt_id and n.state = 'done'
                      where n.workspace_id = $1 and n.parent_id = t.task_id
                      order by n.position, n.task_id limit $5) n), '[]') end as "children!: Json<Vec<ChildResult>>",
               case when t.attempts_started <= 1 then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('attempt_id', a.attempt_id, 'number', a.number, 'state', a.state,
                    'result', case when a.state = 'rejected' and octet_length(r.result::text) <= $4::int then r.result end,
                    'failure_class', r.failure_class, 'message', r.message, 'feedback', r.feedback,
                    'feedback_points', coalesce(r.feedback_points, '[]'))
                    order by a.number)
                from (select * from attempts a where a.workspace_id = $1 and a.task_id = t.task_id
                      and a.state <> 'running' order by a.number desc limit 10) a
                left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
                ), '[]') end as "earlier!: Json<Vec<EarlierAttempt>>",
               case when t.attempts_started <= 1 then null else (select p.checkpoint from attempts a
                join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
                where a.workspace_id = $1 and a.task_id = t.task_id and p.checkpoint is not null
                order by a.number desc limit 1) end as checkpoint,
               case when t.attempts_started <= 1 then null else (
                select jsonb_build_object('attempt_id', h.attempt_id, 'agent_id', h.from_agent,
                    'to', jsonb_strip_nulls(jsonb_build_object('agent_id', h.to_agent, 'capability', h.capability)),
                    'note', h.note, 'handed_at', h.handed_at)
                from hand_offs h
                where h.workspace_id = $1 and h.task_id = t.task_id
                  and h.number = t.attempts_started - 1) end as "handed_over: Json<HandedOver>",
               -- Both flags are in rows that are read anyway; without a comment nothing is searched.
               case when not (t.commented or g.commented) then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('comment_id', c.comment_id,
                    'task_id', c.task_id, 'kind', c.kind, 'answers', c.answers,
                    'to', case when c.to_agent is null and c.to_capability is null then null
                          else jsonb_strip_nulls(jsonb_build_object('agent_id', c.to_agent,
                               'capability', c.to_capability)) end,
                    'text', c.text, 'agent_id', c.agent_id,
                    'person', c.person, 'created_at', c.created_at) order by c.comment_id)
                from (select c.*, sum(octet_length(c.text)) over (order by c.comment_id desc) as total
                      from ((select c.* from comments c
                             where t.commented and c.workspace_id = $1 and c.task_id = t.task_id
                             order by c.comment_id desc limit $6)
                            union all
                            (select c.* from comments c
                             where g.commented and c.workspace_id = $1 and c.goal_id = t.goal_id
                               and c.task_id is null
                             order by c.comment_id desc limit $6)) c
                      order by c.comment_id desc limit $6) c
                where c.total <= $7::bigint), '[]') end as "comments!: Json<Vec<ClaimedComment>>"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        -- One for each task: among few goals the tasks would be read again for each.
        cross join lateral (
            select g.title, g.commented from goals g
            where g.workspace_id = $1 and g.goal_id = t.goal_id limit 1) g
        where t.workspace_id = $1 and t.task_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(tasks),
        limits.total_bytes,
        limits.result_bytes,
        limits.tasks,
        limits.comments,
        limits.comment_bytes,
    )
    .fetch_all(traced!(tx, "attempts.claim.handovers"))
    .await
}
