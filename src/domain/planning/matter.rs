//! What a planner plans, and how its plan is read and judged.
//!
//! The first plan of a goal is made from its texts. A new version of a plan is made beside the work that goes on: the
//! planner gets the open tasks of the plan as its draft, and repeats the refs of those that stay. What the plan
//! document cannot say (labels, limits, inputs) stays as the plan has it ([`keep`]), so the draft that comes back
//! changes nothing. Done tasks are not planned again: they are put back before the plan is judged ([`with_done`]), so
//! its tasks may need them. The parts of a task are made from the text of that task.

use std::{collections::HashSet, fmt::Write as _};

use serde_json::{Value, json};

use super::{
    Target,
    judge::{errors_of, judge, said_done},
};
use crate::domain::{
    plan::{
        CriterionSpec, TaskSpec,
        document::{self, TASKS},
        finding::{Finding, FindingCode},
        new_goal::{Draft, PlanSource, PlannerChoice, complete, draft_by, given},
        split::Whole,
    },
    settings,
    states::Planner,
};

/// Most tasks of each kind of which a planner is told that they exist.
const TOLD: usize = 200;
/// Fewest parts of a divided task.
const PARTS: usize = 2;

/// The tasks of a goal that is planned anew, with the names of the goal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Open tasks of the plan, as the plan says them.
    pub open: Vec<TaskSpec>,
    /// Done tasks of the plan.
    pub done: Vec<TaskSpec>,
    /// Tasks of the plan that failed or were cancelled.
    pub lost: Vec<TaskSpec>,
    /// Open tasks that are not of the plan.
    pub beside: Vec<TaskSpec>,
}

/// What a planner plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// What the plan becomes.
    pub target: Target,
    /// The texts that it is made from, and what it is completed with.
    pub source: PlanSource,
    /// The tasks that there are; empty unless a goal is planned anew.
    pub standing: Standing,
    /// Why it is planned anew.
    pub reason: Option<String>,
}

impl Matter {
    /// The tasks that the planner begins with: those of the plan that are open, else what `outline` finds in the
    /// text; empty if that finds nothing.
    #[must_use]
    pub fn draft(&self) -> Vec<TaskSpec> {
        match self.target {
            Target::Replan => self.standing.open.clone(),
            Target::Plan | Target::Parts => draft_by(&self.source, PlannerChoice::Outline)
                .map_or_else(|_| Vec::new(), |draft| draft.tasks),
        }
    }

