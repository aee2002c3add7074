//! `muster audit verify`: checks the journal for tampering.
//!
//! For an exported file it needs no database: the receiver of an export can check it anywhere. The exit
//! codes are those of `muster verify`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{database::Database, failure::Failure, print};
use crate::{
    app::{access::keys::LocalAdmin, journal::verify::AuditVerification},
    config::DatabaseConfig,
    domain::{
        ids::WorkspaceId,
        journal::{Break, BreakKind, Check, Digest, ExportHead, Head, Line, Verdict},
    },
};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the journal for tampering
    ///
    /// With a file it checks an export (GET /v1/audit/export) and needs no database. Without one it
    /// checks the database, in all workspaces. Exits with 0 if nothing was touched, with 1 if
    /// something was, and with 2 if that could not be found out.
    Verify(VerifyAuditArgs),
}

#[derive(Debug, Args)]
pub struct VerifyAuditArgs {
    /// An export to check
    file: Option<PathBuf>,
    /// `number` of a head kept in another place; with --head
    #[arg(long, value_name = "NUMBER", requires = "head")]
    number: Option<i64>,
    /// `chain_sha256` of that head; with --number
    #[arg(long, value_name = "SHA256", requires = "number")]
    head: Option<Digest>,
    /// Check only this workspace
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl VerifyAuditArgs {
    fn kept(&self) -> Option<Head> {
        let (number, chain_sha256) = (self.number?, self.head?);
        Some(Head { number, chain_sha256 })
    }
}

/// Runs `audit verify`. Returns whether nothing was touched.
pub async fn verify(config: &DatabaseConfig, args: &VerifyAuditArgs) -> Result<bool, Failure> {
    match &args.file {
        Some(file) => verify_file(file, args),
        None => verify_database(config, args).await,
    }
}

fn verify_file(path: &Path, args: &VerifyAuditArgs) -> Result<bool, Failure> {
    let (head, verdict) = check_file(path, args.kept())?;
    let holds = verdict.break_count == 0;
    if args.json {
        let Verdict { breaks, break_count, erased, pruned_to: _ } = verdict;
        let found = json!({"holds": holds, "head": head, "erased": erased,
                           "break_count": break_count, "breaks": breaks});
        print::json(&found)?;
    } else {
        show(head.workspace_id, head.head(), &verdict)?;
    }
    Ok(holds)
}

/// Reads line by line, so that the size of the file does not matter.
fn check_file(path: &Path, kept: Option<Head>) -> Result<(ExportHead, Verdict), Failure> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut check = Check::new(kept);
    let mut workspace = None;
    let mut head: Option<ExportHead> = None;
    for (line, number) in BufReader::new(file).lines().zip(1u64..) {
        let line = line?;
        if head.is_some() {
            return Err(format!("line {number} is after the head, which is the last").into());
        }
        match Line::read(&line).map_err(|wrong| format!("line {number}: {wrong}"))? {
            Line::Seal(seal) => check.seal(seal),
            Line::Row(row) => {
                workspace = workspace.or(Some(row.workspace_id));
                check.row(&row);
            }
            Line::Head(last) => head = Some(last),
        }
    }
    let head = head.ok_or("the line with the head is missing: the file is incomplete")?;
    let mut verdict = check.finish(head.head(), head.pruned_to);
    if workspace.is_some_and(|workspace| workspace != head.workspace_id) {
        let found = "the rows belong to another workspace than the head";
        verdict.add(BreakKind::ChainBroken, head.number, 1, found);
    }
    Ok((head, verdict))
}

async fn verify_database(config: &DatabaseConfig, args: &VerifyAuditArgs) -> Result<bool, Failure> {
    let check = async |local: LocalAdmin<'_>| Ok(local.verify_audit(args.kept()).await?);
    let found = Database::in_workspaces(config, args.workspace, check).await?;
    if args.kept().is_some() && found.len() > 1 {
        return Err("a head belongs to one workspace: name it with --workspace".into());
    }
    if args.json {
        print::json(&found)?;
    } else {
        for of in &found {
            let AuditVerification { workspace_id, head, breaks, break_count, .. } = of.clone();
            let AuditVerification { pruned_to, erased, .. } = *of;
            show(workspace_id, head, &Verdict { breaks, break_count, pruned_to, erased })?;
        }
    }
    Ok(found.iter().all(|of| of.holds))
}

fn show(workspace: WorkspaceId, head: Head, verdict: &Verdict) -> Result<(), Failure> {
    let Head { number, chain_sha256 } = head;
    let Verdict { breaks, break_count, pruned_to, erased } = verdict;
    let mut text = format!("workspace {workspace}: sealed up to {number}, head {chain_sha256}\n");
    if *pruned_to > 0 {
        text += &format!("  pruned up to {pruned_to}\n");
    }
    if *erased > 0 {
        text += &format!("  data erased in {erased} rows\n");
    }
    for Break { kind, number, count, found } in breaks {
        let more = if *count > 1 { format!(" and {} after it", count - 1) } else { String::new() };
        text += &format!("  {kind}: number {number}{more}: {found}\n");
    }
    text += &match break_count {
        0 => "the journal was not changed\n".to_owned(),
        1 => "the journal was changed in 1 place\n".to_owned(),
        many => format!("the journal was changed in {many} places\n"),
    };
    print::text(&text)
}
