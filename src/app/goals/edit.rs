//! Editing a goal.
//!
//! Nothing is planned again: a new brief is text for people, and new defaults hold for tasks that are
//! added later.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    moving, project_named, refuse_ended,
    views::{self, Goal},
};
use crate::{
    app::{
        App, Result, Unit,
        approvals::planned,
        caller::{Caller as _, Principal, ProjectOperatorCaller},
        edit::present,
        error::same_version,
        tasks::starts,
        unit::locks::lock_goal,
    },
    domain::{
        check::Checks,
        ids::GoalId,
        journal::{Kind, NewRow},
        outline::controls,
        plan::{
            check_instant,
            discovered::DiscoveredPolicy,
            new_goal::{TaskDefaults, check_discovered, check_start},
        },
        refusal::Refusal,
        routing::turns,
        settings,
    },
    store::{self, goals::GoalFacts},
};

/// An edit of a goal. Fields left out stay; `null` sets a field back to its default.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoalChange {
    /// New title, one line. It cannot be `null`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// New text of the goal, at most 256 KiB; `null`: none. It is not planned again: edit the tasks, or
    /// add some. An approval of the plan that waits shows the text of its time.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub brief: Option<Option<String>>,
    /// Name of the project that it moves to; made if it does not exist. `null`: none. What the goal has
    /// spent moves with it. Not while one of its attempts runs, nor with an allocated budget.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "importer", max_length = 200)]
    pub project: Option<Option<String>>,
    /// New priority, 0 (lowest) to 9; each point doubles its share of the claims. Open tasks that inherited the
    /// old priority follow. `null`: 5.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 9)]
    pub priority: Option<Option<i16>>,
    /// New weight, 1 to 1000: its share of the claims beside other goals with ready tasks. `null`: 1.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000)]
    pub weight: Option<Option<i32>>,
    /// New target time for its tasks; `null` removes it. Tasks with less than a day of slack to it come earlier
    /// in the goal. It stops nothing, but rules can use it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub deadline: Option<Option<DateTime<Utc>>>,
    /// New start: none of its tasks is ready before. Tasks that nobody has begun follow; others go on. `null`: at
    /// once.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub start_at: Option<Option<DateTime<Utc>>>,
    /// The whole new JSON object of your own, at most 256 KiB; `null`: empty.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Option<BTreeMap<String, Value>>>,
    /// The whole new settings of tasks that are added later and set none themselves; `null`: none. Tasks
    /// that exist keep theirs.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<TaskDefaults>)]
    pub task_defaults: Option<Option<TaskDefaults>>,
    /// New policy for work that agents discover; `null`: `ask`. Not `accept` for a goal whose plan needed an
    /// approval. What waits for a decision already goes on waiting.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DiscoveredPolicy>)]
    pub discovered: Option<Option<DiscoveredPolicy>>,
}

impl GoalChange {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        match &self.title {
            Some(Some(title)) => checks.line("/title", title, settings::TITLE_CHARS),
            Some(None) => checks.add("/title", "cannot be null: a goal has a title"),
            None => {}
        }
        if let Some(Some(brief)) = &self.brief {
            checks.bytes("/brief", brief, settings::BRIEF_BYTES);
        }
        if let Some(Some(project)) = &self.project {
            checks.line("/project", project, settings::NAME_CHARS);
        }
        if let Some(Some(priority)) = self.priority {
            checks.range("/priority", priority, 0..=settings::PRIORITY_MAX);
        }
        if let Some(Some(weight)) = self.weight {
            checks.range("/weight", weight, turns::WEIGHT);
        }
        if let Some(Some(deadline)) = self.deadline {
            check_instant(&mut checks, "/deadline", deadline);
        }
        if let Some(Some(metadata)) = &self.metadata {
            checks.json("/metadata", Some(&object(metadata)));
        }
        checks.finish()?;
        if let Some(Some(defaults)) = &self.task_defaults {
            defaults.check("/task_defaults")?;
        }
        Ok(())
    }

    /// The goal after the edit, but for its project.
    fn apply(&self, goal: &mut Goal) {
        if let Some(Some(title)) = &self.title {
            goal.title.clone_from(title);
        }
        if let Some(brief) = &self.brief {
            goal.brief = Some(controls::drop(brief.as_deref().unwrap_or_default()).0.into());
        }
        if let Some(priority) = self.priority {
            goal.priority = priority.unwrap_or(settings::PRIORITY);
        }
        if let Some(weight) = self.weight {
            goal.weight = weight.unwrap_or(turns::DEFAULT_WEIGHT);
        }
        if let Some(deadline) = self.deadline {
            goal.deadline = deadline;
        }
        if let Some(start) = self.start_at {
            goal.start_at = start;
        }
        if let Some(metadata) = &self.metadata {
            goal.metadata = metadata.clone().unwrap_or_default();
        }
        if let Some(defaults) = &self.task_defaults {
            goal.task_defaults = defaults.clone().unwrap_or_default();
        }
        if let Some(discovered) = self.discovered {
            goal.discovered = discovered.unwrap_or(DiscoveredPolicy::Ask);
        }
    }
}

