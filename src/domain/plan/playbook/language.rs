//! What templates may say, checked before anything is rendered.
//!
//! A template that is not reached with the values of a check would otherwise fail only when somebody posts a
//! goal. So every template is read to its syntax tree, and each variable, filter, test and function in it
//! must be known. The language is the part of Jinja without templates that name each other: `{{ }}`, `if`,
//! `for`, `set`, comments and expressions; no includes, imports, blocks, macros and methods.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use minijinja::{
    Environment, UndefinedBehavior,
    machinery::{
        Token,
        ast::{BinOpKind, CallArg, CallType, Expr, Stmt},
        parse, parse_expr, tokenize,
    },
};

use crate::domain::settings;

/// Filters.
pub const FILTERS: [&str; 26] = [
    "abs",
    "bool",
    "capitalize",
    "default",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "max",
    "min",
    "replace",
    "reverse",
    "round",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
];
/// Further filters: those that are spelt alike in other languages, and those of muster.
pub const MORE_FILTERS: [&str; 4] = ["d", "slug", "unique", "upper"];
/// Tests, after `is`.
pub const TESTS: [&str; 21] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "even",
    "false",
    "ge",
    "gt",
    "in",
    "integer",
    "le",
    "lt",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
];
/// Functions.
pub const FUNCTIONS: [&str; 1] = ["range"];

/// The most tokens of one expression or statement. A reader of templates recurses over the operators of an
/// expression, so their number bounds its stack.
const TAG_TOKENS: usize = 200;
/// The most statements of one template, for the same reason: `elif` is inside the `if` before it.
const STATEMENTS: usize = 100;

/// The most that the variables of a template may add up: `+` joins lists without copying them, which costs no fuel,
/// and a list that is twice the one before, sixty times, has no end.
const SUMMED: usize = 10_000;

/// The one that checks.
static CHECKING: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The environment of all templates: strict, without files, and without escapes.
#[must_use]
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_recursion_limit(64);
    for name in ["safe", "escape", "e"] {
        environment.remove_filter(name);
    }
    environment.add_filter("slug", |text: Cow<'_, str>| slug(&text));
    environment
}

/// The text as part of a ref: letters and digits in lower case, everything else one hyphen. Of a long text, the
/// beginning.
fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.chars().take(settings::REF_CHARS) {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The expression of a text that is nothing but `{{ expression }}`: it keeps the type of its value.
#[must_use]
pub fn whole(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let one = !["{{", "}}", "{%", "%}", "{#"].iter().any(|mark| inner.contains(mark));
    one.then(|| inner.trim_matches(['-', '+']).trim()).filter(|inner| !inner.is_empty())
}

/// Whether a text is a template at all.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Checks a text of a document. `known`: the variables in its scope.
///
/// # Errors
/// What is wrong.
pub fn check(text: &str, known: &BTreeSet<String>) -> Result<(), String> {
    if !is_template(text) {
        return Ok(());
    }
    if let Some(expression) = whole(text) {
        return check_expression(expression, known);
    }
    check_size(text, false)?;
    let environment: &Environment<'_> = &CHECKING;
    let template = environment.template_from_str(text).map_err(|error| said(&error))?;
    check_names(&template.undeclared_variables(false), known)?;
    let tree = parse(text, "", Default::default()).map_err(|error| said(&error))?;
    let mut names = Names::default();
    names.statement(&tree);
    names.finish()
}

/// Checks an expression, such as a condition.
///
/// # Errors
/// What is wrong.
pub fn check_expression(text: &str, known: &BTreeSet<String>) -> Result<(), String> {
    check_size(text, true)?;
    let environment: &Environment<'_> = &CHECKING;
    let compiled = environment.compile_expression(text).map_err(|error| said(&error))?;
    check_names(&compiled.undeclared_variables(false), known)?;
    let tree = parse_expr(text).map_err(|error| said(&error))?;
    let mut names = Names::default();
    names.expression(&tree);
    names.finish()
}

/// Refuses what nests too deeply, before anything recurses over it.
fn check_size(text: &str, expression: bool) -> Result<(), String> {
    let (mut tokens, mut statements) = (0, 0);
    for token in tokenize(text, expression, Default::default()) {
        let (token, _) = token.map_err(|error| said(&error))?;
        match token {
            Token::TemplateData(_) | Token::VariableStart => tokens = 0,
            Token::BlockStart => {
                tokens = 0;
                statements += 1;
            }
            _ => tokens += 1,
        }
        if tokens > TAG_TOKENS {
            return Err(format!("an expression is too long: at most {TAG_TOKENS} words and signs"));
        }
        if statements > STATEMENTS {
            return Err(format!("there are too many statements: at most {STATEMENTS}"));
        }
    }
    Ok(())
}

fn check_names(
    used: &std::collections::HashSet<String>,
    known: &BTreeSet<String>,
) -> Result<(), String> {
    let unknown = |name: &&String| !known.contains(*name) && !FUNCTIONS.contains(&name.as_str());
    let Some(name) = used.iter().filter(unknown).min() else { return Ok(()) };
    let known: Vec<&str> = known.iter().map(String::as_str).take(30).collect();
    Err(format!("there is no variable `{name}` here; there are {}", known.join(", ")))
}

/// The error in a few words, without the name of the template.
#[must_use]
pub fn said(error: &minijinja::Error) -> String {
    let kind = error.kind();
    let what =
        error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}"));
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line} of the text)"),
        Some(_) | None => what,
    }
}

