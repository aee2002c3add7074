//! Export and import of lessons as lines of JSON.
//!
//! An export has one line per lesson with its newest text. An import takes such lines, and those that others write:
//! `kind`, `title` and `body` are enough. The same file again changes nothing: a line names its lesson by `id`, or is
//! known by its text. What comes from outside is `external` and a candidate, whatever it says of itself, unless the
//! operator vouches for the file (`state=active`).
//!
//! An import works in chunks, one transaction each, so that a large file holds up no other writer. A line that is
//! refused is reported with its number and its places; its neighbours are written.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    read,
    sight::Sight,
    views::{Lesson, LessonSource},
    write::{Became, NewText, Written, write},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, Principal, ProjectOperatorCaller, ProjectReaderCaller},
    },
    domain::{
        check::{Checks, pointer},
        ids::{LessonId, ProjectId},
        journal::{Kind, NewRow},
        knowledge::{LessonKind, LessonState, Origin, Outcome, Trust, bounds, near},
        refusal::{FieldError, Refusal},
        settings,
        span::check_year,
        words::Words as _,
    },
    store::{self, knowledge::lessons::ListFilter},
};

/// Lines of one transaction.
const AT_ONCE: usize = 50;
/// Lessons of one step of an export.
const EXPORTED: i64 = 200;
/// Most lines of one import.
pub const LINES: usize = 5_000;

/// One line of an export or import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LessonLine {
    /// Id of the lesson. A line without one is known by its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<LessonId>,
    /// `approach`, `pitfall`, `decision`, `howto`, `estimate` or `digest`.
    pub kind: LessonKind,
    /// One line, at most 300 characters.
    pub title: String,
    /// Markdown, at most 16 KiB.
    pub body: String,
    /// What it is about.
    #[serde(default)]
    pub applies_to: Vec<String>,
    /// Capabilities of tasks that it is for.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Name of the project whose readers see it. Left out or `null`: the whole workspace.
    #[serde(default)]
    pub project: Option<String>,
    /// State of the lesson where it was exported. An import reads it only with `state=active`: what was archived or
    /// superseded stays so.
    #[serde(default)]
    pub state: Option<LessonState>,
    /// Trust where it was exported; not read by an import.
    #[serde(default)]
    pub trust: Option<Trust>,
    /// How its source task ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// When it was learned; left out: now.
    #[serde(default)]
    pub learned_at: Option<DateTime<Utc>>,
}

/// A line that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RefusedLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub errors: Vec<FieldError>,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonImport {
    /// Lessons that are new.
    pub created: usize,
    /// Lessons that got a new version.
    pub changed: usize,
    /// Lines that say what a lesson says already.
    pub known: usize,
    /// New lessons or versions that are kept away from agents, because they hold orders.
    pub quarantined: usize,
    /// Lines that were not imported.
    pub refused: Vec<RefusedLine>,
}

/// A line as it was read.
pub type ReadLine = std::result::Result<LessonLine, Vec<FieldError>>;

impl App {
    /// Imports lines, in their order. `vouched`: the operator vouches for them.
    ///
    /// # Errors
    /// `invalid` for too many lines; if the database fails: then the chunks before are imported.
    pub async fn import_lessons(
        &self,
        caller: &ProjectOperatorCaller,
        lines: Vec<ReadLine>,
        vouched: bool,
    ) -> Result<LessonImport> {
        if lines.len() > LINES {
            let detail = format!("has {} lines; at most {LINES} are imported at once", lines.len());
            return Err(Refusal::invalid_at("", detail).into());
        }
        let principal = caller.principal();
        let mut answer = LessonImport::default();
        let mut good = Vec::with_capacity(lines.len());
        let mut named = BTreeSet::new();
        for (number, line) in (1..).zip(lines) {
            let line = line.and_then(checked).and_then(|line| {
                let again = line.id.is_some_and(|id| !named.insert(id));
                let twice = || vec![FieldError::new("/id", "an earlier line has the same id")];
                if again { Err(twice()) } else { Ok(line) }
            });
            match line {
                Ok(line) => good.push((number, line)),
                Err(errors) => answer.refused.push(RefusedLine { line: number, errors }),
            }
        }
        let mut good = good.into_iter();
        loop {
            let chunk: Vec<(usize, LessonLine)> = good.by_ref().take(AT_ONCE).collect();
            if chunk.is_empty() {
                break;
            }
            let mut unit = self.begin(principal.workspace, principal.actor()).await?;
            import(&mut unit, principal, chunk, vouched, &mut answer).await?;
            self.commit(unit).await?;
        }
        answer.refused.sort_by_key(|refused| refused.line);
        Ok(answer)
    }

