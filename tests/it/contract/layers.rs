//! The layers, held by reading `src/`.
//!
//! `main -> { http, supervisor } -> app -> store -> domain`: who may name whom is the table
//! [`LAYERS`]. Inside `app` imports run one way, as [`APP_ORDER`] says, and no two files or folders of
//! `src/` import each other in a circle. The rest of this file are the other rules that can be seen in
//! the text of the code: where SQL, HTTP and the clock may be named, and which file names say nothing.
//!
//! A folder's `mod.rs` is its face: it names the files below it, and they name what it declares. That
//! is one unit with two sides and no circle, so an import between a file and the `mod.rs` of a folder
//! around it is not an edge of the graph.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
const VAGUE_NAMES: &[&str] = &["util", "utils", "common", "helpers", "manager", "service", "misc"];
/// Parts of a thing are no ideas: a file is named after what it holds.
const VAGUE_ENDINGS: &[&str] = &["_views", "_rows", "_batch", "_write", "_told", "_helpers"];

/// The floors inside `app`, the highest first. A room imports rooms of lower floors, and of its own
/// floor if that makes no circle.
const APP_ORDER: &[&[&str]] = &[
    &["attention", "duties", "explain", "moving", "reports", "verify"],
    &["decisions"],
    &["agents", "quota_windows", "rates", "rules"],
    &["freezes"],
    &["attempts", "schedules"],
    &["comments", "goals", "retention", "spend"],
    &["budgets", "journal", "projects"],
    &["artifacts", "knowledge", "planners", "sign_in", "tasks"],
    &["access", "approvals", "gates", "playbooks", "secrets", "workspace"],
    &["caller", "caps", "routing", "unit", "wake"],
    &["bites", "coalesce", "edit", "error", "storage"],
];

/// Each layer with what of the crate it may name. What is not here is beside the layers: it may name
/// everything and be named by nobody in here.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("store", &["store", "domain", "clock", "entropy", "turns"]),
    ("app", &["app", "store", "domain", "clock", "entropy", "turns"]),
    ("supervisor", &["supervisor", "app", "domain", "clock", "entropy", "shutdown", "config"]),
    ("http", &["http", "app", "domain", "turns"]),
    ("outbound", &["outbound", "domain", "clock"]),
    // Beside the layers, and on the other side of HTTP: what measures must not use what it measures.
    ("bench", &["bench", "domain", "config", "embedded", "entropy", "clock", "open_files"]),
    ("clock", &["clock", "domain"]),
    ("entropy", &["entropy", "domain"]),
    ("turns", &["turns", "clock"]),
];

/// A crate, and which parts of the tree may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["http", "cli", "main"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("openidconnect", &["outbound"]),
    ("croner", &["domain"]),
    ("jsonschema", &["domain"]),
    ("minijinja", &["domain"]),
    ("rusty_s3", &["outbound"]),
    ("saphyr_parser", &["domain"]),
    ("tower", &["http", "cli", "outbound"]),
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
    File { part: modules[0].to_owned(), module: module.to_owned(), code, name }
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
fn files_are_named_after_what_they_hold() {
    let vague = |module: &str| {
        VAGUE_NAMES.contains(&module) || VAGUE_ENDINGS.iter().any(|end| module.ends_with(end))
    };
    let wrong: Vec<String> =
        files().into_iter().filter(|file| vague(&file.module)).map(|file| file.name).collect();
    assert!(wrong.is_empty(), "these names say nothing: {wrong:#?}");
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

/// Which files import which, by their names relative to `src/`.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The imports of `files`: what `use` names, and what is named by a whole path.
fn imports(files: &[File]) -> Graph {
    let modules: BTreeMap<Vec<&str>, &str> =
        files.iter().map(|file| (module_path(&file.name), file.name.as_str())).collect();
    let target = |path: &[String]| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        (1..=path.len()).rev().find_map(|end| modules.get(&path[..end]).copied())
    };
    let mut graph = Graph::new();
    for file in files {
        let own = module_path(&file.name);
        let targets = graph.entry(file.name.clone()).or_default();
        for path in paths(&file.code, &own) {
            let Some(named) = target(&path) else { continue };
            if named != file.name && !is_face(named, &file.name) && !is_face(&file.name, named) {
                targets.insert(named.to_owned());
            }
        }
    }
    graph
}

/// Whether `face` is the `mod.rs` of a folder around `file`.
fn is_face(face: &str, file: &str) -> bool {
    face.strip_suffix("mod.rs").is_some_and(|folder| file.starts_with(folder)) || face == "lib.rs"
}

fn module_path(name: &str) -> Vec<&str> {
    let mut path: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    if matches!(path.as_slice(), [.., "mod"] | ["lib"]) {
        path.pop();
    }
    path
}

