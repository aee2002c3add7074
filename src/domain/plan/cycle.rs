//! Cycle detection in a directed graph.

/// The nodes of one cycle in order, or `None` if the graph is acyclic. `after[n]` lists the
/// successors of node `n`.
///
/// Depth-first search with three colours (Cormen et al., *Introduction to Algorithms*, 20.3), with an
/// explicit stack: a chain of any length cannot overflow it.
#[must_use]
pub fn find_cycle(after: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Colour {
        White,
        Grey,
        Black,
    }
    let mut colour = vec![Colour::White; after.len()];
    for root in 0..after.len() {
        if colour[root] != Colour::White {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        colour[root] = Colour::Grey;
        while let Some((node, next)) = path.last_mut() {
            let Some(&child) = after[*node].get(*next) else {
                colour[*node] = Colour::Black;
                path.pop();
                continue;
            };
            *next += 1;
            match colour[child] {
                Colour::White => {
                    colour[child] = Colour::Grey;
                    path.push((child, 0));
                }
                Colour::Grey => {
                    let nodes = path.iter().map(|(node, _)| *node);
                    return Some(nodes.skip_while(|node| *node != child).collect());
                }
                Colour::Black => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::find_cycle;

    proptest! {
        /// Edges to higher nodes form no cycle; one edge back along a path closes one.
        #[test]
        fn finds_a_cycle_exactly_when_there_is_one(
            arrows in prop::collection::vec((0usize..40, 0usize..40), 0..200),
            back in any::<bool>(),
        ) {
            let mut after = vec![Vec::new(); 42];
            for (a, b) in arrows {
                if a != b {
                    after[a.min(b)].push(a.max(b));
                }
            }
            after[40].push(41);
            if back {
                after[41].push(40);
            }
            match find_cycle(&after) {
                None => prop_assert!(!back),
                Some(cycle) => {
                    prop_assert!(back);
                    for (i, node) in cycle.iter().enumerate() {
                        prop_assert!(after[*node].contains(&cycle[(i + 1) % cycle.len()]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let mut after: Vec<Vec<usize>> = (0..200_000).map(|i| vec![i + 1]).collect();
        after.push(vec![]);
        assert_eq!(find_cycle(&after), None);
    }
}
