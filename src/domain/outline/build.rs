//! From selected parts to tasks: titles, references, dependencies, notes.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    Dropped, Ordering, Outline, OutlineCriterion, OutlineShape, OutlineTask, body,
    boxes::{self, BoxMark},
    document::Document,
    draft::Draft,
    elements, headings, needs,
    notes::{NoteCode, Notes},
    order::{self, Unit},
    pick::{Pick, Picks, Source},
    references::{self, Index},
    stories::{self, Sequence},
    title, unread, words,
};

/// Longest title, in characters; the rest starts the description.
const LONGEST_TITLE: usize = 500;
/// Most stated dependencies that are looked up; bounds ranges such as `T001-T999`.
const MOST_STATED: usize = 50_000;

pub(super) fn build(
    document: &Document<'_>,
    picks: &Picks,
    ordering: Ordering,
    dropped: Vec<Dropped>,
) -> Outline {
    let mut notes = Notes::default();
    note_dropped(&dropped, &mut notes);
    let lines = body::lines_of(document, picks);
    let mut drafts = drafts(document, picks, &lines, &mut notes);
    // The number of a list is no id that a line elsewhere could mean by `Task 1: …`.
    let known = unread::known_ids(&drafts);
    references::number_by_markers(document, picks, &mut drafts);
    references::nest_by_ids(picks, &mut drafts);
    references::undo_lone_numbers(&mut drafts);
    let names = references::name(&drafts, &mut notes);
    note_containers(&drafts, &names, &mut notes);
    note_criteria(&drafts, &names, &mut notes);
    let criteria = goal_criteria(document, picks);
    let mentioned = unread::note(document, picks, &lines, (&drafts, known), &mut notes);
    references::note_gaps(&drafts, &mentioned, &mut notes);

    let stated = stated(&drafts, &names, &mut notes);
    let units = units(document, picks, &drafts, ordering);
    let runs = drafts.iter().map(|draft| draft.run + 1).max().unwrap_or_default();
    let sequence = match ordering {
        Ordering::Sequential => Sequence::one_after_another(runs),
        Ordering::Auto | Ordering::Parallel => {
            stories::sequence(document, picks, &drafts, &mut notes)
        }
    };
    let arranged = order::arrange(&units, &stated, &sequence);
    note_order(&arranged, &drafts, &names, &mut notes);

    let tasks = drafts.into_iter().enumerate().map(|(at, draft)| {
        let mut needs: Vec<String> =
            arranged.needs[at].iter().map(|need| names[*need].clone()).collect();
        needs.sort_unstable();
        let parent = draft.parent.map(|parent| names[parent].clone());
        task(draft, names[at].clone(), parent, needs, picks.tasks[at].source)
    });
    let tasks = tasks.collect();
    Outline { tasks, criteria, notes: notes.finish(document), shape: picks.shape }
}

fn note_dropped(dropped: &[Dropped], notes: &mut Notes) {
    for line in dropped.chunk_by(|one, next| one.line == next.line) {
        let mut codes: Vec<String> =
            line.iter().map(|found| format!("U+{:04X}", u32::from(found.char))).collect();
        codes.dedup();
        codes.truncate(10);
        let message = format!("control characters are left out: {}", codes.join(", "));
        notes.add(NoteCode::ControlCharacters, line[0].line, message);
    }
}

/// Boxes below a criteria label that belong to no task.
fn goal_criteria(document: &Document<'_>, picks: &Picks) -> Vec<OutlineCriterion> {
    let free = |id: usize| {
        let item = &document.items[id];
        let owner = picks.of_item[id].or(picks.of_section[item.section]);
        let element = item.element.and_then(|element| picks.of_element[element]);
        owner.or(element).is_none() && picks.labels[id].is_some() && !item.struck
    };
    let boxed = (0..document.items.len()).filter(|id| document.items[*id].mark.is_some());
    boxed
        .filter(|id| free(*id))
        .map(|id| OutlineCriterion {
            text: body::first_paragraph(document, id).0,
            satisfied: document.items[id].mark == Some(BoxMark::Done),
            line: document.lines[document.items[id].line].raw.number,
        })
        .filter(|criterion| !criterion.text.is_empty())
        .collect()
}

