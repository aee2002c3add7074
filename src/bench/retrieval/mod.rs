//! `retrieval`: how well and how fast lessons are found.
//!
//! Quality: a collection in BEIR layout (`--corpus`) is imported as lessons through the API, its queries go through the
//! search endpoint, and the rankings are measured by its judgements ([`measures`]); with `--vectors` once more with
//! word vectors. Time: the same endpoint among growing numbers of made-up lessons ([`synthetic`]), one query after the
//! other. Quality is no question of the machine; time is.

mod collection;
mod measures;
mod synthetic;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    error::{BenchError, Result},
    http::Connection,
    report::{Figures, Report},
    settings::Scenario,
    stage::{Setup, Stage},
    statistics::{Latencies, Summary},
    table::{Finding, Grid, figure},
};
use crate::domain::knowledge::bounds::{BODY_BYTES, RESULTS, TITLE_CHARS};
use collection::{Collection, Document};
use measures::Measures;
use synthetic::Synthetic;

/// Documents of one import.
const AT_ONCE: usize = 200;
/// Queries that measure the time of a search.
const TIMED: usize = 300;
/// Queries before them that are not counted.
const WARMING: usize = 30;
/// Longest time until every document has its vector.
const EMBEDDED_WITHIN: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(200);
const SEED: u64 = 1;

/// The figures of `retrieval`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RetrievalReport {
    /// The quality with the given collection, if there is one.
    pub collection: Option<Quality>,
    /// The time of searches by number of lessons.
    pub sizes: Vec<Size>,
}

/// The quality of rankings of one collection.
#[derive(Debug, Clone, Serialize)]
pub struct Quality {
    /// Number of documents that were imported.
    pub documents: usize,
    /// Documents that the service refused: secrets.
    pub refused: usize,
    /// Documents whose text was cut to the longest lesson.
    pub cut: usize,
    /// Number of queries.
    pub queries: usize,
    /// Without word vectors.
    pub without: Ranked,
    /// With word vectors, if given.
    pub with: Option<Ranked>,
}

/// The rankings of one run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ranked {
    /// Means over the queries.
    pub measures: Measures,
    /// Time of the searches.
    pub latency: Summary,
}

/// Searches among a number of lessons.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Size {
    /// Number of lessons.
    pub lessons: u32,
    /// Lessons imported per second.
    pub imported_per_second: f64,
    /// Time of the searches.
    pub latency: Summary,
}

/// Measures `retrieval`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut figures = RetrievalReport::default();
    if let Some(folder) = &setup.settings.corpus {
        let collection = Collection::read(folder)?;
        let stage = setup.stage(None).await?;
        report.machine.look_at(&stage).await?;
        figures.collection = Some(quality(setup, &stage, &collection).await?);
        stage.stop().await?;
    }
    let counts = setup.settings.lesson_counts();
    if !counts.is_empty() {
        let stage = setup.stage(None).await?;
        report.machine.look_at(&stage).await?;
        figures.sizes = sizes(&stage, counts).await?;
        stage.stop().await?;
    }
    report.add(Scenario::Retrieval, &figures)
}

async fn quality(setup: &Setup, stage: &Stage, collection: &Collection) -> Result<Quality> {
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    tracing::info!(documents = collection.documents.len(), "importing the collection");
    let lines: Vec<Line> = collection.documents.iter().map(Line::of).collect();
    let refused = import(&mut connection, &lines).await?;
    stage.tidy().await?;
    let mut runs = String::new();
    let without = ranked(&mut connection, collection, "bm25", &mut runs).await?;
    let with = match &setup.settings.vectors {
        Some(file) => {
            embed(stage, file).await?;
            Some(ranked(&mut connection, collection, "vectors", &mut runs).await?)
        }
        None => None,
    };
    if let Some(file) = &setup.settings.run_file {
        let written = std::fs::write(file, runs);
        written.map_err(BenchError::system(format!("write {}", file.display())))?;
    }
    Ok(Quality {
        documents: lines.len(),
        refused,
        cut: lines.iter().filter(|line| line.cut).count(),
        queries: collection.queries.len(),
        without,
        with,
    })
}

