//! Waves and longest paths against slow and simple reckoning.

use proptest::prelude::*;

use super::*;

/// A task by number: its needs, its container, whether it is done.
type Drawn = (Vec<usize>, Option<usize>, bool);

fn tasks(drawn: &[Drawn]) -> Vec<TaskSpec> {
    let task = |(index, (needs, parent, done)): (usize, &Drawn)| TaskSpec {
        r#ref: index.to_string(),
        needs: needs.iter().map(ToString::to_string).collect(),
        parent: parent.map(|parent| parent.to_string()),
        done: *done,
        ..TaskSpec::default()
    };
    drawn.iter().enumerate().map(task).collect()
}

fn flat(needs: &[&[usize]]) -> Vec<TaskSpec> {
    let drawn: Vec<Drawn> = needs.iter().map(|needs| (needs.to_vec(), None, false)).collect();
    tasks(&drawn)
}

#[test]
fn a_small_graph_by_hand() {
    // 0 and 1 have no needs; 2 needs 0; 3 needs 1 and 2; 4 needs 1.
    let network = Network::of(&flat(&[&[], &[], &[0], &[1, 2], &[1]]));
    let duration = |task: usize| [5, 1, 3, 2, 100][task];
    assert_eq!(network.waves(), [vec![0, 1], vec![2, 4], vec![3]]);
    assert_eq!(network.longest(duration, |_| 0), Path { length: 101, tasks: vec![1, 4] });
    assert_eq!(network.longest(|_| 1, |_| 0), Path { length: 3, tasks: vec![0, 2, 3] });
    assert_eq!(network.remaining(duration), [10, 101, 5, 2, 100]);
    // Nobody may touch 4 before 50.
    assert_eq!(network.longest(duration, |task| if task == 4 { 50 } else { 0 }).tasks, [4]);
}

#[test]
fn a_need_of_a_container_is_one_of_all_it_contains() {
    // 0 contains 1 and 2; 3 needs 0; 4 contains 5 and needs 3.
    let drawn = [
        (vec![], None, false),
        (vec![], Some(0), false),
        (vec![], Some(0), false),
        (vec![0], None, false),
        (vec![3], None, false),
        (vec![], Some(4), false),
    ];
    let network = Network::of(&tasks(&drawn));
    assert_eq!(network.waves(), [vec![1, 2], vec![3], vec![5]]);
    assert_eq!(
        network.longest(|task| task as i64, |_| 0),
        Path { length: 10, tasks: vec![2, 3, 5] }
    );
}

#[test]
fn what_is_done_waits_for_nothing_and_holds_nothing_back() {
    let drawn = [(vec![], None, false), (vec![0], None, true), (vec![1], None, false)];
    let network = Network::of(&tasks(&drawn));
    assert_eq!(network.waves(), [vec![0, 2]]);
    assert_eq!(network.longest(|_| 7, |_| 0).tasks, [0]);
}

#[test]
fn a_circle_has_no_place_in_it() {
    let network = Network::of(&flat(&[&[1], &[0], &[], &[2], &[0]]));
    assert!(!network.is_ordered());
    assert_eq!(network.waves(), [vec![2], vec![3]]);
    assert_eq!(network.longest(|_| 1, |_| 0).tasks, [2, 3]);
    assert_eq!(Network::of(&[]).longest(|_| 1, |_| 0), Path { length: 0, tasks: vec![] });
    let own = Network::of(&tasks(&[(vec![0], Some(0), false)]));
    assert_eq!(own.waves(), Vec::<Vec<usize>>::new());
}

/// A long chain overflows no stack and no number.
#[test]
fn long_and_wide_plans_are_quick() {
    let needs: Vec<Vec<usize>> =
        (0..5_000).map(|task: usize| (task.saturating_sub(10)..task).collect()).collect();
    let needs: Vec<&[usize]> = needs.iter().map(Vec::as_slice).collect();
    let network = Network::of(&flat(&needs));
    assert_eq!(network.waves().len(), 5_000);
    assert_eq!(network.longest(|_| i64::MAX, |_| 0).length, i64::MAX);
}

/// The longest chain that ends with `task`, by trying all.
fn by_force(drawn: &[Drawn], durations: &[i64], task: usize) -> i64 {
    let before = drawn[task].0.iter().map(|need| by_force(drawn, durations, *need)).max();
    before.unwrap_or(0) + durations[task]
}

proptest! {
    /// Without containers: the longest path is the longest of all chains, its tasks are one, and each wave
    /// follows from the waves before it.
    #[test]
    fn the_longest_path_is_the_longest_of_all(
        drawn in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..9i64), 1..12),
    ) {
        let durations: Vec<i64> = drawn.iter().map(|(_, duration)| *duration).collect();
        let drawn: Vec<Drawn> = drawn
            .iter()
            .enumerate()
            .map(|(task, (needs, _))| {
                let needs = needs.iter().filter(|_| task > 0).map(|need| need.index(task)).collect();
                (needs, None, false)
            })
            .collect();
        let network = Network::of(&tasks(&drawn));
        prop_assert!(network.is_ordered());
        let path = network.longest(|task| durations[task], |_| 0);
        let most = (0..drawn.len()).map(|task| by_force(&drawn, &durations, task)).max().unwrap();
        prop_assert_eq!(path.length, most);
        prop_assert_eq!(path.tasks.iter().map(|task| durations[*task]).sum::<i64>(), most);
        for pair in path.tasks.windows(2) {
            prop_assert!(drawn[pair[1]].0.contains(&pair[0]));
        }
        prop_assert_eq!(network.remaining(|task| durations[task]).into_iter().max(), Some(most));

        let mut wave = vec![0; drawn.len()];
        for (number, tasks) in network.waves().iter().enumerate() {
            prop_assert!(!tasks.is_empty());
            tasks.iter().for_each(|task| wave[*task] = number);
        }
        for (task, (needs, _, _)) in drawn.iter().enumerate() {
            let after = needs.iter().map(|need| wave[*need] + 1).max().unwrap_or(0);
            prop_assert_eq!(wave[task], after);
        }
        prop_assert_eq!(network.waves().iter().map(Vec::len).sum::<usize>(), drawn.len());
    }

    /// Nesting, circles, unknown and repeated names: nothing panics, and a walk visits each ordered leaf once.
    #[test]
    fn any_graph_has_an_answer(
        drawn in prop::collection::vec(
            (prop::collection::vec(0usize..12, 0..3), prop::option::weighted(0.3, 0usize..12), any::<bool>()), 0..10),
        twice in any::<bool>(),
    ) {
        let mut tasks = tasks(&drawn);
        if twice && let Some(first) = tasks.first().cloned() {
            tasks.push(first);
        }
        let network = Network::of(&tasks);
        let placed: Vec<usize> = network.waves().concat();
        let path = network.longest(|_| 1, |_| 0);
        prop_assert!(path.tasks.iter().all(|task| placed.contains(task)));
        prop_assert_eq!(path.length, path.tasks.len() as i64);
        let mut walk = network.walk();
        let mut ready = walk.begin();
        let mut visited = Vec::new();
        while let Some(task) = ready.pop() {
            visited.push(task);
            ready.extend(walk.ended(task));
        }
        visited.sort_unstable();
        let mut placed = placed;
        placed.sort_unstable();
        prop_assert_eq!(visited, placed);
    }
}
