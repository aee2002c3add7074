//! Rendering of templates, with a bound on the work of a whole expansion.
//!
//! The fuel of a template pays for its instructions and for every byte that they make or read. One store of
//! work is shared by all templates of an expansion, the reading of their text included, so neither one
//! template nor the number of them takes long.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::{
    Environment, ErrorKind,
    value::{Object, Value as Jinja, ValueKind},
};
use serde_json::{Map, Number, Value};

use super::language::{environment, is_template, said, whole};
use crate::domain::{check::pointer, settings};

/// What one unit of fuel costs: the bytes that it pays for.
const FUEL: u64 = 64;
/// The work of a step that is no template, such as one turn of a loop.
const STEP: u64 = 256;
/// The deepest value of an expression.
const DEPTH: usize = 16;

/// The values of the variables of a scope. Those of the playbook are shared by all of its instances.
#[derive(Debug, Clone)]
pub struct Scope {
    shared: Arc<BTreeMap<String, Jinja>>,
    /// The items of the loops around, the outermost first.
    items: Vec<(Arc<str>, Jinja)>,
}

impl Scope {
    /// The scope of a playbook.
    #[must_use]
    pub fn of(values: BTreeMap<String, Jinja>) -> Self {
        Self { shared: Arc::new(values), items: Vec::new() }
    }

    /// A scope inside this one, with one variable more.
    #[must_use]
    pub fn with(&self, name: Arc<str>, value: Jinja) -> Self {
        let mut inner = self.clone();
        inner.items.push((name, value));
        inner
    }

    fn find(&self, name: &str) -> Option<&Jinja> {
        let item = self.items.iter().rev().find(|(item, _)| &**item == name);
        item.map(|(_, value)| value).or_else(|| self.shared.get(name))
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.find(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.find(key).cloned()
    }
}

/// Why a text is not rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The text is wrong for these values.
    Wrong(String),
    /// The expansion is too much work.
    TooMuch,
}

/// Renders the texts of one expansion.
#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
    left: u64,
}

impl Renderer {
    /// With all of its work left.
    #[must_use]
    pub fn new() -> Self {
        Self { environment: environment(), left: settings::PLAYBOOK_WORK }
    }

    /// Spends the work of a step.
    ///
    /// # Errors
    /// When there is none left.
    pub fn step(&mut self) -> Result<(), Trouble> {
        self.spend(STEP)
    }