/// Runs every query, and writes the rankings in the form of TREC.
async fn ranked(
    connection: &mut Connection,
    collection: &Collection,
    name: &str,
    runs: &mut String,
) -> Result<Ranked> {
    let documents: BTreeMap<Uuid, &str> =
        collection.documents.iter().map(|one| (id_of(&one.id), one.id.as_str())).collect();
    let mut latencies = Latencies::default();
    let mut all = Vec::with_capacity(collection.queries.len());
    for query in &collection.queries {
        let began = Instant::now();
        let found = search(connection, &query.text).await?;
        latencies.record_since(began);
        let mut ranking = Vec::with_capacity(found.len());
        for (rank, (id, score)) in found.iter().enumerate() {
            let Some(document) = documents.get(id) else { continue };
            let _ = writeln!(runs, "{} Q0 {document} {} {score} {name}", query.id, rank + 1);
            ranking.push((*document).to_owned());
        }
        let none = BTreeMap::new();
        let judged = collection.judgements.get(&query.id).unwrap_or(&none);
        all.push(measures::of(&ranking, judged));
    }
    Ok(Ranked { measures: measures::mean(&all), latency: latencies.summary() })
}

/// The first hundred lessons of a search with their scores, whatever the gate thinks of them.
async fn search(connection: &mut Connection, query: &str) -> Result<Vec<(Uuid, f64)>> {
    let states = ["active", "candidate", "quarantined"];
    let body = json!({"query": query, "limit": RESULTS, "states": states});
    let answer = connection.create("/v1/knowledge/search", &body).await?;
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    Ok(results.iter().filter_map(scored).collect())
}

/// A search as agents and people send it.
async fn usual_search(connection: &mut Connection, query: &str) -> Result<()> {
    connection.create("/v1/knowledge/search", &json!({"query": query})).await?;
    Ok(())
}

fn scored(result: &Value) -> Option<(Uuid, f64)> {
    let id = result["lesson"]["id"].as_str()?.parse().ok()?;
    Some((id, result["score"].as_f64()?))
}

