//! The layers, held by reading `src/`.
//!
//! `main -> { http, supervisor } -> app -> store -> domain`: who may name whom is the table
//! [`LAYERS`]. The rest of this file are the other rules that can be seen in the text of the code:
//! where SQL, HTTP and the clock may be named, how long a file may be, what it may not be called.

use std::{
    fs,
    path::{Path, PathBuf},
};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
const LONGEST_FILE: usize = 400;
const VAGUE_NAMES: &[&str] = &["util", "utils", "common", "helpers", "manager", "service", "misc"];

/// Each layer with what of the crate it may name. What is not here is beside the layers: it may name
/// everything and be named by nobody in here.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("store", &["store", "domain", "clock", "entropy"]),
    ("app", &["app", "store", "domain", "clock", "entropy"]),
    ("supervisor", &["supervisor", "app", "domain", "clock", "entropy", "shutdown", "config"]),
    ("http", &["http", "app", "domain"]),
    // Beside the layers, and on the other side of HTTP: what measures must not use what it measures.
    ("bench", &["bench", "domain", "config", "embedded", "entropy", "clock", "open_files"]),
    ("clock", &["clock", "domain"]),
    ("entropy", &["entropy", "domain"]),
];

/// A crate, and which parts of the tree may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["http", "cli", "main"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("tower", &["http", "cli"]),
    ("tower_http", &["http", "cli"]),
];

/// What of sqlx may be named outside of `store`: what the app holds, never what runs SQL.
const SQLX_TYPES: &[&str] =
    &["PgPool", "Postgres", "Transaction", "Error", "postgres", "pool", "PgConnection", "types"];
const SQLX_HOLDERS: &[&str] = &["app", "cli", "config"];
/// `embedded` makes the cluster and the database that the store then has; `bench` measures that
/// database from outside, and its reference must not go through the store.
const SQL_WRITERS: &[&str] = &["store", "embedded", "bench"];

/// What tells the time, and the parts that may ask.
const CLOCKS: &[(&str, &[&str])] = &[
    ("Utc::now", &["clock", "entropy", "cli", "bench", "embedded", "telemetry"]),
    ("Local::now", &[]),
    ("SystemTime::now", &["clock", "entropy", "cli", "bench", "embedded", "telemetry"]),
    ("Instant::now", &["clock", "entropy", "cli", "bench", "embedded"]),
    ("Uuid::new_v4", &["entropy"]),
    ("Uuid::now_v7", &["entropy"]),
];

struct File {
    /// Relative to `src/`, for example `http/body.rs`.
    name: String,
    /// The part of the tree: the first directory, or the file itself.
    part: String,
    /// The last module of its path, for example `body`.
    module: String,
    /// Without comments, strings and the tests at the end.
    code: String,
    lines: usize,
}

fn files() -> Vec<File> {
    let mut paths = Vec::new();
    collect(Path::new(SRC), &mut paths);
    paths.sort();
    let files: Vec<File> = paths.iter().map(|path| read(path)).collect();
    assert!(files.len() > 20, "the tree is not where it was thought to be");
    files
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> File {
    let name = path.strip_prefix(SRC).unwrap().to_string_lossy().replace('\\', "/");
    let text = fs::read_to_string(path).unwrap();
    let modules: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    let module = match modules.as_slice() {
        [.., parent, "mod"] => parent,
        [.., own] => own,
        [] => "",
    };
    // Tests beside the code may name what they need.
    let code = if modules.contains(&"tests") { String::new() } else { code_of(&text) };
    File {
        part: modules[0].to_owned(),
        module: module.to_owned(),
        code,
        lines: text.lines().count(),
        name,
    }
}

/// The code without its comments and without what only tests have.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let without_comment = |line: &str| {
        let line = line.trim_start();
        if line.starts_with("//") { String::new() } else { line.to_owned() }
    };
    code.lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

/// Every name that follows `prefix`, also in braces: `crate::{app::App, domain}` names two.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (start, _) in code.match_indices(prefix) {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[start + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(braces) => names.extend(heads(braces)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

/// The first name of each item of a list in braces.
fn heads(braces: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut at_start = true;
    for (index, c) in braces.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && (c.is_alphanumeric() || c == '_') => {
                names.push(identifier(&braces[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether the code names the crate: as a path or in a `use`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = &code[start + name.len()..];
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || "_:.\"".contains(c));
        whole && (after.starts_with("::") || after.starts_with(';'))
    })
}

#[test]
fn a_layer_names_only_those_below_it() {
    let mut wrong = Vec::new();
    for file in files() {
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == file.part) else {
            continue;
        };
        for name in names_after(&file.code, "crate::") {
            // Macros and items of the crate's root are named without a module.
            let module = name.chars().next().is_some_and(char::is_lowercase);
            if module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} names crate::{name}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_layer_is_there() {
    let files = files();
    for layer in ["domain", "store", "app", "http"] {
        assert!(files.iter().any(|file| file.part == layer), "{layer} has no file");
    }
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for file in files() {
        for (name, parts) in CRATES {
            if names_crate(&file.code, name) && !parts.contains(&file.part.as_str()) {
                wrong.push(format!("{} names {name}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sql_is_written_only_in_the_store() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| !SQL_WRITERS.contains(&file.part.as_str())) {
        for name in names_after(&file.code, "sqlx::") {
            let holder = SQLX_HOLDERS.contains(&file.part.as_str());
            if !holder || !SQLX_TYPES.contains(&name.as_str()) {
                wrong.push(format!("{} names sqlx::{name}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn time_and_chance_have_one_source() {
    let mut wrong = Vec::new();
    for file in files() {
        for (call, parts) in CLOCKS {
            if file.code.contains(call) && !parts.contains(&file.part.as_str()) {
                wrong.push(format!("{} calls {call}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short_and_named_after_what_they_are() {
    let mut wrong = Vec::new();
    for file in files() {
        if file.lines > LONGEST_FILE {
            wrong.push(format!("{} has {} lines", file.name, file.lines));
        }
        if VAGUE_NAMES.contains(&file.module.as_str()) {
            wrong.push(format!("{} says nothing by its name", file.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = files()
        .into_iter()
        .map(|file| file.name)
        .filter(|name| {
            let text = fs::read_to_string(Path::new(SRC).join(name)).unwrap();
            !text.starts_with("//!")
        })
        .collect();
    assert!(silent.is_empty(), "these files do not start with what they are for: {silent:#?}");
}

#[test]
fn the_reader_of_names_sees_them() {
    let code = "use crate::{app::{App, caller::Caller}, domain};\ncrate::store::x();\n$crate::y";
    assert_eq!(names_after(code, "crate::"), ["app", "domain", "store"]);
    assert!(names_crate("use axum::Router;", "axum"));
    assert!(!names_crate("utoipa_axum::routes!(x)", "axum"));
}
