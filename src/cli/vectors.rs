//! `muster vectors`: imports a table of word vectors into a workspace, or removes it.
//!
//! The table comes from a file that the operator has; nothing is downloaded.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use zip::ZipArchive;

use super::{database::Database, failure::Failure, print};
use crate::{
    app::App,
    config::DatabaseConfig,
    domain::{ids::WorkspaceId, knowledge::vectors::Table},
};

/// Bytes of the largest file that is read.
const LARGEST: u64 = 512 * 1024 * 1024;
/// Characters of a name.
const NAME: usize = 100;

#[derive(Debug, Subcommand)]
pub enum VectorsCommand {
    /// Import a table of word vectors, and give every lesson its vector
    ///
    /// FILE is the wheel of the package `wordllama` (`pip download --no-deps wordllama`), or a .safetensors file with its
    /// tokenizer. Another import replaces the table. Searches of lessons use it from then on, also in a running service.
    Import(Import),
    /// Remove the table; lessons are then ranked by their words alone
    Remove(Target),
}

#[derive(Debug, Args)]
pub struct Import {
    /// A wheel, or a .safetensors file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The tokenizer.json of a .safetensors file; by default the one beside it
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub struct Target {
    /// The workspace, if there are several
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
}

impl Target {
    async fn find(&self, app: &App) -> Result<WorkspaceId, Failure> {
        let named = self.workspace.map(|id| id.to_string());
        Ok(app.find_workspace(named.as_deref()).await?)
    }
}

/// Runs the command.
pub async fn run(config: &DatabaseConfig, command: VectorsCommand) -> Result<(), Failure> {
    match command {
        VectorsCommand::Import(Import { file, tokenizer, target }) => {
            let table = read(&file, tokenizer.as_deref())?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let name: String = name.chars().filter(|c| !c.is_control()).take(NAME).collect();
            let import = async |app: &App| {
                let workspace = target.find(app).await?;
                let lessons = app.import_vectors(workspace, &name, &table).await?;
                let tokens = table.len();
                print::text(&format!(
                    "{tokens} word vectors imported; {lessons} lessons have theirs\n"
                ))
            };
            Database::with_app(config, import).await
        }
        VectorsCommand::Remove(target) => {
            let remove = async |app: &App| {
                let workspace = target.find(app).await?;
                let removed = app.remove_vectors(workspace).await?;
                let text =
                    if removed { "the word vectors are removed\n" } else { "there were none\n" };
                print::text(text)
            };
            Database::with_app(config, remove).await
        }
    }
}

/// The table of a file.
fn read(file: &Path, tokenizer: Option<&Path>) -> Result<Table, Failure> {
    let weights = bytes(file)?;
    let wrong = |why: String| Failure::from(format!("{}: {why}", file.display()));
    // Every zip file begins so.
    if weights.starts_with(b"PK") {
        let (weights, tokenizer) = of_wheel(&weights).map_err(wrong)?;
        return Table::read(&weights, &tokenizer).map_err(|fault| wrong(fault.to_string()));
    }
    let beside = file.with_file_name("tokenizer.json");
    let tokenizer = bytes(tokenizer.unwrap_or(&beside))?;
    Table::read(&weights, &tokenizer).map_err(|fault| wrong(fault.to_string()))
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |why: std::io::Error| Failure::from(format!("cannot read {}: {why}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    limited(opened).map_err(failed)
}

/// All bytes, if there are not too many.
fn limited(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is larger than 512 MiB"));
    }
    Ok(bytes)
}

/// The weights of fewest dimensions in a wheel, and its tokenizer.
fn of_wheel(wheel: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut archive =
        ZipArchive::new(std::io::Cursor::new(wheel)).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    names.sort_unstable();
    let first = |end: &str, part: &str| {
        names.iter().find(|name| name.ends_with(end) && name.contains(part)).cloned()
    };
    let weights = first(".safetensors", "").ok_or("it has no .safetensors file")?;
    let tokenizer = first(".json", "tokenizer").ok_or("it has no tokenizer in JSON")?;
    let mut unpack = |name: &str| {
        let entry = archive.by_name(name).map_err(|error| error.to_string())?;
        limited(entry).map_err(|error| error.to_string())
    };
    Ok((unpack(&weights)?, unpack(&tokenizer)?))
}
