//! Search: lessons by their words, and by what else is known of them.
//!
//! Any text is a query. Its words are joined by "or"; a word that no lesson has stands for those that it resembles. The
//! order is BM25 among the lessons that the caller may see and that pass the filters, then what
//! [`crate::domain::knowledge::rank`] says.
//!
//! Decisions:
//! - The tail of the journal is captured first, so a search finds what was committed before it.
//! - Without states in the request, active lessons and candidates are searched; others only by people who name them. The
//!   answer says how many of the others have words of the query, by state.
//! - The text of an import, and of a lesson in quarantine, is quoted line by line: a program that hands
//!   the answer to a model hands over a quotation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    meaning::{Sought, from_bytes},
    read,
    sight::Sight,
    views::Lesson,
};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        check::Checks,
        ids::{LessonId, ProjectId},
        knowledge::{
            LessonKind, LessonState, Outcome, bounds, identifiers,
            rank::{self, Candidate, Explanation},
            shelf::Group,
            spelling, vectors,
        },
        refusal::Refusal,
        span::{Ends, Span},
        words::Words as _,
    },
    store::{
        self, Tx,
        knowledge::search::{Filter, Match, Matches, Standing, Wanted},
    },
};

/// Results that are ranked beyond BM25, at least.
const RANKED: usize = rank::RERANKED;
/// Words of a query that are corrected, at most.
const CORRECTED: usize = 5;
/// Held back lessons that are counted, at most.
const COUNTED: usize = 1_000;
/// Days in which a lesson grows one day older.
const SECONDS_OF_DAY: f64 = 86_400.0;

/// A search.
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// What to look for: words, identifiers, an error message, the text of a task. At most 10,000 characters; the first
    /// 200 different words count. No character has a special meaning.
    #[schema(example = "flaky importer test time zone")]
    pub query: String,
    /// Most results.
    #[serde(default = "ten")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: u32,
    /// Whether each result says how its score came about.
    #[serde(default)]
    pub explain: bool,
    /// Only lessons of this project.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Only lessons of these kinds. Default: all.
    #[serde(default)]
    pub kinds: Vec<LessonKind>,
    /// Only lessons whose source task ended so. Default: all, also without a task.
    #[serde(default)]
    pub outcomes: Vec<Outcome>,
    /// Only lessons in these states. Default: active and candidate. Agents get no others.
    #[serde(default)]
    pub states: Vec<LessonState>,
    /// Only lessons with one of these capabilities. Default: all.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Only lessons learned at this time or later.
    #[serde(default)]
    pub learned_after: Option<DateTime<Utc>>,
    /// Only lessons learned before this time.
    #[serde(default)]
    pub learned_before: Option<DateTime<Utc>>,
}

fn ten() -> u32 {
    10
}

