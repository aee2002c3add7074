//! `muster verify`: checks the published invariants on the data.
//!
//! Runs beside a running service or without one. The exit code distinguishes a broken invariant from a
//! database that does not answer.

use clap::Args;

use super::{database::Database, failure::Failure, print};
use crate::{
    app::{
        access::keys::LocalAdmin,
        verify::{Thoroughness, Verification},
    },
    config::DatabaseConfig,
    domain::{ids::WorkspaceId, settings},
};

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Check only this workspace
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// Skip the invariants about time, for a database without a running service
    #[arg(long)]
    at_rest: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. Returns whether every invariant holds.
pub async fn run(config: &DatabaseConfig, args: &VerifyArgs) -> Result<bool, Failure> {
    let how = Thoroughness { time: !args.at_rest, within: settings::VERIFY_TIME_LOCAL };
    let check = async |local: LocalAdmin<'_>| Ok(local.verify(how).await?);
    let found = Database::in_workspaces(config, args.workspace, check).await?;
    if args.json {
        print::json(&found)?;
    } else {
        show(&found)?;
    }
    Ok(found.iter().all(|verification| verification.holds))
}

fn show(found: &[Verification]) -> Result<(), Failure> {
    for verification in found {
        let Verification { workspace_id, checked_at, took_ms, invariants, .. } = verification;
        print::text(&format!("workspace {workspace_id} at {checked_at}, in {took_ms} ms\n\n"))?;
        let header = ["", "BROKEN BY", "INVARIANT", "PROMISE"];
        let rows = invariants.iter().map(|checked| {
            let verdict = if checked.holds { "holds" } else { "BROKEN" };
            [
                verdict.to_owned(),
                checked.violations.to_string(),
                checked.invariant.to_string(),
                checked.promise.clone(),
            ]
        });
        print::table(header, rows, &[])?;
        print::text("\n")?;
        for checked in invariants.iter().filter(|checked| !checked.holds) {
            let (invariant, times) = (checked.invariant, checked.violations);
            print::text(&format!("{invariant} is broken {times} times:\n"))?;
            for sample in &checked.samples {
                print::text(&format!("  {} {}: {}\n", sample.subject, sample.id, sample.found))?;
            }
        }
    }
    let checked = found.iter().flat_map(|verification| &verification.invariants);
    match checked.filter(|checked| !checked.holds).count() {
        0 => print::text("every invariant holds\n"),
        1 => print::text("1 invariant is broken\n"),
        many => print::text(&format!("{many} invariants are broken\n")),
    }
}
