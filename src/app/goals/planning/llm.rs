//! The planner `llm`: one dialogue with the model of the workspace.
//!
//! The ground of the plan is read once, before the first question, and no connection is held while the model thinks.
//! The plan is judged again when it is stored: the fleet, the budgets and the goal may have changed meanwhile.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    ground_for,
    model::{Asked, Made, ModelPlanner, NOT_CONFIGURED, Thought},
};
use crate::{
    app::{
        App, Error, Result,
        goals::{
            ground,
            thought::{self, Question},
        },
    },
    domain::{
        ids::WorkspaceId,
        plan::{document, finding::Finding, ground::Ground},
        planning::{Said, dialogue::Reading, matter::Matter},
        states::Planner,
    },
};

/// Asks the model that is configured for the workspace or the server.
#[derive(Debug)]
pub(in crate::app) struct Llm;

impl ModelPlanner for Llm {
    fn lack<'a>(
        &'a self,
        app: &'a App,
        workspace: WorkspaceId,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move {
            match app.planner_model(workspace).await {
                Ok(Some(_)) => Ok(None),
                Ok(None) => Ok(Some(NOT_CONFIGURED.to_owned())),
                // A key that cannot be opened is for people to repair.
                Err(Error::Refused(refusal)) => Ok(Some(refusal.detail)),
                Err(error) => Err(error),
            }
        })
    }

    fn plan<'a>(&'a self, app: &'a App, asked: &'a Asked) -> BoxFuture<'a, Thought> {
        Box::pin(async move {
            plan(app, asked).await.unwrap_or_else(|error| {
                tracing::warn!(%error, goal = %asked.goal, "a model could not be asked");
                Thought::nothing(Said::failed("the database of the service did not answer"))
            })
        })
    }
}

async fn plan(app: &App, asked: &Asked) -> Result<Thought> {
    let matter = &asked.matter;
    let ground = {
        let mut tx = app.reader(asked.workspace).await?;
        ground_for(&mut tx, asked.goal, matter.target).await?
    };
    let lessons =
        app.lessons_for_plan(asked.workspace, asked.goal, &asked.title, &asked.brief).await;
    let draft = matter.draft();
    let standing = matter.told().map(|told| told.to_string());
    let question = Question {
        workspace: asked.workspace,
        goal: Some(asked.goal),
        title: &asked.title,
        brief: &asked.brief,
        deadline: asked.deadline,
        draft: &draft,
        standing: standing.as_deref(),
        lessons: lessons.as_deref(),
    };
    let thought = app.think(question, |text| read(text, matter, &ground)).await?;
    Ok(recorded(thought))
}

/// Reads the plan in a text, and judges it.
fn read(text: &str, matter: &Matter, ground: &Ground) -> Reading {
    let tasks = document::read_text(text)?;
    let draft = matter.judge(Planner::Llm, tasks.clone())?;
    let findings = ground::judge(&draft.tasks, ground).findings;
    match findings.iter().any(Finding::is_error) {
        true => Err(findings),
        false => Ok((tasks, findings)),
    }
}

/// What is kept of a dialogue with the run.
fn recorded(thought: thought::Thought) -> Thought {
    let thought::Thought { plan, prompt, said } = thought;
    let error = said.gave_up.as_ref().map(|gave_up| gave_up.detail.clone());
    let findings = said.gave_up.as_ref().map_or_else(Vec::new, |gave_up| gave_up.findings.clone());
    let dialogue = Some(json!(said));
    Thought {
        made: plan.map_or(Made::Nothing, |(tasks, _)| Made::Tasks(tasks)),
        said: Said { error, findings, note: None, dialogue },
        prompt,
        model: said.model,
        spend: said.used,
    }
}
