//! Search: the lessons that share terms with a query, by BM25.
//!
//! The database serves the packed postings of the terms on the shelves that the caller may see; [`bm25`] adds them up,
//! exactly. Filters apply before: documents, their mean length and the number that has each term are counted over the
//! same entries that are ranked, those of lessons that pass.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{GoalId, LessonId, ProjectId, TaskId},
        knowledge::{
            LessonState, Trust,
            bm25::{self, Passing, ROSTER, Ranking, Row},
            identifiers::Expanded,
            spelling,
        },
    },
    store::{Tx, traced},
};

/// The terms of a query, in order of the alphabet.
pub async fn terms(tx: &mut Tx, query: &Expanded, most: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        with words as (
            select lexeme as term, coalesce(positions[1], 1)::int as place
            from unnest(to_tsvector('english', $1))
            union all
            select whole, 0 from unnest($2::text[]) as w (whole)
        ),
        -- Of a long query the first words count.
        first as (
            select term from words
            where octet_length(term) between 1 and 2046
            group by term
            order by min(place), term
            limit $3
        )
        select term as "term!" from first order by term
        "#,
        query.text,
        &query.wholes,
        most,
    )
    .fetch_all(traced!(tx, "knowledge.search.terms"))
    .await
}

/// Which lessons of the shelves are searched.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Of these kinds; empty: of any.
    pub kinds: Vec<String>,
    /// With these outcomes; empty: with any or none.
    pub outcomes: Vec<String>,
    /// In none of these withheld states.
    pub without: Vec<String>,
    /// With one of these capabilities; empty: with any.
    pub capabilities: Vec<String>,
    /// Learned at this time or later.
    pub learned_after: Option<DateTime<Utc>>,
    /// Learned before this time.
    pub learned_before: Option<DateTime<Utc>>,
    /// Not the lessons of this task.
    pub except_task: Option<TaskId>,
}

impl Filter {
    /// Whether every lesson passes, but those that are named as left out.
    fn is_open(&self) -> bool {
        let Self {
            project,
            kinds,
            outcomes,
            capabilities,
            learned_after,
            learned_before,
            without: _,
            except_task: _,
        } = self;
        project.is_none()
            && kinds.is_empty()
            && outcomes.is_empty()
            && capabilities.is_empty()
            && learned_after.is_none()
            && learned_before.is_none()
    }
}

/// A document that shares terms with the query.
#[derive(Debug, Clone)]
pub struct Match {
    /// Its number.
    pub doc: i64,
    /// Its score.
    pub score: f64,
    /// Terms of the query that its title has.
    pub title_hits: i64,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// Number of documents that were ranked or had none of the terms.
    pub documents: i64,
    /// Terms that some document of the shelves has, whether it passes or not, in order of the alphabet.
    pub found: Vec<String>,
    /// The best documents, best first.
    pub best: Vec<Match>,
}

/// A wanted term: its text, and the factor of its weight.
pub type Wanted = (String, f64);

/// The best `most` documents on these shelves, among the lessons that pass a filter.
pub async fn bm25(
    tx: &mut Tx,
    wanted: &[Wanted],
    shelves: &[i32],
    filter: &Filter,
    most: usize,
) -> sqlx::Result<Matches> {
    let Ranking { documents, first, frequencies, matches: _ } =
        ranked(tx, wanted, shelves, filter, most).await?;
    let hits = title_hits(tx, &first, wanted).await?;
    let best = first.into_iter().map(|(doc, score)| Match {
        doc,
        score,
        title_hits: hits.get(&doc).copied().unwrap_or_default(),
    });
    Ok(Matches {
        documents: i64::try_from(documents).unwrap_or(i64::MAX),
        best: best.collect(),
        found: frequencies.into_keys().collect(),
    })
}

async fn ranked(
    tx: &mut Tx,
    wanted: &[Wanted],
    shelves: &[i32],
    filter: &Filter,
    most: usize,
) -> sqlx::Result<Ranking> {
    let rows = postings(tx, wanted, shelves).await?;
    if rows.is_empty() {
        return Ok(Ranking::default());
    }
    let only = match filter.is_open() {
        true => None,
        false => Some(passing(tx, filter).await?),
    };
    let passing = Passing::new(only.as_deref(), &left_out(tx, filter).await?);
    let factors: BTreeMap<String, f64> = wanted.iter().cloned().collect();
    Ok(bm25::rank(rows, &factors, &passing, most))
}

