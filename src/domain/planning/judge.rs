//! The judgement of a plan that no person made: its values, its order, and what such a planner may say.

use crate::domain::{
    check::pointer,
    plan::{
        TaskSpec,
        finding::{Finding, FindingCode},
        new_goal::{Draft, PlanSource, complete, given},
    },
    refusal::{FieldError, Refusal},
    settings,
    states::Planner,
};

/// Judges the tasks of a planner; returns the plan with the defaults of the goal.
///
/// # Errors
/// Everything that is wrong, with its places in the plan document.
pub fn judge(
    source: &PlanSource,
    planner: Planner,
    tasks: Vec<TaskSpec>,
) -> Result<Draft, Vec<Finding>> {
    let said_done = said_done(&tasks);
    let draft = complete(given(planner, tasks), source).map_err(|refusal| errors_of(&refusal))?;
    if said_done.is_empty() { Ok(draft) } else { Err(said_done) }
}

/// Tasks and criteria that are planned as done: only a person says that of work that nobody did.
#[must_use]
pub fn said_done(tasks: &[TaskSpec]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let at = pointer("/tasks", index);
        if task.done {
            let detail = "must be false: a planned task is done by an attempt";
            found.push(error(pointer(&at, "done"), detail, vec![task.r#ref.clone()]));
        }
        if let Some(number) = task.criteria.iter().position(|criterion| criterion.satisfied) {
            let detail = "must be false: a criterion is satisfied by evidence";
            let at = format!("{at}/criteria/{number}/satisfied");
            found.push(error(at, detail, vec![task.r#ref.clone()]));
        }
    }
    found.truncate(settings::FINDINGS);
    found
}

/// The tasks whose refs the goal already has.
#[must_use]
pub fn taken(refs: &[String], taken: &[String]) -> Vec<Finding> {
    let found = refs.iter().enumerate().filter(|(_, name)| taken.contains(name));
    let finding = |(index, name): (usize, &String)| {
        let detail = format!("the goal already has a task `{name}`");
        let at = format!("/tasks/{index}/ref");
        Finding::new(FindingCode::DuplicateRef, at, detail).about([name.as_str()])
    };
    found.map(finding).take(settings::FINDINGS).collect()
}

/// The errors of a refused plan as findings.
#[must_use]
pub fn errors_of(refusal: &Refusal) -> Vec<Finding> {
    if refusal.errors.is_empty() {
        return vec![error(String::new(), refusal.detail.clone(), Vec::new())];
    }
    let errors = refusal.errors.iter().take(settings::FINDINGS);
    let finding = |place: &FieldError| {
        let code = place.code.as_deref().and_then(|code| code.parse().ok());
        Finding::new(code.unwrap_or(FindingCode::BadValue), &place.pointer, &place.detail)
    };
    errors.map(finding).collect()
}

fn error(pointer: String, detail: impl Into<String>, refs: Vec<String>) -> Finding {
    Finding { refs, ..Finding::new(FindingCode::BadValue, pointer, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::{ApprovalPoints, CriterionSpec, new_goal::TaskDefaults};

    fn task(name: &str, needs: &[&str]) -> TaskSpec {
        TaskSpec {
            r#ref: name.into(),
            title: name.into(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..TaskSpec::default()
        }
    }

    fn pointers(judged: Result<Draft, Vec<Finding>>) -> Vec<String> {
        judged.unwrap_err().into_iter().map(|finding| finding.pointer).collect()
    }

    #[test]
    fn a_plan_gets_the_defaults_of_its_goal() {
        let approval = ApprovalPoints { start: true, result: false };
        let task_defaults = TaskDefaults { approval, ..TaskDefaults::default() };
        let source = PlanSource { task_defaults, ..PlanSource::default() };
        let draft = judge(&source, Planner::Agent, vec![task("a", &[])]).unwrap();
        assert!(draft.tasks[0].approval.start, "a planner does not get around an approval");
        assert_eq!(draft.planner, Planner::Agent);
    }

    #[test]
    fn every_error_has_its_place() {
        let source = PlanSource::default();
        let judge = |tasks| judge(&source, Planner::Llm, tasks);
        assert_eq!(pointers(judge(vec![])), ["/tasks"]);
        assert_eq!(pointers(judge(vec![task("a", &["b"])])), ["/tasks/0/needs/0"]);
        assert_eq!(pointers(judge(vec![task("a", &["b"]), task("b", &["a"])])), ["/tasks/0"]);
        let done = TaskSpec { done: true, ..task("a", &[]) };
        let met = CriterionSpec {
            text: "it works".into(),
            required: true,
            satisfied: true,
            ..CriterionSpec::default()
        };
        let met = TaskSpec { criteria: vec![met], ..task("b", &[]) };
        let wrong = judge(vec![done, met]);
        assert_eq!(pointers(wrong), ["/tasks/0/done", "/tasks/1/criteria/0/satisfied"]);
    }

    #[test]
    fn a_ref_of_the_goal_is_taken() {
        let refs = ["a".to_owned(), "b".to_owned()];
        let found = taken(&refs, &["b".to_owned()]);
        assert_eq!((found.len(), found[0].pointer.as_str()), (1, "/tasks/1/ref"));
        assert!(taken(&refs, &[]).is_empty());
    }
}
