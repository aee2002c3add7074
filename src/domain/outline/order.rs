//! Dependencies from statements and from the order of the document.
//!
//! Stated dependencies come first. All positions come from one topological order of the stated
//! dependencies and the nesting, and an implied dependency is kept only if it points forward in it.
//! So the combination has no cycle.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::stories::Sequence;
use crate::domain::settings;

/// A task, or a list item that only groups tasks.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub task: Option<usize>,
    /// The unit around it, always an earlier one.
    pub holder: Option<usize>,
    /// Ordinal of its section, in reading order.
    pub run: usize,
    /// Whether it waits for the units before it in its list.
    pub follows: bool,
}

#[derive(Debug, Default)]
pub(super) struct Arranged {
    /// Needs of each task.
    pub needs: Vec<BTreeSet<usize>>,
    /// Stated dependencies that would close a cycle: (task, need).
    pub circular: Vec<(usize, usize)>,
    /// Implied dependencies that contradict stated ones: (task, need).
    pub overruled: Vec<(usize, usize)>,
    /// Tasks that represent a section with too many pairs.
    pub narrowed: Vec<usize>,
}

/// Most edges between two sections.
const MOST_PAIRS: usize = 2_000;
/// Above this total, every pair of sections is joined through one task.
const MOST_PAIRS_IN_ALL: usize = 20_000;
/// Edges that the lists of a document have before the groups of further lists are joined through one task: a plan
/// with more dependencies is refused.
const MOST_IMPLIED: usize = settings::PLAN_DEPENDENCIES;
/// Steps of looking for circles. When they are used up, what cannot be placed loses all that it waits for at once.
const MOST_STEPS: usize = 500_000;

/// Orders the tasks; `stated` has the stated needs of each.
pub(super) fn arrange(units: &[Unit], stated: &[BTreeSet<usize>], sequence: &Sequence) -> Arranged {
    let (positions, circular) = Positions::find(units, stated);
    let mut needs = stated.to_vec();
    for (task, need) in &circular {
        needs[*task].remove(need);
    }
    let mut order =
        Order { positions, needs, overruled: BTreeSet::new(), narrowed: Vec::new(), implied: 0 };
    order.inside(units);
    order.between(units, sequence);
    Arranged {
        needs: order.needs,
        circular,
        overruled: order.overruled.into_iter().collect(),
        narrowed: order.narrowed,
    }
}

/// First and last tasks of a list.
#[derive(Debug, Clone, Default)]
struct Span {
    heads: Vec<usize>,
    ends: Vec<usize>,
}

struct Order {
    positions: Positions,
    needs: Vec<BTreeSet<usize>>,
    overruled: BTreeSet<(usize, usize)>,
    narrowed: Vec<usize>,
    /// Edges that follow from the order of the document so far.
    implied: usize,
}

