//! A person continues the planning of a goal: with other planners, or with the tasks.

use serde::Deserialize;

use super::{Chain, adopt, source, store_chain};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, ProjectOperatorCaller},
        caps,
        goals::{PlanSaid, refuse_ended, shelved, views},
        tasks::cascade,
        unit::{
            idempotency::{Outcome, Request},
            locks::lock_goal,
        },
    },
    domain::{
        cap::workspace::Holding,
        ids::GoalId,
        outline::Ordering,
        plan::{
            TaskSpec,
            new_goal::{PlannerChoice, open},
            playbook::PlaybookUse,
        },
        planning::{RunState, Target},
        refusal::{Code, Refusal},
        settings,
        states::GoalState,
    },
    store::{self, Hold, goals::GoalFacts},
};
use views::PostedGoal;

/// How a planning goal continues: `planners`, what they need, or both.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewPlanning {
    /// The planners to be tried in this order, 1 to 5 different ones. Default: `playbook` or `tasks` if one of these is given.
    #[schema(example = json!(["agent"]), max_items = 5)]
    pub planners: Vec<PlannerChoice>,
    /// The tasks of the planner `tasks`, at most 5,000; else empty.
    pub tasks: Vec<TaskSpec>,
    /// The playbook of the planner `playbook`, with values for its variables.
    pub playbook: Option<PlaybookUse>,
    /// How the `outline` planner orders list items.
    pub ordering: Ordering,
}

impl NewPlanning {
    fn check(&self) -> Result<()> {
        if self.planners.is_empty() && self.tasks.is_empty() && self.playbook.is_none() {
            let detail = "give `planners`, for example [\"agent\"], a `playbook`, or the `tasks` of the plan";
            return Err(Refusal::invalid_at("/planners", detail).into());
        }
        Ok(())
    }
}

impl App {
    /// Gives a planning goal another chain of planners, or its tasks. Whoever planned it is asked to stop.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `goal_ended`; `wrong_state` for a goal that has a plan, or with too many runs;
    /// `no_tasks_found` and `plan_invalid` if no planner of the chain plans and none needs somebody;
    /// `workspace_full`, `budget_exhausted`. Nothing is changed then.
    pub async fn plan_goal(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
        new: &NewPlanning,
        request: Option<&Request>,
    ) -> Result<Outcome<PostedGoal>> {
        new.check()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        self.admit_planners(principal.workspace, "/planners", &new.planners).await?;
        self.create(principal, request, Hold::Share, async |unit| {
            let facts = lock_goal(unit, goal).await?;
            plannable(&facts)?;
            continue_with(unit, &facts, new).await
        })
        .await
    }
}

fn plannable(goal: &GoalFacts) -> Result<()> {
    refuse_ended(goal)?;
    match goal.state {
        GoalState::Planning | GoalState::Completed | GoalState::Failed | GoalState::Cancelled => {
            Ok(())
        }
        state @ (GoalState::Proposed | GoalState::Active | GoalState::Verifying) => {
            let detail = format!(
                "the goal is {state}: it has a plan. A proposed plan is edited with its approval; \
                 `POST /v1/goals/{{goal_id}}/tasks` adds tasks to an active goal"
            );
            Err(Refusal::new(Code::WrongState, detail).into())
        }
    }
}

async fn continue_with(unit: &mut Unit, goal: &GoalFacts, new: &NewPlanning) -> Result<PostedGoal> {
    let id = goal.goal_id;
    let mut source = source(unit.tx(), id).await?;
    source.planners.clone_from(&new.planners);
    source.tasks.clone_from(&new.tasks);
    source.playbook.clone_from(&new.playbook);
    source.ordering = new.ordering;
    let source = shelved(unit.tx(), source).await?;
    let opening = open(&source)?;
    let runs = store::planning::count(unit.tx(), id).await?;
    if runs.unsigned_abs() as usize + settings::PLANNERS > settings::PLANNING_RUNS {
        let detail = format!("planners had {runs} turns for this goal: post another goal");
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let tasks = store::planning::close(unit.tx(), id, RunState::Cancelled).await?;
    cascade::apply_cancel(unit, &tasks, "a person continues the planning of the goal").await?;
    let mut said = PlanSaid::default();
    let mut made = None;
    if let Some(draft) = &opening.draft {
        let (plan, judgement) = adopt(unit, goal, draft).await?;
        said = PlanSaid::of(draft.notes.clone(), &judgement);
        made = Some((Some(plan), PlannerChoice::of(draft.planner)));
    } else if let Some(next) = opening.rest.first() {
        store::planning::set_planner(unit.tx(), id, next.planner()).await?;
    }
    let chain = Chain { source: &source, target: Target::Plan, parts_of: None, anew: None };
    store_chain(unit, id, &chain, &opening, made).await?;
    Ok(said.about(views::read(unit.tx(), id).await?))
}
