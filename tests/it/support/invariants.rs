//! What must hold of the data at every moment, whatever happened before.
//!
//! Each rule is a query for what breaks it, and finds nothing. The counters are compared with a
//! count of what they count.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgPool, Row as _};

/// Rules that hold between any two transactions: (what is promised, what breaks it).
const ALWAYS: &[(&str, &str)] = &[
    (
        "counters of goals equal a recount",
        "select g.goal_id::text from goals g left join tasks t using (workspace_id, goal_id)
         group by g.workspace_id, g.goal_id having
            g.tasks_total <> count(t.task_id)
            or g.tasks_open <> count(*) filter (where t.ended_at is null and t.task_id is not null)
            or g.tasks_done <> count(*) filter (where t.state = 'done')
            or g.tasks_failed <> count(*) filter (where t.state = 'failed')
            or g.tasks_cancelled <> count(*) filter (where t.state = 'cancelled')",
    ),
    (
        "unmet needs of open tasks equal a recount",
        "select t.ref || ' says ' || t.needs_unmet from tasks t where t.ended_at is null
         and t.needs_unmet <> (select count(*) from dependencies d
                where d.task_id = t.task_id and d.satisfied_at is null)
            + (select count(*) from tasks p where p.task_id = t.parent_id
                and p.container and p.state = 'waiting')",
    ),
    (
        "a dependency is satisfied exactly when what it needs is done",
        "select n.ref from dependencies d join tasks n on n.task_id = d.needs_task_id
         where (d.satisfied_at is not null) <> (n.state = 'done')",
    ),
    (
        "open children equal a recount",
        "select p.ref || ' says ' || p.children_open from tasks p where p.children_open <>
            (select count(*) from tasks c where c.parent_id = p.task_id and c.ended_at is null)",
    ),
    (
        "a task has one live attempt while it runs or is reviewed, and none else",
        "select t.ref || ' is ' || t.state from tasks t where
            (select count(*) from attempts a where a.task_id = t.task_id
                and a.state in ('running', 'submitted'))
            <> (case when t.state in ('running', 'reviewing') and not t.container then 1 else 0 end)",
    ),
    (
        "the live attempt is the current one, in the state that fits the task's",
        "select t.ref from attempts a join tasks t using (workspace_id, task_id)
         where a.state in ('running', 'submitted') and (t.current_attempt_id <> a.attempt_id
            or t.state <> case a.state when 'running' then 'running' else 'reviewing' end)",
    ),
    (
        "attempts are numbered from 1, and the current one is the last",
        "select t.ref from tasks t where t.attempts_started <>
            (select count(*) from attempts a where a.task_id = t.task_id)
         or t.attempts_started <> coalesce((select max(number) from attempts a
            where a.task_id = t.task_id), 0)
         or t.current_attempt_id is distinct from (select attempt_id from attempts a
            where a.task_id = t.task_id order by number desc limit 1)",
    ),
    (
        "used attempts are those that failed or expired, and no more than allowed",
        "select t.ref || ' used ' || t.attempts_used from tasks t
         where t.attempts_used > t.max_attempts or t.attempts_used <>
            (select count(*) from attempts a where a.task_id = t.task_id
                and a.state in ('failed', 'expired'))",
    ),
    (
        "what is parked waits for a person or for its subtasks",
        "select t.ref from tasks t where t.state = 'parked' and t.children_open = 0
         and not exists (select from approvals p where p.task_id = t.task_id
                and p.state = 'pending')",
    ),
    (
        "a pending question is about something that waits for it",
        "select p.kind from approvals p left join tasks t using (workspace_id, task_id)
         join goals g on g.goal_id = p.goal_id where p.state = 'pending'
         and case p.kind when 'plan' then g.state <> 'proposed'
                         when 'result' then t.state <> 'reviewing' else t.state <> 'parked' end",
    ),
    (
        "what is reviewed has its question",
        "select t.ref from tasks t where t.state = 'reviewing' and not exists
            (select from approvals p where p.task_id = t.task_id and p.state = 'pending')",
    ),
    (
        "nothing open needs, or is contained in, what ended without being done, unless it is told \
         to stop",
        "select t.ref from tasks t where t.ended_at is null and t.cancel_requested_at is null
         and (exists (select from dependencies d join tasks n on n.task_id = d.needs_task_id
                      where d.task_id = t.task_id and n.state in ('failed', 'cancelled'))
              or exists (select from tasks p where p.task_id = t.parent_id
                         and p.ended_at is not null))",
    ),
    (
        "nothing goes on in a goal that has ended, unless it is told to stop",
        "select t.ref from tasks t join goals g using (workspace_id, goal_id)
         where g.ended_at is not null and t.ended_at is null and t.cancel_requested_at is null",
    ),
    (
        "a completed goal has tasks, all done but what a task that came back made up for",
        "with recursive made_up (task_id) as (
            select c.task_id from tasks p join tasks c on c.parent_id = p.task_id
            where p.state = 'done' and not p.container
            union
            select c.task_id from made_up m join tasks c on c.parent_id = m.task_id
         ) select goal_id::text from goals g
         where state = 'completed' and (tasks_total = 0 or tasks_open > 0 or exists (
            select from tasks t where t.goal_id = g.goal_id and t.state <> 'done'
            and t.task_id not in (select task_id from made_up)))",
    ),
    (
        "agents run no more than they may",
        "select a.name from agents a where a.max_concurrent <
            (select count(*) from attempts t where t.agent_id = a.agent_id and t.state = 'running')",
    ),
    (
        "events are numbered from 1 without gaps",
        "select h.last_seq::text from event_heads h where
            (select count(*) from events e where e.workspace_id = h.workspace_id) <> h.last_seq
            or (select min(seq) from events e where e.workspace_id = h.workspace_id) <> 1
            or (select max(seq) from events e where e.workspace_id = h.workspace_id) <> h.last_seq",
    ),
    (
        "an attempt's spend equals the sum of its entries",
        "select coalesce(s.attempt_id, e.attempt_id)::text from attempt_spend s full join
            (select workspace_id, attempt_id, unit, sum(amount) as amount from spend_entries
             group by 1, 2, 3) e using (workspace_id, attempt_id, unit)
         where coalesce(s.entries::numeric + s.reported, 0) <> coalesce(e.amount, 0)",
    ),
    (
        "totals equal the sums of entries",
        "with entries as (
            select e.unit, e.amount, a.task_id, a.goal_id, a.agent_id, g.project_id
            from spend_entries e join attempts a using (workspace_id, attempt_id)
            join goals g using (workspace_id, goal_id)
         ), sums as (
            select node, node_id, unit, sum(amount) as amount from (
                select 'task' as node, task_id as node_id, unit, amount from entries
                union all select 'goal', goal_id, unit, amount from entries
                union all select 'agent', agent_id, unit, amount from entries
                union all select 'project', project_id, unit, amount from entries
                          where project_id is not null) x group by 1, 2, 3
         ) select coalesce(s.node, t.node) || ' ' || coalesce(s.unit, t.unit)
         from sums s full join spend_sums t using (node, node_id, unit)
         where coalesce(s.amount, 0) <> coalesce(t.amount, 0)",
    ),
];