/// The variables that a target of an assignment sets.
fn names_of(target: &Expr<'_>, names: &mut Vec<String>) {
    match target {
        Expr::Var(variable) => names.push(variable.id.to_owned()),
        Expr::List(list) => list.items.iter().for_each(|item| names_of(item, names)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| names_of(item, names)),
        Expr::Const(_)
        | Expr::Slice(_)
        | Expr::UnaryOp(_)
        | Expr::BinOp(_)
        | Expr::Compare(_)
        | Expr::IfExpr(_)
        | Expr::Filter(_)
        | Expr::Test(_)
        | Expr::GetAttr(_)
        | Expr::GetItem(_)
        | Expr::Call(_)
        | Expr::Map(_) => {}
    }
}

/// The walk over a syntax tree, to the first name that is unknown.
#[derive(Default)]
struct Names {
    wrong: Option<String>,
    /// What variables are set to.
    bound: Vec<Bound>,
    /// The value that is read.
    value: Option<Bound>,
}

/// A value that variables are set to.
#[derive(Debug, Clone, Default)]
struct Bound {
    names: Vec<String>,
    /// How often it names each variable.
    mentions: BTreeMap<String, usize>,
    /// Whether it adds something.
    adds: bool,
}

/// Whether the variables of a template grow without end: what each adds up, of those that do not depend on themselves,
/// is limited; one that does may be added to, but not to another such one.
fn grows(bound: &[Bound]) -> bool {
    let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for value in bound {
        for name in &value.names {
            above.entry(name).or_default().extend(value.mentions.keys().map(String::as_str));
        }
    }
    let circular = |name: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = above.get(name).into_iter().flatten().copied().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(above.get(next).into_iter().flatten());
            }
        }
        seen.contains(name)
    };
    let circular: BTreeSet<&str> = above.keys().copied().filter(|name| circular(name)).collect();
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    // A chain of names is no longer than their number.
    for _ in 0..=above.len() {
        let mut risen = false;
        for value in bound {
            let one = |(name, count): (&String, &usize)| {
                let sum = if circular.contains(name.as_str()) {
                    1
                } else {
                    sums.get(name.as_str()).copied().unwrap_or(1)
                };
                sum.saturating_mul(*count)
            };
            let parts = value.mentions.iter().map(one);
            let sum = if value.adds {
                parts.fold(0, usize::saturating_add)
            } else {
                parts.max().unwrap_or(1)
            };
            let themselves =
                value.mentions.iter().filter(|(name, _)| circular.contains(name.as_str()));
            let itself = value.names.iter().any(|name| circular.contains(name.as_str()));
            if sum > SUMMED
                || value.adds && itself && themselves.map(|(_, count)| count).sum::<usize>() > 1
            {
                return true;
            }
            for name in &value.names {
                let before = sums.entry(name).or_insert(1);
                risen |= sum > *before;
                *before = sum.max(*before);
            }
        }
        if !risen {
            break;
        }
    }
    false
}

