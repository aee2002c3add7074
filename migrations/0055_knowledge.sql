-- Knowledge: lessons, the index that searches them, and what came of their use.
--
-- Why `lessons` beside `lesson_versions`: a version is immutable and says what was written, by whom and from what.
-- The row of `lessons` says what holds now: state, cluster, counts of verdicts. Nothing refers to what may be pruned:
-- sources are named `source_...` and have no foreign keys, because a lesson outlives its task.
--
-- Why `doc`: postings name a lesson by a number. A lesson that is written again gets another number.
--
-- Why postings are packed: one row has the entries of a term in up to 1,024 documents that are neighbours by number. With
-- 100,000 lessons of 93 terms and queries of 5 to 30 words drawn like the lessons, a query needs half a million
-- entries. One row per entry took 900 ms at the 95th percentile and 1.8 GB; the sums in SQL over packed rows took
-- 340 ms. Reading packed rows takes 10 ms, and their sums in the service a few more: PostgreSQL finds, filters and
-- serves the entries, and the service adds them up. An entry has the length of its document, and the roster (the
-- entries of the empty term, which every document has) counts documents and their lengths: a ranking reads no
-- other rows.
--
-- Why `shelf`: the collection of a search is what its caller may see, and its numbers (documents, their length,
-- how many have a term) are counted in the same rows that are ranked. So visibility has to be a column of each posting.
-- A shelf is a project, or the workspace, with a group of states: active lessons, candidates, and the rest, which
-- only people search. Documents, lengths and terms are counted in the entries that are ranked: there is no row of
-- statistics that could differ from them.
--
-- Why `word_grams` and not pg_trgm: an extension has to be installed by a superuser, and its index has no column for
-- the workspace. Rows are added with a new word only.
--
-- Why postings, bands and grams have no foreign keys: a check per row would cost more than the row. They are written and
-- deleted with their lesson in one transaction, and `muster verify` compares them.
--
-- Writers of a workspace take turns by the row of `knowledge_cursors`: clusters are formed by one writer at a time.

alter table workspaces
    add column lesson_tokens          int not null default 2000,
    add column lesson_control_percent int not null default 10,
    add column lesson_retention_days  int,
    add constraint workspaces_lesson_tokens_range check (lesson_tokens between 0 and 32000),
    add constraint workspaces_lesson_control_range check (lesson_control_percent between 0 and 50),
    add constraint workspaces_lesson_retention_range check (lesson_retention_days between 1 and 36500);
comment on column workspaces.lesson_tokens is 'Most tokens of lessons in a claim; 0: none.';
comment on column workspaces.lesson_control_percent is 'Percentage of tasks whose claims get no lessons, to measure what lessons do.';
comment on column workspaces.lesson_retention_days is 'Archived and superseded lessons are deleted this many days after their last change; null: never.';

create table knowledge_cursors (
    workspace_id uuid   not null,
    number       bigint not null default 0,
    next_doc     bigint not null default 1,
    next_shelf   int    not null default 8,
    constraint knowledge_cursors_pkey primary key (workspace_id),
    constraint knowledge_cursors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
);
comment on table  knowledge_cursors is 'One row per workspace that has lessons: writers of lessons take turns by its lock.';
comment on column knowledge_cursors.workspace_id is 'The workspace.';
comment on column knowledge_cursors.number is 'Rows of the journal up to this number are captured.';
comment on column knowledge_cursors.next_doc is 'Number of the next document of the index.';
comment on column knowledge_cursors.next_shelf is 'Number of the next shelf; a multiple of 4.';

