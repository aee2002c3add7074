//! A playbook and values for its variables become tasks.
//!
//! Entries are expanded in their order. Each gives instances: one, one per item of `for_each`, or none if
//! `when` is false. Then the names of each playbook are resolved within it: `needs` may name a task, a whole
//! `block` and a used playbook. What was left out passes its own needs on, so an order that runs through it
//! holds without it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use minijinja::value::Value as Jinja;
use serde_json::{Map, Value, json};

use super::{
    Criterion, Entry, Playbook, Repeat, Task, Use, What,
    fault::{Fault, Faults, Subject},
    render::{Renderer, Scope, Trouble, jinja},
    shelf::Shelf,
    variable::normal,
};
use crate::domain::{
    check::pointer,
    plan::{CriterionSpec, TaskSpec},
    settings,
};

/// What the goal gives beside the variables.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Title of the goal.
    pub title: &'a str,
    /// Its brief.
    pub brief: &'a str,
}

/// What a playbook gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expansion {
    /// The tasks.
    pub tasks: Vec<TaskSpec>,
    /// Where each comes from: JSON Pointers into the document.
    pub places: Vec<String>,
    /// Conditions of success of the goal as a whole.
    pub criteria: Vec<CriterionSpec>,
}

impl Expansion {
    /// The place in the document of a place in the plan: of `/tasks/7/title`, for example.
    #[must_use]
    pub fn place(&self, in_plan: &str) -> String {
        let inside = || {
            let rest = in_plan.strip_prefix("/tasks/")?;
            let (index, field) = rest.split_once('/').unwrap_or((rest, ""));
            let place = self.places.get(index.parse::<usize>().ok()?)?;
            let field = if field.is_empty() { String::new() } else { format!("/{field}") };
            Some(format!("{place}{field}"))
        };
        inside().unwrap_or_else(|| in_plan.to_owned())
    }
}

/// Expands a playbook.
///
/// # Errors
/// Every fault found: of the values, and of the document with these values.
pub fn expand(
    playbook: &Playbook,
    values: &BTreeMap<String, Value>,
    given: Given<'_>,
    shelf: &Shelf,
) -> Result<Expansion, Vec<Fault>> {
    let given = [("title", given.title), ("brief", given.brief)];
    let given = given.map(|(name, text)| (name.to_owned(), Jinja::from(text)));
    let mut work = Work {
        shelf,
        given: BTreeMap::from(given),
        renderer: Renderer::new(),
        faults: Faults::default(),
        tasks: 0,
        edges: 0,
        over: false,
        nested_in: Vec::new(),
    };
    let group = work.playbook(playbook, values);
    let Group { made, criteria } = group.unwrap_or_default();
    let places = made.iter().map(|made| made.at.clone()).collect();
    let tasks = made.into_iter().map(|made| made.spec).collect();
    work.faults.or(Expansion { tasks, places, criteria })
}

/// A task with its place in the document.
#[derive(Debug)]
struct Made {
    spec: TaskSpec,
    at: String,
}

/// The tasks of a playbook, with their needs resolved within it.
#[derive(Debug, Default)]
struct Group {
    made: Vec<Made>,
    criteria: Vec<CriterionSpec>,
}

/// Criteria of the goal that used playbooks give, each text once.
#[derive(Debug, Default)]
struct Criteria {
    list: Vec<CriterionSpec>,
    known: HashSet<String>,
}

impl Criteria {
    fn extend(&mut self, more: Vec<CriterionSpec>) {
        for criterion in more {
            if self.known.insert(criterion.text.clone()) {
                self.list.push(criterion);
            }
        }
    }
}

/// What came of an instance of an entry.
#[derive(Debug)]
enum Came {
    /// A task; its needs are names.
    Task(Box<Made>),
    /// The tasks of another playbook, under a prefix; what these need and are in, by name.
    Group { made: Vec<Made>, needs: Vec<String>, parent: Option<String>, at: String },
    /// Nothing.
    Nothing,
}

