//! Wire types of lessons.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        access::person::Person,
        ids::{AgentId, AttemptId, GoalId, KeyId, LessonId, ProjectId, TaskId},
        knowledge::{LessonKind, LessonState, Origin, Outcome, Trust},
    },
    store::knowledge::{lessons::LessonRow, versions::VersionRow},
};

/// What a lesson was learned from. It names what may have been pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonSource {
    /// The goal; `null`: none.
    pub goal_id: Option<GoalId>,
    /// The task; `null`: none.
    pub task_id: Option<TaskId>,
    /// The attempt that handed it in; `null`: none.
    pub attempt_id: Option<AttemptId>,
    /// The agent that handed it in; `null`: none.
    pub agent_id: Option<AgentId>,
}

/// Numbers of verdicts of agents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VerdictCounts {
    /// It helped.
    pub helpful: i32,
    /// It misled.
    pub harmful: i32,
    /// It was about something else.
    pub irrelevant: i32,
    /// It was not needed.
    pub unused: i32,
}

/// One entry of the knowledge repository, with its newest text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lesson {
    /// Id of the lesson; the same over all its versions.
    pub id: LessonId,
    /// Number of the newest version, from 1; the `ETag`.
    pub version: i32,
    /// `digest`: the record of an ended task, written by the service. Others as their writer said.
    pub kind: LessonKind,
    /// One line.
    #[schema(example = "The importer's dates are local time")]
    pub title: String,
    /// Markdown. Written by agents and people: reference, never an instruction.
    pub body: String,
    /// What it is about, as its writer said: paths, packages, error codes.
    #[schema(example = json!(["src/importer.rs"]))]
    pub applies_to: Vec<String>,
    /// Capabilities that its source task required, or its writer named.
    pub capabilities: Vec<String>,
    /// `active`, `candidate` (its source is not verified), `quarantined` (kept away from agents), `archived` or
    /// `superseded`.
    pub state: LessonState,
    /// Why it is quarantined or archived; `null`: no reason was given.
    pub reason: Option<String>,
    /// How far its sources are verified: the least of all of them.
    pub trust: Trust,
    /// Who wrote its first version: `capture` (the service), `agent`, `person` or `import`.
    pub origin: Origin,
    /// Whether it came from outside of this workspace, with an import.
    pub external: bool,
    /// How its source task ended; `null`: no task, or not yet.
    pub outcome: Option<Outcome>,
    /// The project whose readers see it; `null`: the whole workspace.
    pub project_id: Option<ProjectId>,
    /// The first lesson of its cluster of duplicates; its own id if it has none.
    pub cluster_id: LessonId,
    /// Lessons that say the opposite.
    pub contradicts: Vec<LessonId>,
    /// The lesson that replaced it; `null`: none.
    pub superseded_by: Option<LessonId>,
    /// Lessons that its newest version replaced.
    pub supersedes: Vec<LessonId>,
    /// What it was learned from.
    pub source: LessonSource,
    /// Number of attempts that were given it.
    pub shown: i64,
    /// What their agents said of it.
    pub verdicts: VerdictCounts,
    /// Number of confirmations by people.
    pub confirmed: i32,
    /// When its first version was written.
    pub created_at: DateTime<Utc>,
    /// When its last version was written or its state changed.
    pub changed_at: DateTime<Utc>,
    /// When its source ended, or it was written.
    pub learned_at: DateTime<Utc>,
    /// Last confirmation by a person; `null`: never.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was last given to an attempt; `null`: never.
    pub last_shown_at: Option<DateTime<Utc>>,
}

impl From<LessonRow> for Lesson {
    fn from(row: LessonRow) -> Self {
        Self {
            id: row.lesson_id,
            version: row.version,
            kind: row.kind,
            title: row.title,
            body: row.body,
            applies_to: row.applies_to,
            capabilities: row.capabilities,
            state: row.state,
            reason: row.reason,
            trust: row.trust,
            origin: row.origin,
            external: row.external,
            outcome: row.outcome,
            project_id: row.project_id,
            cluster_id: row.cluster_id,
            contradicts: row.contradicts,
            superseded_by: row.superseded_by,
            supersedes: row.supersedes,
            source: LessonSource {
                goal_id: row.source_goal,
                task_id: row.source_task,
                attempt_id: row.source_attempt,
                agent_id: row.source_agent,
            },
            shown: row.shown,
            verdicts: VerdictCounts {
                helpful: row.helpful,
                harmful: row.harmful,
                irrelevant: row.irrelevant,
                unused: row.unused,
            },
            confirmed: row.confirmed,
            created_at: row.created_at,
            changed_at: row.changed_at,
            learned_at: row.learned_at,
            confirmed_at: row.confirmed_at,
            last_shown_at: row.last_shown_at,
        }
    }
}

/// One version of a lesson. A version is never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonVersion {
    /// Ordinal within its lesson, from 1.
    pub version: i32,
    /// Kind of the lesson in this version.
    pub kind: LessonKind,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// What it is about.
    pub applies_to: Vec<String>,
    /// Lessons that this version replaced: a merge.
    pub supersedes: Vec<LessonId>,
    /// The key that wrote it; `null`: the service.
    pub written_by: Option<KeyId>,
    /// The person of that key; `null`: no person.
    pub person: Option<Person>,
    /// When it was written.
    pub written_at: DateTime<Utc>,
}

impl From<VersionRow> for LessonVersion {
    fn from(row: VersionRow) -> Self {
        let VersionRow {
            version,
            kind,
            title,
            body,
            applies_to,
            supersedes,
            written_by,
            person,
            written_at,
        } = row;
        Self { version, kind, title, body, applies_to, supersedes, written_by, person, written_at }
    }
}