impl SearchRequest {
    fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let fits = self.query.chars().count() <= bounds::QUERY_CHARS;
        checks.ensure(fits, "/query", "must have at most 10,000 characters");
        let within = (1..=bounds::RESULTS).contains(&self.limit);
        checks.ensure(within, "/limit", "must be from 1 to 100");
        checks.count("/capabilities", self.capabilities.len(), 100);
        let times = Span { from: self.learned_after, to: self.learned_before };
        times.check(&mut checks, Ends("/learned_after", "/learned_before"));
        checks.finish()
    }

    fn filter(&self) -> Filter {
        Filter {
            project: self.project_id,
            kinds: self.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            outcomes: self.outcomes.iter().map(|outcome| outcome.as_str().to_owned()).collect(),
            without: Vec::new(),
            capabilities: self.capabilities.clone(),
            learned_after: self.learned_after,
            learned_before: self.learned_before,
            except_task: None,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchAnswer {
    /// Lessons with at least one of the words, best first.
    pub results: Vec<SearchResult>,
    /// Number of lessons that were searched: those that the caller sees and that pass the filters.
    pub documents: u64,
    /// Lessons with words of the query that were held back, by state; at most 1,000 are counted.
    #[schema(example = json!({"quarantined": 1}))]
    pub held_back: BTreeMap<String, u64>,
    /// Words that no lesson has, with the words that stood for them.
    pub corrected: Vec<Correction>,
    /// What the order followed from.
    pub ranked_by: RankedBy,
}

/// What the order of results followed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RankedBy {
    /// Words: no vectors are set up, or none for this query.
    Words,
    /// Words and vectors.
    WordsAndVectors,
    /// Words alone, because the endpoint for embeddings did not answer in time.
    VectorsUnavailable,
}

impl From<&Sought> for RankedBy {
    fn from(sought: &Sought) -> Self {
        match sought {
            Sought::Words => Self::Words,
            Sought::WordsOnly(_) => Self::VectorsUnavailable,
            Sought::WordsAndVector(_) => Self::WordsAndVectors,
        }
    }
}

/// A lesson that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchResult {
    /// The lesson. If `flags` has `quoted`, each line of its title and body starts with `> `.
    pub lesson: Lesson,
    /// Its score. Scores of different searches do not compare.
    pub score: f64,
    /// What to know before using it.
    pub flags: Vec<LessonFlag>,
    /// Lessons that say the opposite, as far as the caller sees them.
    pub contradicted_by: Vec<LessonTitle>,
    /// How the score came about; `null` unless `explain` asks for it.
    pub explanation: Option<Explanation>,
}

/// What to know of a lesson before using it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LessonFlag {
    /// Its source is not verified.
    Unverified,
    /// It came from outside of this workspace.
    External,
    /// It is kept away from agents: it holds orders, or agents found it harmful.
    Quarantined,
    /// A person put it away.
    Archived,
    /// Another lesson replaced it.
    Superseded,
    /// Another lesson says the opposite.
    Contradicted,
    /// Its text is given as a quotation.
    Quoted,
}

/// A lesson, by id and title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonTitle {
    /// Id of the lesson.
    pub id: LessonId,
    /// Its title.
    pub title: String,
}

/// A word that no lesson has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Correction {
    /// The word of the query, as it is indexed: without its ending.
    #[schema(example = "migratoin")]
    pub word: String,
    /// The words that it resembles, the most similar first.
    #[schema(example = json!(["migrat"]))]
    pub to: Vec<String>,
}

/// What is searched for.
#[derive(Debug, Clone)]
pub(in crate::app) struct Asked<'a> {
    /// The text.
    pub text: &'a str,
    /// States of lessons.
    pub states: Vec<LessonState>,
    /// Which of them.
    pub filter: Filter,
    /// Whose lessons go first, of those that are otherwise equal.
    pub project: Option<ProjectId>,
    /// Most results.
    pub limit: usize,
    /// What of the text is compared.
    pub sought: &'a Sought,
}

impl<'a> Asked<'a> {
    /// A search for usable lessons by words alone.
    pub(in crate::app) fn new(text: &'a str, limit: usize) -> Self {
        Self {
            text,
            states: USABLE.to_vec(),
            filter: Filter::default(),
            project: None,
            limit,
            sought: &Sought::Words,
        }
    }
}

/// The states that agents work with.
pub(in crate::app) const USABLE: [LessonState; 2] = [LessonState::Active, LessonState::Candidate];

/// A lesson that was found.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Hit {
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its cluster of duplicates.
    pub cluster_id: LessonId,
    /// How its score came about.
    pub explanation: Explanation,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::app) struct Found {
    /// Lessons, best first.
    pub hits: Vec<Hit>,
    /// Number of lessons that were searched.
    pub documents: u64,
    /// Lessons with words of the query that were held back, by state.
    pub held_back: BTreeMap<String, u64>,
    /// Words that no lesson has.
    pub corrected: Vec<Correction>,
}

