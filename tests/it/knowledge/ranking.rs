//! The ranking against one that computes everything from the texts.
//!
//! Each corpus lives in a transaction that is rolled back: documents are written, moved to other shelves, written again
//! and removed, and after each step every query has to give what the brute force gives.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use muster::{
    domain::{
        ids::{LessonId, WorkspaceId},
        knowledge::{
            LessonState, Trust,
            identifiers::{Expanded, expand},
            rank::{self, Candidate},
            vectors,
        },
    },
    store::{
        SystemTx, Tx,
        knowledge::{
            index::{self, NewDoc},
            search::{self, Filter},
            vectors::direct,
        },
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::support::fleet::{Fleet, seed};

/// Corpora of the test.
const CORPORA: u64 = 1_000;
/// Workspaces that they are shared by: those of one workspace wait for each other's terms.
const WORKSPACES: u64 = 4;
const EXACT: f64 = 1e-9;
const SHELVES: [i32; 4] = [4, 5, 8, 10];

/// Words of all kinds: with endings, without any meaning, of several scripts, and identifiers.
const WORDS: [&str; 40] = [
    "run",
    "running",
    "runs",
    "migration",
    "migrate",
    "index",
    "indexes",
    "the",
    "and",
    "of",
    "importer",
    "parse",
    "parseDate",
    "parse_date",
    "src/importer.rs",
    "E0382",
    "v1.2.3",
    "a::b::c",
    "HTTPServer",
    "kebab-case",
    "über",
    "straße",
    "日本語",
    "привет",
    "naïve",
    "don't",
    "C++",
    "x",
    "1234",
    "3.14",
    "foo@example.org",
    "https://example.org/a?b=c",
    "''",
    "\\",
    "& | !",
    "<->",
    "time",
    "zone",
    "zones",
    "deadbeef",
];
const KINDS: [&str; 3] = ["digest", "pitfall", "howto"];

struct Doc {
    lesson: LessonId,
    doc: i64,
    shelf: i32,
    kind: &'static str,
    title: Expanded,
    text: Expanded,
    vector: Option<Vec<i8>>,
}

fn words(random: &mut StdRng, most: usize) -> String {
    // A few words are frequent, as in any language.
    let count = random.random_range(0..=most);
    let pick = |random: &mut StdRng| {
        let end = random.random_range(1..=WORDS.len());
        *WORDS[..end].choose(random).unwrap()
    };
    (0..count).map(|_| pick(random)).collect::<Vec<_>>().join(" ")
}

struct Corpus<'a> {
    tx: &'a mut Tx,
    random: StdRng,
    next: i64,
    docs: Vec<Doc>,
}