/// What a name stands for.
#[derive(Debug, Default)]
struct Named {
    /// Refs of tasks.
    tasks: Vec<String>,
    /// Other names, whose meaning it has too.
    others: Vec<String>,
}

struct Work<'a> {
    shelf: &'a Shelf,
    given: BTreeMap<String, Jinja>,
    renderer: Renderer,
    faults: Faults,
    tasks: usize,
    edges: usize,
    /// Whether a limit ended the expansion.
    over: bool,
    /// Names of the playbooks around, the outermost first.
    nested_in: Vec<String>,
}

impl Work<'_> {
    fn playbook(&mut self, playbook: &Playbook, values: &BTreeMap<String, Value>) -> Option<Group> {
        let scope = self.scope(playbook, values)?;
        self.nested_in.push(playbook.name.clone());
        let mut names = Names::default();
        let mut came = Vec::new();
        let mut criteria = Criteria::default();
        for entry in &playbook.entries {
            self.entry(entry, &scope, &mut names, &mut came, &mut criteria);
            if self.over {
                break;
            }
        }
        let own = self.criteria(&playbook.criteria, &scope);
        let known: HashSet<&str> = own.iter().map(|criterion| criterion.text.as_str()).collect();
        criteria.list.retain(|criterion| !known.contains(criterion.text.as_str()));
        let criteria = own.iter().cloned().chain(criteria.list).collect();
        self.nested_in.pop();
        if self.over {
            return None;
        }
        names.leave_out_empty(&mut came);
        let made = self.resolve(&mut names, came);
        Some(Group { made, criteria })
    }

    /// The values of all variables.
    fn scope(&mut self, playbook: &Playbook, values: &BTreeMap<String, Value>) -> Option<Scope> {
        let mut scope = self.given.clone();
        let mut wrong = false;
        let declared: HashMap<&str, _> =
            playbook.variables.iter().map(|(name, of)| (name.as_str(), of)).collect();
        for name in values.keys().filter(|name| !declared.contains_key(name.as_str())).take(20) {
            let names: Vec<&str> =
                playbook.variables.iter().map(|(name, _)| name.as_str()).collect();
            let detail = match names.as_slice() {
                [] => "the playbook has no variables".to_owned(),
                names => format!("there is no such variable; there are {}", names.join(", ")),
            };
            self.faults.add_value(pointer("", name), detail);
            wrong = true;
        }
        for (name, variable) in &playbook.variables {
            let value = match values.get(name) {
                Some(value) if !value.is_null() => {
                    for (place, detail) in variable.refusals(value) {
                        self.faults.add_value(format!("{}{place}", pointer("", name)), detail);
                        wrong = true;
                    }
                    normal(variable.r#type, value)
                }
                Some(_) | None if variable.is_required() => {
                    let what = if variable.description.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", variable.description)
                    };
                    self.faults.add_value(pointer("", name), format!("is missing{what}"));
                    wrong = true;
                    continue;
                }
                Some(_) | None => variable.fallback(),
            };
            scope.insert(name.clone(), jinja(&value));
        }
        (!wrong).then(|| Scope::of(scope))
    }

    /// Says that a text is wrong; ends the expansion if it is too much work.
    fn trouble(&mut self, at: impl Into<String>, trouble: Trouble) {
        match trouble {
            Trouble::Wrong(detail) => self.faults.add(at, detail),
            Trouble::TooMuch => {
                self.end("the templates are too much work: use fewer instances, or shorter texts");
            }
        }
    }

    fn end(&mut self, detail: impl Into<String>) {
        if !self.over {
            self.faults.add("/tasks", detail);
        }
        self.over = true;
    }

    /// The scopes of the instances of something, each with whether its condition is met.
    fn instances(&mut self, repeat: &Repeat, at: &str, scope: &Scope) -> Vec<(Scope, bool)> {
        let index_name: Arc<str> = "index".into();
        let items = match &repeat.each {
            None => vec![None],
            Some((name, list)) => {
                let at = pointer(&pointer(at, "for_each"), "in");
                match self.renderer.value(list, scope) {
                    Ok(Value::Array(items)) => {
                        let name: Arc<str> = name.as_str().into();
                        items.into_iter().map(|item| Some((Arc::clone(&name), item))).collect()
                    }
                    Ok(_) => {
                        self.faults.add(at, "must be a list");
                        return Vec::new();
                    }
                    Err((place, trouble)) => {
                        self.trouble(format!("{at}{place}"), trouble);
                        return Vec::new();
                    }
                }
            }
        };
        let mut instances = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            if let Err(trouble) = self.renderer.step() {
                self.trouble(at, trouble);
                return instances;
            }
            let mut inner = scope.clone();
            if let Some((name, item)) = item {
                inner = inner.with(name, jinja(&item));
                inner = inner.with(Arc::clone(&index_name), Jinja::from(index + 1));
            }
            let met = match &repeat.when {
                None => true,
                Some(condition) => match self.renderer.expression(condition, &inner) {
                    Ok(value) => is_true(&value),
                    Err(trouble) => {
                        self.trouble(pointer(at, "when"), trouble);
                        return instances;
                    }
                },
            };
            instances.push((inner, met));
        }
        instances
    }

    fn entry(
        &mut self,
        entry: &Entry,
        scope: &Scope,
        names: &mut Names,
        came: &mut Vec<Came>,
        criteria: &mut Criteria,
    ) {
        let instances = self.instances(&entry.repeat, &entry.at, scope);
        if let Some(block) = &entry.block {
            let taken = names.known.contains_key(block);
            if taken && !names.blocks.contains(block) {
                let detail = format!("the name `{block}` is already that of a task");
                self.faults.add(pointer(&entry.at, "block"), detail);
            }
            names.blocks.insert(block.clone());
            let named = names.known.entry(block.clone()).or_default();
            if instances.is_empty() {
                named.others.extend(entry.needs_as_written());
            }
        }
        if instances.is_empty() {
            names.parents.extend(entry.parent_as_written());
        }
        for (scope, met) in instances {
            let Some((name, result)) = self.instance(entry, &scope, met, names, criteria) else {
                if self.over {
                    return;
                }
                continue;
            };
            if names.known.contains_key(&name) {
                let detail = format!(
                    "`{name}` is already the name of something else: with `for_each`, put the item into the \
                     ref, for example `test-{{{{ index }}}}`"
                );
                self.faults.add(pointer(&entry.at, "ref"), detail);
                continue;
            }
            if let Some(block) = &entry.block
                && let Some(named) = names.known.get_mut(block)
            {
                named.others.push(name.clone());
            }
            names.name(name, &result.came, result.needs);
            came.push(result.came);
        }
    }

    /// One instance of an entry: its name, and what came of it.
    fn instance(
        &mut self,
        entry: &Entry,
        scope: &Scope,
        met: bool,
        names: &mut Names,
        criteria: &mut Criteria,
    ) -> Option<(String, Instance)> {
        match &entry.what {
            What::Task(task) => {
                let name = self.field_text(&entry.at, "ref", task.fields.get("ref"), scope)?;
                let needs =
                    self.list(&pointer(&entry.at, "needs"), task.fields.get("needs"), scope);
                let parent = self.field_text(&entry.at, "parent", task.fields.get("parent"), scope);
                names.parents.extend(parent.clone().filter(|parent| !parent.is_empty()));
                if !met {
                    return Some((name, Instance { needs, came: Came::Nothing }));
                }
                let spec = self.task(task, &entry.at, scope)?;
                let spec = TaskSpec { needs: needs.clone(), ..spec };
                self.tasks += 1;
                if self.tasks > settings::PLAN_TASKS {
                    self.end(format!("more than {} tasks come of it", settings::PLAN_TASKS));
                    return None;
                }
                let made = Made { spec, at: entry.at.clone() };
                Some((name, Instance { needs: Vec::new(), came: Came::Task(Box::new(made)) }))
            }
            What::Use(used) => {
                let prefix = Value::from(used.prefix.as_str());
                let name = self.field_text(&entry.at, "ref", Some(&prefix), scope)?;
                let needs = self.list(&pointer(&entry.at, "needs"), used.needs.as_ref(), scope);
                let parent = self.field_text(&entry.at, "parent", used.parent.as_ref(), scope);
                let parent = parent.filter(|parent| !parent.is_empty());
                names.parents.extend(parent.clone());
                if !met {
                    return Some((name, Instance { needs, came: Came::Nothing }));
                }
                let Group { made, criteria: more } = self.used(used, &entry.at, scope)?;
                criteria.extend(more);
                if made.is_empty() {
                    return Some((name, Instance { needs, came: Came::Nothing }));
                }
                let longest = made.iter().map(|made| made.spec.r#ref.chars().count()).max();
                if name.chars().count() + 1 + longest.unwrap_or(0) > settings::REF_CHARS {
                    // Every need repeats it: a long one would multiply.
                    let most = settings::REF_CHARS;
                    let detail = format!("makes refs of more than {most} characters");
                    self.faults.add(pointer(&entry.at, "ref"), detail);
                    return None;
                }
                let made = made.into_iter().map(|made| prefixed(made, &name, &entry.at)).collect();
                let came = Came::Group { made, needs, parent, at: entry.at.clone() };
                Some((name, Instance { needs: Vec::new(), came }))
            }
        }
    }

    /// The tasks of a used playbook.
    fn used(&mut self, used: &Use, at: &str, scope: &Scope) -> Option<Group> {
        let here = pointer(at, "use");
        let name = &used.name;
        if self.nested_in.contains(name) {
            let circle = [self.nested_in.join("` -> `"), name.clone()].join("` -> `");
            self.faults.add(here, format!("the playbook would be inside itself: `{circle}`"));
            return None;
        }
        if self.nested_in.len() > settings::PLAYBOOK_NESTING {
            let most = settings::PLAYBOOK_NESTING;
            self.faults.add(here, format!("playbooks are nested deeper than {most} levels"));
            return None;
        }
        let Some((_, playbook)) = self.shelf.find(name, used.version) else {
            let version = used.version.map_or_else(String::new, |v| format!(" with version {v}"));
            self.faults.add(here, format!("there is no playbook `{name}`{version}"));
            return None;
        };
        let mut values = BTreeMap::new();
        for (variable, value) in &used.with {
            let place = pointer(&pointer(at, "with"), variable);
            match self.renderer.value(value, scope) {
                Ok(value) => {
                    values.insert(variable.clone(), value);
                }
                Err((inner, trouble)) => {
                    self.trouble(format!("{place}{inner}"), trouble);
                    return None;
                }
            }
        }
        let outer = std::mem::take(&mut self.faults);
        let group = self.playbook(playbook, &values);
        let inner = std::mem::replace(&mut self.faults, outer);
        for fault in inner.into_list() {
            match fault.of {
                Subject::Variables => {
                    self.faults.add(format!("{at}/with{}", fault.pointer), fault.detail);
                }
                Subject::Document => {
                    let detail = format!("in `{name}` at `{}`: {}", fault.pointer, fault.detail);
                    self.faults.add(here.clone(), detail);
                }
            }
        }
        group
    }

    /// A text of a field; `None` if it is absent or wrong.
    fn field_text(
        &mut self,
        at: &str,
        name: &str,
        value: Option<&Value>,
        scope: &Scope,
    ) -> Option<String> {
        let value = value?;
        match self.renderer.value(value, scope) {
            Ok(value) => plain(&value).or_else(|| {
                self.faults.add(pointer(at, name), "must be a text");
                None
            }),
            Err((place, trouble)) => {
                self.trouble(format!("{}{place}", pointer(at, name)), trouble);
                None
            }
        }
    }

    /// A list of texts. An empty one is left out, and a list in the list is part of it.
    fn list(&mut self, at: &str, value: Option<&Value>, scope: &Scope) -> Vec<String> {
        let Some(value) = value else { return Vec::new() };
        let value = match self.renderer.value(value, scope) {
            Ok(value) => value,
            Err((place, trouble)) => {
                self.trouble(format!("{at}{place}"), trouble);
                return Vec::new();
            }
        };
        let items = match value {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            single @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                vec![single]
            }
        };
        let mut list = Vec::new();
        let mut seen = HashSet::new();
        for (index, item) in items.into_iter().enumerate() {
            let inner = match item {
                Value::Array(inner) => inner,
                single => vec![single],
            };
            for item in inner {
                match plain(&item) {
                    Some(text) if text.trim().is_empty() => {}
                    Some(text) => {
                        if seen.insert(text.clone()) {
                            list.push(text);
                        }
                    }
                    None => self.faults.add(format!("{at}/{index}"), "must be a text"),
                }
            }
        }
        list
    }

    fn criteria(&mut self, criteria: &[Criterion], scope: &Scope) -> Vec<CriterionSpec> {
        let mut made = Vec::new();
        for criterion in criteria {
            for (scope, met) in self.instances(&criterion.repeat, &criterion.at, scope) {
                if !met {
                    continue;
                }
                if made.len() >= settings::GOAL_CRITERIA {
                    self.faults.add(&criterion.at, "more than 1,000 criteria come of it");
                    return made;
                }
                let text = match self.renderer.text(&criterion.text, &scope) {
                    Ok(text) => text,
                    Err(trouble) => {
                        self.trouble(&criterion.at, trouble);
                        break;
                    }
                };
                match self.renderer.value(&criterion.required, &scope) {
                    Ok(Value::Bool(required)) => {
                        made.push(CriterionSpec {
                            text,
                            required,
                            satisfied: false,
                            ..CriterionSpec::default()
                        });
                    }
                    Ok(_) => {
                        let at = pointer(&criterion.at, "required");
                        self.faults.add(at, "must be `true` or `false`");
                    }
                    Err((_, trouble)) => self.trouble(&criterion.at, trouble),
                }
            }
            if self.over {
                break;
            }
        }
        made
    }

    /// The task of an instance, without its needs.
    fn task(&mut self, task: &Task, at: &str, scope: &Scope) -> Option<TaskSpec> {
        let mut fields = Map::new();
        for (name, value) in &task.fields {
            let here = pointer(at, name);
            let value = match name.as_str() {
                "needs" => continue,
                "ref" | "title" | "description" | "section" | "parent" => {
                    json!(self.field_text(at, name, Some(value), scope)?)
                }
                "capabilities" | "labels" => json!(self.list(&here, Some(value), scope)),
                _ => match self.renderer.value(value, scope) {
                    Ok(value) => value,
                    Err((place, trouble)) => {
                        self.trouble(format!("{here}{place}"), trouble);
                        return None;
                    }
                },
            };
            let absent = value.is_null() || (name == "parent" && value == "");
            if !absent {
                fields.insert(name.clone(), value);
            }
        }
        let criteria = self.criteria(&task.criteria, scope);
        match serde_path_to_error::deserialize::<_, TaskSpec>(Value::Object(fields)) {
            Ok(spec) => Some(TaskSpec { criteria, ..spec }),
            Err(error) => {
                let place: String = error
                    .path()
                    .iter()
                    .filter_map(|segment| match segment {
                        serde_path_to_error::Segment::Seq { index } => Some(format!("/{index}")),
                        serde_path_to_error::Segment::Map { key } => Some(pointer("", key)),
                        serde_path_to_error::Segment::Enum { .. }
                        | serde_path_to_error::Segment::Unknown => None,
                    })
                    .collect();
                self.faults.add(format!("{at}{place}"), error.into_inner().to_string());
                None
            }
        }
    }

    /// The tasks with the refs of what they need and are in.
    fn resolve(&mut self, names: &mut Names, came: Vec<Came>) -> Vec<Made> {
        let mut all = Vec::new();
        for came in came {
            match came {
                Came::Nothing => {}
                Came::Task(mut made) => {
                    let at = made.at.clone();
                    made.spec.needs = self.refs(names, &at, &made.spec.needs);
                    made.spec.parent = self.container(names, &at, made.spec.parent.as_deref());
                    all.push(*made);
                }
                Came::Group { made, needs, parent, at } => {
                    let needs = self.refs(names, &at, &needs);
                    let parent = self.container(names, &at, parent.as_deref());
                    for mut made in made {
                        if made.spec.parent.is_none() {
                            made.spec.parent.clone_from(&parent);
                            if made.spec.needs.is_empty() {
                                self.count(needs.len());
                                made.spec.needs.clone_from(&needs);
                            }
                        }
                        if self.over {
                            return Vec::new();
                        }
                        all.push(made);
                    }
                }
            }
            if self.over {
                return Vec::new();
            }
        }
        all
    }

    fn count(&mut self, edges: usize) {
        self.edges += edges;
        if self.edges > settings::PLAN_DEPENDENCIES {
            let most = settings::PLAN_DEPENDENCIES;
            self.end(format!(
                "more than {most} dependencies come of it: put one task between two blocks that need each other"
            ));
        }
    }

    /// The refs that names stand for.
    fn refs(&mut self, names: &Names, at: &str, wanted: &[String]) -> Vec<String> {
        let mut refs = Vec::new();
        let mut seen: HashSet<&str> = HashSet::new();
        let mut found: HashSet<&str> = HashSet::new();
        let mut open: Vec<&str> = Vec::new();
        for (index, name) in wanted.iter().enumerate() {
            if !names.known.contains_key(name) && !names.refs.contains(name) {
                // A task that could not be made is no unknown name.
                if self.faults.is_empty() {
                    let detail = format!("there is no task and no block with the name `{name}`");
                    self.faults.add(format!("{at}/needs/{index}"), detail);
                }
                continue;
            }
            open.push(name);
            while let Some(name) = open.pop() {
                if !seen.insert(name) {
                    continue;
                }
                if let Err(trouble) = self.renderer.step() {
                    self.trouble(at, trouble);
                    return Vec::new();
                }
                let Some(named) = names.known.get(name) else {
                    if names.refs.contains(name) && found.insert(name) {
                        refs.push(name.to_owned());
                    }
                    continue;
                };
                for task in &named.tasks {
                    if found.insert(task) {
                        refs.push(task.clone());
                    }
                }
                // The first comes first.
                open.extend(named.others.iter().rev().map(String::as_str));
            }
        }
        self.count(refs.len());
        if self.over { Vec::new() } else { refs }
    }

    /// The ref of the container that a name stands for; none if it was left out.
    fn container(&mut self, names: &Names, at: &str, wanted: Option<&str>) -> Option<String> {
        let wanted = wanted?;
        if names.refs.contains(wanted) {
            return Some(wanted.to_owned());
        }
        let known = names.known.get(wanted);
        let other = known.is_none_or(|named| !named.tasks.is_empty());
        if self.faults.is_empty() && (other || names.blocks.contains(wanted)) {
            let detail = format!("there is no task with the ref `{wanted}`");
            self.faults.add(pointer(at, "parent"), detail);
        }
        None
    }
}

