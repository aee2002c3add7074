//! Small documents, one habit each; and random ones.

mod bounded;
mod forms;
mod habits;
mod headings;
mod labels;
mod losses;
mod needs;
mod nothing_lost;
mod order;
mod random;
mod refusals;
mod spellings;
mod stories;

use super::{NoteCode, Ordering, Outline, OutlineTask, outline};

fn read(brief: &str) -> Outline {
    outline(brief, Ordering::Auto).expect("the brief has tasks")
}

fn read_as(brief: &str, ordering: Ordering) -> Outline {
    outline(brief, ordering).expect("the brief has tasks")
}

fn titles(outline: &Outline) -> Vec<&str> {
    outline.tasks.iter().map(|task| task.title.as_str()).collect()
}

fn names(outline: &Outline) -> Vec<&str> {
    outline.tasks.iter().map(|task| task.reference.as_str()).collect()
}

fn task<'o>(outline: &'o Outline, name: &str) -> &'o OutlineTask {
    let found = outline.tasks.iter().find(|task| task.reference == name);
    found.unwrap_or_else(|| panic!("no task {name} in {:?}", names(outline)))
}

fn criteria_of<'o>(outline: &'o Outline, name: &str) -> Vec<&'o str> {
    task(outline, name).criteria.iter().map(|criterion| criterion.text.as_str()).collect()
}

fn needs_of<'o>(outline: &'o Outline, name: &str) -> Vec<&'o str> {
    task(outline, name).needs.iter().map(String::as_str).collect()
}

fn codes(outline: &Outline) -> Vec<NoteCode> {
    outline.notes.iter().map(|note| note.code).collect()
}
