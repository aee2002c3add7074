//! `muster prune`: deletes what a workspace's retention says, or shows what would be deleted.

use clap::Args;

use super::{database::Database, failure::Failure, goal_files, print};
use crate::{
    app::{App, retention::PruneReport},
    config::{DatabaseConfig, PruneConfig},
    domain::ids::WorkspaceId,
};

#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Prune only this workspace
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// Delete nothing, and show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exports: PruneConfig,
}

/// Runs the command.
pub async fn run(config: &DatabaseConfig, args: &PruneArgs) -> Result<(), Failure> {
    // The service makes the directory that its settings name; a mistyped one is refused here.
    if let Some(missing) = args.exports.export_dir().filter(|path| !args.dry_run && !path.is_dir())
    {
        let missing = missing.display();
        return Err(format!("there is no directory {missing} for exports; make it first").into());
    }
    let prune = async |app: &App| {
        let app = match args.dry_run {
            true => app.clone(),
            false => goal_files::configured(app.clone(), &args.exports)?,
        };
        let workspaces = match args.workspace {
            Some(workspace) => vec![workspace],
            None => app.workspaces().await?,
        };
        let mut reports = Vec::new();
        for workspace in workspaces {
            let local = app.local_admin(Some(workspace)).await?;
            reports.push(match args.dry_run {
                true => local.prunable().await?,
                false => local.prune().await?,
            });
        }
        Ok(reports)
    };
    let reports = Database::with_app(config, prune).await?;
    if args.json {
        return print::json(&reports);
    }
    reports.iter().try_for_each(show)
}

fn show(report: &PruneReport) -> Result<(), Failure> {
    let days =
        |days: Option<i32>| days.map_or("for ever".to_owned(), |days| format!("{days} days"));
    print::text(&format!(
        "workspace {}: ended goals are kept {}, the journal {}\n",
        report.workspace_id,
        days(report.goal_retention_days),
        days(report.journal_retention_days),
    ))?;
    let verb = if report.dry_run { "would be deleted" } else { "were deleted" };
    print::text(&format!("{} goals {verb}, {} were exported\n", report.goals, report.exported))?;
    if !report.tables.is_empty() {
        let rows = report.tables.iter().map(|table| {
            let bytes = table.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
            [table.table.clone(), table.rows.to_string(), bytes]
        });
        print::table(["TABLE", "ROWS", "BYTES"], rows, &[1, 2])?;
    }
    for (hold, goals) in &report.held {
        print::text(&format!("{goals} goals stay: {hold}\n"))?;
    }
    if report.left > 0 {
        print::text(&format!("{} goals changed meanwhile; prune again\n", report.left))?;
    }
    Ok(())
}