impl Names {
    fn finish(mut self) -> Result<(), String> {
        if grows(&self.bound) {
            self.refuse("variables that are sums are added up again and again: write one sum, or count with a loop".to_owned());
        }
        self.wrong.map_or(Ok(()), Err)
    }

    /// Reads a value that variables are set to.
    fn bind(&mut self, target: &Expr<'_>, value: &Expr<'_>) {
        self.value = Some(Bound::default());
        self.expression(value);
        if let Some(mut found) = self.value.take() {
            names_of(target, &mut found.names);
            self.bound.push(found);
        }
    }

    fn refuse(&mut self, detail: String) {
        self.wrong.get_or_insert(detail);
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                if each.recursive {
                    self.refuse("a loop cannot be `recursive`".to_owned());
                }
                self.bind(&each.target, &each.iter);
                self.option(each.filter_expr.as_ref());
                self.statements(&each.body);
                self.statements(&each.else_body);
            }
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.bind(target, value);
                }
                self.statements(&with.body);
            }
            Stmt::Set(set) => self.bind(&set.target, &set.expr),
            Stmt::SetBlock(set) => {
                self.option(set.filter.as_ref());
                self.statements(&set.body);
            }
            Stmt::FilterBlock(block) => {
                self.expression(&block.filter);
                self.statements(&block.body);
            }
            Stmt::AutoEscape(_) => self.refuse("`autoescape` is not allowed".to_owned()),
            Stmt::Do(_) => self.refuse("`do` is not allowed".to_owned()),
        }
    }

    fn option(&mut self, expression: Option<&Expr<'_>>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Const(_) => {}
            Expr::Var(variable) => {
                if let Some(value) = &mut self.value {
                    *value.mentions.entry(variable.id.to_owned()).or_default() += 1;
                }
            }
            Expr::Slice(slice) => {
                if slice.step.is_some() {
                    // The least integer as a step is a panic of the engine.
                    self.refuse("a slice cannot have a step".to_owned());
                }
                self.expression(&slice.expr);
                for part in [&slice.start, &slice.stop, &slice.step] {
                    self.option(part.as_ref());
                }
            }
            Expr::UnaryOp(op) => self.expression(&op.expr),
            Expr::BinOp(op) => {
                if let (BinOpKind::Add, Some(value)) = (&op.op, &mut self.value) {
                    value.adds = true;
                }
                self.expression(&op.left);
                self.expression(&op.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(either) => {
                self.expression(&either.test_expr);
                self.expression(&either.true_expr);
                self.option(either.false_expr.as_ref());
            }
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) && !MORE_FILTERS.contains(&filter.name) {
                    let known = [FILTERS.as_slice(), &MORE_FILTERS].concat().join(", ");
                    self.refuse(format!("there is no filter `{}`; there are {known}", filter.name));
                }
                self.option(filter.expr.as_ref());
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    let known = TESTS.join(", ");
                    self.refuse(format!("there is no test `{}`; there are {known}", test.name));
                }
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::GetAttr(get) => self.expression(&get.expr),
            Expr::GetItem(get) => {
                self.expression(&get.expr);
                self.expression(&get.subscript_expr);
            }
            Expr::Call(call) => {
                match call.identify_call() {
                    CallType::Function(name) if FUNCTIONS.contains(&name) => {}
                    CallType::Function(name) => {
                        self.refuse(format!("there is no function `{name}`; there is `range`"));
                    }
                    CallType::Method(_, name) => self.refuse(format!(
                        "`.{name}()` is not possible: use a filter, such as `| lower`"
                    )),
                    CallType::Object(_) => self.refuse("this cannot be called".to_owned()),
                }
                self.arguments(&call.args);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => {
                map.keys.iter().chain(&map.values).for_each(|item| self.expression(item));
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }
}
