//! `/problems`: the table of problem codes, and a page for each code.
//!
//! Browsers get HTML; `curl` and agents get Markdown or JSON if they ask for it (`Accept`).

use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{Content, response::ResponseBuilder},
};

use crate::{
    domain::{refusal::Code, words::Words},
    http::{
        describe::{self, Describe, Description},
        extract::{
            auth::Public,
            path::{ApiPath, PathParam},
        },
        markdown::{Wanted, html, markdown},
        problem::{
            Result,
            pages::{page, section},
        },
        reply::Reply,
    },
};

/// One problem code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemKind {
    /// The code, for programs to branch on.
    pub code: Code,
    /// The HTTP status of every problem with this code.
    #[schema(example = 409)]
    pub status: u16,
    /// The title of every problem with this code: a few words for people.
    pub title: String,
    /// Whether the same request may succeed later without being changed.
    pub retryable: bool,
    /// The path of the page that explains the code: `/problems/{code}`.
    pub page: String,
}

/// One problem code, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemMeaning {
    /// The code, for programs to branch on.
    pub code: Code,
    /// The HTTP status of every problem with this code.
    #[schema(example = 409)]
    pub status: u16,
    /// The title of every problem with this code: a few words for people.
    pub title: String,
    /// Whether the same request may succeed later without being changed.
    pub retryable: bool,
    /// What happened, in Markdown.
    pub happened: String,
    /// What the author of the program or the program itself should do, in Markdown.
    pub to_do: String,
}

/// All problem codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemKinds {
    /// All codes, always in the same order.
    pub items: Vec<ProblemKind>,
}

/// List the problem codes
///
/// Returns every code with its status, its title and whether to retry: as JSON, as Markdown, or as HTML
/// if `Accept` names neither.
#[utoipa::path(get, path = "/problems")]
pub async fn list_problems(_: Public, wanted: Wanted) -> Result<ListPage> {
    Ok(ListPage(wanted))
}

/// Explain a problem code
///
/// Returns what happened, what to do and whether to try again: as JSON, as Markdown, or as HTML if
/// `Accept` names neither.
#[utoipa::path(get, path = "/problems/{code}")]
pub async fn get_problem(
    _: Public,
    ApiPath(code): ApiPath<Code>,
    wanted: Wanted,
) -> Result<CodePage> {
    Ok(CodePage(code, wanted))
}

impl PathParam for Code {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <Self as utoipa::PartialSchema>::schema()
    }
}

pub struct ListPage(Wanted);

impl IntoResponse for ListPage {
    fn into_response(self) -> Response {
        match self.0 {
            Wanted::Json => Reply(kinds()).into_response(),
            Wanted::Markdown => markdown(list_markdown()),
            Wanted::Html => html("Problems", &list_markdown()),
        }
    }
}

impl Describe for ListPage {
    fn describe(doc: &mut Description<'_>) {
        let kinds = doc.schema::<ProblemKinds>();
        let page = described_page("All problem codes.")
            .content("application/json", Content::new(Some(kinds)));
        doc.response(200, page);
    }
}

pub struct CodePage(Code, Wanted);

impl IntoResponse for CodePage {
    fn into_response(self) -> Response {
        match self.1 {
            Wanted::Json => Reply(meaning(self.0)).into_response(),
            Wanted::Markdown => markdown(page(self.0)),
            Wanted::Html => html(self.0.title(), &page(self.0)),
        }
    }
}

impl Describe for CodePage {
    fn describe(doc: &mut Description<'_>) {
        let meaning = doc.schema::<ProblemMeaning>();
        let page = described_page("The explanation of the code.")
            .content("application/json", Content::new(Some(meaning)));
        doc.response(200, page);
    }
}

fn described_page(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .content("text/html", Content::new(Some(describe::string())))
        .content("text/markdown", Content::new(Some(describe::string())))
}

fn meaning(code: Code) -> ProblemMeaning {
    ProblemMeaning {
        code,
        status: code.status(),
        title: code.title().to_owned(),
        retryable: code.retryable(),
        happened: section(code, "What happened").to_owned(),
        to_do: section(code, "What to do").to_owned(),
    }
}

fn kinds() -> ProblemKinds {
    let kind = |code: &Code| ProblemKind {
        code: *code,
        status: code.status(),
        title: code.title().to_owned(),
        retryable: code.retryable(),
        page: format!("/problems/{code}"),
    };
    ProblemKinds { items: Code::ALL.iter().map(kind).collect() }
}

fn list_markdown() -> String {
    let line = |code: &Code| {
        let retry = if code.retryable() { " · retry" } else { "" };
        format!("- {} [`{code}`](/problems/{code}): {}{retry}\n", code.status(), code.title())
    };
    let lines: String = Code::ALL.iter().map(line).collect();
    format!(
        "# Problems\n\nEvery problem has one of these codes. Programs branch on the code, never on \
         texts. *Retry*: the same request may succeed later.\n\n{lines}"
    )
}
