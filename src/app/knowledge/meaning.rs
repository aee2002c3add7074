//! Vectors: what lessons and queries are about, beside their words.
//!
//! Off until an operator imports a table of static word vectors into the workspace, or the service is given an endpoint
//! for embeddings. The table of the workspace goes first, because somebody chose it for just this workspace. The text
//! of a lesson is turned into a vector behind the commit, by the duty `embed_lessons`; that of a query before any
//! transaction begins. A query without a vector, because the endpoint is silent, is ranked by its words alone.
//!
//! Tables are kept in memory, parsed, for the few workspaces that used one last.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::pieces::{self, Text};
use crate::{
    app::{App, Error, Result, caller::Actor},
    clock::Stopwatch,
    domain::{
        ids::WorkspaceId,
        journal::{Kind, NewRow},
        knowledge::{embedding, vectors::Table},
        planning::model::{ErrorKind, ModelError},
    },
    store::{self, knowledge::vectors::Undirected},
};

/// Longest wait for the vector of a query.
const QUERY_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for the vectors of a batch of lessons.
const LESSONS_WITHIN: Duration = Duration::from_secs(30);
/// Lessons per batch with word vectors.
const BATCH_OF_TABLE: i64 = 200;
/// Lessons per request to an endpoint.
const BATCH_OF_MODEL: i64 = 32;
/// Characters of a text that an endpoint is given.
const MODEL_CHARS: usize = 8_000;
/// Time after which a batch that fails is not tried in smaller pieces.
const HALVING: Duration = Duration::from_secs(60);
/// Time after which a run of the duty begins no further batch.
const RUN: Duration = Duration::from_millis(300);
/// Tables kept in memory.
const TABLES: usize = 8;

/// A service that turns texts into vectors.
pub trait Embedder: fmt::Debug + Send + Sync {
    /// Name of the model, as in its settings. Vectors of different models are never compared.
    fn model(&self) -> &str;
    /// The vectors of texts, in their order, all of one length. Holds no connection while it waits.
    ///
    /// # Errors
    /// Why there is no answer; it has no secret.
    fn embed<'a>(
        &'a self,
        texts: &'a [String],
    ) -> BoxFuture<'a, std::result::Result<Vec<Vec<f32>>, ModelError>>;
}

/// Parsed tables of the workspaces that used one last, the latest last.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct Tables(Arc<Mutex<Vec<Kept>>>);

#[derive(Debug)]
struct Kept {
    workspace: WorkspaceId,
    imported_at: DateTime<Utc>,
    table: Arc<Table>,
}

impl Tables {
    fn get(&self, workspace: WorkspaceId, imported_at: DateTime<Utc>) -> Option<Arc<Table>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept
            .iter()
            .position(|one| one.workspace == workspace && one.imported_at == imported_at)?;
        let one = kept.remove(place);
        let table = one.table.clone();
        kept.push(one);
        Some(table)
    }

    fn keep(&self, workspace: WorkspaceId, imported_at: DateTime<Utc>, table: &Arc<Table>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.workspace != workspace);
        if kept.len() >= TABLES {
            kept.remove(0);
        }
        kept.push(Kept { workspace, imported_at, table: table.clone() });
    }
}

/// What makes the vectors of a workspace.
#[derive(Debug, Clone)]
enum Maker {
    Words { name: String, table: Arc<Table> },
    Model { name: String, embedder: Arc<dyn Embedder> },
}

impl Maker {
    fn name(&self) -> &str {
        match self {
            Self::Words { name, .. } | Self::Model { name, .. } => name,
        }
    }

    fn batch(&self) -> i64 {
        match self {
            Self::Words { .. } => BATCH_OF_TABLE,
            Self::Model { .. } => BATCH_OF_MODEL,
        }
    }

