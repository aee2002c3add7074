//! The criteria of goals, and what the tasks made for them found.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        access::person::Person,
        goal::criteria::{CriterionFacts, CriterionState, Finding, LastTask, TaskPurpose, Written},
        ids::{AttemptId, GoalId, KeyId, TaskId},
        plan::{
            CriterionSpec,
            diff::criteria::{Decider, Followed, PresentCriterion, Then},
            new_goal::TaskDefaults,
        },
        states::TaskState,
    },
    store::{Tx, columns::uuids, traced},
};

/// Stores criteria of a goal behind those that it ever had. `of_plan`: whether its plan has them.
pub async fn insert(
    tx: &mut Tx,
    goal: GoalId,
    criteria: &[CriterionSpec],
    of_plan: bool,
) -> sqlx::Result<()> {
    if criteria.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with numbered as (
             update goal_texts
             set criteria_numbered = criteria_numbered + cardinality($4::text[])
             where workspace_id = $1 and goal_id = $2
             returning criteria_numbered
         )
         insert into goal_criteria (workspace_id, goal_id, number, required, state, text, decided_at,
                                    written)
         select $1, $2, (n.criteria_numbered - cardinality($4::text[]) + c.number)::smallint,
                c.required, case when c.satisfied then 'satisfied' else 'open' end, c.text,
                case when c.satisfied then $3::timestamptz end,
                case when $7 then case when c.satisfied then 'ticked' else 'open' end end
         from numbered n
         cross join unnest($4::text[], $5::bool[], $6::bool[])
              with ordinality as c (text, required, satisfied, number)",
        tx.workspace.0,
        goal.0,
        tx.now,
        &criteria.iter().map(|c| c.text.clone()).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.required).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.satisfied).collect::<Vec<_>>(),
        of_plan,
    )
    .execute(traced!(tx, "goals.criteria.insert"))
    .await?;
    Ok(())
}

/// The highest number that a criterion of a goal ever had.
pub async fn numbered(tx: &mut Tx, goal: GoalId) -> sqlx::Result<i16> {
    sqlx::query_scalar!(
        "select criteria_numbered from goal_texts where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.criteria.numbered"))
    .await
}