/// The paths inside the crate that the code of the module `own` names, from the crate's root.
fn paths(code: &str, own: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (prefix, base) in [("crate::", &[][..]), ("super::", &own[..own.len().saturating_sub(1)])] {
        for (start, _) in code.match_indices(prefix) {
            let before = code[..start].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                continue;
            }
            let base = base.iter().map(|part| (*part).to_owned()).collect();
            read_tree(&code[start + prefix.len()..], base, &mut found);
        }
    }
    // A `use` of a child module begins with the child's name.
    for tree in code.lines().filter_map(|line| line.strip_prefix("use ")) {
        let mut child: Vec<String> = own.iter().map(|part| (*part).to_owned()).collect();
        child.push(identifier(tree));
        found.push(child);
    }
    found
}

/// Reads `a::{b, c::d}` behind `base`; returns what follows it.
fn read_tree<'a>(text: &'a str, base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('{') else {
        let name = identifier(text);
        let rest = &text[name.len()..];
        let path = [base, vec![name]].concat();
        return match rest.strip_prefix("::") {
            Some(more) => read_tree(more, path, found),
            None => {
                found.push(path);
                rest
            }
        };
    };
    let mut rest = inner;
    loop {
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix('}') {
            return end;
        }
        let before = rest.len();
        rest = read_tree(rest, base.clone(), found);
        // An alias, or a star.
        let next = rest.find([',', '}']).unwrap_or(rest.len());
        rest = rest[next..].trim_start_matches(',');
        if rest.len() == before {
            return rest;
        }
    }
}

/// The same graph between the entries of each folder.
fn by_folder(files: &Graph) -> Vec<Graph> {
    let mut folders: BTreeMap<String, Graph> = BTreeMap::new();
    for (from, targets) in files {
        for to in targets {
            let (from, to): (Vec<&str>, Vec<&str>) =
                (from.split('/').collect(), to.split('/').collect());
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let entry = |path: &[&str]| path[..=shared].join("/");
            let graph = folders.entry(from[..shared].join("/")).or_default();
            graph.entry(entry(&from)).or_default().insert(entry(&to));
        }
    }
    folders.into_values().collect()
}

/// A circle, if there is one: each imports the next, and the last the first.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn walk(
        graph: &Graph,
        at: &str,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|step| step == at) {
            return Some(path[start..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        path.push(at.to_owned());
        let next = graph.get(at).into_iter().flatten();
        let found = next.into_iter().find_map(|next| walk(graph, next, path, done));
        path.pop();
        done.insert(at.to_owned());
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| walk(graph, start, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_or_folders_import_each_other_in_a_circle() {
    let graph = imports(&files());
    let count: usize = graph.values().map(BTreeSet::len).sum();
    assert!(count > 1_000, "only {count} imports were seen");
    assert_eq!(circle(&graph), None, "files that import each other");
    for folder in by_folder(&graph) {
        assert_eq!(circle(&folder), None, "folders that import each other");
    }
}

#[test]
fn inside_app_imports_run_one_way() {
    let room = |name: &str| {
        let room = name.strip_prefix("app/")?.split('/').next()?;
        Some(room.trim_end_matches(".rs").to_owned()).filter(|room| room != "mod")
    };
    let floor = |room: &str| APP_ORDER.iter().position(|floor| floor.contains(&room));
    let mut wrong = BTreeSet::new();
    for (file, targets) in imports(&files()) {
        let Some(from) = room(&file) else { continue };
        let Some(own) = floor(&from) else {
            wrong.insert(format!("app/{from} has no floor in APP_ORDER"));
            continue;
        };
        for target in &targets {
            let Some(to) = room(target) else { continue };
            if floor(&to).is_none_or(|below| below < own) {
                wrong.insert(format!("{file} imports {target}, which is above it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_imports_sees_them() {
    let code = "use super::{b::C, d};\nuse crate::{app::{App, x::{self, Y as Z}}, domain::*};\nuse child::W;";
    let found: Vec<String> =
        paths(code, &["app", "a"]).into_iter().map(|path| path.join("::")).collect();
    let seen = ["app::App", "app::x::self", "app::x::Y", "app::b::C", "app::d", "app::a::child"];
    for want in seen {
        assert!(found.iter().any(|path| path == want), "{want} in {found:?}");
    }
    assert!(found.iter().any(|path| path.starts_with("domain")), "{found:?}");
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    let round = graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]);
    assert_eq!(circle(&round), Some(vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(circle(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let files = graph(&[("app/a/x.rs", "app/b/y.rs"), ("app/b/z.rs", "app/a/x.rs")]);
    assert_eq!(circle(&files), None);
    assert!(by_folder(&files).iter().any(|folder| circle(folder).is_some()));
}

#[test]
fn the_reader_of_names_sees_them() {
    let code = "use crate::{app::{App, caller::Caller}, domain};\ncrate::store::x();\n$crate::y";
    assert_eq!(names_after(code, "crate::"), ["app", "domain", "store"]);
    assert!(names_crate("use axum::Router;", "axum"));
    assert!(!names_crate("utoipa_axum::routes!(x)", "axum"));
}