impl Corpus<'_> {
    fn doc(&mut self, lesson: LessonId) -> Doc {
        let title = expand(&words(&mut self.random, 4));
        let text = title.and(&expand(&words(&mut self.random, 25)));
        self.next += 1;
        Doc {
            lesson,
            doc: self.next,
            shelf: *SHELVES.choose(&mut self.random).unwrap(),
            kind: KINDS.choose(&mut self.random).unwrap(),
            title,
            text,
            vector: None,
        }
    }

    async fn lessons(&mut self, lessons: &[LessonId], kinds: &[&str]) {
        sqlx::query(
            "insert into lessons (workspace_id, lesson_id, cluster_id, created_at, changed_at, learned_at, kind,
                                  origin, state, trust)
             select $1, n.id, n.id, now(), now(), now(), n.kind, 'person', 'active', 'person'
             from unnest($2::uuid[], $3::text[]) as n (id, kind)",
        )
        .bind(self.tx.workspace.0)
        .bind(lessons.iter().map(|lesson| lesson.0).collect::<Vec<_>>())
        .bind(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>())
        .execute(self.tx.conn())
        .await
        .unwrap();
    }

    async fn put(&mut self, docs: Vec<Doc>) {
        let new: Vec<NewDoc<'_>> = docs
            .iter()
            .map(|one| NewDoc {
                lesson_id: one.lesson,
                doc: one.doc,
                shelf: one.shelf,
                title: &one.title,
                text: &one.text,
            })
            .collect();
        index::put(self.tx, &new).await.unwrap();
        self.docs.extend(docs);
    }

    async fn write(&mut self, count: usize) {
        let lessons: Vec<LessonId> =
            (0..count).map(|_| LessonId(uuid::Uuid::from_u128(self.random.random()))).collect();
        let docs: Vec<Doc> = lessons.iter().map(|lesson| self.doc(*lesson)).collect();
        let kinds: Vec<&str> = docs.iter().map(|one| one.kind).collect();
        self.lessons(&lessons, &kinds).await;
        self.put(docs).await;
    }

    /// Takes out up to `most` of the documents.
    async fn remove(&mut self, most: usize) -> Vec<Doc> {
        let count = self.random.random_range(0..=most.min(self.docs.len()));
        let mut out = Vec::new();
        for _ in 0..count {
            let place = self.random.random_range(0..self.docs.len());
            out.push(self.docs.swap_remove(place));
        }
        let lessons: Vec<LessonId> = out.iter().map(|one| one.lesson).collect();
        index::remove(self.tx, &lessons).await.unwrap();
        out
    }

    async fn write_again(&mut self) {
        let old = self.remove(3).await;
        let mut new = Vec::new();
        for one in old {
            let kind = one.kind;
            new.push(Doc { kind, ..self.doc(one.lesson) });
        }
        self.put(new).await;
    }

    async fn reshelve(&mut self) {
        let mut moves = Vec::new();
        for one in &mut self.docs {
            if self.random.random_bool(0.3) {
                one.shelf = *SHELVES.choose(&mut self.random).unwrap();
                moves.push((one.lesson, one.shelf));
            }
        }
        index::reshelve(self.tx, &moves).await.unwrap();
    }

    async fn direct(&mut self) {
        let mut stored = Vec::new();
        for one in &mut self.docs {
            if self.random.random_bool(0.8) {
                let vector: Vec<i8> =
                    (0..16).map(|_| self.random.random_range(-127..=127)).collect();
                stored.push((
                    one.doc,
                    Some(vector.iter().map(|part| part.cast_unsigned()).collect()),
                ));
                one.vector = Some(vector);
            }
        }
        direct(self.tx, "test", &stored).await.unwrap();
    }

    /// Terms with their occurrences of each document, and those of the title, by PostgreSQL's words.
    async fn counted(&mut self) -> Vec<(BTreeMap<String, f64>, BTreeSet<String>)> {
        let texts = |of: fn(&Doc) -> &Expanded, docs: &[Doc]| {
            docs.iter().map(|one| of(one).text.clone()).collect::<Vec<_>>()
        };
        let mut counted: Vec<(BTreeMap<String, f64>, BTreeSet<String>)> = Vec::new();
        let all = lexemes(self.tx, &texts(|one| &one.text, &self.docs)).await;
        let titles = lexemes(self.tx, &texts(|one| &one.title, &self.docs)).await;
        for ((one, mut terms), title) in self.docs.iter().zip(all).zip(titles) {
            for whole in &one.text.wholes {
                *terms.entry(whole.clone()).or_default() += 1.0;
            }
            let title = title.into_keys().chain(one.title.wholes.iter().cloned());
            let title = title.filter(|term| terms.contains_key(term)).collect();
            counted.push((terms, title));
        }
        counted
    }

    async fn compare(&mut self) {
        let counted = self.counted().await;
        let query = expand(&words(&mut self.random, 8));
        let terms = search::terms(self.tx, &query, 200).await.unwrap();
        let mut expected_terms: BTreeSet<String> =
            lexemes(self.tx, std::slice::from_ref(&query.text))
                .await
                .remove(0)
                .into_keys()
                .collect();
        expected_terms.extend(query.wholes.iter().cloned());
        assert_eq!(terms, expected_terms.iter().cloned().collect::<Vec<_>>());

        let shelves: Vec<i32> =
            SHELVES.iter().copied().filter(|_| self.random.random_bool(0.7)).collect();
        let kinds: Vec<String> = match self.random.random_bool(0.4) {
            true => vec![(*KINDS.choose(&mut self.random).unwrap()).to_owned()],
            false => Vec::new(),
        };
        let most = self.random.random_range(1..20);
        let filter = Filter { kinds: kinds.clone(), ..Filter::default() };
        let wanted: Vec<(String, f64)> = terms.iter().map(|term| (term.clone(), 1.0)).collect();
        let found = search::bm25(self.tx, &wanted, &shelves, &filter, most).await.unwrap();

        let within: Vec<usize> = (0..self.docs.len())
            .filter(|place| {
                let one = &self.docs[*place];
                shelves.contains(&one.shelf) && (kinds.is_empty() || kinds[0] == one.kind)
            })
            .collect();
        let scores = brute_force(&terms, &within, &counted);
        assert_eq!(found.documents, within.len() as i64);
        let mut expected: Vec<(f64, i64, usize)> =
            scores.into_iter().map(|(place, score)| (score, self.docs[place].doc, place)).collect();
        expected.sort_by(|one, other| other.0.total_cmp(&one.0).then(other.1.cmp(&one.1)));
        assert_eq!(found.best.len(), expected.len().min(most));
        let by_doc: BTreeMap<i64, (f64, usize)> =
            expected.iter().map(|(score, doc, place)| (*doc, (*score, *place))).collect();
        for (one, (score, ..)) in found.best.iter().zip(&expected) {
            // Equal scores may change places by the last bit.
            assert!((one.score - score).abs() < EXACT, "{} is not {score}", one.score);
            let (own, place) = by_doc[&one.doc];
            assert!((one.score - own).abs() < EXACT, "{} is not {own}", one.score);
            let hits = terms.iter().filter(|term| counted[place].1.contains(*term)).count();
            assert_eq!(one.title_hits, hits as i64);
        }
        self.compare_cosines(&found.best, &by_doc).await;
    }

    /// Orders what was found by vectors too, as stored and by hand.
    async fn compare_cosines(
        &mut self,
        best: &[search::Match],
        by_doc: &BTreeMap<i64, (f64, usize)>,
    ) {
        let query: Vec<i8> = (0..16).map(|_| self.random.random_range(-127..=127)).collect();
        let docs: Vec<i64> = best.iter().map(|one| one.doc).collect();
        let standings = search::standings(self.tx, &docs).await.unwrap();
        let stored: BTreeMap<i64, Option<f64>> = standings
            .into_iter()
            .map(|one| {
                assert_eq!(one.vector.is_some(), one.vector_of.as_deref() == Some("test"));
                let vector = one
                    .vector
                    .map(|bytes| bytes.iter().map(|part| part.cast_signed()).collect::<Vec<i8>>());
                (one.doc, vector.map(|vector| vectors::cosine(&query, &vector)))
            })
            .collect();
        let candidates: Vec<Candidate> =
            best.iter().map(|one| candidate(one.doc, one.score, stored[&one.doc])).collect();
        let relevances = rank::relevances(&candidates);

        let exact: Vec<(f64, Option<f64>)> = best
            .iter()
            .map(|one| {
                let (score, place) = by_doc[&one.doc];
                (score, self.docs[place].vector.as_ref().map(|vector| cosine(&query, vector)))
            })
            .collect();
        // Between equal scores lies the rounding of their sums, which is not to be scaled up.
        let scores = exact.iter().map(|(score, _)| *score);
        let span = scores.clone().fold(0.0, f64::max) - scores.fold(f64::INFINITY, f64::min);
        if span < 1e-6 {
            return;
        }
        for (given, expected) in relevances.iter().zip(by_hand(&exact)) {
            assert!((given - expected).abs() < EXACT, "{given} is not {expected}");
        }
    }

    async fn count(&mut self, table: &str) -> i64 {
        let sql = format!("select count(*) from {table} where workspace_id = $1");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(self.tx.workspace.0)
            .fetch_one(self.tx.conn())
            .await
            .unwrap()
    }
}