impl App {
    /// Searches the lessons that the caller sees.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn search_lessons(
        &self,
        caller: &ProjectReaderCaller,
        request: &SearchRequest,
    ) -> Result<SearchAnswer> {
        request.check()?;
        let principal = caller.principal();
        let workspace = principal.workspace;
        self.capture_before_search(workspace).await;
        let sought = self.seek(workspace, &request.query).await?;
        let mut tx = self.reader(workspace).await?;
        let sight = Sight::of(&mut tx, principal).await?;
        let states = match request.states.as_slice() {
            [] => USABLE.to_vec(),
            named => named.to_vec(),
        };
        let asked = Asked {
            text: &request.query,
            states,
            filter: request.filter(),
            project: request.project_id,
            limit: usize::try_from(request.limit).unwrap_or(1),
            sought: &sought,
        };
        let found = find(&mut tx, &sight, &asked).await?;
        let results = results(&mut tx, &sight, &found.hits, request.explain).await?;
        Ok(SearchAnswer {
            results,
            documents: found.documents,
            held_back: found.held_back,
            corrected: found.corrected,
            ranked_by: RankedBy::from(&sought),
        })
    }

    /// Captures what ended before. A failure is logged: the search goes on with what is captured.
    pub(in crate::app) async fn capture_before_search(
        &self,
        workspace: crate::domain::ids::WorkspaceId,
    ) {
        if let Err(error) = self.capture_tail(workspace).await {
            tracing::warn!(%workspace, %error, "a search runs without the tail of the journal");
        }
    }
}

/// Searches what `sight` has.
pub(in crate::app) async fn find(tx: &mut Tx, sight: &Sight, asked: &Asked<'_>) -> Result<Found> {
    let text: String = asked.text.chars().take(bounds::QUERY_CHARS).collect();
    let expanded = identifiers::expand(&text);
    let most = i64::try_from(bounds::QUERY_WORDS).unwrap_or(i64::MAX);
    let terms = store::knowledge::search::terms(tx, &expanded, most).await?;
    let mut wanted: Vec<Wanted> = terms.into_iter().map(|term| (term, 1.0)).collect();
    let query_terms = wanted.len();
    let shelves = sight.shelves(tx, &asked.states).await?;
    let filter = filter_of(asked);
    let limit = asked.limit.max(RANKED);
    let mut matches = store::knowledge::search::bm25(tx, &wanted, &shelves, &filter, limit).await?;
    let corrected = correct(tx, &wanted, &matches, &shelves).await?;
    if !corrected.is_empty() {
        add_corrections(&mut wanted, &corrected);
        matches = store::knowledge::search::bm25(tx, &wanted, &shelves, &filter, limit).await?;
    }
    let held_back = held_back(tx, sight, asked, &wanted).await?;
    let documents = u64::try_from(matches.documents).unwrap_or_default();
    let mut hits = ranked(tx, asked, matches, query_terms).await?;
    hits.truncate(asked.limit);
    Ok(Found { hits, documents, held_back, corrected })
}

/// The filter of a search. All withheld states are on one shelf, so those that were not asked for are left out by name.
fn filter_of(asked: &Asked<'_>) -> Filter {
    let is_withheld = |state: &LessonState| Group::of(*state) == Group::Withheld;
    let without = match asked.states.iter().any(is_withheld) {
        true => LessonState::ALL
            .iter()
            .filter(|state| is_withheld(state) && !asked.states.contains(state))
            .map(|state| state.as_str().to_owned())
            .collect(),
        false => Vec::new(),
    };
    Filter { without, ..asked.filter.clone() }
}

