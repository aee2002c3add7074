//! `muster audit verify`: checks the audit for tampering.
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
    app::access::keys::LocalAdmin,
    config::DatabaseConfig,
    domain::{
        audit::{Break, BreakKind, Breaks, ChainCheck, Digest, ExportHead, Head, Line},
        ids::WorkspaceId,
    },
};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the audit for tampering
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
    /// `seq` of a head kept in another place; with --head
    #[arg(long, value_name = "NUMBER", requires = "head")]
    seq: Option<i64>,
    /// `chain_sha256` of that head; with --seq
    #[arg(long, value_name = "SHA256", requires = "seq")]
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
        let (seq, chain_sha256) = (self.seq?, self.head?);
        Some(Head { seq, chain_sha256 })
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
    let (head, Breaks { told, total }) = check_file(path, args.kept())?;
    let holds = total == 0;
    if args.json {
        let found = json!({"holds": holds, "head": head, "break_count": total, "breaks": told});
        print::json(&found)?;
    } else {
        show(head.workspace_id, head.head(), total, &told)?;
    }
    Ok(holds)
}

/// Reads line by line, so that the size of the file does not matter.
fn check_file(path: &Path, kept: Option<Head>) -> Result<(ExportHead, Breaks), Failure> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut check = ChainCheck::new(kept);
    let mut workspace = None;
    let mut head: Option<ExportHead> = None;
    for (line, number) in BufReader::new(file).lines().zip(1u64..) {
        let line = line?;
        if head.is_some() {
            return Err(format!("line {number} is after the head, which is the last").into());
        }
        match Line::read(&line).map_err(|wrong| format!("line {number}: {wrong}"))? {
            Line::Sealed(link, of) => {
                workspace = workspace.or(of);
                check.take(link);
            }
            Line::Head(last) => head = Some(last),
        }
    }
    let head = head.ok_or("the line with the head is missing: the file is incomplete")?;
    if workspace.is_some_and(|workspace| workspace != json!(head.workspace_id)) {
        let text = "the entries belong to another workspace than the head";
        check.breaks().add(BreakKind::ChainBroken, Some(head.seq), None, text);
    }
    Ok((head, check.finish(head.head())))
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
            show(of.workspace_id, of.head, of.break_count, &of.breaks)?;
        }
    }
    Ok(found.iter().all(|of| of.holds))
}

fn show(workspace: WorkspaceId, head: Head, total: i64, breaks: &[Break]) -> Result<(), Failure> {
    let Head { seq, chain_sha256 } = head;
    print::text(&format!("workspace {workspace}: {seq} sealed entries, head {chain_sha256}\n"))?;
    for Break { kind, seq, entry_id, count, found } in breaks {
        let place =
            seq.map_or_else(|| "without a number".to_owned(), |seq| format!("number {seq}"));
        let entry = entry_id.map_or_else(String::new, |id| format!(", entry {id}"));
        let more = if *count > 1 { format!(" and {} after it", count - 1) } else { String::new() };
        print::text(&format!("  {kind}: {place}{more}{entry}: {found}\n"))?;
    }
    match total {
        0 => print::text("the audit was not touched\n"),
        1 => print::text("the audit was touched in 1 place\n"),
        many => print::text(&format!("the audit was touched in {many} places\n")),
    }
}