    /// The next lessons of an export after `after`, and where to go on. Those that the caller sees, in every state.
    pub async fn export_lessons(
        &self,
        caller: &ProjectReaderCaller,
        after: Option<LessonId>,
    ) -> Result<(Vec<LessonLine>, Option<LessonId>)> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let sight = Sight::of(&mut tx, caller.principal()).await?;
        let states: Vec<String> = LessonState::ALL
            .iter()
            .filter(|state| sight.sees(None, **state) || sight.is_person())
            .map(|state| state.as_str().to_owned())
            .collect();
        let filter = ListFilter {
            states,
            only: sight.projects(),
            workspace: sight.sees_workspace(),
            ..ListFilter::default()
        };
        let rows = store::knowledge::lessons::list(&mut tx, &filter, after, EXPORTED).await?;
        let last = rows.last().map(|row| row.lesson_id);
        let projects: Vec<ProjectId> = rows.iter().filter_map(|row| row.project_id).collect();
        let names = store::projects::names(&mut tx, &projects).await?;
        let lines = rows.into_iter().map(|row| line_of(row.into(), &names)).collect();
        Ok((lines, last))
    }
}

fn line_of(lesson: Lesson, names: &HashMap<ProjectId, String>) -> LessonLine {
    LessonLine {
        id: Some(lesson.id),
        kind: lesson.kind,
        title: lesson.title,
        body: lesson.body,
        applies_to: lesson.applies_to,
        capabilities: lesson.capabilities,
        project: lesson.project_id.and_then(|project| names.get(&project).cloned()),
        state: Some(lesson.state),
        trust: Some(lesson.trust),
        outcome: lesson.outcome,
        learned_at: Some(lesson.learned_at),
    }
}

fn checked(line: LessonLine) -> ReadLine {
    let mut checks = Checks::new();
    bounds::check(&mut checks, "", &line.title, &line.body, &line.applies_to);
    checks.count("/capabilities", line.capabilities.len(), settings::LIST_ITEMS);
    for (index, capability) in line.capabilities.iter().enumerate().take(settings::LIST_ITEMS) {
        checks.line(&pointer("/capabilities", index), capability, bounds::APPLIES_CHARS);
    }
    if let Some(at) = line.learned_at {
        check_year(&mut checks, "/learned_at", at);
    }
    match checks.finish() {
        Ok(()) => Ok(line),
        Err(refusal) => Err(refusal.errors),
    }
}

/// A line that is to be written, with its place.
struct Asked {
    number: usize,
    changes: bool,
}

async fn import(
    unit: &mut Unit,
    principal: &Principal,
    chunk: Vec<(usize, LessonLine)>,
    vouched: bool,
    answer: &mut LessonImport,
) -> Result<()> {
    let projects = projects_of(unit, principal, &chunk).await?;
    let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
    let known = Known::read(unit, &chunk).await?;
    let mut seen = Seen::new();
    let (mut texts, mut asked) = (Vec::new(), Vec::new());
    for (number, line) in chunk {
        let project = match &line.project {
            None if principal.scope.projects.is_some() => Err(NAME_ONE),
            None => Ok(None),
            Some(name) => projects.get(name).copied().map(Some).ok_or(NO_PROJECT),
        };
        let project = match project {
            Ok(project) => project,
            Err(detail) => {
                let errors = vec![FieldError::new("/project", detail)];
                answer.refused.push(RefusedLine { line: number, errors });
                continue;
            }
        };
        let fingerprint = fingerprint(&line);
        let before = line.id.and_then(|id| known.lessons.get(&id));
        let same = match before {
            Some(before) => says_the_same(before, &line, &fingerprint),
            None => line.id.is_none() && known.has(&fingerprint, project, &seen),
        };
        if same {
            answer.known += 1;
            continue;
        }
        if before.is_some_and(|before| before.project_id != project) {
            let detail = "the lesson is of another project";
            let errors = vec![FieldError::new("/project", detail)];
            answer.refused.push(RefusedLine { line: number, errors });
            continue;
        }
        seen.insert((fingerprint, project));
        asked.push(Asked { number, changes: before.is_some() });
        texts.push(text_of(unit, principal, line, project, before, vouched));
    }
    if texts.is_empty() {
        return Ok(());
    }
    let written = write(unit, &mut cursor, texts).await?;
    store::knowledge::cursors::set(unit.tx(), cursor).await?;
    tally(&asked, written, answer);
    let count = asked.len();
    unit.record(NewRow::new(Kind::LessonsImported).data(serde_json::json!({"lessons": count})));
    Ok(())
}