    fn spend(&mut self, work: u64) -> Result<(), Trouble> {
        match self.left.checked_sub(work) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Trouble::TooMuch)
            }
        }
    }

    /// A text with its templates filled in.
    ///
    /// # Errors
    /// When it is wrong for these values, or there is too much work.
    pub fn text(&mut self, text: &str, scope: &Scope) -> Result<String, Trouble> {
        self.spend(text.len() as u64 + 1)?;
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let (output, _) = self.run(text, scope, None)?;
        Ok(output)
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// When it is wrong for these values, or there is too much work.
    pub fn expression(&mut self, text: &str, scope: &Scope) -> Result<Value, Trouble> {
        self.spend(text.len() as u64 + 1)?;
        let source = format!("{{% set value = ({text}) %}}");
        let (_, value) = self.run(&source, scope, Some("value"))?;
        self.json(&value, 0)
    }

    /// A value of the document: the texts in it are filled in, and a text that is nothing but an expression
    /// becomes its value.
    ///
    /// # Errors
    /// With the JSON Pointer of the text in the value.
    pub fn value(&mut self, value: &Value, scope: &Scope) -> Result<Value, (String, Trouble)> {
        let here = |trouble| (String::new(), trouble);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.spend(1).map_err(here)?;
                Ok(value.clone())
            }
            Value::String(text) => match whole(text) {
                Some(expression) => self.expression(expression, scope).map_err(here),
                None => self.text(text, scope).map(Value::String).map_err(here),
            },
            Value::Array(items) => {
                let below = |(index, item): (usize, &Value)| {
                    let inner = self.value(item, scope);
                    inner.map_err(|(place, trouble)| (format!("/{index}{place}"), trouble))
                };
                items.iter().enumerate().map(below).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Value::Object(members) => {
                let below = |(name, member): (&String, &Value)| {
                    let inner = self.value(member, scope);
                    let inner =
                        inner.map_err(|(place, trouble)| (pointer("", name) + &place, trouble))?;
                    Ok((name.clone(), inner))
                };
                members.iter().map(below).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }

    fn run(
        &mut self,
        source: &str,
        scope: &Scope,
        name: Option<&str>,
    ) -> Result<(String, Jinja), Trouble> {
        self.environment.set_fuel(Some(self.left / FUEL));
        let (output, value, used) = rendered(&self.environment, source, scope, name)?;
        self.spend(used.saturating_mul(FUEL).saturating_add(output.len() as u64))?;
        Ok((output, value))
    }

    /// The value as JSON. Loops over ranges are made here, so they cost work here.
    fn json(&mut self, value: &Jinja, depth: usize) -> Result<Value, Trouble> {
        self.spend(STEP / 8)?;
        if depth > DEPTH {
            return Err(Trouble::Wrong(format!("the value is nested deeper than {DEPTH} levels")));
        }
        let no_value = |what: &str| Err(Trouble::Wrong(format!("the expression is {what}")));
        match value.kind() {
            ValueKind::Undefined => no_value("undefined"),
            ValueKind::None => Ok(Value::Null),
            ValueKind::Bool => Ok(Value::Bool(value.is_true())),
            ValueKind::Number => number(value)
                .map(Value::Number)
                .map_or_else(|| no_value("a number that cannot be kept exactly"), Ok),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                self.spend(text.len() as u64)?;
                Ok(Value::from(text))
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter().map_err(|error| Trouble::Wrong(said(&error)))? {
                    items.push(self.json(&item, depth + 1)?);
                }
                Ok(Value::Array(items))
            }
            ValueKind::Map => {
                let mut members = Map::new();
                for key in value.try_iter().map_err(|error| Trouble::Wrong(said(&error)))? {
                    let member = value.get_item(&key).unwrap_or_default();
                    let member = self.json(&member, depth + 1)?;
                    members.insert(key.to_string(), member);
                }
                Ok(Value::Object(members))
            }
            _ => no_value("no value of JSON"),
        }
    }
}

impl Default for Renderer {
    fn default() -> Self {
        Self::new()
    }
}

/// The output of a template, the value of a variable that it sets, and the fuel that it used.
fn rendered(
    environment: &Environment<'_>,
    source: &str,
    scope: &Scope,
    name: Option<&str>,
) -> Result<(String, Jinja, u64), Trouble> {
    let context = Jinja::from_object(scope.clone());
    let template = environment.template_from_str(source);
    let captured = template.and_then(|template| template.render_captured(context));
    let captured = captured.map_err(|error| match error.kind() {
        ErrorKind::OutOfFuel => Trouble::TooMuch,
        _ => Trouble::Wrong(said(&error)),
    })?;
    let used = captured.state().fuel_levels().map_or(0, |(used, _)| used);
    let value = name.and_then(|name| captured.state().lookup(name)).unwrap_or_default();
    Ok((captured.into_output(), value, used))
}

fn number(value: &Jinja) -> Option<Number> {
    if let Some(whole) = value.as_i64() {
        return Some(Number::from(whole));
    }
    let number = f64::try_from(value.clone()).ok()?;
    Number::from_f64(number)
}

/// The value of a variable as templates see it.
#[must_use]
pub fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(yes) => Jinja::from(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Jinja::from(whole),
            None => Jinja::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(jinja).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), jinja(value)));
            Jinja::from(members.collect::<BTreeMap<String, Jinja>>())
        }
    }
}