    /// The vectors of texts; of one without known words, none.
    async fn vectors(
        &self,
        texts: Vec<String>,
        within: Duration,
    ) -> std::result::Result<Vec<Option<Vec<i8>>>, ModelError> {
        match self {
            Self::Words { table, .. } => {
                let table = table.clone();
                let embed = move || {
                    texts.iter().map(|text| table.embed(text).map(Vec::from)).collect::<Vec<_>>()
                };
                let made = tokio::task::spawn_blocking(embed).await;
                made.map_err(|error| ModelError::new(ErrorKind::Unreadable, error.to_string()))
            }
            Self::Model { embedder, .. } => {
                let texts: Vec<String> = texts
                    .into_iter()
                    .map(|text| text.chars().take(MODEL_CHARS).collect())
                    .collect();
                let asked = tokio::time::timeout(within, embedder.embed(&texts)).await;
                let late = format!("no answer within {within:?}");
                let vectors = asked.map_err(|_| ModelError::new(ErrorKind::Timeout, late))??;
                if vectors.len() != texts.len() {
                    let detail = format!("{} vectors for {} texts", vectors.len(), texts.len());
                    return Err(ModelError::new(ErrorKind::Unreadable, detail));
                }
                Ok(vectors.iter().map(|vector| embedding::quantised(vector)).collect())
            }
        }
    }

    /// Whether it makes a vector of anything.
    async fn takes_a_word(&self) -> bool {
        self.vectors(vec!["word".to_owned()], QUERY_WITHIN).await.is_ok()
    }
}

/// The vector of a query.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Direction {
    /// What made it.
    pub maker: String,
    /// One signed byte per dimension.
    pub vector: Vec<i8>,
}

/// What of a query is compared.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) enum Sought {
    /// Its words: the workspace has no vectors, or none for the query.
    Words,
    /// Its words, because the endpoint did not answer: why.
    WordsOnly(String),
    /// Its words and its vector.
    WordsAndVector(Direction),
}

impl Sought {
    /// The vector.
    pub(in crate::app) fn direction(&self) -> Option<&Direction> {
        match self {
            Self::Words | Self::WordsOnly(_) => None,
            Self::WordsAndVector(direction) => Some(direction),
        }
    }
}

/// What a run of the duty did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::app) struct Embedded {
    /// Documents that got a vector, or for which none can be made.
    pub done: u64,
    /// Whether more is left.
    pub left: bool,
    /// Why the endpoint gave no vectors.
    pub failure: Option<String>,
}

