//! What must hold of the data at every moment, as the product itself checks it.
//!
//! The tests hold what operators can check with `muster verify`, by the same code.

use chrono::{DateTime, Utc};
use muster::{
    app::{
        App,
        verify::{Thoroughness, Verification},
    },
    clock::{Clock, ManualClock},
    domain::settings,
    entropy::Entropy,
};
use sqlx::PgPool;

use super::process::PATIENCE;

/// What the product finds in every workspace. Promises about time are judged as of `due`, and left
/// out when there is none.
pub async fn found(pool: &PgPool, due: Option<DateTime<Utc>>) -> Vec<Verification> {
    let now = due.unwrap_or_default() + settings::SWEEP_PATIENCE;
    let app = App::new(pool.clone(), Clock::Manual(ManualClock::at(now)), Entropy::system());
    let mut found = Vec::new();
    for workspace in app.workspaces().await.unwrap() {
        let local = app.local_admin(Some(workspace)).await.unwrap();
        let how = Thoroughness { time: due.is_some(), within: PATIENCE };
        found.push(local.verify(how).await.unwrap());
    }
    found
}

/// What is broken, in words.
pub fn broken(found: &[Verification]) -> Vec<String> {
    let checked = found.iter().flat_map(|verification| &verification.invariants);
    checked
        .filter(|checked| !checked.holds)
        .map(|checked| {
            let samples: Vec<String> = checked
                .samples
                .iter()
                .map(|sample| format!("{} {}: {}", sample.subject, sample.id, sample.found))
                .collect();
            format!("{}, {} times: {}", checked.invariant, checked.violations, samples.join("; "))
        })
        .collect()
}

/// Panics with every invariant that is broken; those about time are left out.
pub async fn verify(pool: &PgPool) {
    let broken = broken(&found(pool, None).await);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Panics when, after a round at this moment, an invariant is broken or something rests that should
/// not.
pub async fn verify_rested(pool: &PgPool, now: DateTime<Utc>) {
    let broken = broken(&found(pool, Some(now)).await);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