/// An instance of an entry.
struct Instance {
    came: Came,
    /// What needs it needs instead, if nothing came of it.
    needs: Vec<String>,
}

/// The names within one playbook.
#[derive(Debug, Default)]
struct Names {
    known: HashMap<String, Named>,
    /// Those of `known` that are blocks.
    blocks: HashSet<String>,
    /// Refs of all tasks, those of used playbooks included.
    refs: HashSet<String>,
    /// What entries name as their container.
    parents: HashSet<String>,
}

impl Names {
    fn name(&mut self, name: String, came: &Came, instead: Vec<String>) {
        let named = match came {
            Came::Task(made) => {
                self.refs.insert(made.spec.r#ref.clone());
                Named { tasks: vec![made.spec.r#ref.clone()], others: Vec::new() }
            }
            Came::Group { made, .. } => {
                self.refs.extend(made.iter().map(|made| made.spec.r#ref.clone()));
                Named { tasks: last(made), others: Vec::new() }
            }
            Came::Nothing => Named { tasks: Vec::new(), others: instead },
        };
        self.known.insert(name, named);
    }

    /// Leaves containers out that nothing came into: without children they would be work for an agent.
    fn leave_out_empty(&mut self, came: &mut [Came]) {
        let mut inside: HashMap<String, usize> = HashMap::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (index, came) in came.iter().enumerate() {
            let parent = match came {
                Came::Task(made) => {
                    places.insert(made.spec.r#ref.clone(), index);
                    made.spec.parent.as_ref()
                }
                Came::Group { parent, .. } => parent.as_ref(),
                Came::Nothing => None,
            };
            if let Some(parent) = parent {
                *inside.entry(parent.clone()).or_default() += 1;
            }
        }
        let empty = places.iter().filter(|(name, _)| {
            self.parents.contains(*name) && !inside.contains_key(name.as_str())
        });
        let mut empty: Vec<usize> = empty.map(|(_, index)| *index).collect();
        while let Some(index) = empty.pop() {
            let Came::Task(made) = std::mem::replace(&mut came[index], Came::Nothing) else {
                continue;
            };
            let TaskSpec { r#ref, needs, parent, .. } = made.spec;
            self.refs.remove(&r#ref);
            self.known.insert(r#ref, Named { tasks: Vec::new(), others: needs });
            let Some(parent) = parent else { continue };
            if let Some(left) = inside.get_mut(&parent) {
                *left -= 1;
                if *left == 0 {
                    empty.extend(places.get(&parent).filter(|_| self.parents.contains(&parent)));
                }
            }
        }
    }
}

/// The tasks that are done last: outermost ones that no other task needs.
fn last(made: &[Made]) -> Vec<String> {
    let needed: HashSet<&str> =
        made.iter().flat_map(|made| made.spec.needs.iter().map(String::as_str)).collect();
    let last = made.iter().map(|made| &made.spec);
    let last = last.filter(|task| task.parent.is_none() && !needed.contains(task.r#ref.as_str()));
    last.map(|task| task.r#ref.clone()).collect()
}

/// A task of a used playbook under the ref of the whole.
fn prefixed(made: Made, prefix: &str, at: &str) -> Made {
    let name = |name: String| format!("{prefix}/{name}");
    let Made { mut spec, at: _ } = made;
    spec.r#ref = name(spec.r#ref);
    spec.parent = spec.parent.map(name);
    spec.needs = spec.needs.into_iter().map(name).collect();
    Made { spec, at: at.to_owned() }
}

impl Entry {
    /// What it needs, as far as it is written without a template.
    fn needs_as_written(&self) -> Vec<String> {
        let needs = match &self.what {
            What::Task(task) => task.fields.get("needs"),
            What::Use(used) => used.needs.as_ref(),
        };
        let items = needs.and_then(Value::as_array).into_iter().flatten();
        let texts = items.filter_map(Value::as_str);
        texts.filter(|text| !text.contains('{')).map(str::to_owned).collect()
    }

    /// The container it names, if that is written without a template.
    fn parent_as_written(&self) -> Option<String> {
        let parent = match &self.what {
            What::Task(task) => task.fields.get("parent"),
            What::Use(used) => used.parent.as_ref(),
        };
        parent.and_then(Value::as_str).filter(|text| !text.contains('{')).map(str::to_owned)
    }
}

/// A single value as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value counts as true in a condition.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