async fn lexemes(tx: &mut Tx, texts: &[String]) -> Vec<BTreeMap<String, f64>> {
    let rows: Vec<(i64, String, i32)> = sqlx::query_as(
        "select t.ordinal, v.lexeme, cardinality(v.positions)
         from unnest($1::text[]) with ordinality as t (text, ordinal),
              lateral unnest(to_tsvector('english', t.text)) as v",
    )
    .bind(texts)
    .fetch_all(tx.conn())
    .await
    .unwrap();
    let mut counted = vec![BTreeMap::new(); texts.len()];
    for (ordinal, lexeme, count) in rows {
        counted[ordinal as usize - 1].insert(lexeme, f64::from(count));
    }
    counted
}

/// BM25 of the documents at these places, by the formula and nothing else.
fn brute_force(
    terms: &[String],
    within: &[usize],
    counted: &[(BTreeMap<String, f64>, BTreeSet<String>)],
) -> Vec<(usize, f64)> {
    let length = |place: usize| counted[place].0.values().sum::<f64>();
    let documents = within.len() as f64;
    let mean = within.iter().map(|place| length(*place)).sum::<f64>() / documents;
    let mut scores = Vec::new();
    for place in within {
        let mut score = None;
        for term in terms {
            let Some(frequency) = counted[*place].0.get(term) else { continue };
            let having =
                within.iter().filter(|one| counted[**one].0.contains_key(term)).count() as f64;
            let idf = (1.0 + (documents - having + 0.5) / (having + 0.5)).ln();
            let norm = 1.2 * (1.0 - 0.75 + 0.75 * length(*place) / mean);
            *score.get_or_insert(0.0) += idf * frequency * (1.2 + 1.0) / (frequency + norm);
        }
        scores.extend(score.map(|score| (*place, score)));
    }
    scores
}