/// The words that no lesson of the collection has, with those that they resemble.
async fn correct(
    tx: &mut Tx,
    wanted: &[Wanted],
    matches: &Matches,
    shelves: &[i32],
) -> Result<Vec<Correction>> {
    let missing: Vec<&str> = wanted
        .iter()
        .map(|(term, _)| term.as_str())
        .filter(|term| matches.found.binary_search_by(|found| found.as_str().cmp(term)).is_err())
        .filter(|term| spelling::is_correctable(term))
        .take(CORRECTED)
        .collect();
    if missing.is_empty() || shelves.is_empty() {
        return Ok(Vec::new());
    }
    let grams: Vec<(String, String)> = missing
        .iter()
        .flat_map(|word| spelling::keys(word).into_iter().map(|gram| ((*word).to_owned(), gram)))
        .collect();
    let resembling = store::knowledge::search::resembling(tx, &grams, shelves).await?;
    let mut corrected = Vec::new();
    for word in missing {
        let mut alike: Vec<(f64, &str)> = resembling
            .iter()
            .filter(|one| one.word == word && one.term != word)
            .map(|one| (spelling::similarity(word, &one.term), one.term.as_str()))
            .filter(|(similarity, _)| *similarity >= spelling::ALIKE)
            .collect();
        alike.sort_by(|one, two| two.0.total_cmp(&one.0).then(one.1.cmp(two.1)));
        let most = usize::try_from(spelling::STAND_INS).unwrap_or(1);
        let to: Vec<String> = alike.iter().take(most).map(|(_, term)| (*term).to_owned()).collect();
        if !to.is_empty() {
            corrected.push(Correction { word: word.to_owned(), to });
        }
    }
    Ok(corrected)
}

/// Adds words that stand for others. They weigh as much as they resemble them.
fn add_corrections(wanted: &mut Vec<Wanted>, corrected: &[Correction]) {
    for Correction { word, to } in corrected {
        for term in to {
            if wanted.iter().all(|(known, _)| known != term) {
                wanted.push((term.clone(), spelling::similarity(word, term)));
            }
        }
    }
}

/// How many lessons with words of the query are withheld, by state.
async fn held_back(
    tx: &mut Tx,
    sight: &Sight,
    asked: &Asked<'_>,
    wanted: &[Wanted],
) -> Result<BTreeMap<String, u64>> {
    let shelves = sight.withheld(tx).await?;
    if shelves.is_empty() || wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let counted =
        store::knowledge::search::by_state(tx, wanted, &shelves, &asked.filter, COUNTED).await?;
    let others = counted.into_iter().filter(|(state, _)| !asked.states.contains(state));
    Ok(others
        .map(|(state, count)| (state.as_str().to_owned(), u64::try_from(count).unwrap_or_default()))
        .collect())
}

async fn ranked(
    tx: &mut Tx,
    asked: &Asked<'_>,
    matches: Matches,
    query_terms: usize,
) -> Result<Vec<Hit>> {
    let docs: Vec<i64> = matches.best.iter().map(|found| found.doc).collect();
    let standings: BTreeMap<i64, Standing> = store::knowledge::search::standings(tx, &docs)
        .await?
        .into_iter()
        .map(|standing| (standing.doc, standing))
        .collect();
    let clusters: BTreeMap<LessonId, LessonId> =
        standings.values().map(|one| (one.lesson_id, one.cluster_id)).collect();
    let candidates: Vec<Candidate> = matches
        .best
        .iter()
        .filter_map(|found| Some((found, standings.get(&found.doc)?)))
        .map(|(found, standing)| candidate(asked, found, standing, query_terms, tx.now))
        .collect();
    Ok(rank::rank(candidates)
        .into_iter()
        .map(|(candidate, explanation)| Hit {
            lesson_id: candidate.id,
            cluster_id: clusters.get(&candidate.id).copied().unwrap_or(candidate.id),
            explanation,
        })
        .collect())
}

fn candidate(
    asked: &Asked<'_>,
    found: &Match,
    standing: &Standing,
    query_terms: usize,
    now: DateTime<Utc>,
) -> Candidate {
    let count = |number: i32| u32::try_from(number).unwrap_or_default();
    let age = now.signed_duration_since(standing.since);
    Candidate {
        id: standing.lesson_id,
        bm25: found.score,
        cosine: cosine(asked.sought, standing),
        title_hits: u32::try_from(found.title_hits).unwrap_or_default(),
        title_terms: count(standing.title_terms),
        query_terms: u32::try_from(query_terms).unwrap_or(u32::MAX),
        helpful: count(standing.helpful),
        harmful: count(standing.harmful),
        other: count(standing.irrelevant.saturating_add(standing.unused)),
        age_days: (age.num_seconds() as f64 / SECONDS_OF_DAY).max(0.0),
        same_project: asked.project.is_some() && asked.project == standing.project_id,
        trust: standing.trust,
        state: standing.state,
    }
}