impl App {
    /// The same app with an endpoint for embeddings.
    #[must_use]
    pub fn with_embedder(self, embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder: Some(embedder), ..self }
    }

    /// Gives the workspace a table of word vectors in place of the one it has, and every lesson its vector by it.
    /// Returns the number of these lessons. `name`: what it came from, for people.
    ///
    /// # Errors
    /// If the database fails. What was stored then stays, and the duty does the rest.
    pub async fn import_vectors(
        &self,
        workspace: WorkspaceId,
        name: &str,
        table: &Table,
    ) -> Result<u64> {
        let bytes = table.to_bytes();
        let mut unit = self.begin(workspace, Actor::default()).await?;
        store::knowledge::vectors::set(unit.tx(), name, &bytes).await?;
        let row = NewRow::new(Kind::VectorsImported);
        unit.record(row.data(json!({"model": name, "bytes": bytes.len()})));
        self.commit(unit).await?;
        let mut done = 0;
        loop {
            let some = self.embed_lessons(workspace).await?;
            done += some.done;
            if let Some(failure) = some.failure {
                return Err(Error::Unavailable(failure));
            }
            if !some.left {
                return Ok(done);
            }
        }
    }

    /// Removes the word vectors of the workspace, and ranks by words alone. Returns whether it had some.
    ///
    /// # Errors
    /// If the database fails; nothing is changed then.
    pub async fn remove_vectors(&self, workspace: WorkspaceId) -> Result<bool> {
        let mut unit = self.begin(workspace, Actor::default()).await?;
        let removed = store::knowledge::vectors::remove(unit.tx()).await?;
        if removed {
            unit.record(NewRow::new(Kind::VectorsRemoved));
        }
        self.commit(unit).await?;
        Ok(removed)
    }

    /// What makes vectors here; `None`: nothing does.
    async fn maker(&self, workspace: WorkspaceId) -> Result<Option<Maker>> {
        let mut tx = self.reader(workspace).await?;
        let Some(head) = store::knowledge::vectors::head(&mut tx).await? else {
            return Ok(self.embedder.clone().map(|embedder| Maker::Model {
                name: format!("model {}", embedder.model()),
                embedder,
            }));
        };
        let name = format!("words {} {}", head.imported_at.timestamp_micros(), head.model);
        if let Some(table) = self.tables.get(workspace, head.imported_at) {
            return Ok(Some(Maker::Words { name, table }));
        }
        let bytes = store::knowledge::vectors::table(&mut tx, head.imported_at).await?;
        drop(tx);
        // Another import came between: its table is there next time.
        let Some(bytes) = bytes else { return Ok(None) };
        let parsed = tokio::task::spawn_blocking(move || Table::from_bytes(&bytes)).await;
        let parsed = parsed.map_err(|error| Error::Unavailable(error.to_string()))?;
        let table = Arc::new(parsed.map_err(|fault| Error::Corrupt(fault.to_string()))?);
        self.tables.keep(workspace, head.imported_at, &table);
        Ok(Some(Maker::Words { name, table }))
    }

    /// The vector of a query. Nothing waits meanwhile: no transaction is open.
    ///
    /// # Errors
    /// If the database fails. An endpoint that fails is no error.
    pub(in crate::app) async fn seek(&self, workspace: WorkspaceId, query: &str) -> Result<Sought> {
        let Some(maker) = self.maker(workspace).await? else { return Ok(Sought::Words) };
        let made = maker.vectors(vec![query.to_owned()], QUERY_WITHIN).await;
        Ok(match made.map(|mut vectors| vectors.pop().flatten()) {
            Ok(Some(vector)) => {
                Sought::WordsAndVector(Direction { maker: maker.name().to_owned(), vector })
            }
            Ok(None) => Sought::Words,
            Err(error) => {
                tracing::warn!(model = maker.name(), %error, "a query was ranked without a vector");
                Sought::WordsOnly(error.to_string())
            }
        })
    }

    /// Gives lessons their vectors, for a moment.
    pub(in crate::app) async fn embed_lessons(&self, workspace: WorkspaceId) -> Result<Embedded> {
        let mut all = Embedded::default();
        let Some(maker) = self.maker(workspace).await? else { return Ok(all) };
        let began = Stopwatch::start();
        loop {
            let mut tx = self.reader(workspace).await?;
            let some =
                store::knowledge::vectors::undirected(&mut tx, maker.name(), maker.batch()).await?;
            drop(tx);
            all.left = i64::try_from(some.len()).is_ok_and(|count| count >= maker.batch());
            if some.is_empty() {
                return Ok(all);
            }
            let texts = some.into_iter().map(|Undirected { doc, title, body }| Text {
                doc,
                text: format!("{title}\n{body}"),
            });
            if let Err(failure) =
                self.embed_batch(workspace, &maker, texts.collect(), &mut all).await?
            {
                all.left = true;
                all.failure = Some(failure.to_string());
                return Ok(all);
            }
            if !all.left || began.elapsed() >= RUN {
                return Ok(all);
            }
        }
    }

    /// Gives a batch of lessons their vectors, in pieces that the maker takes. What was made before a failure is stored.
    async fn embed_batch(
        &self,
        workspace: WorkspaceId,
        maker: &Maker,
        batch: Vec<Text>,
        all: &mut Embedded,
    ) -> Result<std::result::Result<(), ModelError>> {
        let began = Stopwatch::start();
        let mut pieces = vec![batch];
        while let Some(piece) = pieces.pop() {
            let texts = piece.iter().map(|one| one.text.clone()).collect();
            let made: Vec<(i64, Option<Vec<u8>>)> = match maker.vectors(texts, LESSONS_WITHIN).await
            {
                Ok(vectors) => {
                    let vectors = vectors.iter().map(|vector| vector.as_deref().map(to_bytes));
                    piece.iter().map(|one| one.doc).zip(vectors).collect()
                }
                Err(failure) if began.elapsed() >= HALVING => return Ok(Err(failure)),
                Err(failure) => match pieces::after(piece, failure.kind) {
                    pieces::Next::Smaller(some) => {
                        pieces.extend(some.into_iter().rev());
                        continue;
                    }
                    pieces::Next::Unfit(doc) if maker.takes_a_word().await => vec![(doc, None)],
                    pieces::Next::Unfit(_) | pieces::Next::GiveUp => return Ok(Err(failure)),
                },
            };
            let mut tx = self.transaction(workspace).await?;
            all.done += store::knowledge::vectors::direct(&mut tx, maker.name(), &made).await?;
            tx.commit().await?;
        }
        Ok(Ok(()))
    }
}

fn to_bytes(vector: &[i8]) -> Vec<u8> {
    vector.iter().map(|part| part.cast_unsigned()).collect()
}

/// A stored vector.
pub(in crate::app) fn from_bytes(stored: &[u8]) -> Vec<i8> {
    stored.iter().map(|part| part.cast_signed()).collect()
}
