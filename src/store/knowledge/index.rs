//! The index: documents, and packed postings of their terms.
//!
//! Callers hold the lock of the cursor of the workspace: a row of postings is read, changed and written back, and only
//! one writer of a workspace may do that at a time. What a function changes, it changes everywhere: `docs`,
//! `postings`, `terms`, `word_grams` and `lessons.doc`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{
    domain::{
        ids::LessonId,
        knowledge::{
            bm25::{Entry, MOST, ROSTER, block_of, unpack},
            identifiers::Expanded,
            spelling,
        },
    },
    store::{Tx, columns::uuids, traced},
};

/// A lesson that is to be indexed.
#[derive(Debug, Clone, Copy)]
pub struct NewDoc<'a> {
    /// The lesson, which has no document.
    pub lesson_id: LessonId,
    /// Number of its document, never used before.
    pub doc: i64,
    /// Where it stands.
    pub shelf: i32,
    /// Its title.
    pub title: &'a Expanded,
    /// Its whole text, the title included.
    pub text: &'a Expanded,
}

/// What is counted in a document.
#[derive(Debug, Default)]
struct Counted {
    /// Occurrences of each term.
    terms: BTreeMap<String, u32>,
    /// Terms of the title.
    title: BTreeSet<String>,
}

impl Counted {
    fn add(&mut self, term: &str, occurrences: u32) {
        if term != ROSTER {
            let count = self.terms.entry(term.to_owned()).or_default();
            *count = count.saturating_add(occurrences).min(MOST);
        }
    }

    fn length(&self) -> u32 {
        self.terms.values().fold(0_u32, |sum, count| sum.saturating_add(*count)).min(MOST)
    }

    /// The terms, those of the title first.
    fn ordered(&self) -> Vec<&str> {
        let rest = self.terms.keys().filter(|term| !self.title.contains(*term));
        self.title.iter().chain(rest).map(String::as_str).collect()
    }
}

/// Key of a row of postings: term, shelf and block.
type Place = (String, i32, i32);
/// Entries that are to be added, packed.
type Additions = BTreeMap<Place, Vec<u8>>;

fn add(additions: &mut Additions, term: &str, shelf: i32, entry: Entry) {
    let row = additions.entry((term.to_owned(), shelf, entry.block())).or_default();
    row.extend(entry.pack());
}