const NO_PROJECT: &str = "there is no such project";
const NAME_ONE: &str = "your key is for single projects; name one of them";

async fn projects_of(
    unit: &mut Unit,
    principal: &Principal,
    chunk: &[(usize, LessonLine)],
) -> Result<HashMap<String, ProjectId>> {
    let mut projects = HashMap::new();
    for name in chunk.iter().filter_map(|(_, line)| line.project.as_ref()) {
        if projects.contains_key(name) {
            continue;
        }
        if let Some(id) = store::projects::find_by_name(unit.tx(), name).await?
            && principal.scope.sees(Some(id))
        {
            projects.insert(name.clone(), id);
        }
    }
    Ok(projects)
}

/// Texts of a chunk that are to be written, and their projects.
type Seen = BTreeSet<([u8; 32], Option<ProjectId>)>;

/// What the workspace has of the lines of a chunk.
struct Known {
    lessons: HashMap<LessonId, Lesson>,
    texts: Vec<store::knowledge::clusters::Same>,
}

impl Known {
    async fn read(unit: &mut Unit, chunk: &[(usize, LessonLine)]) -> Result<Self> {
        let ids: Vec<LessonId> = chunk.iter().filter_map(|(_, line)| line.id).collect();
        let lessons = read::lessons(unit.tx(), &ids).await?;
        let nameless = chunk.iter().filter(|(_, line)| line.id.is_none());
        let prints: Vec<Vec<u8>> = nameless.map(|(_, line)| fingerprint(line).to_vec()).collect();
        let texts = if prints.is_empty() {
            Vec::new()
        } else {
            store::knowledge::clusters::same(unit.tx(), &prints).await?
        };
        Ok(Self { lessons, texts })
    }

    fn has(&self, print: &[u8; 32], project: Option<ProjectId>, seen: &Seen) -> bool {
        let stored = |same: &&store::knowledge::clusters::Same| {
            same.fingerprint == print && same.project_id == project
        };
        seen.contains(&(*print, project)) || self.texts.iter().any(|same| stored(&same))
    }
}

fn fingerprint(line: &LessonLine) -> [u8; 32] {
    near::fingerprint(&line.title, &line.body)
}

/// Whether a lesson has the text of a line and what else the line says of it.
fn says_the_same(lesson: &Lesson, line: &LessonLine, print: &[u8; 32]) -> bool {
    near::fingerprint(&lesson.title, &lesson.body) == *print
        && lesson.kind == line.kind
        && lesson.applies_to == line.applies_to
        && lesson.capabilities == line.capabilities
}

fn text_of(
    unit: &Unit,
    principal: &Principal,
    line: LessonLine,
    project: Option<ProjectId>,
    before: Option<&Lesson>,
    vouched: bool,
) -> NewText {
    let state = if vouched {
        match line.state {
            // What replaced it may not be in the file.
            Some(LessonState::Archived | LessonState::Superseded) => LessonState::Archived,
            Some(LessonState::Quarantined) => LessonState::Quarantined,
            Some(LessonState::Active | LessonState::Candidate) | None => LessonState::Active,
        }
    } else {
        LessonState::Candidate
    };
    NewText {
        id: line.id,
        kind: line.kind,
        title: line.title,
        body: line.body,
        applies_to: line.applies_to,
        capabilities: line.capabilities,
        project,
        source: before.map_or_else(LessonSource::default, |before| before.source.clone()),
        origin: Origin::Import,
        outcome: line.outcome,
        trust: if vouched { Trust::Person } else { Trust::Unverified },
        state: Some(state),
        external: !vouched,
        learned_at: line.learned_at.unwrap_or_else(|| unit.now()),
        person: principal.person.clone(),
        key: Some(principal.key),
        supersedes: Vec::new(),
        follows: before.map(|before| (before.id, before.version)),
    }
}

fn tally(asked: &[Asked], written: Vec<Written>, answer: &mut LessonImport) {
    for (line, one) in asked.iter().zip(written) {
        match one.became {
            Became::Written if line.changes => answer.changed += 1,
            Became::Written => answer.created += 1,
            Became::Quarantined => answer.quarantined += 1,
            Became::Known => answer.known += 1,
            Became::Refused(secrets) => {
                let errors = secrets.into_iter().map(|(at, detail)| FieldError::new(at, detail));
                answer.refused.push(RefusedLine { line: line.number, errors: errors.collect() });
            }
        }
    }
}