create table shelves (
    workspace_id uuid not null,
    project_id   uuid not null,
    shelf        int  not null,
    constraint shelves_pkey primary key (workspace_id, project_id),
    constraint shelves_shelf_key unique (workspace_id, shelf),
    constraint shelves_project_fkey foreign key (workspace_id, project_id) references projects (workspace_id, project_id),
    constraint shelves_shelf_range check (shelf >= 8 and shelf % 4 = 0)
);
comment on table  shelves is 'Number of the shelf of each project that has lessons. 4 is the shelf of the workspace.';
comment on column shelves.workspace_id is 'The workspace.';
comment on column shelves.project_id is 'The project.';
comment on column shelves.shelf is 'Active lessons of the project; +1: candidates; +2: those that only people search (quarantined, archived, superseded).';

create table lessons (
    workspace_id   uuid        not null,
    lesson_id      uuid        not null,
    project_id     uuid,
    cluster_id     uuid        not null,
    source_goal    uuid,
    source_task    uuid,
    source_attempt uuid,
    source_agent   uuid,
    superseded_by  uuid,
    created_at     timestamptz not null,
    changed_at     timestamptz not null,
    learned_at     timestamptz not null,
    confirmed_at   timestamptz,
    last_shown_at  timestamptz,
    doc            bigint,
    shown          bigint      not null default 0,
    version        int         not null default 1,
    helpful        int         not null default 0,
    harmful        int         not null default 0,
    irrelevant     int         not null default 0,
    unused         int         not null default 0,
    confirmed      int         not null default 0,
    external       boolean     not null default false,
    kind           text        not null,
    origin         text        not null,
    outcome        text,
    state          text        not null,
    reason         text,
    trust          text        not null,
    capabilities   text[]      not null default '{}',
    constraint lessons_pkey primary key (workspace_id, lesson_id),
    constraint lessons_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint lessons_project_fkey foreign key (workspace_id, project_id) references projects (workspace_id, project_id),
    constraint lessons_kind_known check (kind in ('digest', 'approach', 'pitfall', 'decision', 'howto', 'estimate')),
    constraint lessons_origin_known check (origin in ('capture', 'agent', 'person', 'import')),
    constraint lessons_outcome_known check (outcome in ('done', 'failed', 'cancelled')),
    constraint lessons_state_known check (state in ('active', 'candidate', 'quarantined', 'archived', 'superseded')),
    constraint lessons_trust_known check (trust in ('unverified', 'checked', 'reviewed', 'person')),
    constraint lessons_superseded_named check (superseded_by is null or state = 'superseded'),
    constraint lessons_counts_positive check (shown >= 0 and helpful >= 0 and harmful >= 0 and irrelevant >= 0 and unused >= 0 and confirmed >= 0)
);
comment on table  lessons is 'What was learned: what holds now of each lesson. Its texts are in lesson_versions.';
comment on column lessons.workspace_id is 'The workspace.';
comment on column lessons.lesson_id is 'UUIDv7; lists are in its order, newest first.';
comment on column lessons.project_id is 'The project whose readers see it; null: the whole workspace.';
comment on column lessons.cluster_id is 'The first lesson of its cluster of duplicates; its own id if it has none.';
comment on column lessons.source_goal is 'The goal that it was learned from; null: none. No foreign key: it outlives the goal.';
comment on column lessons.source_task is 'The task that it was learned from; null: none.';
comment on column lessons.source_attempt is 'The attempt that handed it in; null: none.';
comment on column lessons.source_agent is 'The agent that handed it in; null: none.';
comment on column lessons.superseded_by is 'The lesson that replaced it; null: none.';
comment on column lessons.created_at is 'Time of its first version.';
comment on column lessons.changed_at is 'Time of its last version or change of state.';
comment on column lessons.learned_at is 'When its source ended, or it was written: freshness counts from it or from the last confirmation.';
comment on column lessons.confirmed_at is 'Last confirmation by a person; null: never.';
comment on column lessons.last_shown_at is 'When it was last handed out with a claim; null: never.';
comment on column lessons.doc is 'Number of its document in the index; null: not indexed yet.';
comment on column lessons.shown is 'Number of attempts that it was handed to.';
comment on column lessons.version is 'Its newest version; the ETag.';
comment on column lessons.helpful is 'Verdicts of attempts: it helped.';
comment on column lessons.harmful is 'Verdicts: it misled.';
comment on column lessons.irrelevant is 'Verdicts: it was about something else.';
comment on column lessons.unused is 'Verdicts: it was not used.';
comment on column lessons.confirmed is 'Number of confirmations by people.';
comment on column lessons.external is 'Whether it came from outside of this workspace: an import.';
comment on column lessons.kind is 'digest: of a finished task. Others as their writer said.';
comment on column lessons.origin is 'Who wrote the first version.';
comment on column lessons.outcome is 'How the source task ended; null: no task, or not yet.';
comment on column lessons.state is 'active, candidate (its source is not verified), quarantined (kept away from agents), archived or superseded.';
comment on column lessons.reason is 'Why it is quarantined or archived; null: no reason was given.';
comment on column lessons.trust is 'How far its sources are verified: the least of all of them.';
comment on column lessons.capabilities is 'Capabilities that its source task required, or its writer named.';
create unique index lessons_by_doc on lessons (workspace_id, doc) where doc is not null;
create index lessons_of_task on lessons (workspace_id, source_task) where source_task is not null;
create index lessons_of_cluster on lessons (workspace_id, cluster_id);
create index lessons_of_project on lessons (workspace_id, project_id, lesson_id) where project_id is not null;
create index lessons_in_question on lessons (workspace_id, state, changed_at) where state in ('quarantined', 'archived', 'superseded');