/// The postings of terms on shelves, with the roster.
async fn postings(tx: &mut Tx, wanted: &[Wanted], shelves: &[i32]) -> sqlx::Result<Vec<Row>> {
    let mut terms: Vec<String> = wanted.iter().map(|(term, _)| term.clone()).collect();
    terms.push(ROSTER.to_owned());
    sqlx::query_as!(
        Row,
        "select term, block, entries from postings
         where workspace_id = $1 and term = any($2) and shelf = any($3)",
        tx.workspace.0,
        &terms,
        shelves,
    )
    .fetch_all(traced!(tx, "knowledge.search.postings"))
    .await
}

/// Numbers of the documents of lessons that pass a filter, on whatever shelf.
async fn passing(tx: &mut Tx, filter: &Filter) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select coalesce(array_agg(doc), '{}') as "docs!" from lessons
           where workspace_id = $1 and doc is not null
             and ($2::uuid is null or project_id = $2)
             and (cardinality($3::text[]) = 0 or kind = any($3))
             and (cardinality($4::text[]) = 0 or outcome = any($4))
             and (cardinality($5::text[]) = 0 or capabilities && $5)
             and ($6::timestamptz is null or learned_at >= $6)
             and ($7::timestamptz is null or learned_at < $7)"#,
        tx.workspace.0,
        filter.project.map(|id| id.0),
        &filter.kinds,
        &filter.outcomes,
        &filter.capabilities,
        filter.learned_after,
        filter.learned_before,
    )
    .fetch_one(traced!(tx, "knowledge.search.passing"))
    .await
}

/// Numbers of the documents of lessons that a filter leaves out by name: few among many that pass.
async fn left_out(tx: &mut Tx, filter: &Filter) -> sqlx::Result<Vec<i64>> {
    if filter.without.is_empty() && filter.except_task.is_none() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"select doc as "doc!" from lessons
           where workspace_id = $1 and doc is not null
             and state in ('quarantined', 'archived', 'superseded') and state = any($2)
           union all
           select doc from lessons
           where workspace_id = $1 and doc is not null and source_task = $3"#,
        tx.workspace.0,
        &filter.without,
        filter.except_task.map(|task| task.0),
    )
    .fetch_all(traced!(tx, "knowledge.search.left_out"))
    .await
}

/// How many of the terms the title of each document has.
async fn title_hits(
    tx: &mut Tx,
    best: &[(i64, f64)],
    wanted: &[Wanted],
) -> sqlx::Result<BTreeMap<i64, i64>> {
    let rows = sqlx::query!(
        r#"select doc, (select count(*) from unnest(terms[1:title_terms]) as t (term)
                        where t.term = any($3)) as "hits!"
           from docs
           where workspace_id = $1 and doc = any($2)"#,
        tx.workspace.0,
        &best.iter().map(|(doc, _)| *doc).collect::<Vec<_>>(),
        &wanted.iter().map(|(term, _)| term.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.search.title_hits"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.doc, row.hits)).collect())
}

/// What the rank of a document depends on beside its terms.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct Standing {
    pub doc: i64,
    pub lesson_id: LessonId,
    pub title_terms: i32,
    pub vector_of: Option<String>,
    pub vector: Option<Vec<u8>>,
    pub project_id: Option<ProjectId>,
    pub cluster_id: LessonId,
    pub state: LessonState,
    pub trust: Trust,
    pub helpful: i32,
    pub harmful: i32,
    pub irrelevant: i32,
    pub unused: i32,
    pub since: DateTime<Utc>,
}