    /// The refs by which a plan names tasks that the goal has.
    #[must_use]
    pub fn given(&self) -> HashSet<String> {
        let Standing { open, done, lost: _, beside: _ } = &self.standing;
        open.iter().chain(done).map(|task| task.r#ref.clone()).collect()
    }

    /// The draft as a plan document; `None` if there is none, or it is larger than a planner is given.
    #[must_use]
    pub fn document(&self) -> Option<Value> {
        let draft = self.draft();
        let document = (!draft.is_empty()).then(|| document::write(&draft))?;
        (document.to_string().len() <= settings::PLAN_DRAFT_BYTES).then_some(document)
    }

    /// Why no model and no agent can plan it. Of a plan that is made anew they must see all that is open: what they do
    /// not repeat is cancelled.
    #[must_use]
    pub fn too_large(&self) -> Option<String> {
        let open = &self.standing.open;
        if self.target != Target::Replan || open.is_empty() || self.document().is_some() {
            return None;
        }
        Some(format!(
            "the {} open tasks of the plan are more than a planner is given at once ({} KiB); give the new plan as \
             `tasks` or as a `brief`",
            open.len(),
            settings::PLAN_DRAFT_BYTES / 1024
        ))
    }

    /// The tasks that a planner is told of beside its draft, and why it plans; `None` unless a goal is planned anew.
    #[must_use]
    pub fn told(&self) -> Option<Value> {
        match self.target {
            Target::Plan | Target::Parts => None,
            Target::Replan => {
                let short = |tasks: &[TaskSpec]| -> Vec<Value> {
                    let tasks = tasks.iter().take(TOLD);
                    tasks.map(|task| json!({"ref": task.r#ref, "title": task.title})).collect()
                };
                let Standing { open: _, done, lost, beside } = &self.standing;
                Some(json!({"reason": self.reason, "done": short(done), "failed": short(lost),
                            "beside": short(beside)}))
            }
        }
    }

    /// Judges the tasks of a planner; returns the plan as it is applied.
    ///
    /// # Errors
    /// Everything that is wrong, with its places in the plan document.
    pub fn judge(&self, planner: Planner, tasks: Vec<TaskSpec>) -> Result<Draft, Vec<Finding>> {
        match self.target {
            Target::Plan => judge(&self.source, planner, tasks),
            Target::Parts if tasks.len() < PARTS => {
                let detail = "must have at least two tasks: one that is as large as the whole divides nothing";
                Err(vec![Finding::new(FindingCode::BadValue, TASKS, detail)])
            }
            Target::Parts => judge(&self.source, planner, tasks),
            Target::Replan => {
                let said_done = said_done(&tasks);
                let kept = tasks.into_iter().map(|task| self.kept(task)).collect();
                let tasks = with_done(kept, &self.standing.done);
                let draft = complete(given(planner, tasks), &self.source);
                let draft = draft.map_err(|refusal| errors_of(&refusal))?;
                if said_done.is_empty() { Ok(draft) } else { Err(said_done) }
            }
        }
    }

    fn kept(&self, task: TaskSpec) -> TaskSpec {
        match self.standing.open.iter().find(|said| said.r#ref == task.r#ref) {
            Some(said) => keep(task, said),
            None => task,
        }
    }
}

/// A task of a plan document, with what the document cannot say as the plan in force says it.
#[must_use]
pub fn keep(task: TaskSpec, said: &TaskSpec) -> TaskSpec {
    let criterion = |criterion: CriterionSpec| {
        let known = said.criteria.iter().find(|known| known.text == criterion.text);
        known.cloned().unwrap_or(criterion)
    };
    let estimate = task.estimate.into_iter().map(|(unit, estimate)| {
        let known = said.estimate.get(&unit);
        let same = known.filter(|known| known.range().want == estimate.range().want);
        let estimate = same.cloned().unwrap_or(estimate);
        (unit, estimate)
    });
    TaskSpec {
        r#ref: task.r#ref,
        title: task.title,
        description: task.description,
        needs: task.needs,
        parent: task.parent,
        capabilities: task.capabilities,
        criteria: task.criteria.into_iter().map(criterion).collect(),
        estimate: estimate.collect(),
        priority: task.priority,
        risk: task.risk,
        approval: task.approval,
        ..said.clone()
    }
}

/// A plan with the done tasks that it leaves out, behind it. A plan that would be too large gets the first of them.
#[must_use]
pub fn with_done(mut tasks: Vec<TaskSpec>, done: &[TaskSpec]) -> Vec<TaskSpec> {
    let named: HashSet<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let room = settings::PLAN_TASKS.saturating_sub(tasks.len());
    let done = done.iter().filter(|task| !named.contains(&task.r#ref)).take(room);
    let done: Vec<&TaskSpec> = done.collect();
    let mut known = named.clone();
    known.extend(done.iter().map(|task| task.r#ref.clone()));
    tasks.extend(done.into_iter().map(|task| TaskSpec {
        done: true,
        needs: task.needs.iter().filter(|name| known.contains(*name)).cloned().collect(),
        parent: task.parent.clone().filter(|name| known.contains(name)),
        ..task.clone()
    }));
    tasks
}

/// The text that the parts of a task are planned from.
#[must_use]
pub fn brief_of(whole: &Whole) -> String {
    let mut text = String::from(
        "Agents found this task too large for one attempt. Its parts are to be planned, at least two of them, each \
         small enough for one attempt. Together they must do what it asks for.\n\n",
    );
    let _ = writeln!(text, "# {}\n\n{}", whole.title, whole.description);
    if !whole.criteria.is_empty() {
        text.push_str(
            "\nAfter the parts, a further task checks these conditions of the whole:\n\n",
        );
    }
    for criterion in &whole.criteria {
        let _ = writeln!(text, "* {}", criterion.text.replace('\n', " "));
    }
    let mut end = text.len().min(settings::BRIEF_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::ask::Estimate;

    fn task(name: &str, needs: &[&str]) -> TaskSpec {
        TaskSpec {
            r#ref: name.into(),
            title: format!("Do {name}"),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            criteria: vec![CriterionSpec {
                text: "it works".into(),
                required: false,
                satisfied: false,
                ..CriterionSpec::default()
            }],
            ..TaskSpec::default()
        }
    }

    fn matter(target: Target, standing: Standing) -> Matter {
        Matter { target, source: PlanSource::default(), standing, reason: None }
    }

    /// The draft as a planner gets it, and as it comes back.
    fn echoed(matter: &Matter) -> Vec<TaskSpec> {
        document::read(&document::write(&matter.draft())).expect("the draft is a plan document")
    }

    #[test]
    fn a_draft_that_comes_back_says_what_the_plan_says() {
        let open = TaskSpec {
            labels: vec!["api".into()],
            section: Some("Part 1".into()),
            input: Some(json!({"a": 1})),
            max_attempts: Some(7),
            estimate: [("usd_micros".to_owned(), Estimate::Exact(5))].into(),
            ..task("b", &["a"])
        };
        let standing = Standing {
            open: vec![open.clone()],
            done: vec![task("a", &[])],
            ..Standing::default()
        };
        let matter = matter(Target::Replan, standing);
        let draft = matter.judge(Planner::Agent, echoed(&matter)).unwrap();
        let [kept, done] = draft.tasks.as_slice() else { panic!("{draft:?}") };
        assert_eq!(kept, &open);
        assert_eq!((done.r#ref.as_str(), done.done), ("a", true));
    }

    #[test]
    fn what_is_planned_beside_done_work_may_need_it_and_nothing_else() {
        let done =
            vec![task("a", &["gone"]), TaskSpec { parent: Some("box".into()), ..task("c", &[]) }];
        let matter = matter(Target::Replan, Standing { done, ..Standing::default() });
        let draft = matter.judge(Planner::Llm, vec![task("n", &["a"])]).unwrap();
        let refs: Vec<&str> = draft.tasks.iter().map(|task| task.r#ref.as_str()).collect();
        assert_eq!(refs, ["n", "a", "c"]);
        assert!(draft.tasks[1].needs.is_empty() && draft.tasks[2].parent.is_none());
        let unknown = matter.judge(Planner::Llm, vec![task("n", &["x"])]).unwrap_err();
        assert_eq!(unknown[0].pointer, "/tasks/0/needs/0");
        let said = TaskSpec { done: true, ..task("n", &[]) };
        let said = matter.judge(Planner::Llm, vec![said]).unwrap_err();
        assert_eq!(said[0].pointer, "/tasks/0/done");
        assert!(matter.judge(Planner::Llm, Vec::new()).is_ok(), "all that is open is done with");
    }

    #[test]
    fn a_plan_with_done_work_stays_a_plan() {
        let many: Vec<TaskSpec> =
            (0..settings::PLAN_TASKS).map(|n| task(&format!("d{n}"), &[])).collect();
        let tasks = with_done(vec![task("n", &[]), task("d0", &[])], &many);
        assert_eq!(tasks.len(), settings::PLAN_TASKS);
        assert!(!tasks[1].done, "the plan says this one itself");
    }

    #[test]
    fn a_planner_sees_all_that_is_open_or_does_not_plan() {
        let long =
            TaskSpec { description: "x".repeat(settings::PLAN_DRAFT_BYTES), ..task("a", &[]) };
        let standing = Standing { open: vec![long], ..Standing::default() };
        let anew = matter(Target::Replan, standing);
        assert!(anew.document().is_none() && anew.too_large().is_some());
        assert!(matter(Target::Replan, Standing::default()).too_large().is_none());
        assert!(Matter { target: Target::Plan, ..anew }.too_large().is_none());
    }

    #[test]
    fn a_task_is_divided_into_two_parts_at_least() {
        let matter = matter(Target::Parts, Standing::default());
        let one = matter.judge(Planner::Agent, vec![task("p", &[])]).unwrap_err();
        assert_eq!(one[0].pointer, "/tasks");
        assert!(matter.judge(Planner::Agent, vec![task("p", &[]), task("q", &["p"])]).is_ok());
        assert!(matter.told().is_none());
    }

    #[test]
    fn the_text_of_a_task_is_a_brief() {
        let whole = Whole {
            title: "Write the API".into(),
            description: "é".repeat(settings::BRIEF_BYTES),
            criteria: vec![CriterionSpec {
                text: "it works".into(),
                required: true,
                satisfied: false,
                ..CriterionSpec::default()
            }],
            ..Whole::default()
        };
        assert!(brief_of(&whole).len() <= settings::BRIEF_BYTES);
        let short = brief_of(&Whole { description: "Now.".into(), ..whole });
        assert!(
            short.contains("# Write the API\n\nNow.") && short.contains("* it works"),
            "{short}"
        );
    }
}