/// Reads the criteria of a goal as a new plan meets them, by number.
pub async fn present(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<PresentCriterion>> {
    let rows = sqlx::query!(
        r#"
        select number, text, required, state as "state: CriterionState",
               written as "written: Written", task_id is not null as "checked!",
               decided_by is not null or decided_by_person is not null as "by_person!",
               attempt_id is not null as "by_evidence!"
        from goal_criteria
        where workspace_id = $1 and goal_id = $2
        order by number
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.criteria.present"))
    .await?;
    let present = rows.into_iter().map(|row| PresentCriterion {
        number: row.number,
        text: row.text,
        required: row.required,
        state: row.state,
        written: row.written,
        decider: match (row.state, row.by_person, row.by_evidence) {
            (CriterionState::Open, ..) => None,
            (CriterionState::Satisfied | CriterionState::Rejected, true, _) => {
                Some(Decider::Person)
            }
            (CriterionState::Satisfied | CriterionState::Rejected, false, true) => {
                Some(Decider::Evidence)
            }
            (CriterionState::Satisfied | CriterionState::Rejected, false, false) => {
                Some(Decider::Plan)
            }
        },
        checked: row.checked,
    });
    Ok(present.collect())
}

/// Writes the edits of a new plan, and raises the version of the goal.
pub async fn edit(tx: &mut Tx, goal: GoalId, new: &Followed) -> sqlx::Result<()> {
    let state = |then: Then| match then {
        Then::Stays => None,
        Then::Open => Some(CriterionState::Open.as_str().to_owned()),
        Then::Satisfied => Some(CriterionState::Satisfied.as_str().to_owned()),
    };
    sqlx::query!(
        "update goal_criteria c
         set text = e.text, required = e.required, state = coalesce(e.state, c.state),
             reworks = case when e.state is null then c.reworks else 0 end,
             task_id = case when e.state is null then c.task_id end,
             attempt_id = case when e.state is null then c.attempt_id end,
             note = case when e.state is null then c.note end,
             decided_by = case when e.state is null then c.decided_by end,
             decided_by_person = case when e.state is null then c.decided_by_person end,
             decided_at = case when e.state is null then c.decided_at
                               when e.state = 'satisfied' then $3::timestamptz end
         from unnest($4::smallint[], $5::text[], $6::bool[], $7::text[])
              as e (number, text, required, state)
         where c.workspace_id = $1 and c.goal_id = $2 and c.number = e.number",
        tx.workspace.0,
        goal.0,
        tx.now,
        &new.edit.iter().map(|edit| edit.number).collect::<Vec<_>>(),
        &new.edit.iter().map(|edit| edit.text.clone()).collect::<Vec<_>>(),
        &new.edit.iter().map(|edit| edit.required).collect::<Vec<_>>(),
        &new.edit.iter().map(|edit| state(edit.then)).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(traced!(tx, "goals.criteria.edit"))
    .await?;
    sqlx::query!(
        "delete from goal_criteria
         where workspace_id = $1 and goal_id = $2 and number = any($3)",
        tx.workspace.0,
        goal.0,
        &new.remove,
    )
    .execute(traced!(tx, "goals.criteria.edit"))
    .await?;
    super::raise_version(tx, goal).await
}

/// Notes how the plan in force has criteria.
pub async fn write_down(tx: &mut Tx, goal: GoalId, written: &[(i16, Written)]) -> sqlx::Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update goal_criteria c set written = w.written
         from unnest($3::smallint[], $4::text[]) as w (number, written)
         where c.workspace_id = $1 and c.goal_id = $2 and c.number = w.number
           and c.written is distinct from w.written",
        tx.workspace.0,
        goal.0,
        &written.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        &written.iter().map(|(_, written)| written.as_str().to_owned()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "goals.criteria.write_down"))
    .await?;
    Ok(())
}

/// A criterion of a goal as returned by the API.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct GoalCriterionRow {
    pub number: i16,
    pub text: String,
    pub required: bool,
    pub state: CriterionState,
    pub reworks: i16,
    pub task_id: Option<TaskId>,
    pub attempt_id: Option<AttemptId>,
    pub note: Option<String>,
    pub decided_by: Option<KeyId>,
    pub decided_by_person: Option<Person>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// Reads the criteria of a goal.
pub async fn list(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<GoalCriterionRow>> {
    sqlx::query_as!(
        GoalCriterionRow,
        r#"
        select number, text, required, state as "state: CriterionState", reworks,
               task_id as "task_id: TaskId", attempt_id as "attempt_id: AttemptId", note,
               decided_by as "decided_by: KeyId",
               decided_by_person as "decided_by_person: Person", decided_at
        from goal_criteria
        where workspace_id = $1 and goal_id = $2
        order by number
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.criteria.list"))
    .await
}

/// A goal whose criteria are verified.
#[derive(Debug)]
pub struct VerifiedGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// Priority that its tasks inherit.
    pub priority: i16,
    /// Reworks of a criterion up to which an agent's report makes a further one.
    pub max_rework: i16,
    /// Settings of the tasks made for it.
    pub task_defaults: Json<TaskDefaults>,
    /// Number of checks made so far.
    pub checks: i64,
}

/// Reads what the tasks of a goal's verification are made of.
pub async fn verified_goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<VerifiedGoal> {
    sqlx::query_as!(
        VerifiedGoal,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, g.priority, g.max_rework,
               x.task_defaults as "task_defaults: Json<TaskDefaults>",
               (select count(*) from tasks t
                where t.workspace_id = $1 and t.goal_id = $2 and t.purpose = 'verify') as "checks!"
        from goals g
        join goal_texts x on x.workspace_id = $1 and x.goal_id = g.goal_id
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.criteria.verified_goal"))
    .await
}

/// A criterion with the finding of the task made last for it.
#[derive(Debug)]
pub struct CheckedCriterion {
    /// Ordinal within its goal, from 1.
    pub number: i16,
    /// The condition.
    pub text: String,
    /// Whether the goal needs it.
    pub required: bool,
    /// Its state.
    pub state: CriterionState,
    /// Rework tasks made for it so far.
    pub reworks: i16,
    /// Grounds of its present decision.
    pub note: Option<String>,
    /// The task made last for it.
    pub task_id: Option<TaskId>,
    /// What that was made for.
    pub purpose: Option<TaskPurpose>,
    /// The state of that.
    pub task_state: Option<TaskState>,
    /// The attempt with the accepted result of that.
    pub attempt_id: Option<AttemptId>,
    /// Whether all evidence of that attempt says that it is met; `None` without evidence.
    pub met: Option<bool>,
    /// The evidence that it is not met.
    pub unmet: Option<String>,
    /// The reason of the waiver of that attempt.
    pub waived: Option<String>,
    /// The key that waived it.
    pub waived_by: Option<KeyId>,
    /// The person who waived it.
    pub waived_by_person: Option<Person>,
}

impl CheckedCriterion {
    /// The facts for the rules.
    #[must_use]
    pub fn facts(&self) -> CriterionFacts {
        let finding = match (self.met, &self.waived) {
            (_, Some(_)) => Finding::Waived,
            (Some(true), None) => Finding::Met,
            (Some(false), None) => Finding::NotMet,
            (None, None) => Finding::Nothing,
        };
        let last = self.purpose.zip(self.task_state);
        CriterionFacts {
            number: self.number,
            required: self.required,
            state: self.state,
            reworks: self.reworks,
            last: last.map(|(purpose, state)| LastTask { purpose, state, finding }),
        }
    }
}

/// Reads the criteria of a goal with what was found. The caller holds the lock of the goal.
pub async fn checked(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<CheckedCriterion>> {
    sqlx::query_as!(
        CheckedCriterion,
        r#"
        select c.number, c.text, c.required, c.state as "state: CriterionState", c.reworks, c.note,
               c.task_id as "task_id: TaskId", t.purpose as "purpose?: TaskPurpose",
               t.state as "task_state?: TaskState", a.attempt_id as "attempt_id?: AttemptId",
               e.met, e.unmet, w.reason as "waived?", w.waived_by as "waived_by?: KeyId",
               w.waived_by_person as "waived_by_person?: Person"
        from goal_criteria c
        left join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
        -- Only a check has a criterion that stands for that of the goal.
        left join criteria k on k.workspace_id = $1 and k.task_id = t.task_id
             and k.goal_criterion = c.number
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and t.state = 'done' and k.number is not null
        left join lateral (
            select bool_and(e.met) as met,
                   string_agg(e.text, E'\n\n' order by e.number) filter (where not e.met) as unmet
            from evidence e
            where e.workspace_id = $1 and e.attempt_id = a.attempt_id and e.criterion = k.number
        ) e on true
        left join waivers w on w.workspace_id = $1 and w.attempt_id = a.attempt_id
             and w.criterion = k.number
        where c.workspace_id = $1 and c.goal_id = $2
        order by c.number
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.criteria.checked"))
    .await
}

/// A decision about a criterion.
#[derive(Debug, Clone)]
pub struct NewVerdict {
    /// The criterion.
    pub number: i16,
    /// Its new state: satisfied or rejected.
    pub state: CriterionState,
    /// The grounds.
    pub note: Option<String>,
    /// The attempt whose evidence decides.
    pub attempt_id: Option<AttemptId>,
    /// The key of the person who decides.
    pub decided_by: Option<KeyId>,
    /// The person who decides.
    pub decided_by_person: Option<Person>,
}

/// Stores decisions about criteria of a goal, and raises the version of the goal.
pub async fn decide(tx: &mut Tx, goal: GoalId, verdicts: &[NewVerdict]) -> sqlx::Result<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($of:expr) => {
            &verdicts.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "with decided as (
             update goal_criteria c
             set state = v.state, note = v.note, attempt_id = v.attempt_id, decided_at = $3,
                 decided_by = v.decided_by, decided_by_person = v.decided_by_person
             from unnest($4::smallint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::text[])
                  as v (number, state, note, attempt_id, decided_by, decided_by_person)
             where c.workspace_id = $1 and c.goal_id = $2 and c.number = v.number
         )
         update goals set version = version + 1, updated_at = $3
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        tx.now,
        column!(|v| v.number),
        column!(|v| v.state.as_str().to_owned()),
        column!(|v| v.note.clone()) as &[Option<String>],
        column!(|v| v.attempt_id.map(|id| id.0)) as &[Option<Uuid>],
        column!(|v| v.decided_by.map(|id| id.0)) as &[Option<Uuid>],
        column!(|v| v.decided_by_person.as_ref().map(|name| name.as_str().to_owned()))
            as &[Option<String>],
    )
    .execute(traced!(tx, "goals.criteria.decide"))
    .await?;
    Ok(())
}

/// Gives criteria the check made for them: (criterion, task, number in the task). They are open until it is done.
/// Raises the version of the goal; returns the criteria that were decided before.
pub async fn check(
    tx: &mut Tx,
    goal: GoalId,
    checks: &[(i16, TaskId, i16)],
) -> sqlx::Result<Vec<i16>> {
    let numbers: Vec<i16> = checks.iter().map(|(number, _, _)| *number).collect();
    let tasks: Vec<TaskId> = checks.iter().map(|(_, task, _)| *task).collect();
    let opened = sqlx::query_scalar!(
        r#"
        with before as (
            select c.number, c.state, k.task_id
            from unnest($3::smallint[], $4::uuid[]) as k (number, task_id)
            join goal_criteria c on c.workspace_id = $1 and c.goal_id = $2 and c.number = k.number
        ), opened as (
            update goal_criteria c
            set task_id = b.task_id, state = 'open', note = null, attempt_id = null,
                decided_at = null, decided_by = null, decided_by_person = null
            from before b
            where c.workspace_id = $1 and c.goal_id = $2 and c.number = b.number
            returning c.number
        ), raised as (
            update goals set version = version + 1, updated_at = $5
            where workspace_id = $1 and goal_id = $2 and exists (select from opened)
        )
        select number as "number!" from before where state <> 'open' order by number
        "#,
        tx.workspace.0,
        goal.0,
        &numbers,
        &uuids(&tasks),
        tx.now,
    )
    .fetch_all(traced!(tx, "goals.criteria.check"))
    .await?;
    sqlx::query!(
        "update criteria c set goal_criterion = k.goal_criterion
         from unnest($2::smallint[], $3::uuid[], $4::smallint[]) as k (goal_criterion, task_id, number)
         where c.workspace_id = $1 and c.task_id = k.task_id and c.number = k.number",
        tx.workspace.0,
        &numbers,
        &uuids(&tasks),
        &checks.iter().map(|(_, _, number)| *number).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "goals.criteria.check"))
    .await?;
    mark(tx, &tasks, TaskPurpose::Verify).await?;
    Ok(opened)
}

/// Gives rejected criteria the rework made for them: (criterion, task). Raises the version of the goal.
pub async fn rework(tx: &mut Tx, goal: GoalId, reworks: &[(i16, TaskId)]) -> sqlx::Result<()> {
    let tasks: Vec<TaskId> = reworks.iter().map(|(_, task)| *task).collect();
    sqlx::query!(
        "with reworked as (
             update goal_criteria c set task_id = k.task_id, reworks = c.reworks + 1
             from unnest($3::smallint[], $4::uuid[]) as k (number, task_id)
             where c.workspace_id = $1 and c.goal_id = $2 and c.number = k.number
             returning c.number
         )
         update goals set version = version + 1, updated_at = $5
         where workspace_id = $1 and goal_id = $2 and exists (select from reworked)",
        tx.workspace.0,
        goal.0,
        &reworks.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        &uuids(&tasks),
        tx.now,
    )
    .execute(traced!(tx, "goals.criteria.rework"))
    .await?;
    mark(tx, &tasks, TaskPurpose::Rework).await
}

async fn mark(tx: &mut Tx, tasks: &[TaskId], purpose: TaskPurpose) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set purpose = $3 where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &uuids(tasks),
        purpose.as_str(),
    )
    .execute(traced!(tx, "goals.criteria.mark"))
    .await?;
    Ok(())
}