impl Order {
    /// Orders every list; a group stands for its content.
    fn inside(&mut self, units: &[Unit]) {
        let mut lists: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
        let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, unit) in units.iter().enumerate() {
            match unit.holder {
                Some(holder) => lists[holder].push(at),
                None => runs.entry(unit.run).or_default().push(at),
            }
        }
        let mut spans = vec![Span::default(); units.len()];
        for at in (0..units.len()).rev() {
            let list = std::mem::take(&mut lists[at]);
            let inner = self.list(units, list, &spans);
            spans[at] = match units[at].task {
                Some(task) => Span { heads: vec![task], ends: vec![task] },
                None => inner,
            };
        }
        for run in runs.into_values() {
            self.list(units, run, &spans);
        }
    }

    fn list(&mut self, units: &[Unit], mut list: Vec<usize>, spans: &[Span]) -> Span {
        list.sort_by_key(|at| self.positions.enter[*at]);
        let mut heads = Vec::new();
        let mut before: Vec<usize> = Vec::new();
        for at in list {
            let span = &spans[at];
            if !units[at].follows {
                heads.extend(&span.heads);
                before.extend(&span.ends);
                continue;
            }
            if before.is_empty() {
                heads.extend(&span.heads);
            }
            let most = if self.implied > MOST_IMPLIED { 0 } else { MOST_PAIRS };
            self.join(&before, &span.heads, most);
            before.clone_from(&span.ends);
        }
        Span { heads, ends: before }
    }

    /// Lets every section wait for those before it.
    fn between(&mut self, units: &[Unit], sequence: &Sequence) {
        let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut inside_task = vec![false; units.len()];
        for (at, unit) in units.iter().enumerate() {
            let nested = |holder: usize| inside_task[holder] || units[holder].task.is_some();
            inside_task[at] = unit.holder.is_some_and(nested);
            if let Some(task) = unit.task.filter(|_| !inside_task[at]) {
                runs.entry(unit.run).or_default().push(task);
            }
        }
        let spans: BTreeMap<usize, Span> =
            runs.iter().map(|(run, tasks)| (*run, self.span_of(tasks))).collect();
        let pairs: Vec<(&Span, &Span)> = sequence
            .pairs()
            .filter_map(|(before, after)| Some((spans.get(&before)?, spans.get(&after)?)))
            .collect();
        let all: usize =
            pairs.iter().map(|(before, after)| before.ends.len() * after.heads.len()).sum();
        let most = if all > MOST_PAIRS_IN_ALL { 0 } else { MOST_PAIRS };
        for (before, after) in pairs {
            self.join(&before.ends, &after.heads, most);
        }
    }

    /// Tasks of a section that need none of it, and tasks that none of it needs.
    fn span_of(&self, run: &[usize]) -> Span {
        let members: BTreeSet<usize> = run.iter().copied().collect();
        let mut needed = BTreeSet::new();
        let mut heads = Vec::new();
        for task in run {
            let mut inside =
                self.needs[*task].iter().filter(|need| members.contains(need)).peekable();
            if inside.peek().is_none() {
                heads.push(*task);
            }
            needed.extend(inside.copied());
        }
        let ends = run.iter().copied().filter(|task| !needed.contains(task)).collect();
        Span { heads, ends }
    }

    /// Lets all `heads` wait for all `ends`. Above `most` edges the last of the ends waits for the
    /// others and represents them: as strict, with a sum of edges instead of a product.
    fn join(&mut self, ends: &[usize], heads: &[usize], most: usize) {
        let wide = ends.len() > 1 && heads.len() > 1 && ends.len() * heads.len() > most.max(4);
        let gate = ends.iter().copied().max_by_key(|task| self.positions.of_task(*task));
        let Some(gate) = gate.filter(|_| wide) else {
            for head in heads {
                for end in ends {
                    self.imply(*head, *end);
                }
            }
            return;
        };
        self.narrowed.push(gate);
        for end in ends {
            if *end == gate || (self.agrees(gate, *end) && self.imply(gate, *end)) {
                continue;
            }
            for head in heads {
                self.imply(*head, *end);
            }
        }
        for head in heads {
            self.imply(*head, gate);
        }
    }

    fn agrees(&self, task: usize, need: usize) -> bool {
        self.positions.ends_before(need, task)
    }

    fn imply(&mut self, task: usize, need: usize) -> bool {
        self.implied += 1;
        if !self.agrees(task, need) {
            self.overruled.insert((task, need));
            return false;
        }
        self.needs[task].insert(need);
        true
    }
}

/// Start and end of each unit in one order that satisfies the statements.
struct Positions {
    enter: Vec<usize>,
    /// Start and end of each task.
    tasks: Vec<(usize, usize)>,
}

impl Positions {
    fn of_task(&self, task: usize) -> usize {
        self.tasks[task].1
    }

    fn ends_before(&self, first: usize, second: usize) -> bool {
        self.tasks[first].1 < self.tasks[second].0
    }

    /// Every unit is two nodes, start and end, numbered in reading order. Repeatedly taking the
    /// lowest free node gives the document's order, changed only where a statement requires it.
    fn find(units: &[Unit], stated: &[BTreeSet<usize>]) -> (Self, Vec<(usize, usize)>) {
        let walk = Walk::of(units);
        let mut graph = Graph::new(units.len() * 2);
        for (at, unit) in units.iter().enumerate() {
            graph.edge(walk.enter[at], walk.exit[at], None);
            if let Some(holder) = unit.holder {
                graph.edge(walk.enter[holder], walk.enter[at], None);
                graph.edge(walk.exit[at], walk.exit[holder], None);
            }
        }
        let mut unit_of = vec![0; stated.len()];
        for (at, unit) in units.iter().enumerate() {
            if let Some(task) = unit.task {
                unit_of[task] = at;
            }
        }
        for (task, needs) in stated.iter().enumerate() {
            for need in needs {
                let (from, to) = (walk.exit[unit_of[*need]], walk.enter[unit_of[task]]);
                graph.edge(from, to, Some((task, *need)));
            }
        }
        let (positions, circular) = graph.order();
        let span = |at: &usize| (positions[walk.enter[*at]], positions[walk.exit[*at]]);
        let tasks = unit_of.iter().map(span).collect();
        let enter = walk.enter.iter().map(|node| positions[*node]).collect();
        (Self { enter, tasks }, circular)
    }
}