create table lesson_versions (
    workspace_id uuid        not null,
    lesson_id    uuid        not null,
    supersedes   uuid[]      not null default '{}',
    written_by   uuid,
    written_at   timestamptz not null,
    version      int         not null,
    fingerprint  bytea       not null,
    person       text,
    kind         text        not null,
    title        text        not null,
    body         text        not null,
    applies_to   text[]      not null default '{}',
    constraint lesson_versions_pkey primary key (workspace_id, lesson_id, version),
    constraint lesson_versions_lesson_fkey foreign key (workspace_id, lesson_id) references lessons (workspace_id, lesson_id),
    constraint lesson_versions_title_length check (octet_length(title) between 1 and 2000),
    constraint lesson_versions_body_length check (octet_length(body) <= 32768),
    constraint lesson_versions_applies_few check (cardinality(applies_to) <= 20),
    constraint lesson_versions_fingerprint_length check (octet_length(fingerprint) = 32),
    constraint lesson_versions_kind_known check (kind in ('digest', 'approach', 'pitfall', 'decision', 'howto', 'estimate'))
);
comment on table  lesson_versions is 'The texts of lessons. A version is never changed.';
comment on column lesson_versions.workspace_id is 'The workspace.';
comment on column lesson_versions.lesson_id is 'The lesson.';
comment on column lesson_versions.supersedes is 'Lessons that this version replaced: a merge.';
comment on column lesson_versions.written_by is 'The key that wrote it; null: the supervisor.';
comment on column lesson_versions.written_at is 'Time of writing.';
comment on column lesson_versions.version is 'Ordinal within its lesson, from 1.';
comment on column lesson_versions.fingerprint is 'SHA-256 of the normalised title and body: the same text is stored once.';
comment on column lesson_versions.person is 'The person who wrote it; null: no person.';
comment on column lesson_versions.kind is 'Kind of the lesson in this version.';
comment on column lesson_versions.title is 'One line.';
comment on column lesson_versions.body is 'Markdown.';
comment on column lesson_versions.applies_to is 'What it is about, as its writer says: paths, packages, error codes.';
create index lesson_versions_by_text on lesson_versions (workspace_id, fingerprint);