/// Takes criteria that are decided otherwise, or are no more, out of their open checks; returns the tasks made for them
/// that are no longer needed: open reworks, and checks without another required criterion.
pub async fn release(
    tx: &mut Tx,
    goal: GoalId,
    numbers: &[i16],
    satisfied: bool,
) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query!(
        "update criteria k set required = false, satisfied = $4
         from goal_criteria c
         join tasks t on t.workspace_id = $1 and t.task_id = c.task_id and t.ended_at is null
         where c.workspace_id = $1 and c.goal_id = $2 and c.number = any($3)
           and k.workspace_id = $1 and k.task_id = t.task_id and k.goal_criterion = c.number",
        tx.workspace.0,
        goal.0,
        numbers,
        satisfied,
    )
    .execute(traced!(tx, "goals.criteria.release"))
    .await?;
    sqlx::query_scalar!(
        r#"
        select distinct t.task_id as "task_id: TaskId"
        from goal_criteria c
        join tasks t on t.workspace_id = $1 and t.task_id = c.task_id and t.ended_at is null
        where c.workspace_id = $1 and c.goal_id = $2 and c.number = any($3)
          and (t.purpose = 'rework'
               or not exists (select from criteria k
                              where k.workspace_id = $1 and k.task_id = t.task_id and k.required))
        order by 1
        "#,
        tx.workspace.0,
        goal.0,
        numbers,
    )
    .fetch_all(traced!(tx, "goals.criteria.release"))
    .await
}

