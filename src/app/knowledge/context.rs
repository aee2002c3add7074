//! Packs: the lessons that are worth their tokens for a task, as one quoted text.
//!
//! A pack holds what a search finds for the text of the task, in the order of
//! [`crate::domain::knowledge::pack`]: active lessons and candidates only, so nothing in quarantine is ever in one. The
//! same lessons, task and budget give the same pack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    meaning::Sought,
    read,
    search::{Asked, Found, RankedBy, USABLE, find},
    sight::Sight,
    views::Lesson,
};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        check::Checks,
        ids::{LessonId, ProjectId, TaskId},
        knowledge::{
            LessonKind, bounds,
            near::Words,
            pack::{self as packing, Candidate},
        },
        refusal::Refusal,
    },
    store::{self, Tx, knowledge::search::Filter},
};

/// Results of the search that a pack is chosen from.
const CHOSEN_FROM: usize = 40;

/// What a pack is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextRequest {
    /// The task that the lessons are for; lessons of the task itself are left out. Either this or `text`.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// What the lessons are for, at most 10,000 characters. Either this or `task_id`.
    #[serde(default)]
    #[schema(example = "Port the importer to the new time zone rules")]
    pub text: Option<String>,
    /// Whose lessons go first, of those that are otherwise equal. Default: the project of the task.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Most tokens of the pack, by a cautious estimate; 0: none.
    #[serde(default = "claim_tokens")]
    #[schema(default = 2_000, minimum = 0, maximum = 32_000)]
    pub max_tokens: u32,
}

fn claim_tokens() -> u32 {
    bounds::CLAIM_TOKENS
}

impl ContextRequest {
    fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let one = self.task_id.is_some() != self.text.is_some();
        checks.ensure(one, "/text", "give either this or `task_id`");
        let length = self.text.as_ref().map_or(0, |text| text.chars().count());
        let fits = length <= bounds::QUERY_CHARS;
        checks.ensure(fits, "/text", "must have at most 10,000 characters");
        let within = self.max_tokens <= bounds::PACK_TOKENS;
        checks.ensure(within, "/max_tokens", "must be at most 32,000");
        checks.finish()
    }
}

/// Lessons for a task, as one text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContextPack {
    /// The lessons as quotations in Markdown, with their provenance; empty: none fits.
    pub text: String,
    /// Tokens of the text, by a cautious estimate: at most `max_tokens`.
    pub tokens: u32,
    /// The lessons of the text, in its order.
    pub lessons: Vec<PackedLesson>,
    /// Lessons with words of the task that are not in the text: by state, `duplicates` of others, or `without_room`.
    #[schema(example = json!({"quarantined": 1, "without_room": 7}))]
    pub held_back: BTreeMap<String, u64>,
    /// What the choice followed from.
    pub ranked_by: RankedBy,
}

/// A lesson in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PackedLesson {
    /// Id of the lesson.
    pub id: LessonId,
    /// Its version in the pack.
    pub version: i32,
    /// Its kind.
    pub kind: LessonKind,
    /// Its title.
    pub title: String,
    /// Whether only the beginning of its body is there.
    pub excerpted: bool,
}

/// What a pack is made for.
#[derive(Debug, Clone, Copy)]
struct PackFor<'a> {
    /// What it is about.
    text: &'a str,
    /// Whose lessons go first.
    project: Option<ProjectId>,
    /// Most tokens.
    max_tokens: u32,
    /// The task whose own lessons are left out.
    except_task: Option<TaskId>,
    /// What of the text is compared.
    sought: &'a Sought,
}

impl App {
    /// Packs lessons for a task or a text.
    ///
    /// # Errors
    /// `invalid`, `not_found`.
    pub async fn knowledge_context(
        &self,
        caller: &ProjectReaderCaller,
        request: &ContextRequest,
    ) -> Result<ContextPack> {
        request.check()?;
        let principal = caller.principal();
        let workspace = principal.workspace;
        if let Some(task) = request.task_id {
            self.see_task(principal, task).await?;
        }
        self.capture_before_search(workspace).await;
        let mut tx = self.reader(workspace).await?;
        let (text, of_task) = about(&mut tx, request).await?;
        drop(tx);
        let sought = self.seek(workspace, &text).await?;
        let mut tx = self.reader(workspace).await?;
        let sight = Sight::of(&mut tx, principal).await?;
        let asked = PackFor {
            text: &text,
            project: request.project_id.or(of_task),
            max_tokens: request.max_tokens,
            except_task: request.task_id,
            sought: &sought,
        };
        pack(&mut tx, &sight, asked).await
    }
}