/// Indexes lessons.
pub async fn put(tx: &mut Tx, new: &[NewDoc<'_>]) -> sqlx::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let counted = count(tx, new).await?;
    insert_docs(tx, new, &counted).await?;
    let mut additions = Additions::new();
    for (one, counted) in new.iter().zip(&counted) {
        let length = counted.length();
        add(&mut additions, ROSTER, one.shelf, Entry { doc: one.doc, frequency: 0, length });
        for (term, frequency) in &counted.terms {
            let entry = Entry { doc: one.doc, frequency: *frequency, length };
            add(&mut additions, term, one.shelf, entry);
        }
    }
    let begun = insert_entries(tx, &additions).await?;
    learn_terms(tx, &begun).await
}

/// Counts the terms of texts: the lexemes of PostgreSQL, and identifiers as a whole.
async fn count(tx: &mut Tx, new: &[NewDoc<'_>]) -> sqlx::Result<Vec<Counted>> {
    let rows = sqlx::query!(
        r#"
        with given as materialized (
            select ordinal, to_tsvector('english', text) as words,
                   tsvector_to_array(to_tsvector('english', title)) as title
            from unnest($1::text[], $2::text[]) with ordinality as n (title, text, ordinal)
        )
        select g.ordinal as "ordinal!", g.title as "title!",
               array(select lexeme from unnest(g.words)) as "lexemes!",
               array(select cardinality(positions) from unnest(g.words)) as "counts!"
        from given g
        order by g.ordinal
        "#,
        &new.iter().map(|one| one.title.text.clone()).collect::<Vec<_>>(),
        &new.iter().map(|one| one.text.text.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.index.count"))
    .await?;
    let counted = rows.into_iter().zip(new).map(|(row, one)| {
        let mut counted = Counted::default();
        for (lexeme, count) in row.lexemes.iter().zip(row.counts) {
            counted.add(lexeme, u32::try_from(count).unwrap_or(1));
        }
        for whole in &one.text.wholes {
            counted.add(whole, 1);
        }
        let title = row.title.into_iter().chain(one.title.wholes.iter().cloned());
        counted.title = title.filter(|term| counted.terms.contains_key(term)).collect();
        counted
    });
    Ok(counted.collect())
}

async fn insert_docs(tx: &mut Tx, new: &[NewDoc<'_>], counted: &[Counted]) -> sqlx::Result<()> {
    let lessons: Vec<_> = new.iter().map(|one| one.lesson_id.0).collect();
    let docs: Vec<i64> = new.iter().map(|one| one.doc).collect();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    sqlx::query!(
        "insert into docs (workspace_id, lesson_id, doc, shelf, length, title_terms, terms)
         select $1, n.lesson_id, n.doc, n.shelf, n.length, n.title_terms,
                array(select jsonb_array_elements_text(n.terms))
         from unnest($2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::int[], $7::jsonb[])
              as n (lesson_id, doc, shelf, length, title_terms, terms)",
        tx.workspace.0,
        &lessons,
        &docs,
        &new.iter().map(|one| one.shelf).collect::<Vec<_>>(),
        &counted.iter().map(|one| one.length().cast_signed()).collect::<Vec<_>>(),
        &counted.iter().map(|one| number(one.title.len())).collect::<Vec<_>>(),
        &counted.iter().map(|one| serde_json::json!(one.ordered())).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.index.insert_docs"))
    .await?;
    sqlx::query!(
        "update lessons l set doc = n.doc
         from unnest($2::uuid[], $3::bigint[]) as n (lesson_id, doc)
         where l.workspace_id = $1 and l.lesson_id = n.lesson_id",
        tx.workspace.0,
        &lessons,
        &docs,
    )
    .execute(traced!(tx, "knowledge.index.insert_docs"))
    .await?;
    Ok(())
}

/// Adds entries to rows of postings. Returns the terms of the rows that are new.
async fn insert_entries(tx: &mut Tx, additions: &Additions) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"insert into postings as p (workspace_id, term, shelf, block, entries, documents)
           select $1, n.term, n.shelf, n.block, n.entries, octet_length(n.entries) / 8
           from unnest($2::text[], $3::int[], $4::int[], $5::bytea[]) as n (term, shelf, block, entries)
           on conflict (workspace_id, term, shelf, block) do update
           set entries = p.entries || excluded.entries,
               documents = p.documents + excluded.documents
           returning term, (xmax = 0) as "is_new!""#,
        tx.workspace.0,
        &additions.keys().map(|(term, ..)| term.clone()).collect::<Vec<_>>(),
        &additions.keys().map(|(_, shelf, _)| *shelf).collect::<Vec<_>>(),
        &additions.keys().map(|(.., block)| *block).collect::<Vec<_>>(),
        &additions.values().cloned().collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.index.insert_entries"))
    .await?;
    let begun = rows.into_iter().filter(|row| row.is_new && row.term != ROSTER);
    Ok(begun.map(|row| row.term).collect())
}

/// Stores terms that are new in the workspace, with their trigrams for typos.
async fn learn_terms(tx: &mut Tx, terms: &[String]) -> sqlx::Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let new = sqlx::query_scalar!(
        "insert into terms (workspace_id, term)
         select distinct $1::uuid, n.term from unnest($2::text[]) as n (term)
         on conflict do nothing
         returning term",
        tx.workspace.0,
        terms,
    )
    .fetch_all(traced!(tx, "knowledge.index.learn_terms"))
    .await?;
    let grams: Vec<(String, String)> = new
        .iter()
        .flat_map(|term| spelling::keys(term).into_iter().map(|gram| (gram, term.clone())))
        .collect();
    if grams.is_empty() {
        return Ok(());
    }
    let (grams, terms): (Vec<String>, Vec<String>) = grams.into_iter().unzip();
    sqlx::query!(
        "insert into word_grams (workspace_id, gram, term)
         select $1, * from unnest($2::text[], $3::text[])
         on conflict do nothing",
        tx.workspace.0,
        &grams,
        &terms,
    )
    .execute(traced!(tx, "knowledge.index.learn_terms"))
    .await?;
    Ok(())
}

/// A document and its terms.
struct Indexed {
    doc: i64,
    shelf: i32,
    terms: Vec<String>,
}

/// Removes the documents of lessons.
pub async fn remove(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<()> {
    let ids = uuids(lessons);
    let removed = sqlx::query_as!(
        Indexed,
        "delete from docs where workspace_id = $1 and lesson_id = any($2)
         returning doc, shelf, terms",
        tx.workspace.0,
        &ids,
    )
    .fetch_all(traced!(tx, "knowledge.index.remove"))
    .await?;
    if removed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update lessons set doc = null where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.index.remove"))
    .await?;
    let taken = take_entries(tx, &removed).await?;
    forget_terms(tx, &taken.emptied).await
}

/// Moves the documents of lessons to other shelves.
pub async fn reshelve(tx: &mut Tx, moves: &[(LessonId, i32)]) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"select d.doc, d.shelf, d.terms, n.shelf as "to!"
           from unnest($2::uuid[], $3::int[]) as n (lesson_id, shelf)
           join docs d on d.workspace_id = $1 and d.lesson_id = n.lesson_id and d.shelf <> n.shelf"#,
        tx.workspace.0,
        &moves.iter().map(|(lesson, _)| lesson.0).collect::<Vec<_>>(),
        &moves.iter().map(|(_, shelf)| *shelf).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.index.reshelve"))
    .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let targets: BTreeMap<i64, i32> = rows.iter().map(|row| (row.doc, row.to)).collect();
    let moved: Vec<Indexed> = rows
        .into_iter()
        .map(|row| Indexed { doc: row.doc, shelf: row.shelf, terms: row.terms })
        .collect();
    sqlx::query!(
        "update docs d set shelf = n.shelf
         from unnest($2::bigint[], $3::int[]) as n (doc, shelf)
         where d.workspace_id = $1 and d.doc = n.doc",
        tx.workspace.0,
        &targets.keys().copied().collect::<Vec<_>>(),
        &targets.values().copied().collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.index.reshelve"))
    .await?;
    let taken = take_entries(tx, &moved).await?;
    let mut additions = Additions::new();
    for (term, entry) in taken.entries {
        if let Some(shelf) = targets.get(&entry.doc) {
            add(&mut additions, &term, *shelf, entry);
        }
    }
    // The terms stay: each has a posting on the other shelf.
    insert_entries(tx, &additions).await?;
    Ok(())
}

/// Entries that were taken out of the postings.
struct Taken {
    entries: Vec<(String, Entry)>,
    /// Terms of rows that are gone.
    emptied: Vec<String>,
}

/// Takes the entries of documents out of the postings.
async fn take_entries(tx: &mut Tx, docs: &[Indexed]) -> sqlx::Result<Taken> {
    let mut places: BTreeSet<(&str, i32, i32)> = BTreeSet::new();
    for one in docs {
        let block = block_of(one.doc);
        places.insert((ROSTER, one.shelf, block));
        places.extend(one.terms.iter().map(|term| (term.as_str(), one.shelf, block)));
    }
    let rows = sqlx::query!(
        "select p.term, p.shelf, p.block, p.entries
         from unnest($2::text[], $3::int[], $4::int[]) as n (term, shelf, block)
         join postings p on p.workspace_id = $1 and p.term = n.term and p.shelf = n.shelf
              and p.block = n.block",
        tx.workspace.0,
        &places.iter().map(|(term, ..)| (*term).to_owned()).collect::<Vec<_>>(),
        &places.iter().map(|(_, shelf, _)| *shelf).collect::<Vec<_>>(),
        &places.iter().map(|(.., block)| *block).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "knowledge.index.take_entries"))
    .await?;
    let gone: HashSet<i64> = docs.iter().map(|one| one.doc).collect();
    let mut taken = Taken { entries: Vec::new(), emptied: Vec::new() };
    let mut left: Vec<(Place, Vec<u8>)> = Vec::new();
    for row in rows {
        let (out, kept): (Vec<Entry>, Vec<Entry>) =
            unpack(row.block, &row.entries).partition(|entry| gone.contains(&entry.doc));
        if kept.is_empty() && row.term != ROSTER {
            taken.emptied.push(row.term.clone());
        }
        taken.entries.extend(out.into_iter().map(|entry| (row.term.clone(), entry)));
        left.push(((row.term, row.shelf, row.block), kept.iter().flat_map(Entry::pack).collect()));
    }
    write_back(tx, left).await?;
    Ok(taken)
}

/// Writes the entries that are left of rows, and deletes the rows without any.
async fn write_back(tx: &mut Tx, left: Vec<(Place, Vec<u8>)>) -> sqlx::Result<()> {
    let (empty, kept): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|(_, entries)| entries.is_empty());
    let columns = |rows: &[(Place, Vec<u8>)]| {
        let terms: Vec<String> = rows.iter().map(|((term, ..), _)| term.clone()).collect();
        let shelves: Vec<i32> = rows.iter().map(|((_, shelf, _), _)| *shelf).collect();
        let blocks: Vec<i32> = rows.iter().map(|((.., block), _)| *block).collect();
        (terms, shelves, blocks)
    };
    let (terms, shelves, blocks) = columns(&kept);
    sqlx::query!(
        "update postings p set entries = n.entries, documents = octet_length(n.entries) / 8
         from unnest($2::text[], $3::int[], $4::int[], $5::bytea[]) as n (term, shelf, block, entries)
         where p.workspace_id = $1 and p.term = n.term and p.shelf = n.shelf and p.block = n.block",
        tx.workspace.0,
        &terms,
        &shelves,
        &blocks,
        &kept.into_iter().map(|(_, entries)| entries).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.index.write_back"))
    .await?;
    let (terms, shelves, blocks) = columns(&empty);
    sqlx::query!(
        "delete from postings p
         using unnest($2::text[], $3::int[], $4::int[]) as n (term, shelf, block)
         where p.workspace_id = $1 and p.term = n.term and p.shelf = n.shelf and p.block = n.block",
        tx.workspace.0,
        &terms,
        &shelves,
        &blocks,
    )
    .execute(traced!(tx, "knowledge.index.write_back"))
    .await?;
    Ok(())
}

/// Forgets those terms that no document has any more.
async fn forget_terms(tx: &mut Tx, terms: &[String]) -> sqlx::Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with gone as (
             delete from terms t
             where t.workspace_id = $1 and t.term = any($2)
               and not exists (select from postings p
                               where p.workspace_id = $1 and p.term = t.term)
             returning t.term
         )
         delete from word_grams g using gone
         where g.workspace_id = $1 and g.term = gone.term",
        tx.workspace.0,
        terms,
    )
    .execute(traced!(tx, "knowledge.index.forget_terms"))
    .await?;
    Ok(())
}
