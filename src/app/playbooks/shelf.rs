//! The playbooks that an expansion needs, read level by level: those it names, those that these use, and so on.

use std::collections::HashSet;

use crate::{
    app::Result,
    domain::{
        plan::playbook::{document, shelf::Shelf},
        refusal::Refusal,
        settings,
    },
    store::{self, Tx},
};

/// Reads playbooks and everything that they use. One that does not exist is not on the shelf: the expansion
/// says who wanted it.
///
/// # Errors
/// `invalid` if they use too many others, or if a stored one is no longer read.
pub(in crate::app) async fn of(tx: &mut Tx, first: &[(String, Option<i32>)]) -> Result<Shelf> {
    let mut shelf = Shelf::default();
    let mut seen: HashSet<(String, Option<i32>)> = first.iter().cloned().collect();
    let mut level: Vec<(String, Option<i32>)> = seen.iter().cloned().collect();
    for _ in 0..=settings::PLAYBOOK_NESTING + 1 {
        if level.is_empty() {
            break;
        }
        if seen.len() > settings::PLAYBOOK_SHELF {
            let most = settings::PLAYBOOK_SHELF;
            let detail = format!("it uses more than {most} other playbooks");
            return Err(Refusal::invalid_at("", detail).into());
        }
        let mut next = Vec::new();
        for row in store::playbooks::find(tx, &level).await? {
            let playbook = document::parse(&row.document.0).map_err(|faults| {
                let said = faults.first().map_or("", |fault| fault.detail.as_str());
                let detail = format!(
                    "version {} of the playbook `{}` is not read by this release, store it anew: {said}",
                    row.version, row.name
                );
                Refusal::invalid_at("", detail)
            })?;
            for used in playbook.uses() {
                if seen.insert(used.clone()) {
                    next.push(used);
                }
            }
            shelf.put(&row.name, row.version, row.version == row.latest, playbook);
        }
        level = next;
    }
    Ok(shelf)
}