fn task(
    draft: Draft,
    reference: String,
    parent: Option<String>,
    needs: Vec<String>,
    source: Source,
) -> OutlineTask {
    let (title, rest) = cut(&draft.head.title);
    let description = match (rest.is_empty(), draft.body.description.is_empty()) {
        (true, _) => draft.body.description,
        (false, true) => rest.to_owned(),
        (false, false) => format!("{rest}\n\n{}", draft.body.description),
    };
    OutlineTask {
        reference,
        title: title.to_owned(),
        description,
        explicit_id: draft.head.id,
        section: draft.section,
        labels: draft.head.labels,
        parent,
        needs,
        criteria: draft.body.criteria,
        done: draft.done,
        optional: draft.head.optional,
        parallel: draft.head.parallel,
        line: draft.line,
        origin: source.origin(),
    }
}

/// Splits a title at the last space within its maximum length.
fn cut(title: &str) -> (&str, &str) {
    let Some((end, _)) = title.char_indices().nth(LONGEST_TITLE) else { return (title, "") };
    let end = title[..end].rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(end);
    (title[..end].trim_end(), title[end..].trim_start())
}

fn drafts(
    document: &Document<'_>,
    picks: &Picks,
    lines: &[Vec<usize>],
    notes: &mut Notes,
) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(picks.tasks.len());
    let mut run = 0;
    let mut previous = None;
    let mut group_titles = HashMap::new();
    for (pick, lines) in picks.tasks.iter().zip(lines) {
        if pick.parent.is_none() {
            run += usize::from(previous.is_some_and(|section| section != pick.section));
            previous = Some(pick.section);
        }
        let mut draft = draft(document, picks, pick, lines);
        draft.run = run;
        draft.section = section_title(document, picks, pick, &mut group_titles);
        number_inside(document, picks, &drafts, pick, &mut draft);
        if draft.head.title.is_empty() {
            draft.head.title = fallback_title(document, pick, &draft);
            notes.add(NoteCode::EmptyTitle, draft.line, "the task has no title".into());
        }
        drafts.push(draft);
    }
    drafts
}

fn draft(document: &Document<'_>, picks: &Picks, pick: &Pick, lines: &[usize]) -> Draft {
    let line = document.lines.get(pick.line).map_or(0, |line| line.raw.number);
    let mut draft = Draft { line, numbered: true, parent: pick.parent, ..Draft::default() };
    match pick.source {
        Source::Item(id) => {
            let item = &document.items[id];
            let (text, used) = body::first_paragraph(document, id);
            draft.head = title::parse(&text);
            let own = pick.line + 1..=pick.line + used;
            let lines: Vec<usize> = lines.iter().copied().filter(|at| !own.contains(at)).collect();
            draft.body = body::read(document, picks, pick.source, &lines);
            draft.mark = item.mark;
            draft.done = item.mark == Some(BoxMark::Done);
            draft.numbered = draft.head.id.is_some() || item.marker.number.is_some();
        }
        Source::Heading(id) => {
            let title = &document.sections[id].title;
            draft.head = headings::heading_head(title);
            draft.body = body::read(document, picks, pick.source, lines);
            let (all, ticked) = draft.body.boxes;
            let mark = boxes::take(title.trim()).0;
            draft.done = mark == Some(BoxMark::Done) || (all > 0 && all == ticked);
        }
        Source::Element(id) => {
            let text = elements::read(document, &document.elements[id].opening, lines);
            draft.head = title::parse(&text.name);
            draft.head.id = draft.head.id.take().or(text.id);
            draft.head.labels.extend(text.label);
            draft.body = body::read(document, picks, pick.source, &text.lines);
            draft.body.criteria.extend(text.criteria);
        }
        Source::Row(row) => {
            let row = &picks.rows[row];
            draft.head = title::parse(&row.title);
            if !row.id.is_empty() {
                draft.head.id = Some(row.id.clone());
            }
            draft.head.needs.extend(needs::of_cell(&row.needs));
            draft.done = row.done;
            let rest: Vec<String> =
                row.rest.iter().map(|(name, cell)| format!("{name}: {cell}")).collect();
            draft.body.description = rest.join("\n");
        }
    }
    draft.head.needs.append(&mut draft.body.needs);
    draft
}

