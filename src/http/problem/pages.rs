//! The pages of the problem codes, for the author of the program that got the problem.
//!
//! Each code has one Markdown file, `pages/<code>.md`: its title, what happened, what to do, whether to
//! try again, and often an example. The files are part of the binary; a code without its file does
//! not compile. A test compares titles and examples with the table of codes.

use crate::domain::refusal::{Code, codes};

macro_rules! files {
    ($($name:ident, $word:tt, $status:literal, $retry:expr, $title:literal;)+) => {
        const fn file(code: Code) -> &'static str {
            match code {
                $(Code::$name => include_str!(concat!("pages/", $word, ".md")),)+
            }
        }
    };
}
codes!(files);

/// The page of a code in Markdown: its file, with the code and the status below the title.
#[must_use]
pub fn page(code: Code) -> String {
    let (title, text) = file(code).split_once('\n').unwrap_or_default();
    format!("{title}\n\n`{code}` · HTTP {} · [all problems](/problems)\n{text}", code.status())
}

/// The section of a code's page with this heading, in Markdown; empty if the page has none.
#[must_use]
pub fn section(code: Code, heading: &str) -> &'static str {
    let mut sections = file(code).split("\n## ");
    let text = sections.find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'));
    text.unwrap_or_default().trim()
}