create table lesson_bands (
    workspace_id uuid   not null,
    lesson_id    uuid   not null,
    band         bigint not null,
    constraint lesson_bands_pkey primary key (workspace_id, band, lesson_id)
);
comment on table  lesson_bands is 'Bands of the MinHash of the newest version: near duplicates share one.';
comment on column lesson_bands.workspace_id is 'The workspace.';
comment on column lesson_bands.lesson_id is 'The lesson.';
comment on column lesson_bands.band is 'Hash of one band, with its ordinal.';
create index lesson_bands_of_lesson on lesson_bands (workspace_id, lesson_id);

create table lesson_links (
    workspace_id uuid        not null,
    lesson_id    uuid        not null,
    other_id     uuid        not null,
    linked_at    timestamptz not null,
    linked_by    text        not null,
    constraint lesson_links_pkey primary key (workspace_id, lesson_id, other_id),
    constraint lesson_links_lesson_fkey foreign key (workspace_id, lesson_id) references lessons (workspace_id, lesson_id),
    constraint lesson_links_other_fkey foreign key (workspace_id, other_id) references lessons (workspace_id, lesson_id),
    constraint lesson_links_ordered check (lesson_id < other_id),
    constraint lesson_links_by_rule_or_person check (linked_by in ('rule', 'person'))
);
comment on table  lesson_links is 'Pairs of lessons that contradict each other. Both are shown together.';
comment on column lesson_links.workspace_id is 'The workspace.';
comment on column lesson_links.lesson_id is 'The lesser id of the two.';
comment on column lesson_links.other_id is 'The greater id.';
comment on column lesson_links.linked_at is 'Time of the link.';
comment on column lesson_links.linked_by is 'rule: by the words of both; person: somebody said so.';
create index lesson_links_of_other on lesson_links (workspace_id, other_id);

create table docs (
    workspace_id uuid   not null,
    lesson_id    uuid   not null,
    doc          bigint not null,
    shelf        int    not null,
    length       int    not null,
    title_terms  int    not null,
    vector_of    text,
    vector       bytea,
    terms        text[] not null default '{}',
    constraint docs_pkey primary key (workspace_id, doc),
    constraint docs_lesson_key unique (workspace_id, lesson_id),
    constraint docs_lesson_fkey foreign key (workspace_id, lesson_id) references lessons (workspace_id, lesson_id),
    constraint docs_length_positive check (length >= 0 and title_terms >= 0),
    constraint docs_vector_has_its_model check ((vector is null) or (vector_of is not null))
);
comment on table  docs is 'The index: one row per searchable lesson.';
comment on column docs.workspace_id is 'The workspace.';
comment on column docs.lesson_id is 'The lesson.';
comment on column docs.doc is 'Number of the document; another one when the lesson is written again.';
comment on column docs.shelf is 'Where it stands: project and group of states.';
comment on column docs.length is 'Number of indexed words, repetitions included.';
comment on column docs.title_terms is 'Number of different terms in its title.';
comment on column docs.vector_of is 'What made its vector: word vectors with the time of their import, or a model; null: nothing tried yet.';
comment on column docs.vector is 'Direction of its text, one signed byte per dimension; null: none of its words is known, or not computed.';
comment on column docs.terms is 'Its different terms, those of its title first.';
create index docs_by_vector on docs (workspace_id, vector_of, doc);

create table postings (
    workspace_id uuid  not null,
    block        int   not null,
    shelf        int   not null,
    documents    int   not null,
    term         text  not null,
    entries      bytea not null,
    constraint postings_pkey primary key (workspace_id, term, shelf, block),
    constraint postings_entries_complete check (documents > 0 and octet_length(entries) = 8 * documents)
) with (fillfactor = 85);
-- Compressing 8 KB takes longer than reading them.
alter table postings alter column entries set storage external;
comment on table  postings is 'The index: the documents of a term, up to 1,024 in one row.';
comment on column postings.workspace_id is 'The workspace.';
comment on column postings.block is 'Numbers of documents divided by 1,024.';
comment on column postings.shelf is 'As in docs.';
comment on column postings.documents is 'Number of entries.';
comment on column postings.term is 'Lexeme of to_tsvector, or an identifier as a whole; empty: the roster, with every document.';
comment on column postings.entries is '8 bytes per document, big-endian: number within the block (2), occurrences of the term (3; of the roster 0), length of the document (3).';

