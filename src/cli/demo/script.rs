//! The script of the demo: its agents and its incidents.
//!
//! There are three incidents, each exactly once: an agent dies in the middle of [`DEATH`], the first
//! attempt of [`FAILURE`] fails, and the result of [`REVIEW`] needs the approval of a person. They
//! belong to tasks and not to agents, because muster decides about the agent of each task.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{plan::TaskSpec, states::FailureClass};

/// The goal, as a document in a repository.
pub(super) const BRIEF: &str = include_str!("goal.md");
/// Its title.
pub(super) const TITLE: &str = "Ship hop, a small URL shortener";

/// The task whose first agent dies.
pub(super) const DEATH: &str = "T008";
/// The task whose first attempt fails.
pub(super) const FAILURE: &str = "T012";
/// The task whose result needs an approval.
pub(super) const REVIEW: &str = "T021";

/// The class of the failure of [`FAILURE`].
pub(super) const FAILURE_CLASS: FailureClass = FailureClass::Transient;
/// The message of that failure.
pub(super) const FAILURE_MESSAGE: &str = "the database refused the connection three times";

/// The agents: a name and capabilities.
///
/// After the death of any of them the others have all capabilities of the remaining tasks.
pub(super) const CAST: [(&str, &[&str]); 5] = [
    ("coder-1", &["rust", "sql"]),
    ("coder-2", &["rust", "web"]),
    ("tester-1", &["test", "review", "rust"]),
    ("writer-1", &["docs", "web", "review"]),
    ("ops-1", &["ops", "sql", "docs", "test"]),
];

/// The incidents that have happened.
#[derive(Debug, Default)]
pub(super) struct Script {
    died: AtomicBool,
    failed: AtomicBool,
}

impl Script {
    /// Whether the agent that holds the task dies now.
    pub(super) fn dies(&self, task: &str) -> bool {
        task == DEATH && !self.died.swap(true, Ordering::Relaxed)
    }

    /// Whether this attempt of the task fails now.
    pub(super) fn fails(&self, task: &str) -> bool {
        task == FAILURE && !self.failed.swap(true, Ordering::Relaxed)
    }
}

/// Fits the previewed plan to the agents: a label such as `[Rust]` that is a capability of an agent
/// becomes required, and one result gets an approval.
pub(super) fn staff(tasks: &mut [TaskSpec]) {
    for task in tasks {
        let tags = task.labels.iter().map(|label| label.to_lowercase());
        task.capabilities = tags.filter(|tag| somebody_can(tag)).collect();
        task.approval.result = task.r#ref == REVIEW;
    }
}

fn somebody_can(capability: &str) -> bool {
    CAST.iter().any(|(_, able)| able.contains(&capability))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::new_goal::{PlanSource, draft};

    fn plan() -> Vec<TaskSpec> {
        let source = PlanSource { brief: BRIEF.to_owned(), ..PlanSource::default() };
        let draft = draft(&source).unwrap();
        assert_eq!(draft.notes, [], "the document is read without remarks");
        let mut tasks = draft.tasks;
        staff(&mut tasks);
        tasks
    }

    fn task<'a>(tasks: &'a [TaskSpec], name: &str) -> &'a TaskSpec {
        tasks.iter().find(|task| task.r#ref == name).unwrap()
    }

    #[test]
    fn the_document_shows_what_a_document_can_have() {
        let tasks = plan();
        assert_eq!(tasks.len(), 23);
        assert_eq!(tasks.iter().filter(|task| task.done).count(), 1);
        assert_eq!(tasks.iter().filter(|task| task.parent.as_deref() == Some("T014")).count(), 3);
        assert_eq!(task(&tasks, DEATH).criteria.len(), 2);
        assert!(task(&tasks, "T004").description.contains("partition"));
        assert_eq!(task(&tasks, "T010").needs, ["T007", "T008", "T009"]);
        assert_eq!(task(&tasks, "T017").needs, ["T015", "T016"]);
    }

    #[test]
    fn whoever_dies_the_others_can_do_everything() {
        let tasks = plan();
        let [deadly] = task(&tasks, DEATH).capabilities.as_slice() else { panic!("not one") };
        for (dead, _) in CAST.iter().filter(|(_, able)| able.contains(&deadly.as_str())) {
            let rest: Vec<&str> = CAST
                .iter()
                .filter(|(name, _)| name != dead)
                .flat_map(|(_, able)| *able)
                .copied()
                .collect();
            for task in &tasks {
                let all = task.capabilities.iter().all(|needed| rest.contains(&needed.as_str()));
                assert!(all, "without {dead} nobody can do {}", task.r#ref);
            }
        }
        let parents: Vec<_> = tasks.iter().filter_map(|task| task.parent.as_deref()).collect();
        let free = tasks.iter().filter(|task| task.capabilities.is_empty() && !task.done);
        assert!(free.clone().all(|task| parents.contains(&task.r#ref.as_str())), "{free:?}");
    }

    #[test]
    fn every_incident_is_in_the_plan_and_happens_once() {
        let tasks = plan();
        let script = Script::default();
        assert!(tasks.iter().all(|task| (task.r#ref == REVIEW) == task.approval.result));
        let deaths = tasks.iter().chain(&tasks).filter(|task| script.dies(&task.r#ref)).count();
        let failures = tasks.iter().chain(&tasks).filter(|task| script.fails(&task.r#ref)).count();
        assert_eq!((deaths, failures), (1, 1));
        assert!(FAILURE_CLASS.retryable() && FAILURE_CLASS.reportable());
    }
}
