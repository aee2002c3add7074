//! A collection in BEIR layout: `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv` or `qrels.tsv`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::bench::error::{BenchError, Result};

/// One document.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    /// Its id in the collection.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its title; may be empty.
    #[serde(default)]
    pub title: String,
    /// Its text; may be empty.
    #[serde(default)]
    pub text: String,
}

/// One query.
#[derive(Debug, Clone, Deserialize)]
pub struct Query {
    /// Its id in the collection.
    #[serde(rename = "_id")]
    pub id: String,
    /// What is asked for.
    pub text: String,
}

/// Grade of each judged document, by query.
pub type Judgements = BTreeMap<String, BTreeMap<String, i32>>;

/// Documents, queries and judgements.
#[derive(Debug, Clone)]
pub struct Collection {
    /// The documents.
    pub documents: Vec<Document>,
    /// The queries with a relevant document.
    pub queries: Vec<Query>,
    /// The judgements.
    pub judgements: Judgements,
}

impl Collection {
    /// Reads a collection.
    ///
    /// # Errors
    /// A file is missing or has another form; the error names the file and the line.
    pub fn read(folder: &Path) -> Result<Self> {
        let documents: Vec<Document> = lines(&folder.join("corpus.jsonl"))?;
        let queries: Vec<Query> = lines(&folder.join("queries.jsonl"))?;
        let judgements = judgements(&qrels(folder)?)?;
        let known: BTreeSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
        let relevant = |query: &Query| {
            let judged = judgements.get(&query.id);
            judged.is_some_and(|judged| {
                judged.iter().any(|(id, grade)| *grade > 0 && known.contains(id.as_str()))
            })
        };
        let queries: Vec<Query> = queries.into_iter().filter(relevant).collect();
        if queries.is_empty() {
            let text = format!("{}: no query has a relevant document", folder.display());
            return Err(BenchError::Impossible(text));
        }
        Ok(Self { documents, queries, judgements })
    }
}

fn qrels(folder: &Path) -> Result<PathBuf> {
    let places = ["qrels/test.tsv", "qrels.tsv", "qrels/dev.tsv"].map(|name| folder.join(name));
    places.into_iter().find(|place| place.is_file()).ok_or_else(|| {
        let text = format!("{}: neither qrels/test.tsv nor qrels.tsv is there", folder.display());
        BenchError::Impossible(text)
    })
}

fn open(file: &Path) -> Result<BufReader<File>> {
    let read = format!("read {}", file.display());
    Ok(BufReader::new(File::open(file).map_err(BenchError::system(read))?))
}

fn wrong(file: &Path, line: usize, why: impl std::fmt::Display) -> BenchError {
    BenchError::Impossible(format!("{}, line {line}: {why}", file.display()))
}

fn lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for (index, line) in open(file)?.lines().enumerate() {
        let line = line.map_err(|why| wrong(file, index + 1, why))?;
        if line.trim().is_empty() {
            continue;
        }
        found.push(serde_json::from_str(&line).map_err(|why| wrong(file, index + 1, why))?);
    }
    Ok(found)
}

/// `query-id corpus-id score`, separated by tabs; a first line without a score is a header.
fn judgements(file: &Path) -> Result<Judgements> {
    let mut judgements = Judgements::new();
    for (index, line) in open(file)?.lines().enumerate() {
        let line = line.map_err(|why| wrong(file, index + 1, why))?;
        let parts: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [query, document, grade] = parts.as_slice() else {
            if line.trim().is_empty() {
                continue;
            }
            return Err(wrong(file, index + 1, "three columns are expected"));
        };
        match grade.parse::<f64>() {
            Ok(grade) => {
                let judged = judgements.entry((*query).to_owned()).or_default();
                judged.insert((*document).to_owned(), grade as i32);
            }
            Err(_) if index == 0 => {}
            Err(why) => return Err(wrong(file, index + 1, why)),
        }
    }
    Ok(judgements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_read_with_either_place_of_judgements() {
        for place in ["qrels.tsv", "qrels/test.tsv"] {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| {
                let file = folder.path().join(name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, text).unwrap();
            };
            write(
                "corpus.jsonl",
                "{\"_id\": \"d1\", \"title\": \"t\", \"text\": \"x\"}\n{\"_id\": \"d2\"}\n",
            );
            write(
                "queries.jsonl",
                "{\"_id\": \"q1\", \"text\": \"x\"}\n{\"_id\": \"q2\", \"text\": \"y\"}\n",
            );
            write(place, "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t0\n");
            let read = Collection::read(folder.path()).unwrap();
            assert_eq!(read.documents.len(), 2);
            assert_eq!(read.queries.len(), 1, "only q1 has a relevant document");
            assert_eq!(read.judgements["q1"]["d1"], 2);
            write("corpus.jsonl", "{\"_id\": \"d1\"}\nno json\n");
            let why = Collection::read(folder.path()).unwrap_err().to_string();
            assert!(why.contains("corpus.jsonl, line 2"), "{why}");
        }
    }
}
