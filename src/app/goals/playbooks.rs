//! Trying playbooks: the plan that a goal would get, without a goal.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{PlanPreview, ground};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, TryingCaller},
        playbooks::{refuse_other, shelf, views::NewPlaybook},
    },
    domain::{
        check::Checks,
        plan::{
            new_goal::{NewGoal, PlanSource, PlannerChoice, draft},
            playbook::{PlaybookUse, document, fault::Fault, shelf::BUILT_IN},
        },
        refusal::{FieldError, Refusal},
        settings,
    },
    store::Tx,
};

/// Values to try a stored playbook with.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlaybookTrial {
    /// The version to try; default: the latest.
    #[schema(minimum = 0)]
    pub version: Option<i32>,
    /// Values of its variables, by name.
    #[schema(example = json!({"capability": "rust"}))]
    pub variables: BTreeMap<String, Value>,
    /// Title of the goal, for the templates; default empty.
    #[schema(example = "Lines without a date break the import", max_length = 500)]
    pub title: String,
    /// Brief of the goal, for the templates; default empty.
    pub brief: String,
}

/// A playbook that is not stored, and values to try it with.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewPlaybookTrial {
    /// The playbook in YAML, at most 256 KiB.
    #[schema(
        example = "name: greet\ntitle: Greet somebody\nvariables:\n  who: {type: string}\ntasks:\n  - ref: greet\n    title: \"Greet {{ who }}\"\n"
    )]
    pub source: Option<String>,
    /// The playbook in JSON, instead of `source`.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// Values of its variables, by name. Absent: values are made of the types and defaults, as when it is stored.
    #[schema(example = json!({"who": "Ada"}))]
    pub variables: Option<BTreeMap<String, Value>>,
    /// Title of the goal, for the templates; default empty.
    #[schema(max_length = 500)]
    pub title: String,
    /// Brief of the goal, for the templates; default empty.
    pub brief: String,
    /// Whether the body of the request is `source` itself: errors have their places in that.
    #[serde(skip)]
    pub is_body: bool,
}

impl NewPlaybookTrial {
    /// The trial of a request whose body is the YAML of the playbook, with values made of its types.
    #[must_use]
    pub fn of_body(source: String) -> Self {
        Self { source: Some(source), is_body: true, ..Self::default() }
    }
}

impl App {
    /// The plan that a goal with this playbook would get. Writes nothing.
    ///
    /// # Errors
    /// `not_found`; `invalid` for wrong values; `plan_invalid`.
    pub async fn try_playbook(
        &self,
        caller: &TryingCaller,
        name: &str,
        trial: &PlaybookTrial,
    ) -> Result<PlanPreview> {
        let PlaybookTrial { version, variables, title, brief } = trial;
        check(title)?;
        refuse_other(name)?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let shelf = shelf::of(&mut tx, &[(name.to_owned(), *version)]).await?;
        if shelf.find(name, *version).is_none() {
            return Err(Refusal::not_found("playbook").into());
        }
        let used =
            PlaybookUse { name: name.to_owned(), version: *version, variables: variables.clone() };
        let source = PlanSource {
            title: title.clone(),
            brief: brief.clone(),
            planner: Some(PlannerChoice::Playbook),
            playbook: Some(used),
            shelf,
            ..PlanSource::default()
        };
        let preview = preview(&mut tx, caller, &source).await?;
        drop(tx);
        Ok(self.with_solved(caller.principal(), preview).await)
    }

    /// The plan that a goal with this playbook would get, if it were stored. Writes nothing.
    ///
    /// # Errors
    /// `invalid` with every fault of the document, or for wrong values; `plan_invalid`.
    pub async fn try_new_playbook(
        &self,
        caller: &TryingCaller,
        trial: &NewPlaybookTrial,
    ) -> Result<PlanPreview> {
        let NewPlaybookTrial { source, document, variables, title, brief, is_body } = trial;
        check(title)?;
        let (source, document) = (source.clone(), document.clone());
        let new = NewPlaybook { source, document, is_body: *is_body };
        let text = new.text()?;
        let refused = |faults: Vec<Fault>| new.refused(&text, &faults);
        let playbook = document::parse(&text.document).map_err(refused)?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let mut shelf = shelf::of(&mut tx, &playbook.uses()).await?;
        crate::domain::plan::playbook::check(&playbook, &shelf).map_err(refused)?;
        let name = playbook.name.clone();
        let variables = variables.clone().unwrap_or_else(|| playbook.sample());
        // Any number but that of the built-in text: nothing else of this name is used.
        let version = BUILT_IN + 1;
        shelf.put(&name, version, true, playbook);
        let used = PlaybookUse { name, version: Some(version), variables };
        let source = PlanSource {
            title: title.clone(),
            brief: brief.clone(),
            planner: Some(PlannerChoice::Playbook),
            playbook: Some(used),
            shelf,
            ..PlanSource::default()
        };
        let mut preview = preview(&mut tx, caller, &source).await?;
        preview.playbook = None;
        drop(tx);
        Ok(self.with_solved(caller.principal(), preview).await)
    }
}

/// The plan of a source, judged as that of a goal in no project.
async fn preview(tx: &mut Tx, caller: &TryingCaller, source: &PlanSource) -> Result<PlanPreview> {
    let draft = draft(source).map_err(of_trial)?;
    let scope = &caller.principal().scope;
    let ground = ground::of_new(tx, scope, &NewGoal::default(), &draft).await?;
    let judgement = ground::judge(&draft.tasks, &ground);
    Ok(PlanPreview::of(draft, judgement))
}

fn check(title: &str) -> Result<()> {
    let mut checks = Checks::new();
    checks.chars("/title", title, settings::TITLE_CHARS);
    Ok(checks.finish()?)
}

/// A refusal of a goal with a playbook as that of a trial, whose values are not in another object.
fn of_trial(refusal: Refusal) -> Refusal {
    let error = |error: FieldError| {
        let place = error.pointer.strip_prefix("/playbook");
        let place = place.map(|place| if place == "/name" { "" } else { place }.to_owned());
        FieldError { pointer: place.unwrap_or(error.pointer), ..error }
    };
    let errors: Vec<FieldError> = refusal.errors.into_iter().map(error).collect();
    match errors.as_slice() {
        [_, ..] if refusal.code == crate::domain::refusal::Code::Invalid => {
            Refusal::invalid(errors)
        }
        _ => Refusal { errors, ..refusal },
    }
}
