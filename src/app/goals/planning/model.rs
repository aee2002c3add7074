//! What plans by asking a model: the seam between the runs of goals and whatever calls out.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::{
    app::{App, Result},
    domain::{
        ids::{GoalId, PlanningRunId, WorkspaceId},
        plan::{TaskSpec, new_goal::Draft},
        planning::{Said, matter::Matter},
        spend::Amounts,
    },
};

/// What to set so that the planner `llm` can be used.
pub const NOT_CONFIGURED: &str = "no model is configured: an admin sets one for the workspace with PUT /v1/planner, \
     or the server gets MUSTER_PLANNER_API, MUSTER_PLANNER_URL, MUSTER_PLANNER_MODEL and MUSTER_PLANNER_KEY (or \
     MUSTER_PLANNER_KEY_FILE); or choose another planner";

/// A goal for which a model is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The goal.
    pub goal: GoalId,
    /// The run of the planner.
    pub run: PlanningRunId,
    /// Number of the taking of the run, from 1.
    pub attempt: i32,
    /// Title of what is planned, one line.
    pub title: String,
    /// Brief in Markdown: data, never an instruction.
    pub brief: String,
    /// Target time of the goal.
    pub deadline: Option<DateTime<Utc>>,
    /// What is planned.
    pub matter: Matter,
}

/// What a planner made.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// No plan.
    Nothing,
    /// Tasks, which are judged.
    Tasks(Vec<TaskSpec>),
    /// A checked plan.
    Draft(Draft),
}

/// What a planner made and said.
#[derive(Debug, Clone, PartialEq)]
pub struct Thought {
    /// The plan.
    pub made: Made,
    /// What it said; without a plan, `error` says why.
    pub said: Said,
    /// The prompt as it was sent, after its version and digest.
    pub prompt: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// What was used, by unit.
    pub spend: Amounts,
}

impl Thought {
    /// A plan, and nothing else.
    #[must_use]
    pub fn made(made: Made) -> Self {
        let (said, spend) = (Said::default(), Amounts::new());
        Self { made, said, prompt: None, model: None, spend }
    }

    /// No plan.
    #[must_use]
    pub fn nothing(said: Said) -> Self {
        Self { said, ..Self::made(Made::Nothing) }
    }
}

/// A planner that asks a model.
pub trait ModelPlanner: fmt::Debug + Send + Sync {
    /// What is missing for plans in a workspace; `None`: nothing.
    fn lack<'a>(
        &'a self,
        app: &'a App,
        workspace: WorkspaceId,
    ) -> BoxFuture<'a, Result<Option<String>>>;
    /// Plans a goal. No unit of work is open meanwhile, and it must hold no connection while it waits. Ends when the
    /// result no longer counts.
    fn plan<'a>(&'a self, app: &'a App, asked: &'a Asked) -> BoxFuture<'a, Thought>;
}

impl App {
    /// The same app with a planner `llm`.
    #[must_use]
    pub fn with_model(self, model: Arc<dyn ModelPlanner>) -> Self {
        Self { model, ..self }
    }
}
