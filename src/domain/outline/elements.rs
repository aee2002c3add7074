//! `<task>` elements inside Markdown, as some planners write them.

use super::OutlineCriterion;
use super::boxes::{self, BoxMark};
use super::document::{Document, Line, What};

/// A parsed task element.
#[derive(Debug, Default)]
pub(super) struct ElementText {
    /// Text of `<name>`, or the first line of the element.
    pub name: String,
    /// The `type`, if unusual.
    pub label: Option<String>,
    pub id: Option<String>,
    /// Lines of `<done>` and `<acceptance_criteria>`.
    pub criteria: Vec<OutlineCriterion>,
    /// Lines left for the description.
    pub lines: Vec<usize>,
}

/// Parses an element; `lines` are those after its opening line.
pub(super) fn read(document: &Document<'_>, opening: &str, lines: &[usize]) -> ElementText {
    let kind = attribute(opening, "type").filter(|kind| kind.starts_with("checkpoint"));
    let mut text = ElementText { label: kind, id: attribute(opening, "id"), ..Default::default() };
    let inline = opening.split_once('>').map_or("", |(_, rest)| rest);
    text.name = inner(inline).unwrap_or_else(|| inline.replace("</task>", "")).trim().to_owned();
    let mut open = Field::Other;
    for at in lines {
        let line = &document.lines[*at];
        open = text.line(line, *at, open);
    }
    if text.name.is_empty() {
        text.name_from_text(document);
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Criteria,
    Other,
}

impl ElementText {
    fn line(&mut self, line: &Line<'_>, at: usize, open: Field) -> Field {
        if line.what == What::Code {
            self.lines.push(at);
            return open;
        }
        let text = line.raw.text.trim();
        let (field, rest) = starts(text, open);
        let (rest, ends) = ["</name>", "</done>", "</acceptance_criteria>", "</task>"]
            .iter()
            .find_map(|tag| rest.split_once(tag))
            .map_or((rest, false), |(rest, _)| (rest, true));
        let rest = rest.trim();
        match field {
            Field::Name if !rest.is_empty() => {
                if !self.name.is_empty() {
                    self.name.push(' ');
                }
                self.name.push_str(rest);
            }
            Field::Criteria if !rest.is_empty() => self.criterion(line, rest),
            Field::Other if !ends || !rest.is_empty() => self.lines.push(at),
            Field::Name | Field::Criteria | Field::Other => {}
        }
        if ends { Field::Other } else { field }
    }

    fn criterion(&mut self, line: &Line<'_>, text: &str) {
        let follows = match line.what {
            What::Text { first } => !first || line.item.is_some(),
            What::Blank | What::Hidden | What::Code | What::Rule => false,
            What::Heading | What::Item(_) | What::Tag => false,
        };
        match self.criteria.last_mut().filter(|_| follows) {
            Some(last) => {
                last.text.push(' ');
                last.text.push_str(text);
            }
            None => {
                let item = text.strip_prefix("- ").or_else(|| text.strip_prefix("* "));
                let (mark, text) = boxes::take(item.unwrap_or(text));
                let satisfied = mark == Some(BoxMark::Done);
                let text = text.to_owned();
                self.criteria.push(OutlineCriterion { text, satisfied, line: line.raw.number });
            }
        }
    }

    fn name_from_text(&mut self, document: &Document<'_>) {
        let text = |at: &usize| document.lines[*at].raw.text.trim();
        let found = self.lines.iter().position(|at| {
            let line = text(at);
            !line.is_empty() && !line.starts_with('<')
        });
        if let Some(found) = found {
            self.name = text(&self.lines.remove(found)).to_owned();
        }
    }
}

fn starts(text: &str, open: Field) -> (Field, &str) {
    for (tag, field) in [
        ("<name>", Field::Name),
        ("<done>", Field::Criteria),
        ("<acceptance_criteria>", Field::Criteria),
    ] {
        if let Some(rest) = text.strip_prefix(tag) {
            return (field, rest);
        }
    }
    (open, text)
}

fn inner(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<name>")?;
    rest.split_once("</name>").map(|(name, _)| name.to_owned())
}

fn attribute(opening: &str, name: &str) -> Option<String> {
    let tag = opening.split_once('>').map_or(opening, |(tag, _)| tag);
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = value.split_once('"')?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty() && value.len() <= 60)
}