/// Whether one of these tasks is of the plan: neither made for the verification of its goal, nor inside such a task.
pub async fn are_of_plan(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        with recursive up (task_id, above, made) as (
            select task_id, parent_id, purpose is not null from tasks
            where workspace_id = $1 and task_id = any($2)
            union all
            select u.task_id, t.parent_id, t.purpose is not null from up u
            join tasks t on t.workspace_id = $1 and t.task_id = u.above
        )
        select exists (select from up group by task_id having not bool_or(made)) as "of_plan!"
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_one(traced!(tx, "goals.criteria.are_of_plan"))
    .await
}

/// Opens criteria decided by evidence that is no longer accepted; the task made for them decides them again.
/// Raises the version of the goal if there are any; returns them.
pub async fn reopen(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        r#"
        with opened as (
            update goal_criteria c
            set state = 'open', note = null, attempt_id = null, decided_at = null,
                decided_by = null, decided_by_person = null
            from attempts a
            where c.workspace_id = $1 and c.goal_id = $2
              and a.workspace_id = $1 and a.attempt_id = c.attempt_id and a.state <> 'accepted'
            returning c.number
        ), raised as (
            update goals set version = version + 1, updated_at = $3
            where workspace_id = $1 and goal_id = $2 and exists (select from opened)
        )
        select number as "number!" from opened order by number
        "#,
        tx.workspace.0,
        goal.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "goals.criteria.reopen"))
    .await
}

