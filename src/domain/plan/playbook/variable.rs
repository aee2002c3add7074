//! The variables of a playbook: declared with a type and bounds, filled by whoever uses it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::Faults;
use crate::domain::{check::pointer, number, settings, words::words};

words! {
    /// Type of a variable of a playbook.
    pub enum VariableType {
        /// Text.
        String => "string",
        /// A whole number.
        Integer => "integer",
        /// A number.
        Number => "number",
        /// `true` or `false`.
        Boolean => "boolean",
        /// A list of one of the others, named by `items`.
        List => "list",
    }
}

/// A variable of a playbook. The bounds of a list's items are those of the variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Type of its value.
    pub r#type: VariableType,
    /// What it is for, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Type of the items of a list; default `string`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<VariableType>,
    /// The value if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether a value must be given. Default: true without `default`. Without both, the value is the empty
    /// one of its type: an empty text or list, 0, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The values allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Value>,
    /// The least number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The least length of a text, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// The greatest length of a text, in characters. Never more than 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// The least number of items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u32>,
    /// The greatest number of items of a list, at most and by default 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u32>,
}

/// Names that templates have anyway, or that mean something else there.
const RESERVED: [&str; 17] = [
    "title", "brief", "index", "loop", "self", "range", "dict", "true", "false", "none", "and",
    "or", "not", "in", "is", "if", "else",
];

/// Why a name is none of a variable; `None` if it is.
#[must_use]
pub fn refused_name(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !begins || !rest || name.len() > 64 {
        return Some("must be 1 to 64 of a-z 0-9 _ and begin with a letter".to_owned());
    }
    RESERVED.contains(&name).then(|| format!("`{name}` is reserved: use another name"))
}

