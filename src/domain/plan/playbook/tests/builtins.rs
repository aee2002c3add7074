//! The built-in playbooks give plans that can be posted.

use serde_json::json;

use super::{expanded, lines};
use crate::domain::plan::playbook::{
    builtin::{all, find},
    check, check_expansion,
    shelf::Shelf,
};

#[test]
fn all_three_are_there_and_pass_the_check_of_what_is_stored() {
    let names: Vec<&str> = all().iter().map(|one| one.playbook.name.as_str()).collect();
    assert_eq!(names, ["fix-a-bug", "research-a-question", "ship-a-feature"]);
    for one in all() {
        assert_eq!(check(&one.playbook, &Shelf::default()), Ok(()), "{}", one.playbook.name);
        assert!(!one.playbook.description.is_empty());
    }
}

/// With its defaults, each gives a plan in which every task says who can do it, how it is known to be done and
/// what it may cost, and in which somebody else than the author reviews.
#[test]
fn with_defaults_every_task_is_complete_and_is_reviewed() {
    for one in all() {
        let name = &one.playbook.name;
        let expansion = expanded(&one.playbook, json!({}), &Shelf::default()).unwrap();
        assert_eq!(check_expansion(&expansion), Ok(()), "{name}");
        for task in &expansion.tasks {
            assert!(!task.capabilities.is_empty(), "{name} {}", task.r#ref);
            assert!(!task.criteria.is_empty(), "{name} {}", task.r#ref);
            assert!(!task.estimate.is_empty(), "{name} {}", task.r#ref);
        }
        let reviews = expansion.tasks.iter().filter(|task| task.labels.contains(&"review".into()));
        for review in reviews.clone() {
            let reviewed = expansion.tasks.iter().filter(|task| review.needs.contains(&task.r#ref));
            for work in reviewed {
                assert_ne!(work.capabilities, review.capabilities, "{name} {}", review.r#ref);
            }
        }
        assert!(reviews.count() > 0, "{name}");
        assert!(!expansion.criteria.is_empty(), "{name}");
    }
}

#[test]
fn a_bug_is_reproduced_fixed_reviewed_and_brought_to_branches() {
    let playbook = &find("fix-a-bug").unwrap().playbook;
    let given = json!({"capability": "rust", "approve_fix": true, "backport_to": ["1.2", "1.1"]});
    let expansion = expanded(playbook, given, &Shelf::default()).unwrap();
    assert_eq!(
        lines(&expansion),
        [
            "reproduce <-",
            "fix <- reproduce",
            "review <- fix",
            "backport-1 <- review",
            "backport-2 <- review"
        ]
    );
    assert!(expansion.tasks[1].approval.result);
    assert_eq!(expansion.tasks[1].capabilities, ["rust"]);
    assert_eq!(expansion.tasks[1].title, "Fix A title");
    let short = expanded(playbook, json!({"reproduce": false}), &Shelf::default()).unwrap();
    assert_eq!(lines(&short), ["fix <-", "review <- fix"]);
}

#[test]
fn the_parts_of_a_feature_are_built_and_reviewed_side_by_side() {
    let playbook = &find("ship-a-feature").unwrap().playbook;
    let given = json!({"parts": ["server", "client"], "release": true, "size": "large"});
    let expansion = expanded(playbook, given, &Shelf::default()).unwrap();
    assert_eq!(check_expansion(&expansion), Ok(()));
    assert_eq!(
        lines(&expansion),
        [
            "design <-",
            "build-1 <- design",
            "build-2 <- design",
            "review-1 <- build-1",
            "review-2 <- build-2",
            "try <- review-1 review-2",
            "document <- review-1 review-2",
            "release <- try document",
        ]
    );
    assert!(expansion.tasks[0].approval.result && expansion.tasks[7].approval.start);
    let given = json!({"documentation": false, "release": true, "approve_design": false});
    let expansion = expanded(playbook, given, &Shelf::default()).unwrap();
    // What is left out passes on what it needs.
    assert_eq!(lines(&expansion).last().unwrap(), "release <- try review-1");
    assert_eq!(expansion.criteria.len(), 1);
}

#[test]
fn a_question_is_looked_at_from_each_side() {
    let playbook = &find("research-a-question").unwrap().playbook;
    let given = json!({"angles": ["cost", "speed"], "sources_per_angle": 7});
    let expansion = expanded(playbook, given, &Shelf::default()).unwrap();
    assert_eq!(
        lines(&expansion),
        ["angle-1 <-", "angle-2 <-", "answer <- angle-1 angle-2", "check <- answer"]
    );
    assert!(expansion.tasks[0].criteria[0].text.starts_with("At least 7 independent sources"));
}

/// What the handbook shows can be stored.
#[test]
fn the_example_of_the_handbook_is_a_playbook() {
    let page = include_str!("../../../../../handbook/playbooks.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let playbook = super::playbook(example);
    assert_eq!(check(&playbook, &Shelf::default()), Ok(()));
    let given = json!({"crates": ["a", "b"], "dry_run": false});
    let expansion = expanded(&playbook, given, &Shelf::default()).unwrap();
    assert_eq!(
        lines(&expansion),
        ["changelog <-", "test-a <-", "test-b <-", "publish <- test-a test-b changelog"]
    );
    assert_eq!(expansion.tasks[3].priority, Some(8));
    for filter in crate::domain::plan::playbook::language::FILTERS {
        assert!(page.contains(&format!("`{filter}`")), "{filter}");
    }
}

/// A long title or brief must not make a plan of a built-in playbook invalid.
#[test]
fn the_longest_title_and_brief_fit() {
    let (title, brief) = ("ä".repeat(500), "é".repeat(128 * 1024));
    for one in all() {
        let given = crate::domain::plan::playbook::expand::Given { title: &title, brief: &brief };
        let expansion = crate::domain::plan::playbook::expand::expand(
            &one.playbook,
            &std::collections::BTreeMap::new(),
            given,
            &Shelf::default(),
        );
        assert_eq!(check_expansion(&expansion.unwrap()), Ok(()), "{}", one.playbook.name);
    }
}