/// The text that is asked about, and the project of its task.
async fn about(tx: &mut Tx, request: &ContextRequest) -> Result<(String, Option<ProjectId>)> {
    let Some(task) = request.task_id else {
        return Ok((request.text.clone().unwrap_or_default(), None));
    };
    let found = store::knowledge::search::task_text(tx, task).await?;
    let found = found.ok_or_else(|| Refusal::not_found("task"))?;
    Ok((format!("{}\n{}", found.title, found.description), found.project_id))
}

/// Packs the lessons of `sight` that are worth their tokens, by the words of the text: nobody waits for a vector.
pub(in crate::app) async fn pack_for(
    tx: &mut Tx,
    sight: &Sight,
    text: &str,
    project: Option<ProjectId>,
    max_tokens: u32,
    except_task: Option<TaskId>,
) -> Result<ContextPack> {
    let sought = &Sought::Words;
    pack(tx, sight, PackFor { text, project, max_tokens, except_task, sought }).await
}

async fn pack(tx: &mut Tx, sight: &Sight, asked: PackFor<'_>) -> Result<ContextPack> {
    let filter = Filter { except_task: asked.except_task, ..Filter::default() };
    let search = Asked {
        text: asked.text,
        states: USABLE.to_vec(),
        filter,
        project: asked.project,
        limit: CHOSEN_FROM,
        sought: asked.sought,
    };
    let found = find(tx, sight, &search).await?;
    let ranked_by = RankedBy::from(asked.sought);
    Ok(ContextPack { ranked_by, ..pack_found(tx, &found, asked.max_tokens).await? })
}

/// Packs the first results of a search by words.
pub(in crate::app) async fn pack_found(
    tx: &mut Tx,
    found: &Found,
    max_tokens: u32,
) -> Result<ContextPack> {
    let first = found.hits.get(..CHOSEN_FROM).unwrap_or(&found.hits);
    let ids: Vec<LessonId> = first.iter().map(|hit| hit.lesson_id).collect();
    let lessons = read::lessons(tx, &ids).await?;
    let candidates: Vec<Candidate<LessonId>> = first
        .iter()
        .filter_map(|hit| {
            let lesson = lessons.get(&hit.lesson_id)?;
            Some(candidate(lesson, hit.explanation.score))
        })
        .collect();
    let packed = packing::pack(&candidates, max_tokens);
    let chosen = packed.chosen.iter().filter_map(|chosen| {
        let lesson = lessons.get(&chosen.id)?;
        Some(PackedLesson {
            id: lesson.id,
            version: lesson.version,
            kind: lesson.kind,
            title: lesson.title.clone(),
            excerpted: chosen.excerpted,
        })
    });
    Ok(ContextPack {
        lessons: chosen.collect(),
        text: packed.text,
        tokens: packed.tokens,
        held_back: held_back(found, packed.duplicates, packed.without_room),
        ranked_by: RankedBy::Words,
    })
}

fn held_back(found: &Found, duplicates: u32, without_room: u32) -> BTreeMap<String, u64> {
    let mut held_back = found.held_back.clone();
    for (reason, count) in [("duplicates", duplicates), ("without_room", without_room)] {
        if count > 0 {
            held_back.insert(reason.to_owned(), count.into());
        }
    }
    held_back
}

fn candidate(lesson: &Lesson, score: f64) -> Candidate<LessonId> {
    Candidate {
        id: lesson.id,
        cluster: lesson.cluster_id,
        pitfall: lesson.kind == LessonKind::Pitfall,
        title: lesson.title.clone(),
        body: lesson.body.clone(),
        provenance: provenance(lesson),
        score,
        words: Words::of(&lesson.title, &lesson.body).into_hashes(),
    }
}

/// Where a lesson comes from, in one line.
fn provenance(lesson: &Lesson) -> String {
    let mut parts = vec![
        lesson.kind.as_str().to_owned(),
        format!("lesson {} version {}", lesson.id, lesson.version),
        format!("trust {}", lesson.trust),
        lesson.learned_at.date_naive().to_string(),
    ];
    if let Some(task) = lesson.source.task_id {
        let outcome = lesson.outcome.map_or("open", |outcome| outcome.as_str());
        parts.push(format!("from task {task} ({outcome})"));
    }
    if lesson.external {
        parts.push("imported from outside".to_owned());
    }
    if !lesson.contradicts.is_empty() {
        let others: Vec<String> = lesson.contradicts.iter().map(LessonId::to_string).collect();
        parts.push(format!("contradicted by lesson {}", others.join(", ")));
    }
    parts.join(" · ")
}
