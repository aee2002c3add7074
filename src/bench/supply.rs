//! The tasks of the agents, posted through the API.
//!
//! Goals of 1,000 tasks in one project. Each task of the second half needs one of the first half, so
//! every second completion makes a task ready, and the claim of such a task carries the result of
//! the needed one. Tasks left unclaimed by a round serve the next one.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{
    error::Result,
    http::Connection,
    stage::{Setup, Stage},
};

/// Tasks of one goal.
pub const GOAL_TASKS: usize = 1_000;

/// The dependencies between the tasks of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// None.
    Nothing,
    /// Each task of the second half needs one of the first half.
    FirstHalf,
}

/// Posts goals and counts their unclaimed tasks.
#[derive(Debug)]
pub struct Supply {
    connection: Connection,
    goal: Bytes,
    left: i64,
}

impl Supply {
    /// Posts for agents with this capability, or for all.
    pub async fn new(
        setup: &Setup,
        stage: &Stage,
        capability: Option<&'static str>,
        needs: Needs,
    ) -> Result<Self> {
        Self::of(stage, &goal(&setup.run, capability, GOAL_TASKS, needs)).await
    }

    /// Posts copies of this goal of [`GOAL_TASKS`] tasks.
    pub async fn of(stage: &Stage, goal: &Value) -> Result<Self> {
        let connection = Connection::open(&stage.target, &stage.key).await?;
        Ok(Self { connection, goal: goal.to_string().into(), left: 0 })
    }

    /// Posts goals until at least `tasks` are unclaimed.
    pub async fn ensure(&mut self, tasks: usize) -> Result<()> {
        while self.left < tasks as i64 {
            self.post().await?;
        }
        Ok(())
    }

    /// Posts one goal.
    pub async fn post(&mut self) -> Result<()> {
        let posted = self.connection.post("/v1/goals", self.goal.clone(), None).await?;
        posted.accepted("POST /v1/goals")?;
        self.left += GOAL_TASKS as i64;
        Ok(())
    }

    /// Subtracts claimed tasks.
    pub fn used(&mut self, tasks: u64) {
        self.left -= tasks as i64;
    }

    /// The number of unclaimed tasks.
    pub fn left(&self) -> i64 {
        self.left
    }
}

/// A goal of `tasks` tasks.
pub fn goal(run: &str, capability: Option<&str>, tasks: usize, needs: Needs) -> Value {
    let free = match needs {
        Needs::Nothing => tasks,
        Needs::FirstHalf => tasks.div_ceil(2),
    };
    let task = |number: usize| {
        let mut task = json!({
            "ref": format!("t{number}"),
            "title": format!("Task {number}"),
            "description": "Read what is there, change what has to be changed, run the tests.",
        });
        if let Some(capability) = capability {
            task["capabilities"] = json!([capability]);
        }
        if number >= free {
            task["needs"] = json!([format!("t{}", number - free)]);
        }
        task
    };
    json!({
        "title": "A goal of the bench",
        "project": format!("bench-{run}"),
        "tasks": (0..tasks).map(task).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_tasks_need_another_that_is_there() {
        for count in [2, 10, 101] {
            let goal = goal("r", Some("c"), count, Needs::FirstHalf);
            let tasks = goal["tasks"].as_array().unwrap();
            assert_eq!(tasks.len(), count);
            let refs: Vec<&Value> = tasks.iter().map(|task| &task["ref"]).collect();
            let needs: Vec<&Value> = tasks.iter().filter_map(|task| task.get("needs")).collect();
            assert_eq!(needs.len(), count / 2);
            assert!(needs.iter().all(|needs| refs.contains(&&needs[0])));
        }
    }
}