/// Numbers start again in each `Task 3`: its `Step 1` and its `1.` are `3.1`.
fn number_inside(
    document: &Document<'_>,
    picks: &Picks,
    drafts: &[Draft],
    pick: &Pick,
    draft: &mut Draft,
) {
    let Source::Item(item) = pick.source else { return };
    let item = &document.items[item];
    let around = picks.of_section[item.section].and_then(|task| drafts.get(task));
    let number = |id: &&str| id.starts_with(|c: char| c.is_ascii_digit());
    let around = around.and_then(|draft| draft.head.id.as_deref()).filter(number);
    let own = draft.head.id.as_deref().filter(number);
    let (Some(around), Some(own)) = (around, own) else { return };
    let inside = own.strip_prefix(around).is_some_and(|rest| rest.starts_with('.'));
    if !inside && !words::is_task_name(&item.text) {
        draft.head.id = Some(format!("{around}.{own}"));
    }
}

/// The heading above, or the plain list item around the task, no longer than a title. `group_titles`: the
/// titles of such items that were read.
fn section_title(
    document: &Document<'_>,
    picks: &Picks,
    pick: &Pick,
    group_titles: &mut HashMap<usize, String>,
) -> Option<String> {
    if let Some(group) = groups(document, picks, pick).last() {
        let text = group_titles.entry(*group).or_insert_with(|| {
            let title = title::parse(&document.items[*group].text).title;
            cut(&title).0.to_owned()
        });
        if !text.is_empty() {
            return Some(text.clone());
        }
    }
    let mut titles = document.sections_above(pick.section).map(|section| &section.title);
    titles.find(|title| !title.is_empty()).map(|title| cut(title).0.to_owned())
}

/// Title of a task without one: its id, or its line as written.
fn fallback_title(document: &Document<'_>, pick: &Pick, draft: &Draft) -> String {
    if let Some(id) = &draft.head.id {
        return id.clone();
    }
    let line = document.lines.get(pick.line).map(|line| line.raw.text.trim());
    line.unwrap_or_default().chars().take(LONGEST_TITLE).collect()
}

/// The plain items between a task and its parent task or section, outermost first.
fn groups(document: &Document<'_>, picks: &Picks, pick: &Pick) -> Vec<usize> {
    let Source::Item(id) = pick.source else { return Vec::new() };
    let is_task = |item: &usize| {
        let own = picks.of_item[*item].map(|task| picks.tasks[task].source);
        own == Some(Source::Item(*item))
    };
    let above = document.items_above(id);
    let mut groups: Vec<usize> = above.take_while(|item| !is_task(item)).collect();
    groups.reverse();
    groups
}

/// The units to order: tasks, and the plain items that group them.
fn units(
    document: &Document<'_>,
    picks: &Picks,
    drafts: &[Draft],
    ordering: Ordering,
) -> Vec<Unit> {
    let marked = drafts.iter().any(|draft| draft.head.parallel);
    let follows = |parallel: bool, numbered: bool| match ordering {
        Ordering::Auto if marked => !parallel,
        Ordering::Auto => numbered,
        Ordering::Sequential => !parallel,
        Ordering::Parallel => false,
    };
    let mut units: Vec<Unit> = Vec::with_capacity(drafts.len());
    let mut unit_of_task = Vec::with_capacity(drafts.len());
    let mut unit_of_item: HashMap<usize, usize> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        let mut holder = draft.parent.map(|parent| unit_of_task[parent]);
        let own_parent = draft.parent == picks.tasks[at].parent;
        let between = groups(document, picks, &picks.tasks[at]);
        for item in between.into_iter().filter(|_| own_parent) {
            let unit = *unit_of_item.entry(item).or_insert_with(|| {
                let head = title::parse(&document.items[item].text);
                let numbered = document.items[item].marker.number.is_some() || head.id.is_some();
                let follows = follows(head.parallel, numbered);
                units.push(Unit { task: None, holder, run: draft.run, follows });
                units.len() - 1
            });
            holder = Some(unit);
        }
        let follows = follows(draft.head.parallel, draft.numbered);
        units.push(Unit { task: Some(at), holder, run: draft.run, follows });
        unit_of_task.push(units.len() - 1);
    }
    units
}