fn object(metadata: &BTreeMap<String, Value>) -> Value {
    Value::Object(metadata.clone().into_iter().collect())
}

impl App {
    /// Edits a goal that has not ended. `version`: the version the caller read (`If-Match`); `None`
    /// skips the check. An edit that changes nothing is no edit.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `goal_ended`, `invalid`; `wrong_state` and
    /// `budget_exhausted` for a move to another project.
    pub async fn update_goal(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
        version: Option<i64>,
        change: &GoalChange,
    ) -> Result<Goal> {
        change.check()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        // A move changes which limits attempts are charged to: no claim and no report may run beside it.
        let mut unit = if change.project.is_some() {
            self.begin_alone(principal.workspace, principal.actor()).await?
        } else {
            self.begin(principal.workspace, principal.actor()).await?
        };
        let facts = lock_goal(&mut unit, goal).await?;
        if !principal.scope.sees(facts.project_id) {
            return Err(Refusal::not_found("goal").into());
        }
        if let Some(version) = version {
            same_version(i64::from(facts.version), version)?;
        }
        refuse_ended(&facts)?;
        let goal = edit_goal(&mut unit, principal, &facts, change).await?;
        self.commit(unit).await?;
        Ok(goal)
    }
}

/// Edits a locked goal; returns it as it is then.
async fn edit_goal(
    unit: &mut Unit,
    principal: &Principal,
    facts: &GoalFacts,
    change: &GoalChange,
) -> Result<Goal> {
    let goal = facts.goal_id;
    let before = views::read(unit.tx(), goal).await?;
    let mut wanted = before.clone();
    change.apply(&mut wanted);
    if let Some(name) = &change.project {
        let own = principal.scope.projects.as_deref();
        wanted.project_id = project_named(unit, name.as_deref(), own).await?;
    }
    if wanted == before {
        return Ok(before);
    }
    let mut checks = Checks::new();
    check_discovered(&mut checks, Some(wanted.discovered), facts.plan_approval);
    check_start(&mut checks, wanted.start_at, wanted.deadline);
    checks.finish()?;
    if wanted.task_defaults != before.task_defaults {
        // They say which approvals added tasks need.
        planned::check(unit, principal, facts).await?;
    }
    let (metadata, task_defaults) = (object(&wanted.metadata), json!(wanted.task_defaults));
    let edit = store::goals::GoalEdit {
        title: &wanted.title,
        priority: wanted.priority,
        weight: wanted.weight,
        deadline: wanted.deadline,
        project_id: wanted.project_id,
        brief: wanted.brief.as_deref().unwrap_or_default(),
        metadata: &metadata,
        task_defaults: &task_defaults,
        discovered: wanted.discovered,
    };
    if wanted.project_id == before.project_id {
        store::goals::edit(unit.tx(), goal, &edit).await?;
    } else {
        moving::to_project(unit, facts, &edit).await?;
    }
    if wanted.priority != before.priority {
        store::goals::reprioritise(unit.tx(), goal, before.priority, wanted.priority).await?;
    }
    if wanted.start_at != before.start_at {
        store::tasks::starts::set_of_goal(unit.tx(), goal, wanted.start_at).await?;
        starts::follow(unit, goal, wanted.start_at).await?;
    }
    if (wanted.priority, wanted.deadline) != (before.priority, before.deadline) {
        store::tasks::order::rank_again(unit.tx(), &[goal]).await?;
    }
    let edited = views::read(unit.tx(), goal).await?;
    unit.record(NewRow::new(Kind::GoalUpdated).goal(goal).before(&before).after(&edited));
    Ok(edited)
}
