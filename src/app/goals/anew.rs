//! The request for a new plan of a goal: by a planner that needs nobody at once, else behind the request.
//!
//! The comparison is in [`super::replan`], the runs of planners that are called in [`super::planning`].

use std::time::Duration;

use super::{
    planning::{Chain, store_chain},
    plans,
    replan::{self, ReplanOutcome, ReplanRequest, ReplannedGoal},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, Principal, ProjectSubmitterCaller},
        tasks::{cascade, posted},
        unit::{
            idempotency::{Outcome, Request},
            locks::lock_goal,
        },
    },
    domain::{
        ids::GoalId,
        plan::{
            diff::PlanDiff,
            new_goal::{Opening, PlanSource, PlannerChoice, draft, open},
        },
        planning::{RunState, Target},
        refusal::{Code, Refusal},
        settings,
        states::PlanState,
    },
    store::{self, Hold, goals::GoalFacts},
};

impl App {
    /// Plans a goal anew. If the planner that has its turn needs somebody, the answer waits up to `wait` until it has
    /// planned.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `no_tasks_found`, `plan_invalid`, `goal_ended`; `wrong_state` while its first plan is
    /// not applied, and after too many runs of planners; `plan_changed` if the base is not the applied plan;
    /// `forbidden` for a submitter who did not post the goal; `workspace_full`. Nothing is changed then.
    pub async fn replan_goal(
        &self,
        caller: &ProjectSubmitterCaller,
        goal: GoalId,
        request: &ReplanRequest,
        idempotency: Option<&Request>,
        wait: Duration,
    ) -> Result<Outcome<ReplannedGoal>> {
        request.check()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        self.admit_planners(principal.workspace, "/planners", &request.planners).await?;
        if request.dry_run {
            let mut unit = self.begin(principal.workspace, principal.actor()).await?;
            let facts = lock_goal(&mut unit, goal).await?;
            posted::check(&mut unit, principal, goal, "plans only").await?;
            let source = replan::source_of(&mut unit, &facts, request).await?;
            let draft = draft(&source)?;
            let compared = replan::compare(&mut unit, &facts, request, &source, draft).await?;
            return Ok(Outcome::fresh(compared.shown(goal)));
        }
        let answered = self
            .create(principal, idempotency, Hold::Share, async |unit| {
                let facts = lock_goal(unit, goal).await?;
                posted::check(unit, principal, goal, "plans only").await?;
                let source = replan::source_of(unit, &facts, request).await?;
                let opening = open(&source)?;
                plan(unit, &facts, request, &source, opening).await
            })
            .await?;
        if answered.value.outcome != ReplanOutcome::Planning || wait.is_zero() {
            return Ok(answered);
        }
        let base = answered.value.base;
        let planned = self.wait_replanned(principal, goal, base, wait).await?;
        Ok(answered.map(|_| planned))
    }

    /// Waits until no planner has its turn for a new plan of a goal; reads what became of the last one.
    async fn wait_replanned(
        &self,
        principal: &Principal,
        goal: GoalId,
        base: i32,
        wait: Duration,
    ) -> Result<ReplannedGoal> {
        let workspace = principal.workspace;
        let waiting = self.wait_until(principal.waiting(), wait, || async {
            let mut tx = self.reader(workspace).await?;
            Ok(!store::planning::is_replanning(&mut tx, goal).await?)
        });
        let _turn = waiting.await?;
        let mut tx = self.reader(workspace).await?;
        let (state, plan) = match store::planning::last_anew(&mut tx, goal).await? {
            Some((state, plan)) => (state, plan),
            None => (RunState::Cancelled, None),
        };
        let row = match plan {
            Some(plan) => Some(store::goals::plans::read(&mut tx, plan).await?),
            None => None,
        };
        let outcome = match (state, row.as_ref().map(|row| row.state)) {
            (RunState::Planned, Some(PlanState::Proposed)) => ReplanOutcome::Proposed,
            (RunState::Planned, Some(_)) => ReplanOutcome::Applied,
            (RunState::Planned, None) => ReplanOutcome::Unchanged,
            (RunState::Queued | RunState::Waiting | RunState::Running, _) => {
                ReplanOutcome::Planning
            }
            (RunState::Failed | RunState::Skipped | RunState::Cancelled, _) => {
                ReplanOutcome::Unplanned
            }
        };
        let plan = row.map(plans::view);
        Ok(ReplannedGoal {
            goal_id: goal,
            outcome,
            base: plan.as_ref().and_then(|plan| plan.base).unwrap_or(base),
            diff: plan.as_ref().and_then(|plan| plan.diff.clone()).unwrap_or_default(),
            notes: plan.as_ref().map(|plan| plan.notes.clone()).unwrap_or_default(),
            plan,
        })
    }
}

/// Plans a locked goal as far as it goes without calling anybody.
async fn plan(
    unit: &mut Unit,
    goal: &GoalFacts,
    request: &ReplanRequest,
    source: &PlanSource,
    mut opening: Opening,
) -> Result<ReplannedGoal> {
    let id = goal.goal_id;
    let anew = request.anew(unit.actor());
    let chain = Chain { source, target: Target::Replan, parts_of: None, anew: Some(&anew) };
    if let Some(draft) = opening.draft.take() {
        let planner = PlannerChoice::of(draft.planner);
        let compared = replan::compare(unit, goal, request, source, draft).await?;
        let answer = replan::write(unit, goal, &anew, compared).await?;
        let made = answer.plan.as_ref().map(|plan| plan.id);
        store_chain(unit, id, &chain, &opening, Some((made, planner))).await?;
        return Ok(answer);
    }
    let base = replan::base_of(unit, id, request).await?;
    let runs = store::planning::count(unit.tx(), id).await?;
    if runs.unsigned_abs() as usize + settings::PLANNERS > settings::PLANNING_RUNS {
        let detail = format!(
            "planners had {runs} turns for this goal: give the new plan as `tasks` or as a `brief`"
        );
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    let tasks = store::planning::close_chain(unit.tx(), id, None, RunState::Cancelled).await?;
    store_chain(unit, id, &chain, &opening, None).await?;
    cascade::apply_cancel(unit, &tasks, "another new plan of the goal was asked for").await?;
    Ok(ReplannedGoal {
        goal_id: id,
        outcome: ReplanOutcome::Planning,
        base,
        plan: None,
        diff: PlanDiff::default(),
        notes: Vec::new(),
    })
}