fn stated(drafts: &[Draft], names: &[String], notes: &mut Notes) -> Vec<BTreeSet<usize>> {
    let index = Index::of(drafts);
    // Each statement counts, whether it says something new or not: a line may say one range ten thousand times.
    let mut left = MOST_STATED;
    let mut all = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        let mut needs = BTreeSet::new();
        let read: HashSet<&needs::Need> = draft.head.needs.iter().collect();
        for need in needs::unread(&draft.head.title) {
            if !read.contains(&need) {
                let message = format!("{} may need {need}: left out, as text follows", names[at]);
                notes.add(NoteCode::UnknownNeed, draft.line, message);
            }
        }
        for need in &draft.head.needs {
            if left == 0 {
                break;
            }
            let found = index.find(drafts, at, need, &mut left);
            if found.is_empty() {
                let message = format!("{} needs {need}, an unknown task: left out", names[at]);
                notes.add(NoteCode::UnknownNeed, draft.line, message);
            }
            for target in found {
                if references::is_nested(drafts, at, target) {
                    let message = format!(
                        "{} cannot need {}: itself, its container or its content; left out",
                        names[at], names[target]
                    );
                    notes.add(NoteCode::CircularNeed, draft.line, message);
                } else {
                    needs.insert(target);
                }
            }
        }
        all.push(needs);
    }
    if left == 0 {
        let message = format!("only the first {MOST_STATED} stated dependencies are kept");
        notes.add(NoteCode::TooManyNeeds, 0, message);
    }
    all
}

fn note_order(arranged: &order::Arranged, drafts: &[Draft], names: &[String], notes: &mut Notes) {
    for (task, need) in &arranged.circular {
        let message =
            format!("{} needs {}, which closes a cycle: left out", names[*task], names[*need]);
        notes.add(NoteCode::CircularNeed, drafts[*task].line, message);
    }
    for (task, need) in &arranged.overruled {
        let (task_name, need) = (&names[*task], &names[*need]);
        let message =
            format!("{task_name} is listed after {need}, but stated dependencies put it before");
        notes.add(NoteCode::OrderOverruled, drafts[*task].line, message);
    }
    for gate in &arranged.narrowed {
        let message = format!(
            "the next section waits for {} only, which waits for the rest of its section",
            names[*gate]
        );
        notes.add(NoteCode::OrderNarrowed, drafts[*gate].line, message);
    }
}

fn note_containers(drafts: &[Draft], names: &[String], notes: &mut Notes) {
    let mut open = vec![0usize; drafts.len()];
    for draft in drafts {
        if let Some(parent) = draft.parent.filter(|_| !draft.done) {
            open[parent] += 1;
        }
    }
    for (at, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.done) {
        if open[at] > 0 {
            let message =
                format!("{} is ticked, but {} of its tasks are open", names[at], open[at]);
            notes.add(NoteCode::DoneWithOpenChildren, draft.line, message);
        }
    }
}

fn note_criteria(drafts: &[Draft], names: &[String], notes: &mut Notes) {
    for (draft, name) in drafts.iter().zip(names).filter(|(draft, _)| draft.done) {
        let (all, ticked) = draft.body.boxes;
        if all > ticked {
            let message =
                format!("{name} is ticked, but {} of its criteria are open", all - ticked);
            notes.add(NoteCode::DoneWithOpenCriteria, draft.line, message);
        }
    }
}

impl OutlineShape {
    /// Whether list numbers can serve as ids in this shape.
    pub(super) fn numbers_by_marker(self) -> bool {
        match self {
            Self::Boxes | Self::TaskItems | Self::Steps => true,
            Self::TaskHeadings | Self::TaskElements | Self::TableRows => false,
        }
    }
}