/// Which state of a task may follow which; the first is that of a new task.
const STEPS: &[(&str, &[&str])] = &[
    ("created", &["waiting", "ready", "parked", "running", "done"]),
    ("waiting", &["ready", "parked", "running", "reviewing", "done", "failed", "cancelled"]),
    ("ready", &["running", "reviewing", "done", "failed", "cancelled"]),
    ("running", &["waiting", "ready", "parked", "reviewing", "done", "failed", "cancelled"]),
    ("parked", &["ready", "failed", "cancelled"]),
    ("reviewing", &["ready", "done", "failed", "cancelled"]),
    ("done", &[]),
    ("failed", &[]),
    ("cancelled", &[]),
];

/// Panics with every rule that is broken.
pub async fn verify(pool: &PgPool) {
    let mut broken = Vec::new();
    for (promise, query) in ALWAYS {
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(*query))
            .fetch_all(pool)
            .await
            .unwrap_or_else(|error| panic!("{promise}: {error}"));
        if !found.is_empty() {
            broken.push(format!("{promise}: not {}", found.join(", ")));
        }
    }
    broken.extend(wrong_histories(pool).await);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Reads the events of each task as a story: only steps that exist, attempts in their order, and
/// the last state is the one that the task is in.
async fn wrong_histories(pool: &PgPool) -> Vec<String> {
    let states: BTreeMap<String, String> = sqlx::query("select task_id::text, state from tasks")
        .fetch_all(pool)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let events = sqlx::query(
        "select task_id::text, substr(kind, 6), (data ->> 'attempt')::bigint from events
         where task_id is not null and kind like 'task.%'
           and kind not in ('task.updated', 'task.cancel_requested') order by seq",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut broken = Vec::new();
    let mut told: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for event in events {
        let (task, word, number): (String, String, Option<i64>) =
            (event.get(0), event.get(1), event.get(2));
        let known = told.get(&task).cloned();
        let Some((before, attempt)) = known else {
            if word != "created" {
                broken.push(format!("the first event of task {task} is {word}"));
            }
            told.insert(task, (word, 0));
            continue;
        };
        let allowed = STEPS.iter().find(|(from, _)| *from == before).map_or(&[][..], |s| s.1);
        if !allowed.contains(&word.as_str()) {
            broken.push(format!("task {task} went from {before} to {word}"));
        }
        let number = number.unwrap_or(attempt);
        if number != attempt && number != attempt + 1 {
            broken.push(format!("attempt {number} of task {task} follows attempt {attempt}"));
        }
        told.insert(task, (word, number));
    }
    for (task, state) in states {
        let last = told.get(&task).map(|(word, _)| word.as_str()).unwrap_or("silence");
        if last != state {
            broken.push(format!("the last event of task {task} is {last}, but it is {state}"));
        }
    }
    broken
}

/// Panics when, after a round at this moment, something rests that should not.
pub async fn verify_rested(pool: &PgPool, now: chrono::DateTime<chrono::Utc>) {
    verify(pool).await;
    let found: Vec<String> = sqlx::query_scalar(
        "select ref || ' is ' || state from tasks where
            (state = 'waiting' and needs_unmet = 0 and ready_from <= $1)
            or (ended_at is null and state not in ('parked', 'reviewing') and finish_by <= $1)
            or (ended_at is null and cancel_by <= $1)
            or (state = 'ready' and start_by <= $1)
         union all select 'attempt ' || number || ' is silent' from attempts
         where state = 'running' and (lease_expires_at <= $1 or hard_deadline <= $1)
         union all select 'a goal is over' from goals
         where state = 'active' and tasks_open = 0 and tasks_total > 0",
    )
    .bind(now)
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(found.is_empty(), "left lying: {}", found.join(", "));
}