create table terms (
    workspace_id uuid not null,
    term         text not null,
    constraint terms_pkey primary key (workspace_id, term)
);
comment on table  terms is 'Every term of the index, once.';
comment on column terms.workspace_id is 'The workspace.';
comment on column terms.term is 'The term.';

create table word_grams (
    workspace_id uuid not null,
    gram         text not null,
    term         text not null,
    constraint word_grams_pkey primary key (workspace_id, gram, term)
);
comment on table  word_grams is 'Trigrams of terms: a misspelt word of a query finds the terms that it resembles.';
comment on column word_grams.workspace_id is 'The workspace.';
comment on column word_grams.gram is 'The first letter of the term, then three letters of it, blanks around it included.';
comment on column word_grams.term is 'The term.';
create index word_grams_of_term on word_grams (workspace_id, term);

create table word_vectors (
    workspace_id uuid        not null,
    imported_at  timestamptz not null,
    model        text        not null,
    vectors      bytea       not null,
    constraint word_vectors_pkey primary key (workspace_id),
    constraint word_vectors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint word_vectors_model_length check (octet_length(model) between 1 and 200)
);
comment on table  word_vectors is 'The table of static word vectors of a workspace, and its tokenizer.';
comment on column word_vectors.workspace_id is 'The workspace.';
comment on column word_vectors.imported_at is 'Time of the import: documents with older vectors get new ones.';
comment on column word_vectors.model is 'Name of the file it came from.';
comment on column word_vectors.vectors is 'Vocabulary, merges and rows, in the layout of this service.';

create table handed_lessons (
    workspace_id uuid     not null,
    attempt_id   uuid     not null,
    goal_id      uuid     not null,
    number       smallint not null,
    kind         text     not null,
    title        text     not null,
    body         text     not null,
    applies_to   text[]   not null default '{}',
    constraint handed_lessons_pkey primary key (workspace_id, attempt_id, number),
    constraint handed_lessons_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint handed_lessons_few check (number between 1 and 5),
    constraint handed_lessons_kind_known check (kind in ('approach', 'pitfall', 'decision', 'howto', 'estimate'))
);
comment on table  handed_lessons is 'Lessons that came with the end of an attempt and are not captured yet.';
comment on column handed_lessons.workspace_id is 'The workspace.';
comment on column handed_lessons.attempt_id is 'The attempt.';
comment on column handed_lessons.goal_id is 'Its goal.';
comment on column handed_lessons.number is 'Ordinal, from 1.';
comment on column handed_lessons.kind is 'Kind, as the agent says.';
comment on column handed_lessons.title is 'One line.';
comment on column handed_lessons.body is 'Markdown.';
comment on column handed_lessons.applies_to is 'What it is about.';

create table exposures (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    lesson_id    uuid        not null,
    goal_id      uuid        not null,
    shown_at     timestamptz not null,
    version      int         not null,
    counted      boolean     not null default false,
    verdict      text,
    owner        text,
    constraint exposures_pkey primary key (workspace_id, attempt_id, lesson_id),
    constraint exposures_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint exposures_lesson_fkey foreign key (workspace_id, lesson_id) references lessons (workspace_id, lesson_id),
    constraint exposures_verdict_known check (verdict in ('helpful', 'harmful', 'irrelevant', 'unused'))
);
comment on table  exposures is 'Lessons that attempts were given with their claim, and what became of them.';
comment on column exposures.workspace_id is 'The workspace.';
comment on column exposures.attempt_id is 'The attempt.';
comment on column exposures.lesson_id is 'The lesson.';
comment on column exposures.goal_id is 'The goal of the attempt.';
comment on column exposures.shown_at is 'Time of the claim.';
comment on column exposures.version is 'Version of the lesson then.';
comment on column exposures.counted is 'Whether the verdict is in the counters of the lesson: they follow behind the commit.';
comment on column exposures.verdict is 'What the agent said when it finished; null: nothing.';
comment on column exposures.owner is 'Owner of the agent, or the agent itself without one, when it said so; null: no verdict.';
create index exposures_of_lesson on exposures (workspace_id, lesson_id);
create index exposures_of_goal on exposures (workspace_id, goal_id);
create index exposures_uncounted on exposures (workspace_id, attempt_id, lesson_id) where verdict is not null and not counted;