/// Opens the criteria that no person and no document decided, as if nothing had been checked. Raises the
/// version of the goal if that changes any; returns those that were decided before.
pub async fn start_over(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        r#"
        with before as (
            select number, state from goal_criteria
            where workspace_id = $1 and goal_id = $2 and decided_by is null
              and decided_by_person is null
              and (attempt_id is not null or state = 'open' and task_id is not null)
        ), opened as (
            update goal_criteria c
            set state = 'open', task_id = null, note = null, attempt_id = null, decided_at = null
            from before b
            where c.workspace_id = $1 and c.goal_id = $2 and c.number = b.number
            returning c.number
        ), raised as (
            update goals set version = version + 1, updated_at = $3
            where workspace_id = $1 and goal_id = $2 and exists (select from opened)
        )
        select number as "number!" from before where state <> 'open' order by number
        "#,
        tx.workspace.0,
        goal.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "goals.criteria.start_over"))
    .await
}

/// Open checks of a goal.
pub async fn open_checks(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and goal_id = $2 and purpose = 'verify' and ended_at is null
           order by task_id"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.criteria.open_checks"))
    .await
}

/// Whether a task checks criteria of its goal.
pub async fn is_check(tx: &mut Tx, task: TaskId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from tasks where workspace_id = $1 and task_id = $2
                          and purpose = 'verify') as "check!""#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "goals.criteria.is_check"))
    .await
}
