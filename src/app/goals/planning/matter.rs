//! What the planner of a run plans, as it is when it begins and again when its plan is judged.

use crate::{
    app::{
        Result, Unit,
        error::corrupt,
        goals::{replan, shelved},
    },
    domain::{
        ids::GoalId,
        plan::new_goal::{PlanSource, TaskDefaults},
        planning::{
            Anew, PlannerInput, RunFacts, Target,
            matter::{Matter, Standing, brief_of},
        },
        refusal::Refusal,
    },
    store::{self, Tx},
};

/// What a goal is planned from, without what its chain gives each planner.
pub(super) async fn source(tx: &mut Tx, goal: GoalId) -> Result<PlanSource> {
    let about = store::planning::goal(tx, goal).await?;
    let about = about.ok_or_else(|| Refusal::not_found("goal"))?;
    let criteria = store::planning::criteria(tx, goal).await?;
    let (title, brief, task_defaults) = (about.title, about.brief, about.task_defaults.0);
    Ok(PlanSource { title, brief, task_defaults, criteria, ..PlanSource::default() })
}

/// Reads what the planner of a run plans, and what is asked for with a new version. The caller holds the lock of the
/// goal.
pub(super) async fn read(unit: &mut Unit, goal: GoalId, run: &RunFacts) -> Result<(Matter, Anew)> {
    let input = store::planning::input(unit.tx(), run.run_id).await?;
    let mut input: PlannerInput = serde_json::from_value(input).map_err(corrupt)?;
    let anew = input.anew.take().unwrap_or_default();
    let mut source = source(unit.tx(), goal).await?;
    input.give(&mut source);
    let mut standing = Standing::default();
    match (run.target, run.parts_of) {
        (Target::Plan, _) => {}
        (Target::Replan, _) => {
            if let Some(brief) = &anew.brief {
                source.brief.clone_from(brief);
            }
            // Tasks that are added get the defaults when they are, and criteria stay.
            source.task_defaults = TaskDefaults::default();
            source.criteria = Vec::new();
            standing = replan::standing(unit, goal).await?;
        }
        (Target::Parts, task) => {
            let task = task.ok_or_else(|| Refusal::not_found("task"))?;
            let whole = store::tasks::split::whole(unit.tx(), task).await?;
            source.brief = brief_of(&whole);
            source.title = whole.title;
            // What the whole was checked by, its last part is.
            source.criteria = Vec::new();
        }
    }
    let source = shelved(unit.tx(), source).await?;
    Ok((Matter { target: run.target, source, standing, reason: anew.reason.clone() }, anew))
}
