//! What an agent says of lessons when it ends an attempt: those it hands in, and verdicts on those it was given.
//!
//! Both are written in the transaction that ends the attempt, so they are kept exactly if the end is. A request without
//! them costs no statement. Handed-in lessons are captured behind the commit ([`super::capture`]), and so are the counters
//! of verdicts ([`super::verdicts`]).
//!
//! A lesson with a secret is refused here already, with the rest of the request: its agent can still take it out. One with
//! orders is accepted, and quarantined when it is captured.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    app::{Result, Unit, caller::Actor},
    domain::{
        check::{Checks, pointer},
        ids::{AttemptId, GoalId, LessonId},
        knowledge::{LessonKind, LessonVerdict, bounds, gate},
        refusal::Refusal,
        task::holder::Holder,
    },
    store::{
        self,
        knowledge::{exposures::NewVerdict, handed::NewHanded},
    },
};

/// Most verdicts of one end of an attempt.
const VERDICTS: usize = 100;

/// A lesson that an agent hands in with the end of its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandedLesson {
    /// `approach` (what worked), `pitfall` (what to avoid), `decision` (what was decided, and why), `howto` or
    /// `estimate`. `digest` is written by the service alone.
    pub kind: LessonKind,
    /// One line that says it all.
    #[schema(example = "The importer's dates are local time", min_length = 1, max_length = 300)]
    pub title: String,
    /// The lesson, for an agent who knows nothing of your task; Markdown, at most 16 KiB. Without secrets.
    #[schema(
        example = "Convert them before you compare: `parse_local(row.date)`.",
        min_length = 1
    )]
    pub body: String,
    /// What it is about: paths, packages, error codes. At most 20.
    #[serde(default)]
    #[schema(example = json!(["src/importer.rs"]))]
    pub applies_to: Vec<String>,
}

/// What an agent says of a lesson that its attempt was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandedVerdict {
    /// The lesson: one of `lessons` in the claim of this attempt.
    pub lesson_id: LessonId,
    /// `helpful`, `harmful` (it misled), `irrelevant` (it is about something else) or `unused`.
    pub verdict: LessonVerdict,
}

/// Refuses values out of bounds, and secrets.
pub(in crate::app) fn check(
    checks: &mut Checks,
    lessons: &[HandedLesson],
    verdicts: &[HandedVerdict],
) {
    checks.count("/lessons", lessons.len(), bounds::HANDED);
    for (index, lesson) in lessons.iter().enumerate().take(bounds::HANDED) {
        let at = pointer("/lessons", index);
        let own = lesson.kind != LessonKind::Digest;
        checks.ensure(own, &pointer(&at, "kind"), "`digest` is written by the service alone");
        bounds::check(checks, &at, &lesson.title, &lesson.body, &lesson.applies_to);
        if lesson.body.len() > bounds::BODY_BYTES {
            continue;
        }
        if let Err(secrets) = gate::judge(&lesson.title, &lesson.body, &lesson.applies_to) {
            for (within, detail) in secrets {
                checks.add(format!("{at}{within}"), detail);
            }
        }
    }
    checks.count("/lesson_verdicts", verdicts.len(), VERDICTS);
    let mut seen = HashSet::new();
    for (index, verdict) in verdicts.iter().enumerate().take(VERDICTS) {
        let at = pointer(&pointer("/lesson_verdicts", index), "lesson_id");
        checks.ensure(seen.insert(verdict.lesson_id), &at, "must be named once");
    }
}

/// The lessons that attempts of a batch were given, of those attempts whose requests judge some.
#[derive(Debug, Default)]
pub(in crate::app) struct Given(HashMap<AttemptId, HashSet<LessonId>>);

impl Given {
    /// Reads what these attempts were given. Reads nothing without any.
    pub(in crate::app) async fn read(unit: &mut Unit, judging: &[AttemptId]) -> Result<Self> {
        let mut given = Self::default();
        if judging.is_empty() {
            return Ok(given);
        }
        for (attempt, lesson) in
            store::knowledge::exposures::of_attempts(unit.tx(), judging).await?
        {
            given.0.entry(attempt).or_default().insert(lesson);
        }
        Ok(given)
    }

    /// Refuses verdicts on lessons that the attempt was not given.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn admit(
        &self,
        attempt: AttemptId,
        verdicts: &[HandedVerdict],
    ) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let given = self.0.get(&attempt);
        for (index, verdict) in verdicts.iter().enumerate() {
            let at = pointer(&pointer("/lesson_verdicts", index), "lesson_id");
            let known = given.is_some_and(|given| given.contains(&verdict.lesson_id));
            checks.ensure(known, &at, "the claim of this attempt had no such lesson");
        }
        checks.finish()
    }
}

/// What the end of one attempt hands in.
#[derive(Debug, Clone)]
pub(in crate::app) struct Handed<'a> {
    pub attempt: AttemptId,
    pub goal: GoalId,
    pub lessons: &'a [HandedLesson],
    pub verdicts: &'a [HandedVerdict],
    /// As whom its holder counts.
    pub owner: String,
}

/// Writes what the ends of a batch hand in. Writes nothing without any.
pub(in crate::app) async fn write(unit: &mut Unit, ends: &[Handed<'_>]) -> Result<()> {
    let (mut handed, mut verdicts) = (Vec::new(), Vec::new());
    for end in ends {
        let attempt_id = end.attempt;
        handed.extend(end.lessons.iter().zip(1_i16..).map(|(lesson, number)| NewHanded {
            attempt_id,
            goal_id: end.goal,
            number,
            kind: lesson.kind,
            title: lesson.title.clone(),
            body: lesson.body.clone(),
            applies_to: lesson.applies_to.clone(),
        }));
        verdicts.extend(end.verdicts.iter().map(|said| NewVerdict {
            attempt_id,
            lesson_id: said.lesson_id,
            verdict: said.verdict,
            owner: end.owner.clone(),
        }));
    }
    store::knowledge::handed::insert(unit.tx(), &handed).await?;
    Ok(store::knowledge::exposures::judge(unit.tx(), &verdicts).await?)
}

/// As whom the holder of an attempt counts: the person who owns the agent or holds the key, else itself.
pub(in crate::app) fn owner(holder: Holder, actor: &Actor) -> String {
    let person = match holder {
        Holder::Agent(_) => actor.owner.as_ref(),
        Holder::Key(_) => actor.person.as_ref(),
    };
    match (person, holder) {
        (Some(person), _) => format!("person {}", person.as_str()),
        (None, Holder::Agent(agent)) => format!("agent {agent}"),
        (None, Holder::Key(key)) => format!("key {key}"),
    }
}
