//! YAML as data: one document of maps, lists and scalars, read in bounded work.
//!
//! The subset that JSON can say, so a JSON text is read too. Scalars without quotes follow the core schema
//! of YAML 1.2: `no` and `on` are texts. Refused, each with its line: anchors and aliases (a few lines of
//! them expand to gigabytes), tags, a second document, repeated keys, keys that are no scalars, control
//! characters, and more than [`DEPTH`] levels. The parser gives events one by one, and nothing here
//! recurses, so a deep document ends at its first level too many.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

use crate::domain::{number::EXACT, outline::controls};

/// The deepest nesting, in levels.
pub const DEPTH: usize = 32;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The place in the line, in characters from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Place {
    fn of(marker: &Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct Unreadable {
    /// Where reading stopped.
    pub place: Place,
    /// What is wrong.
    pub detail: String,
}

/// Reads a document.
///
/// # Errors
/// At the first place that is refused.
pub fn read(text: &str) -> Result<Value, Unreadable> {
    Ok(Reader::of(text, None)?.0)
}

/// Where the values at these JSON Pointers begin, in their order. What is missing has the place of what it is missing
/// in; `None` if nothing of it can be read.
#[must_use]
pub fn places<'a>(text: &str, pointers: impl IntoIterator<Item = &'a str>) -> Vec<Option<Place>> {
    let mut places = Wanted { nodes: vec![Node::default()], open: Vec::new() };
    let ends: Vec<usize> = pointers.into_iter().map(|pointer| places.want(pointer)).collect();
    let read = Reader::of(text, Some(places));
    let nodes = read.ok().and_then(|(_, places)| places).map(|places| places.nodes);
    let nodes = nodes.unwrap_or_default();
    let place = |end: usize| {
        let mut above = std::iter::successors(nodes.get(end), |node| nodes.get(node.above?));
        above.find_map(|node| node.place)
    };
    ends.into_iter().map(place).collect()
}

/// The values whose places are wanted, by the names and numbers on the way to them. The pointers of all values are
/// not made: a long key would be in each of those below it.
#[derive(Debug)]
struct Wanted {
    nodes: Vec<Node>,
    /// The nodes of the lists and maps that are open, as far as they lead to a wanted place.
    open: Vec<Option<usize>>,
}

#[derive(Debug, Default)]
struct Node {
    place: Option<Place>,
    above: Option<usize>,
    below: HashMap<String, usize>,
}

impl Wanted {
    /// Adds a value; returns its node.
    fn want(&mut self, pointer: &str) -> usize {
        let mut here = 0;
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let next = self.nodes.len();
            here = match self.nodes[here].below.entry(name) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(free) => {
                    free.insert(next);
                    self.nodes.push(Node { above: Some(here), ..Node::default() });
                    next
                }
            };
        }
        here
    }
}

/// A list or map that is still open.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

struct Reader {
    open: Vec<Open>,
    root: Option<Value>,
    documents: usize,
    places: Option<Wanted>,
}

