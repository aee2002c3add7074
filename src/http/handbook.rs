//! The handbook of operators, at `/handbook`: the files of `handbook/`, inside the binary.
//!
//! Public, like `/docs`. The files link to each other by name (`budgets.md`), so they also read well
//! in the repository; the service serves them with its own paths. They are files, not operations:
//! the OpenAPI document does not list them.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing,
};

use super::{
    extract::path::ApiPath,
    markdown::{Wanted, html, markdown},
    problem::Result,
    state::HttpState,
};
use crate::domain::refusal::{Code, Refusal};

macro_rules! pages {
    ($($name:literal,)+) => {
        [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/handbook/", $name, ".md"))),)+]
    };
}

/// The page at `/handbook` itself.
const INDEX: &str = "README";

/// Every page, by its name: that of its file, and the last segment of its path.
pub const PAGES: [(&str, &str); 39] = pages![
    "README",
    "start",
    "configuration",
    "keys",
    "access",
    "sign-in",
    "secrets",
    "goals",
    "planners",
    "playbooks",
    "schedules",
    "plans",
    "coordination",
    "artifacts",
    "verification",
    "agents",
    "routing",
    "limits-of-work",
    "routing-agents",
    "explain",
    "knowledge",
    "budgets",
    "prices",
    "reports",
    "approvals",
    "policies",
    "links",
    "attention",
    "freezes",
    "takeover",
    "rules",
    "promises",
    "journal",
    "verify",
    "operating",
    "retention",
    "problems",
    "benchmarks",
    "contributing",
];

/// The routes.
pub fn routes() -> Router<HttpState> {
    Router::new()
        .route("/handbook", routing::get(async |wanted: Wanted| page(INDEX, wanted)))
        .route(
            "/handbook/{page}",
            routing::get(async |ApiPath(name): ApiPath<String>, wanted: Wanted| {
                page(&name, wanted)
            }),
        )
}

fn page(name: &str, wanted: Wanted) -> Result<Response> {
    let found = PAGES.iter().find(|(page, _)| *page == name);
    let (_, text) =
        found.ok_or_else(|| Refusal::new(Code::NotFound, "the handbook has no such page"))?;
    let text = served(text);
    let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(name);
    Ok(match wanted {
        Wanted::Html => html(title, &format!("{NAVIGATION}{text}")),
        Wanted::Markdown | Wanted::Json => markdown(text).into_response(),
    })
}

const NAVIGATION: &str = "[Handbook](/handbook) · [API](/docs/) · [Problems](/problems)\n\n";

/// The text with the service's paths in place of file names.
fn served(text: &str) -> String {
    PAGES.iter().fold(text.to_owned(), |text, (name, _)| {
        let path =
            if *name == INDEX { "/handbook".to_owned() } else { format!("/handbook/{name}") };
        text.replace(&format!("]({name}.md)"), &format!("]({path})"))
    })
}