/// What is known of documents.
pub async fn standings(tx: &mut Tx, docs: &[i64]) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"select d.doc, d.lesson_id as "lesson_id: LessonId", d.title_terms, d.vector_of,
                  d.vector,
                  l.project_id as "project_id: ProjectId", l.cluster_id as "cluster_id: LessonId",
                  l.state as "state: LessonState", l.trust as "trust: Trust", l.helpful, l.harmful,
                  l.irrelevant, l.unused,
                  greatest(l.learned_at, l.confirmed_at) as "since!"
           from docs d
           join lessons l on l.workspace_id = $1 and l.lesson_id = d.lesson_id
           where d.workspace_id = $1 and d.doc = any($2)"#,
        tx.workspace.0,
        docs,
    )
    .fetch_all(traced!(tx, "knowledge.search.standings"))
    .await
}

/// A term that resembles a word.
#[derive(Debug, Clone)]
pub struct Resembling {
    /// The word.
    pub word: String,
    /// The term.
    pub term: String,
}

/// Terms that start like a word, are about as long and share a third of its trigrams: of the first hundred of each word,
/// the first twenty that documents on these shelves have. `grams` are pairs of a word and one of its keys.
pub async fn resembling(
    tx: &mut Tx,
    grams: &[(String, String)],
    shelves: &[i32],
) -> sqlx::Result<Vec<Resembling>> {
    sqlx::query_as!(
        Resembling,
        r#"
        with asked as materialized (
            select word, gram, count(*) over (partition by word) as all_grams
            from unnest($2::text[], $3::text[]) as a (word, gram)
        ),
        shared as materialized (
            select a.word, g.term, count(*) as shared, min(a.all_grams) as all_grams
            from asked a
            join word_grams g on g.workspace_id = $1 and g.gram = a.gram
            where abs(length(g.term) - length(a.word)) <= $5
            group by a.word, g.term
        ),
        ranked as materialized (
            select s.word, s.term,
                   row_number() over (partition by s.word
                                      order by s.shared desc, abs(length(s.term) - length(s.word)), s.term) as place
            from shared s
            -- One more trigram is shared by all: that of the first letter.
            where (s.shared + 1) * 3 >= s.all_grams + 1
        ),
        -- Looked up behind the order: most terms that share something are never asked for.
        there as materialized (
            select r.word, r.term,
                   row_number() over (partition by r.word order by r.place) as place
            from ranked r
            where r.place <= 100
              and exists (select from postings p
                          where p.workspace_id = $1 and p.term = r.term and p.shelf = any($4))
        )
        select word as "word!", term as "term!" from there where place <= 20 order by word, place
        "#,
        tx.workspace.0,
        &grams.iter().map(|(word, _)| word.clone()).collect::<Vec<_>>(),
        &grams.iter().map(|(_, gram)| gram.clone()).collect::<Vec<_>>(),
        shelves,
        spelling::EDITS,
    )
    .fetch_all(traced!(tx, "knowledge.search.resembling"))
    .await
}

/// Numbers of lessons by state among the best `most` matches on these shelves.
pub async fn by_state(
    tx: &mut Tx,
    wanted: &[Wanted],
    shelves: &[i32],
    filter: &Filter,
    most: usize,
) -> sqlx::Result<Vec<(LessonState, i64)>> {
    let matches = ranked(tx, wanted, shelves, filter, most).await?;
    if matches.first.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select l.state as "state: LessonState", count(*) as "count!"
           from docs d
           join lessons l on l.workspace_id = $1 and l.lesson_id = d.lesson_id
           where d.workspace_id = $1 and d.doc = any($2)
           group by l.state
           order by l.state"#,
        tx.workspace.0,
        &matches.first.iter().map(|(doc, _)| *doc).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.search.by_state"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}

/// What a task is about.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct TaskText {
    pub goal_id: GoalId,
    pub project_id: Option<ProjectId>,
    pub title: String,
    pub description: String,
}

/// What a task is about; `None`: there is no such task.
pub async fn task_text(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<TaskText>> {
    sqlx::query_as!(
        TaskText,
        r#"select t.goal_id as "goal_id: GoalId", g.project_id as "project_id: ProjectId", x.title,
                  x.description
           from tasks t
           join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
           where t.workspace_id = $1 and t.task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "knowledge.search.task_text"))
    .await
}
