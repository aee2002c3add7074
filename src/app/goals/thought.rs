//! Thinking: a plan of a goal from a model.
//!
//! One dialogue ([`Dialogue`]) with the model of the workspace. Before every question the budgets are looked
//! at; after every answer what it used is charged to the goal, in a transaction of its own, whatever the answer
//! is good for. No transaction and no connection is held while the model is asked. Nothing else is stored: the
//! caller stores the plan, or goes on with the next planner.
//!
//! If the process dies between an answer and its charge, that answer is not charged: its usage is lost with it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::{App, Result, budgets::planned, caller::Actor, spend},
    domain::{
        ids::{GoalId, WorkspaceId},
        journal::{Kind, NewRow},
        plan::{TaskSpec, document, finding::Finding},
        planning::{
            dialogue::{Dialogue, GaveUp, GaveUpBecause, Reading, Round, Step},
            model::{ModelAnswer, ModelSettings},
            prompt::{self, Material},
        },
        spend::Amounts,
    },
    store,
};

/// What a model is to plan.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Question<'a> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The goal that the answers are charged to; `None`: a trial, which is charged to nobody.
    pub goal: Option<GoalId>,
    /// Title of the goal.
    pub title: &'a str,
    /// The brief.
    pub brief: &'a str,
    /// When the goal should be completed.
    pub deadline: Option<DateTime<Utc>>,
    /// The tasks that it begins with: those that `outline` finds in the brief, or the open ones of the plan; empty: none.
    pub draft: &'a [TaskSpec],
    /// The other tasks of a goal that is planned anew, as JSON.
    pub standing: Option<&'a str>,
    /// Relevant lessons as quoted reference.
    pub lessons: Option<&'a str>,
}

/// What a model said, for the record: kept with the plan, and with the goal if there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Said {
    /// Name of the model; `null`: there was none.
    pub model: Option<String>,
    /// Version of the prompt's text.
    pub prompt_version: i32,
    /// Digest of the prompt as it was sent.
    pub prompt_sha256: String,
    /// The answers, in order.
    pub rounds: Vec<Round>,
    /// Calls that were repeated after 429, 5xx or a lost connection.
    pub retries: u32,
    /// What the answers used, by unit.
    #[schema(value_type = Object)]
    pub used: Amounts,
    /// Why there is no plan; `null`: there is one.
    pub gave_up: Option<GaveUp>,
}

/// The outcome of a dialogue.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Thought {
    /// The plan with its warnings; `None`: there is none.
    pub plan: Option<(Vec<TaskSpec>, Vec<Finding>)>,
    /// The prompt as it was sent, after its version and digest; `None`: nothing was sent.
    pub prompt: Option<String>,
    /// What the model said.
    pub said: Said,
}

impl App {
    /// Has a model plan. `read`: reads and checks the plan in a text.
    ///
    /// # Errors
    /// When the database does not answer. A model that does not plan is an outcome.
    pub(in crate::app) async fn think(
        &self,
        question: Question<'_>,
        mut read: impl FnMut(&str) -> Reading,
    ) -> Result<Thought> {
        let mut said = Said {
            model: None,
            prompt_version: prompt::VERSION,
            prompt_sha256: String::new(),
            rounds: Vec::new(),
            retries: 0,
            used: Amounts::new(),
            gave_up: None,
        };
        let settings = match self.planner_model(question.workspace).await {
            Ok(Some(settings)) => settings,
            Ok(None) => {
                return Ok(without(said, "there is no model: set one with PUT /v1/planner"));
            }
            // A key that cannot be opened is for people to repair; another planner can go on.
            Err(crate::app::Error::Refused(refusal)) => return Ok(without(said, &refusal.detail)),
            Err(error) => return Err(error),
        };
        said.model = Some(settings.model.clone());
        let prompt = self.prompt(&question).await?;
        said.prompt_sha256.clone_from(&prompt.sha256);
        let mut dialogue = Dialogue::new(&prompt, document::schema());
        let step = loop {
            if let Some(why) = self.hindrance(&question, &settings).await? {
                break dialogue.exhausted(&why);
            }
            let answer = match self.ask_model(&settings, dialogue.conversation()).await {
                Ok(answer) => answer,
                Err(error) => {
                    said.retries += u32::from(error.retries);
                    break dialogue.failed(&error);
                }
            };
            said.retries += u32::from(answer.retries);
            self.charge_answer(&question, &answer, &mut said.used).await?;
            match dialogue.answered(&answer, &mut read) {
                Step::Ask => {}
                ended => break ended,
            }
        };
        said.rounds = dialogue.rounds().to_vec();
        let thought = match step {
            Step::Plan(tasks, warnings) => {
                Thought { plan: Some((tasks, warnings)), prompt: None, said }
            }
            Step::GiveUp(gave_up) => {
                let said = Said { gave_up: Some(gave_up), ..said };
                Thought { plan: None, prompt: None, said }
            }
            Step::Ask => without(said, "the dialogue did not end"),
        };
        let prompt::Prompt { instructions, question, sha256 } = prompt;
        let sent =
            format!("version {}, sha256 {sha256}\n\n{instructions}\n\n{question}", prompt::VERSION);
        Ok(Thought { prompt: Some(sent), ..thought })
    }

    async fn prompt(&self, question: &Question<'_>) -> Result<prompt::Prompt> {
        let mut tx = self.reader(question.workspace).await?;
        let most = prompt::CAPABILITIES as i64 + 1;
        let capabilities = store::planners::capabilities(&mut tx, most).await?;
        let left = match question.goal {
            Some(goal) => planned::left(&mut tx, goal).await?.by_unit,
            None => Amounts::new(),
        };
        let draft =
            (!question.draft.is_empty()).then(|| document::write(question.draft).to_string());
        Ok(prompt::write(&Material {
            title: question.title,
            brief: question.brief,
            capabilities: &capabilities,
            budget_left: Some(&left),
            deadline: question.deadline,
            now: tx.now,
            lessons: question.lessons,
            draft: draft.as_deref(),
            standing: question.standing,
            schema: document::schema(),
        }))
    }

    /// Why the model may not be asked now.
    async fn hindrance(
        &self,
        question: &Question<'_>,
        settings: &ModelSettings,
    ) -> Result<Option<String>> {
        let Some(goal) = question.goal else { return Ok(None) };
        let mut tx = self.reader(question.workspace).await?;
        let provider = settings.provider();
        spend::planned::hindrance(&mut tx, goal, provider, &settings.model).await
    }

    /// Charges an answer to the goal.
    async fn charge_answer(
        &self,
        question: &Question<'_>,
        answer: &ModelAnswer,
        used: &mut Amounts,
    ) -> Result<()> {
        let (Some(goal), Some(usage)) = (question.goal, &answer.usage) else { return Ok(()) };
        let mut unit = self.begin(question.workspace, Actor::SERVICE).await?;
        let charged = spend::planned::charge(&mut unit, goal, usage).await?;
        let data: Value =
            json!({"model": usage.model, "provider": usage.provider, "spend": charged});
        unit.record(NewRow::new(Kind::PlanningSpent).goal(goal).data(data));
        self.commit(unit).await?;
        for (name, amount) in charged {
            let sum = used.entry(name).or_default();
            *sum = sum.saturating_add(amount);
        }
        Ok(())
    }
}

fn without(said: Said, why: &str) -> Thought {
    let detail = why.to_owned();
    let gave_up = GaveUp { because: GaveUpBecause::NoAnswer, detail, findings: Vec::new() };
    Thought { plan: None, prompt: None, said: Said { gave_up: Some(gave_up), ..said } }
}