/// Imports word vectors with the program's own command, and waits until every document has its vector.
async fn embed(stage: &Stage, file: &Path) -> Result<()> {
    let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
    let url = sqlx::ConnectOptions::to_url_lossy(stage.options()?);
    let status = tokio::process::Command::new(program)
        .args(["vectors", "import"])
        .arg(file)
        .env("DATABASE_URL", url.as_str())
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .map_err(BenchError::system("start `muster vectors import`"))?;
    if !status.success() {
        let text = format!("`muster vectors import {}` ended with {status}", file.display());
        return Err(BenchError::Impossible(text));
    }
    let mut database = stage.connect().await?;
    let deadline = Instant::now() + EMBEDDED_WITHIN;
    loop {
        let left = sqlx::query_scalar::<_, i64>("select count(*) from docs where vector is null");
        if left.fetch_one(&mut database).await? == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let text = "the documents did not get their vectors in time";
            return Err(BenchError::Impossible(text.to_owned()));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn sizes(stage: &Stage, wanted: &[u32]) -> Result<Vec<Size>> {
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    let mut texts = Synthetic::new(SEED);
    let (mut there, mut sizes) = (0_u32, Vec::new());
    for &lessons in wanted {
        let more = lessons.saturating_sub(there);
        tracing::info!(lessons, "importing lessons");
        let began = Instant::now();
        for from in (0..more).step_by(AT_ONCE) {
            let numbers = from..(from + AT_ONCE as u32).min(more);
            let documents = numbers.map(|number| texts.document((there + number) as usize));
            let lines: Vec<Line> = documents.map(|document| Line::of(&document)).collect();
            import(&mut connection, &lines).await?;
        }
        let imported_per_second = f64::from(more) / began.elapsed().as_secs_f64().max(1e-9);
        there = there.max(lessons);
        stage.tidy().await?;
        for _ in 0..WARMING {
            usual_search(&mut connection, &texts.query()).await?;
        }
        let mut latencies = Latencies::default();
        for _ in 0..TIMED {
            let query = texts.query();
            let began = Instant::now();
            usual_search(&mut connection, &query).await?;
            latencies.record_since(began);
        }
        sizes.push(Size { lessons, imported_per_second, latency: latencies.summary() });
    }
    Ok(sizes)
}

/// A document as a line of an import.
struct Line {
    text: String,
    /// Whether the body is shorter than the text of the document.
    cut: bool,
}

impl Line {
    /// A document without a title has the beginning of its text as one. A title that is too long begins the body.
    fn of(document: &Document) -> Self {
        let (title, text) = (clean(&document.title), clean(&document.text));
        let whole = if title.is_empty() { &text } else { &title };
        let short: String = whole.replace('\n', " ").chars().take(TITLE_CHARS).collect();
        let long = title.chars().count() > TITLE_CHARS;
        let body = match (text.is_empty(), long) {
            (true, _) => title.clone(),
            (false, true) => format!("{title}\n{text}"),
            (false, false) => text.clone(),
        };
        let kept = cut(&body, BODY_BYTES);
        let nameless = || format!("document {}", document.id);
        let title = if short.trim().is_empty() { nameless() } else { short };
        let content = if kept.trim().is_empty() { "-" } else { kept };
        let line =
            json!({"id": id_of(&document.id), "kind": "howto", "title": title, "body": content});
        Self { text: line.to_string(), cut: kept.len() < body.len() }
    }
}

/// Without the control characters that no request may have.
fn clean(text: &str) -> String {
    text.trim().replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ")
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The id of a document's lesson: the same in every run.
fn id_of(document: &str) -> Uuid {
    let hash = Sha256::digest(document.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Imports documents; returns how many were refused.
async fn import(connection: &mut Connection, lines: &[Line]) -> Result<usize> {
    let mut refused = 0;
    for some in lines.chunks(AT_ONCE) {
        let body = some.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
        let path = "/v1/lessons/import?state=active";
        let answer = connection.post_lines(path, body).await?;
        let answer = answer.accepted(&format!("POST {path}"))?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        refused += answer["refused"].as_array().map_or(0, Vec::len);
    }
    Ok(refused)
}

impl Figures for RetrievalReport {
    fn grids(&self) -> Vec<Grid> {
        let mut grids = Vec::new();
        if let Some(quality) = &self.collection {
            let title = format!(
                "Rankings of {} documents ({} refused, {} cut) for {} queries",
                quality.documents, quality.refused, quality.cut, quality.queries
            );
            let header = ["", "nDCG@10", "MAP", "R@100", "p50 ms", "p95 ms"];
            let rows = [("BM25", Some(quality.without)), ("with word vectors", quality.with)];
            let rows = rows.into_iter().filter_map(|(name, run)| Some(quality_row(name, run?)));
            grids.push(Grid::new(title, header, rows));
        }
        if !self.sizes.is_empty() {
            let header = ["lessons", "imported/s", "p50 ms", "p95 ms", "p99 ms", "max ms"];
            grids.push(Grid::new(
                format!("Searches of 5 to 30 words, {TIMED} one after the other"),
                header,
                self.sizes.iter().map(|size| {
                    let Summary { p50_ms, p95_ms, p99_ms, max_ms, .. } = size.latency;
                    let figures = [size.imported_per_second, p50_ms, p95_ms, p99_ms, max_ms];
                    let figures = figures.map(figure).into_iter();
                    std::iter::once(size.lessons.to_string()).chain(figures).collect()
                }),
            ));
        }
        grids
    }

    fn results(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(quality) = &self.collection {
            let ndcg = |run: &Ranked| run.measures.ndcg_10;
            let what = "nDCG@10 of BM25";
            found.push(Finding::one("retrieval_ndcg_10", what, ndcg(&quality.without), ""));
            if let Some(with) = &quality.with {
                let what = "nDCG@10 with word vectors";
                found.push(Finding::one("retrieval_ndcg_10_vectors", what, ndcg(with), ""));
            }
        }
        for size in &self.sizes {
            let name = format!("retrieval_p95_ms_{}", size.lessons);
            let what = format!("p95 of a search among {} lessons", size.lessons);
            found.push(Finding::one(&name, what, size.latency.p95_ms, "ms"));
        }
        found
    }
}

fn quality_row(name: &str, run: Ranked) -> Vec<String> {
    let Measures { ndcg_10, map, recall_100 } = run.measures;
    let measures = [ndcg_10, map, recall_100].map(|figure| format!("{figure:.4}"));
    let times = [run.latency.p50_ms, run.latency.p95_ms].map(figure);
    std::iter::once(name.to_owned()).chain(measures).chain(times).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_any_shape_are_lessons() {
        let long = "é".repeat(20_000);
        for (title, text) in
            [("", "x"), ("t", ""), ("", ""), (long.as_str(), "x"), ("t", long.as_str())]
        {
            let document =
                Document { id: "d".to_owned(), title: title.to_owned(), text: text.to_owned() };
            let line = Line::of(&document);
            let read: Value = serde_json::from_str(&line.text).unwrap();
            let (title, body) = (read["title"].as_str().unwrap(), read["body"].as_str().unwrap());
            assert!(!title.trim().is_empty() && title.chars().count() <= TITLE_CHARS);
            assert!(!body.trim().is_empty() && body.len() <= BODY_BYTES);
            assert_eq!(line.cut, text == long || document.title == long);
        }
        assert_eq!(id_of("d"), id_of("d"));
        assert_ne!(id_of("d"), id_of("e"));
    }
}
