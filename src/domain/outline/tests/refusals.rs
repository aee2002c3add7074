//! Documents without tasks, and what the refusal says.

use crate::domain::outline::{Ordering, outline};

fn refused(brief: &str) -> String {
    match outline(brief, Ordering::Auto) {
        Ok(outline) => panic!("tasks in prose: {:?}", outline.tasks),
        Err(refusal) => {
            let message = refusal.to_string();
            assert!(message.contains("looked for "), "{message}");
            message
        }
    }
}

#[test]
fn nothing_is_no_plan() {
    refused("");
    refused("\n \n\t\n");
    refused("# Title only");
}

#[test]
fn prose_is_no_plan() {
    let message = refused("# Vision\n\nWe want more.\n\nMuch more.\n\n## Why\n\nBecause.\n");
    assert!(message.contains("looked for check boxes"), "{message}");
    assert!(message.contains("2 headings, 3 paragraphs"), "{message}");
}

#[test]
fn lists_that_nobody_calls_tasks_are_no_plan() {
    refused(
        "# Roadmap\n\nText.\n\n### Milestone 1: Base\n\nText.\n\n- a\n- b\n\n### Milestone 2\n\n1. reason\n2. reason\n",
    );
    refused("# App\n\n## Goals\n- fast\n- small\n\n## Risks\n1. late\n2. dear\n");
    refused(
        "There are reasons for this.\nThey are long.\nSo long.\nAnd many.\nThey go on\nand on.\n\n1. one\n2. two\n",
    );
    refused("# Bug\n\n## Steps to reproduce\n1. open\n2. crash\n\n## Expected\nNo crash.\n");
    refused("# Report\n\n## Why tasks don't land\n\nText.\n\n- a\n- b\n\n## Rollout\nText.\n");
    refused("# Vision\n- fast\n- safe\n");
}

#[test]
fn boxes_in_code_are_counted_but_no_plan() {
    let message = refused("# How to\n\n```\n- [ ] T001 sample\n- [x] T002 sample\n```\n");
    assert!(message.contains("2 boxes in code"), "{message}");
    refused("<!-- - [ ] hidden -->\ntext\n");
}

#[test]
fn prose_about_tasks_is_no_plan() {
    refused("# Design\n\nTask 1.1 comes before Task 1.2 because T003 depends on T001.\n");
    refused(
        "# Design\n\nSee `<task>` and <task> for more.\n\n| [ ] | T001 |\n|---|---|\n| [x] | T002 |\n",
    );
}
