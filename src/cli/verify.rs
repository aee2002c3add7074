//! `muster verify`: are the promises kept, on the data that is there?
//!
//! Works beside a running service or without one. Ends with 0 when every invariant holds, with 1
//! when one is broken, and with 2 when that could not be found out, so that a script can tell an
//! alarm from a database that does not answer.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, database::Database, print};
use crate::{
    app::{
        App,
        verify::{Thoroughness, Verification},
    },
    config::DatabaseConfig,
    domain::{ids::WorkspaceId, settings},
};

const BROKEN: u8 = 1;
const UNKNOWN: u8 = 2;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Check this workspace alone
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// Leave out what depends on time: for a database whose service does not run
    #[arg(long)]
    at_rest: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command, and says how the program ends.
pub async fn run(config: &DatabaseConfig, args: &VerifyArgs) -> ExitCode {
    match verify(config, args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(failure) => {
            print::failure(&*failure);
            ExitCode::from(UNKNOWN)
        }
    }
}

async fn verify(config: &DatabaseConfig, args: &VerifyArgs) -> Result<bool, Failure> {
    let database = Database::shared(config).await?;
    let found = match database.app().await {
        Ok(app) => {
            let found = check(&app, args).await;
            app.pool().close().await;
            found
        }
        Err(failure) => Err(failure),
    };
    database.close().await?;
    let found = found?;
    if args.json {
        print::json(&found)?;
    } else {
        show(&found)?;
    }
    Ok(found.iter().all(|verification| verification.holds))
}

async fn check(app: &App, args: &VerifyArgs) -> Result<Vec<Verification>, Failure> {
    let workspaces = match args.workspace {
        Some(workspace) => vec![workspace],
        None => app.workspaces().await?,
    };
    let how = Thoroughness { time: !args.at_rest, within: settings::VERIFY_TIME_LOCAL };
    let mut found = Vec::new();
    for workspace in workspaces {
        let local = app.local_admin(Some(workspace)).await?;
        found.push(local.verify(how).await?);
    }
    Ok(found)
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
        print::table(header, rows)?;
        print::text("\n")?;
        for checked in invariants.iter().filter(|checked| !checked.holds) {
            print::text(&format!(
                "{} is broken {} times:\n",
                checked.invariant, checked.violations
            ))?;
            for sample in &checked.samples {
                print::text(&format!("  {} {}: {}\n", sample.subject, sample.id, sample.found))?;
            }
        }
    }
    let broken = found
        .iter()
        .flat_map(|verification| &verification.invariants)
        .filter(|checked| !checked.holds)
        .count();
    match broken {
        0 => print::text("every invariant holds\n"),
        1 => print::text("1 invariant is broken\n"),
        many => print::text(&format!("{many} invariants are broken\n")),
    }
}