create table lesson_trials (
    workspace_id uuid        not null,
    source_task  uuid        not null,
    project_id   uuid,
    began_at     timestamptz not null,
    ended_at     timestamptz,
    usd_micros   bigint,
    attempts     int,
    with_lessons boolean     not null,
    done         boolean,
    constraint lesson_trials_pkey primary key (workspace_id, source_task),
    constraint lesson_trials_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint lesson_trials_ended_says_how check ((ended_at is null) = (done is null))
);
comment on table  lesson_trials is 'Tasks for which lessons were there: those that got some and those of the control group, with how they ended.';
comment on column lesson_trials.workspace_id is 'The workspace.';
comment on column lesson_trials.source_task is 'The task. No foreign key: the figures outlive it.';
comment on column lesson_trials.project_id is 'Its project; null: none.';
comment on column lesson_trials.began_at is 'First claim for which lessons were found.';
comment on column lesson_trials.ended_at is 'End of the task; null: open.';
comment on column lesson_trials.usd_micros is 'Spend of all its attempts; null: open.';
comment on column lesson_trials.attempts is 'Number of its attempts that count; null: open.';
comment on column lesson_trials.with_lessons is 'false: control group.';
comment on column lesson_trials.done is 'Whether it was done; null: open.';
create index lesson_trials_by_age on lesson_trials (workspace_id, began_at);

create table accepted_answers (
    workspace_id     uuid        not null,
    task_id          uuid        not null,
    goal_id          uuid        not null,
    source_task      uuid        not null,
    lesson_id        uuid        not null,
    accepted_by      uuid,
    agent_id         uuid,
    accepted_at      timestamptz not null,
    saved_usd_micros bigint      not null,
    saved_tokens     bigint      not null,
    saved_wall_ms    bigint      not null,
    person           text,
    constraint accepted_answers_pkey primary key (workspace_id, task_id),
    constraint accepted_answers_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint accepted_answers_saved_positive check (saved_usd_micros >= 0 and saved_tokens >= 0 and saved_wall_ms >= 0)
);
comment on table  accepted_answers is 'Tasks that were closed because an earlier one had solved them.';
comment on column accepted_answers.workspace_id is 'The workspace.';
comment on column accepted_answers.task_id is 'The task that was closed.';
comment on column accepted_answers.goal_id is 'Its goal.';
comment on column accepted_answers.source_task is 'The task that had solved it. No foreign key: it may be pruned.';
comment on column accepted_answers.lesson_id is 'The digest of that task. No foreign key: retention may delete it.';
comment on column accepted_answers.accepted_by is 'The key that accepted the answer.';
comment on column accepted_answers.agent_id is 'The agent that accepted it during its attempt; null: a person.';
comment on column accepted_answers.accepted_at is 'Time of acceptance.';
comment on column accepted_answers.saved_usd_micros is 'What the earlier task had cost.';
comment on column accepted_answers.saved_tokens is 'The tokens that it had used.';
comment on column accepted_answers.saved_wall_ms is 'The time that its attempts had taken.';
comment on column accepted_answers.person is 'The person who accepted it; null: none.';
create index accepted_answers_of_goal on accepted_answers (workspace_id, goal_id);