impl Variable {
    /// Whether a value must be given.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default.is_none())
    }

    /// The type of a single value: that of the items of a list.
    fn single(&self) -> VariableType {
        match self.r#type {
            VariableType::List => self.items.unwrap_or(VariableType::String),
            single @ (VariableType::String
            | VariableType::Integer
            | VariableType::Number
            | VariableType::Boolean) => single,
        }
    }

    /// Checks the declaration. `at`: its JSON Pointer.
    pub fn check(&self, faults: &mut Faults, at: &str) {
        let list = self.r#type == VariableType::List;
        let single = self.single();
        let is_number = matches!(single, VariableType::Integer | VariableType::Number);
        let is_text = single == VariableType::String;
        if single == VariableType::List {
            faults.add(pointer(at, "items"), "a list of lists is not possible");
        }
        let mut only = |name: &str, given: bool, allowed: bool, of: &str| {
            if given && !allowed {
                faults.add(pointer(at, name), format!("has no meaning here: it is for {of}"));
            }
        };
        only("items", self.items.is_some(), list, "lists");
        only("min_items", self.min_items.is_some(), list, "lists");
        only("max_items", self.max_items.is_some(), list, "lists");
        only("min", self.min.is_some(), is_number, "numbers");
        only("max", self.max.is_some(), is_number, "numbers");
        only("min_length", self.min_length.is_some(), is_text, "texts");
        only("max_length", self.max_length.is_some(), is_text, "texts");
        self.check_bounds(faults, at);
        if self.required == Some(true) && self.default.is_some() {
            faults
                .add(pointer(at, "required"), "is true, so `default` is never used: leave one out");
        }
        if self.description.len() > settings::MESSAGE_BYTES {
            faults.add(pointer(at, "description"), "is longer than 16 KiB");
        }
        if !faults.is_empty() {
            return;
        }
        for (index, value) in self.one_of.iter().enumerate() {
            let plain = Self { one_of: Vec::new(), ..self.clone() };
            if let Some(detail) = plain.refused(value) {
                faults.add(format!("{at}/one_of/{index}"), detail);
            }
        }
        if let Some(default) = &self.default {
            for (place, detail) in self.refusals(default) {
                faults.add(format!("{at}/default{place}"), detail);
            }
        }
    }

    fn check_bounds(&self, faults: &mut Faults, at: &str) {
        let mut ordered = |name: &str, least: Option<f64>, most: Option<f64>| {
            if let (Some(least), Some(most)) = (least, most)
                && least > most
            {
                faults.add(pointer(at, name), format!("is less than the least allowed, {least}"));
            }
        };
        ordered("max", self.min, self.max);
        ordered("max_length", self.min_length.map(f64::from), self.max_length.map(f64::from));
        ordered("max_items", self.min_items.map(f64::from), self.max_items.map(f64::from));
        if self.one_of.len() > settings::PLAYBOOK_CHOICES {
            faults.add(pointer(at, "one_of"), "has more than 200 values");
        }
        for (name, items) in [("min_items", self.min_items), ("max_items", self.max_items)] {
            if items.is_some_and(|items| items as usize > settings::PLAYBOOK_ITEMS) {
                faults.add(pointer(at, name), "must be at most 1,000");
            }
        }
        for (name, length) in [("min_length", self.min_length), ("max_length", self.max_length)] {
            if length.is_some_and(|length| length as usize > settings::MESSAGE_BYTES) {
                faults.add(pointer(at, name), "must be at most 16,384");
            }
        }
    }

    /// What is wrong with a value: pointers into it, with details.
    #[must_use]
    pub fn refusals(&self, value: &Value) -> Vec<(String, String)> {
        if self.r#type != VariableType::List {
            return self.refused(value).map(|detail| (String::new(), detail)).into_iter().collect();
        }
        let Some(items) = value.as_array() else {
            return vec![(String::new(), format!("must be a list, and is {}", kind(value)))];
        };
        let most = self.max_items.map_or(settings::PLAYBOOK_ITEMS, |most| most as usize);
        let least = self.min_items.unwrap_or_default() as usize;
        let count = items.len();
        if count > most {
            return vec![(String::new(), format!("has {count} items; at most {most} are allowed"))];
        }
        if count < least {
            return vec![(
                String::new(),
                format!("has {count} items; at least {least} are needed"),
            )];
        }
        let refused = |(index, item)| Some((format!("/{index}"), self.refused(item)?));
        items.iter().enumerate().filter_map(refused).take(10).collect()
    }

    /// Why a single value is refused.
    fn refused(&self, value: &Value) -> Option<String> {
        let wanted = match self.single() {
            VariableType::String => "a text",
            VariableType::Integer => "a whole number",
            VariableType::Number => "a number",
            VariableType::Boolean => "`true` or `false`",
            VariableType::List => "no list",
        };
        let fits = match (self.single(), value) {
            (VariableType::String, Value::String(_))
            | (VariableType::Boolean, Value::Bool(_))
            | (VariableType::Number, Value::Number(_)) => true,
            (VariableType::Integer, Value::Number(number)) => whole(number).is_some(),
            (
                VariableType::String
                | VariableType::Integer
                | VariableType::Number
                | VariableType::Boolean
                | VariableType::List,
                _,
            ) => false,
        };
        if !fits {
            return Some(format!("must be {wanted}, and is {}", kind(value)));
        }
        self.out_of_bounds(value)
    }

    fn out_of_bounds(&self, value: &Value) -> Option<String> {
        if let Some(text) = value.as_str() {
            let length = text.chars().count();
            if text.len() > settings::MESSAGE_BYTES {
                return Some("is longer than 16 KiB".to_owned());
            }
            let (least, most) = (self.min_length.unwrap_or_default(), self.max_length);
            if length < least as usize {
                return Some(format!("has {length} characters; at least {least} are needed"));
            }
            if let Some(most) = most.filter(|most| length > *most as usize) {
                return Some(format!("has {length} characters; at most {most} are allowed"));
            }
        }
        if let Some(number) = value.as_f64() {
            if let Some(least) = self.min.filter(|least| number < *least) {
                return Some(format!("is {number}; must be at least {least}"));
            }
            if let Some(most) = self.max.filter(|most| number > *most) {
                return Some(format!("is {number}; must be at most {most}"));
            }
        }
        let same = |allowed: &Value| match (allowed.as_f64(), value.as_f64()) {
            (Some(allowed), Some(value)) => allowed.total_cmp(&value).is_eq(),
            _ => allowed == value,
        };
        if self.one_of.is_empty() || self.one_of.iter().any(same) {
            return None;
        }
        let allowed: Vec<String> = self.one_of.iter().take(20).map(shown).collect();
        Some(format!("must be one of {}", allowed.join(", ")))
    }

    /// The value of an absent one that is not required.
    #[must_use]
    pub fn fallback(&self) -> Value {
        self.default.clone().unwrap_or_else(|| match self.r#type {
            VariableType::String => Value::from(""),
            VariableType::Integer | VariableType::Number => Value::from(0),
            VariableType::Boolean => Value::Bool(false),
            VariableType::List => Value::Array(Vec::new()),
        })
    }

    /// A value within the bounds, to check the playbook with: the default, or made of the type. Lists have two
    /// different items if they may, so that refs that repeat are found.
    #[must_use]
    pub fn sample(&self) -> Value {
        if !self.is_required() {
            return self.fallback();
        }
        if self.r#type != VariableType::List {
            return self.sample_of(0);
        }
        let most = self.max_items.map_or(2, |most| most.min(2));
        let least = self.min_items.unwrap_or_default().max(most);
        (0..least as usize).map(|index| self.sample_of(index)).collect()
    }

    fn sample_of(&self, index: usize) -> Value {
        if !self.one_of.is_empty() {
            return self.one_of[index % self.one_of.len()].clone();
        }
        match self.single() {
            VariableType::String | VariableType::List => {
                let text = format!("sample-{}", index + 1);
                let least = self.min_length.unwrap_or_default() as usize;
                let padding = "x".repeat(least.saturating_sub(text.len()));
                let most = self.max_length.map_or(usize::MAX, |most| most as usize);
                // The end tells samples apart.
                let text = padding + &text;
                let skipped = text.len().saturating_sub(most);
                Value::from(&text[skipped..])
            }
            VariableType::Integer => {
                let from = self.min.or(self.max.filter(|most| *most < 1.0)).unwrap_or(1.0).ceil();
                let number = from + index as f64;
                let number = if self.max.is_some_and(|most| number > most) { from } else { number };
                number::whole(number).map_or(Value::from(1), Value::from)
            }
            VariableType::Number => {
                Value::from(self.min.or(self.max.filter(|most| *most < 1.0)).unwrap_or(1.0))
            }
            VariableType::Boolean => Value::Bool(true),
        }
    }
}

/// The whole number of a JSON number that is one.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| number::whole(number.as_f64()?))
}

/// The value with whole numbers as integers: `2.0` is 2.
#[must_use]
pub fn normal(of: VariableType, value: &Value) -> Value {
    match (of, value) {
        (VariableType::Integer, Value::Number(number)) => {
            whole(number).map_or_else(|| value.clone(), Value::from)
        }
        (
            VariableType::String
            | VariableType::Integer
            | VariableType::Number
            | VariableType::Boolean
            | VariableType::List,
            _,
        ) => value.clone(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"))
}