fn cosine(one: &[i8], other: &[i8]) -> f64 {
    let product = |a: &[i8], b: &[i8]| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let lengths = product(one, one).sqrt() * product(other, other).sqrt();
    if lengths == 0.0 { 0.0 } else { product(one, other) / lengths }
}

/// 0.6 of the words and 0.4 of the cosine, both from 0 to 1 among all.
fn by_hand(scored: &[(f64, Option<f64>)]) -> Vec<f64> {
    let scaled = |values: &[f64], value: f64| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if high > low { (value - low) / (high - low) } else { 1.0 }
    };
    let words: Vec<f64> = scored.iter().map(|(score, _)| *score).collect();
    let cosines: Vec<f64> = scored.iter().filter_map(|(_, cosine)| *cosine).collect();
    if cosines.is_empty() {
        return words;
    }
    scored
        .iter()
        .map(|(score, cosine)| {
            let of_words = scaled(&words, *score);
            let meaning = cosine.map_or(of_words, |cosine| scaled(&cosines, cosine));
            0.6 * of_words + 0.4 * meaning
        })
        .collect()
}

fn candidate(doc: i64, bm25: f64, cosine: Option<f64>) -> Candidate {
    Candidate {
        id: LessonId(uuid::Uuid::from_u128(doc as u128)),
        bm25,
        cosine,
        title_hits: 0,
        title_terms: 0,
        query_terms: 1,
        helpful: 0,
        harmful: 0,
        other: 0,
        age_days: 0.0,
        same_project: false,
        trust: Trust::Checked,
        state: LessonState::Active,
    }
}

async fn try_corpus(tx: &mut Tx, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    // Many corpora cross the border of a block.
    let next = random.random_range(1_000..1_030);
    let mut corpus = Corpus { tx, random, next, docs: Vec::new() };
    let count = corpus.random.random_range(0..12);
    corpus.write(count).await;
    corpus.compare().await;
    corpus.write_again().await;
    corpus.reshelve().await;
    corpus.remove(2).await;
    corpus.write(2).await;
    corpus.direct().await;
    corpus.compare().await;
    corpus.compare().await;
}

#[tokio::test]
async fn the_ranking_equals_brute_force() {
    let fleet = Fleet::start().await;
    let seed = seed();
    let of_workspace = |number: u64| {
        let fleet = &fleet;
        async move {
            let workspace = WorkspaceId(uuid::Uuid::from_u128(u128::from(number) + 1));
            sqlx::query(
                "insert into workspaces (workspace_id, name, created_at) values ($1, 'w', now())",
            )
            .bind(workspace.0)
            .execute(&fleet.pool)
            .await
            .unwrap();
            for corpus in 0..CORPORA / WORKSPACES {
                let transaction = fleet.pool.begin().await.unwrap();
                let mut tx = SystemTx::from(transaction).within(workspace, fleet.now());
                try_corpus(&mut tx, seed.wrapping_add(corpus * WORKSPACES + number)).await;
                tx.rollback().await.unwrap();
            }
        }
    };
    join_all((0..WORKSPACES).map(of_workspace)).await;
}

#[tokio::test]
async fn what_is_removed_leaves_nothing_in_the_index() {
    let fleet = Fleet::start().await;
    let transaction = fleet.pool.begin().await.unwrap();
    let mut tx = SystemTx::from(transaction).within(fleet.workspace, fleet.now());
    let random = StdRng::seed_from_u64(seed());
    let mut corpus = Corpus { tx: &mut tx, random, next: 1_020, docs: Vec::new() };
    corpus.write(40).await;
    assert!(corpus.count("postings").await > 0 && corpus.count("word_grams").await > 0);
    corpus.reshelve().await;
    let lessons: Vec<LessonId> = corpus.docs.drain(..).map(|one| one.lesson).collect();
    index::remove(corpus.tx, &lessons).await.unwrap();
    for table in ["docs", "postings", "terms", "word_grams"] {
        assert_eq!(corpus.count(table).await, 0, "{table}");
    }
}
