//! Work for the agents, posted through the API like any other.
//!
//! Goals of 1,000 tasks in one project. The second half of a goal's tasks each need one of the
//! first half, so every other completion frees a task, and every claim of a freed task hands over
//! what the needed one produced. What is posted and never claimed is left lying for the next round.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{
    error::Result,
    http::Connection,
    stage::{Ground, Stage},
};

/// Tasks of one goal.
pub const GOAL_TASKS: usize = 1_000;

/// How the tasks of a goal hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// All may start at once.
    Nothing,
    /// Each of the second half needs one of the first.
    FirstHalf,
}

/// Posts goals, and knows how much of what it posted is left.
#[derive(Debug)]
pub struct Supply {
    connection: Connection,
    goal: Bytes,
    left: i64,
}

impl Supply {
    /// Posts for agents that have this capability, or for any.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn new(
        ground: &Ground,
        stage: &Stage,
        capability: Option<&'static str>,
        needs: Needs,
    ) -> Result<Self> {
        Self::of(stage, &goal(&ground.run, capability, GOAL_TASKS, needs)).await
    }

    /// Posts this goal, of [`GOAL_TASKS`] tasks, again and again.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn of(stage: &Stage, goal: &Value) -> Result<Self> {
        let connection = Connection::open(&stage.target, &stage.key).await?;
        Ok(Self { connection, goal: goal.to_string().into(), left: 0 })
    }

    /// Posts goals until at least `tasks` are left.
    ///
    /// # Errors
    /// When a goal is refused.
    pub async fn ensure(&mut self, tasks: usize) -> Result<()> {
        while self.left < tasks as i64 {
            self.post().await?;
        }
        Ok(())
    }

    /// Posts one goal.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn post(&mut self) -> Result<()> {
        let posted = self.connection.post("/v1/goals", self.goal.clone()).await?;
        posted.accepted("POST /v1/goals")?;
        self.left += GOAL_TASKS as i64;
        Ok(())
    }

    /// Notes that so many were claimed.
    pub fn used(&mut self, tasks: u64) {
        self.left -= tasks as i64;
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.left
    }
}

/// A goal of `tasks` tasks.
#[must_use]
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