/// Cosine of the vectors of query and lesson, if the same maker made both.
fn cosine(sought: &Sought, standing: &Standing) -> Option<f64> {
    let direction = sought.direction()?;
    let vector = standing.vector.as_deref()?;
    let same = standing.vector_of.as_deref() == Some(&direction.maker)
        && vector.len() == direction.vector.len();
    same.then(|| vectors::cosine(&direction.vector, &from_bytes(vector)))
}

/// The found lessons with their texts, and what to know of each.
async fn results(
    tx: &mut Tx,
    sight: &Sight,
    hits: &[Hit],
    explain: bool,
) -> Result<Vec<SearchResult>> {
    let ids: Vec<LessonId> = hits.iter().map(|hit| hit.lesson_id).collect();
    let mut lessons = read::lessons(tx, &ids).await?;
    let opposites: Vec<LessonId> =
        lessons.values().flat_map(|lesson| lesson.contradicts.iter().copied()).collect();
    let opposites = read::lessons(tx, &opposites).await?;
    let results = hits.iter().filter_map(|hit| {
        let mut lesson = lessons.remove(&hit.lesson_id)?;
        let seen = |id: &LessonId| {
            let found = opposites.get(id)?;
            sight
                .sees(found.project_id, found.state)
                .then(|| LessonTitle { id: *id, title: found.title.clone() })
        };
        let contradicted_by: Vec<LessonTitle> =
            lesson.contradicts.iter().filter_map(seen).collect();
        lesson.contradicts = contradicted_by.iter().map(|one| one.id).collect();
        let flags = flags(&lesson);
        if flags.contains(&LessonFlag::Quoted) {
            lesson.title = quoted(&lesson.title);
            lesson.body = quoted(&lesson.body);
        }
        Some(SearchResult {
            lesson,
            score: hit.explanation.score,
            flags,
            contradicted_by,
            explanation: explain.then_some(hit.explanation),
        })
    });
    Ok(results.collect())
}

fn flags(lesson: &Lesson) -> Vec<LessonFlag> {
    let (by_state, withheld) = match lesson.state {
        LessonState::Active => (None, false),
        LessonState::Candidate => (Some(LessonFlag::Unverified), false),
        LessonState::Quarantined => (Some(LessonFlag::Quarantined), true),
        LessonState::Archived => (Some(LessonFlag::Archived), false),
        LessonState::Superseded => (Some(LessonFlag::Superseded), false),
    };
    let flags = [
        by_state,
        lesson.external.then_some(LessonFlag::External),
        (!lesson.contradicts.is_empty()).then_some(LessonFlag::Contradicted),
        (lesson.external || withheld).then_some(LessonFlag::Quoted),
    ];
    flags.into_iter().flatten().collect()
}

/// A text as a quotation: no line of it, whatever ends a line for its reader, is without the mark.
fn quoted(text: &str) -> String {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.split(ends).map(|line| format!("> {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_leaves_a_quotation() {
        let text = "one\r\ntwo\u{2028}three\u{85}four";
        assert!(quoted(text).lines().all(|line| line.starts_with("> ")));
        assert_eq!(quoted("a\nb"), "> a\n> b");
    }

    #[test]
    fn what_stands_for_a_word_weighs_less() {
        let mut wanted = vec![("migratoin".to_owned(), 1.0), ("fast".to_owned(), 1.0)];
        let to = vec!["migration".to_owned(), "fast".to_owned()];
        add_corrections(&mut wanted, &[Correction { word: "migratoin".to_owned(), to }]);
        assert_eq!(wanted.len(), 3);
        let (term, weight) = &wanted[2];
        assert!(term == "migration" && (spelling::ALIKE..1.0).contains(weight), "{weight}");
    }
}