/// Numbers of the units in reading order, on entry and exit.
struct Walk {
    enter: Vec<usize>,
    exit: Vec<usize>,
}

impl Walk {
    fn of(units: &[Unit]) -> Self {
        let mut inner: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
        let mut stack: Vec<(usize, bool)> = Vec::new();
        for (at, unit) in units.iter().enumerate().rev() {
            match unit.holder {
                Some(holder) => inner[holder].push(at),
                None => stack.push((at, false)),
            }
        }
        let mut walk = Self { enter: vec![0; units.len()], exit: vec![0; units.len()] };
        let mut next = 0;
        while let Some((at, left)) = stack.pop() {
            if left {
                walk.exit[at] = next;
            } else {
                walk.enter[at] = next;
                stack.push((at, true));
                stack.extend(inner[at].iter().map(|inner| (*inner, false)));
            }
            next += 1;
        }
        walk
    }
}

/// A dependency as (task, need); `None` for nesting.
type Statement = Option<(usize, usize)>;

fn release(node: usize, waits: &mut [usize], free: &mut BinaryHeap<Reverse<usize>>) {
    waits[node] -= 1;
    if waits[node] == 0 {
        free.push(Reverse(node));
    }
}

struct Graph {
    after: Vec<Vec<(usize, Statement)>>,
    before: Vec<Vec<(usize, Statement)>>,
}

impl Graph {
    fn new(nodes: usize) -> Self {
        Self { after: vec![Vec::new(); nodes], before: vec![Vec::new(); nodes] }
    }

    fn edge(&mut self, from: usize, to: usize, statement: Statement) {
        self.after[from].push((to, statement));
        self.before[to].push((from, statement));
    }

    /// Position of every node, and the statements dropped to reach one.
    fn order(&self) -> (Vec<usize>, Vec<(usize, usize)>) {
        let nodes = self.after.len();
        let mut waits: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut positions = vec![usize::MAX; nodes];
        let mut free: BinaryHeap<Reverse<usize>> =
            (0..nodes).filter(|node| waits[*node] == 0).map(Reverse).collect();
        let mut dropped = BTreeSet::new();
        let (mut placed, mut lowest, mut steps) = (0, 0, 0);
        while placed < nodes {
            let Some(Reverse(node)) = free.pop() else {
                while positions.get(lowest).is_some_and(|position| *position != usize::MAX) {
                    lowest += 1;
                }
                if steps > MOST_STEPS {
                    // All that it waits for is stated: nesting points forward.
                    for (_, statement) in self.before[lowest]
                        .iter()
                        .filter(|(from, _)| positions[*from] == usize::MAX)
                    {
                        if let Some(statement) = statement
                            && dropped.insert(*statement)
                        {
                            release(lowest, &mut waits, &mut free);
                        }
                    }
                    continue;
                }
                let Some((to, statement)) = self.circle(lowest, &positions, &dropped, &mut steps)
                else {
                    break;
                };
                dropped.insert(statement);
                release(to, &mut waits, &mut free);
                continue;
            };
            positions[node] = placed;
            placed += 1;
            for (to, statement) in &self.after[node] {
                if !statement.is_some_and(|statement| dropped.contains(&statement)) {
                    release(*to, &mut waits, &mut free);
                }
            }
        }
        (positions, dropped.into_iter().collect())
    }

    /// Follows unplaced predecessors until a cycle closes, and returns its statement that points
    /// ahead first.
    fn circle(
        &self,
        start: usize,
        positions: &[usize],
        dropped: &BTreeSet<(usize, usize)>,
        steps: &mut usize,
    ) -> Option<(usize, (usize, usize))> {
        let mut path: Vec<(usize, usize, Statement)> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        let mut node = start;
        while !seen.contains_key(&node) {
            seen.insert(node, path.len());
            let (from, statement) = self.before[node].iter().find(|(from, statement)| {
                *steps += 1;
                let gone = statement.is_some_and(|statement| dropped.contains(&statement));
                positions[*from] == usize::MAX && !gone
            })?;
            path.push((node, *from, *statement));
            node = *from;
        }
        let circle = &path[*seen.get(&node)?..];
        let ahead = circle.iter().filter(|(to, from, _)| from > to);
        ahead.filter_map(|(to, _, statement)| statement.map(|s| (*to, s))).min()
    }
}