impl Reader {
    fn of(text: &str, places: Option<Wanted>) -> Result<(Value, Option<Wanted>), Unreadable> {
        let mut reader = Self { open: Vec::new(), root: None, documents: 0, places };
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| scan(&error))?;
            reader.event(event, &span).map_err(|detail| at(&span, detail))?;
        }
        let empty = || Unreadable {
            place: Place { line: 1, column: 1 },
            detail: "the text is empty".to_owned(),
        };
        Ok((reader.root.ok_or_else(empty)?, reader.places))
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document begins here: send one only".to_owned());
                }
                Ok(())
            }
            Event::Alias(_) => Err(no_anchors()),
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                if let Some(found) = controls::find(&text).first() {
                    let c = u32::from(found.char);
                    return Err(format!("the control character U+{c:04X} is not allowed"));
                }
                self.scalar(&text, style, span)
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::List(Vec::new()), span)
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::Map(Map::new(), None), span)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(places) = &mut self.places {
                    places.open.pop();
                }
                let ended = self.open.pop().map(|open| match open {
                    Open::List(items) => Value::Array(items),
                    Open::Map(members, _) => Value::Object(members),
                });
                ended.map_or(Ok(()), |value| {
                    self.put(value);
                    Ok(())
                })
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: &Span) -> Result<(), String> {
        if let Some(Open::Map(members, key @ None)) = self.open.last_mut() {
            if members.contains_key(text) {
                return Err(format!("the key `{text}` is repeated"));
            }
            *key = Some(text.to_owned());
            return Ok(());
        }
        let value = match style {
            ScalarStyle::Plain => untyped(text)?,
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Value::from(text),
        };
        self.note(span);
        self.put(value);
        Ok(())
    }

    fn begin(&mut self, open: Open, span: &Span) -> Result<(), String> {
        if matches!(self.open.last(), Some(Open::Map(_, None))) {
            return Err(
                "a key must be a text: put a text that begins with `{` or `[` in quotes".to_owned()
            );
        }
        if self.open.len() >= DEPTH {
            return Err(format!("this is nested deeper than {DEPTH} levels"));
        }
        let node = self.note(span);
        if let Some(places) = &mut self.places {
            places.open.push(node);
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(members, key)) => {
                members.insert(key.take().unwrap_or_default(), value);
            }
        }
    }

    /// Notes the place of the value that comes next; returns its node, if its place or one below it is wanted.
    fn note(&mut self, span: &Span) -> Option<usize> {
        let places = self.places.as_mut()?;
        let node = match (self.open.last(), places.open.last()) {
            (None, _) => 0,
            (Some(_), None | Some(None)) => return None,
            (Some(open), Some(Some(above))) => {
                let below = &places.nodes.get(*above)?.below;
                match open {
                    Open::List(items) => *below.get(&items.len().to_string())?,
                    Open::Map(_, key) => *below.get(key.as_deref()?)?,
                }
            }
        };
        places.nodes.get_mut(node)?.place = Some(Place::of(&span.start));
        Some(node)
    }
}

fn plain(anchor: usize, tag: bool) -> Result<(), String> {
    if anchor != 0 {
        return Err(no_anchors());
    }
    if tag { Err("tags (`!`) are not allowed".to_owned()) } else { Ok(()) }
}

fn no_anchors() -> String {
    "anchors (`&`) and aliases (`*`) are not allowed: write the value again, or use a variable"
        .to_owned()
}

fn scan(error: &ScanError) -> Unreadable {
    Unreadable { place: Place::of(error.marker()), detail: error.info().to_owned() }
}

fn at(span: &Span, detail: String) -> Unreadable {
    Unreadable { place: Place::of(&span.start), detail }
}

/// The value of a scalar without quotes.
fn untyped(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Value::from(text));
    }
    let too_large = || format!("the number `{text}` cannot be kept exactly: put it in quotes");
    let based = text.strip_prefix("0x").map(|digits| (digits, 16));
    let based = based.or_else(|| text.strip_prefix("0o").map(|digits| (digits, 8)));
    if let Some((digits, radix)) = based
        && !digits.is_empty()
        && digits.chars().all(|c| c.is_digit(radix))
    {
        let number = i64::from_str_radix(digits, radix).map_err(|_| too_large())?;
        return exact(number).map(Value::from).ok_or_else(too_large);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| too_large())?;
        return exact(number).map(Value::from).ok_or_else(too_large);
    }
    if !is_decimal(digits) {
        return Ok(Value::from(text));
    }
    let number: Option<f64> = text.parse().ok();
    number.and_then(Number::from_f64).map(Value::Number).ok_or_else(too_large)
}

fn exact(number: i64) -> Option<i64> {
    (number.unsigned_abs() <= EXACT as u64).then_some(number)
}

/// Digits with one point among them, or an exponent after them.
fn is_decimal(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(before, after)| (before, Some(after)));
    let exponent = exponent.is_none_or(|text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent
        && all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}
