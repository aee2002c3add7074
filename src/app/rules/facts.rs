//! Facts about the tasks and goals that rules examine.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    app::Result,
    domain::{
        ids::{AttemptId, GoalId, TaskId},
        rule::{
            Facts, Subject, When,
            path::{Rest, critical_path},
        },
        spend::WALL_MS,
    },
    store::{
        self, Tx,
        rules::facts::{GoalRow, RestRow, TaskRow},
    },
};

/// The facts about one task or goal.
#[derive(Debug, Clone)]
pub(in crate::app) struct Known {
    pub facts: Facts,
    /// The running attempt of a task.
    pub attempt: Option<AttemptId>,
}

/// The facts that a condition examines, by the ids of the tasks or goals; ended ones are left out.
pub(in crate::app) async fn gather(
    tx: &mut Tx,
    when: &When,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, Known>> {
    if subjects.is_empty() {
        return Ok(HashMap::new());
    }
    match when.subject() {
        Subject::Task => {
            let tasks: Vec<TaskId> = subjects.iter().copied().map(TaskId).collect();
            let rows = store::rules::facts::of_tasks(tx, &tasks).await?;
            Ok(rows.into_iter().map(|row| (row.task_id.0, of_task(row))).collect())
        }
        Subject::Goal => {
            let goals: Vec<GoalId> = subjects.iter().copied().map(GoalId).collect();
            let rows = store::rules::facts::of_goals(tx, &goals).await?;
            let mut known = HashMap::new();
            for row in rows {
                let goal = row.goal_id;
                let mut facts = of_goal(row);
                if matches!(when, When::DeadlineSlack { .. }) {
                    facts.critical_path_ms = path_of(tx, goal).await?;
                }
                known.insert(goal.0, Known { facts, attempt: None });
            }
            Ok(known)
        }
    }
}

fn of_task(row: TaskRow) -> Known {
    let TaskRow {
        task_id: _,
        goal_id: _,
        attempt_id,
        shares,
        failures,
        last_failures,
        progressed_at,
        used,
        estimate,
        rework,
        subtasks,
        capabilities,
        loops,
        loops_found,
    } = row;
    let facts = Facts {
        shares: shares.0,
        failures: failures.into(),
        last_failures: last_failures.0,
        progressed_at,
        due: None,
        critical_path_ms: 0,
        used: used.0,
        estimates: estimate.unwrap_or_default().0,
        rework,
        subtasks,
        capabilities,
        loops,
        loops_found,
    };
    Known { facts, attempt: attempt_id }
}

fn of_goal(row: GoalRow) -> Facts {
    let GoalRow { goal_id: _, shares, deadline } = row;
    Facts { shares: shares.0, due: deadline, ..Facts::default() }
}

/// Length of the critical path of the goal's remaining work, in milliseconds. The expected time of
/// each task is that of [`crate::domain::report::estimate`], less the time already spent.
pub(in crate::app) async fn path_of(tx: &mut Tx, goal: GoalId) -> Result<i64> {
    let rows = store::rules::facts::rest_of(tx, goal).await?;
    let mean = store::rules::facts::mean_of_done(tx, goal).await?;
    let mean = mean.map_or(0, |mean| mean.num_milliseconds());
    let rest = |row: RestRow| {
        let RestRow { task_id, parent_id, container, needs, estimate, usual_ms, took_ms } = row;
        let own = estimate.unwrap_or_default().get(WALL_MS).map(|estimate| estimate.range().want);
        let expected = own.or(usual_ms).unwrap_or(mean);
        Rest {
            task: task_id,
            parent: parent_id,
            container,
            rest_ms: expected.saturating_sub(took_ms).max(0),
            needs: needs.into_iter().map(TaskId).collect(),
        }
    };
    let tasks: Vec<Rest> = rows.into_iter().map(rest).collect();
    Ok(critical_path(&tasks))
}
