//! `muster workspace`: writes a whole workspace to a file, and stores one from a file.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{database::Database, failure::Failure, folders, print};
use crate::{
    app::{App, moving::import::Imported},
    config::DatabaseConfig,
    domain::ids::WorkspaceId,
};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// Write a whole workspace to a file, beside a running service or without one
    Export(Export),
    /// Store the workspace of an exported file
    ///
    /// If the workspace exists, it is only compared: the same rows are a success, other rows are
    /// refused. Nothing is ever overwritten.
    Import(Import),
}

#[derive(Debug, Args)]
pub struct Export {
    /// Id or name of the workspace, if there are several
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The file, which must not exist; `-` for standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file that `muster workspace export` wrote
    file: PathBuf,
    /// Do everything but keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(config: &DatabaseConfig, command: WorkspaceCommand) -> Result<(), Failure> {
    let run = async |app: &App| match &command {
        WorkspaceCommand::Export(args) => export(app, args).await,
        WorkspaceCommand::Import(args) => import(app, args).await,
    };
    Database::with_app(config, run).await
}

async fn export(app: &App, args: &Export) -> Result<(), Failure> {
    let workspace = app.find_workspace(args.workspace.as_deref()).await?;
    if args.output == Path::new("-") {
        let admin = app.local_admin(Some(workspace)).await?;
        admin.export_workspace(&mut BufWriter::with_capacity(BUFFER, std::io::stdout())).await?;
        return Ok(());
    }
    // Readable by its owner only: it has all that people and agents wrote.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.output);
    let file = file.map_err(|error| named(&args.output, &error))?;
    let mut written = write(app, workspace, file).await;
    if written.is_ok()
        && let Err(error) = folders::sync(folders::of(&args.output))
    {
        written = Err(named(&args.output, &error));
    }
    if written.is_err() {
        // A part of an export is of no use; the failure to export is the one to be told.
        let _ = std::fs::remove_file(&args.output);
    }
    let rows = written?;
    let path = args.output.display();
    print::text(&format!("exported workspace {workspace}: {rows} rows in {path}\n"))
}

async fn write(app: &App, workspace: WorkspaceId, file: File) -> Result<u64, Failure> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let admin = app.local_admin(Some(workspace)).await?;
    let rows = admin.export_workspace(&mut out).await?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(rows)
}

async fn import(app: &App, args: &Import) -> Result<(), Failure> {
    let file = File::open(&args.file).map_err(|error| named(&args.file, &error))?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let Imported { workspace, rows, stored } =
        app.import_workspace(&mut file, args.dry_run).await?;
    print::text(&match (stored, args.dry_run) {
        (false, _) => format!("workspace {workspace} is here already, with the same {rows} rows\n"),
        (true, true) => format!("workspace {workspace} can be imported: {rows} rows\n"),
        (true, false) => format!("imported workspace {workspace}: {rows} rows\n"),
    })
}

fn named(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}
