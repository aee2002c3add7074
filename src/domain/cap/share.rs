//! Fair shares of a pool of places.
//!
//! The rule compares what somebody holds with what is free:
//!
//! - a key (without a key: an address) gets a place while it holds fewer than the free places;
//! - a workspace gets a place while it holds fewer than [`GROUP_FACTOR`] times the free places.
//!
//! So a key that is alone takes half of a pool, and a workspace that is alone takes four fifths. The more
//! others hold, the less anybody gets: two workspaces get four ninths each. What remains free is at hand
//! for the next one, however many want everything. Places are not taken back; who holds more than a
//! share gets no new ones.

/// How many times the free places a workspace may hold.
pub const GROUP_FACTOR: usize = 4;

/// A pool before a place is taken.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The places of the pool.
    pub size: usize,
    /// Those that are taken.
    pub taken: usize,
    /// Those that the key or address holds.
    pub own: usize,
    /// Those that its workspace holds; 0 without a workspace.
    pub group: usize,
}

/// Whether somebody gets a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The place is given.
    Given,
    /// The key or address has its share.
    OwnShare,
    /// The workspace has its share.
    GroupShare,
    /// Every place is taken.
    Full,
}

/// Whether somebody gets a place.
#[must_use]
pub fn judge(standing: Standing) -> Verdict {
    let free = standing.size.saturating_sub(standing.taken);
    if free == 0 {
        Verdict::Full
    } else if standing.own >= free {
        Verdict::OwnShare
    } else if standing.group >= free.saturating_mul(GROUP_FACTOR) {
        Verdict::GroupShare
    } else {
        Verdict::Given
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn greedy(size: usize, group: usize, keys: &mut [usize]) -> usize {
        // `group`: what others hold.
        let mut held = 0;
        loop {
            let mut given = false;
            for own in keys.iter_mut() {
                let standing = Standing { size, taken: group + held, own: *own, group: held };
                if judge(standing) == Verdict::Given {
                    *own += 1;
                    held += 1;
                    given = true;
                }
            }
            if !given {
                return held;
            }
        }
    }

    #[test]
    fn one_key_gets_half_and_one_workspace_most_of_an_idle_pool() {
        assert_eq!(greedy(1000, 0, &mut [0]), 500);
        assert_eq!(greedy(1000, 0, &mut [0; 40]), 800);
    }

    #[test]
    fn a_pool_of_one_place_gives_it() {
        assert_eq!(greedy(1, 0, &mut [0]), 1);
        assert_eq!(judge(Standing { size: 0, taken: 0, own: 0, group: 0 }), Verdict::Full);
    }

    proptest! {
        /// Greedy workspaces of greedy keys leave a place for a newcomer, if the pool has a few places
        /// for each of them.
        #[test]
        fn somebody_new_always_gets_a_place(
            workspaces in 1_usize..12,
            keys in 1_usize..9,
            order in prop::collection::vec((0_usize..12, 0_usize..9), 3000),
        ) {
            let size = 1024;
            let mut held = vec![vec![0_usize; keys]; workspaces];
            for (workspace, key) in order {
                let (workspace, key) = (workspace % workspaces, key % keys);
                let taken = held.iter().flatten().sum();
                let standing = Standing {
                    size,
                    taken,
                    own: held[workspace][key],
                    group: held[workspace].iter().sum(),
                };
                if judge(standing) == Verdict::Given {
                    held[workspace][key] += 1;
                }
                let taken = held.iter().flatten().sum();
                let newcomer = Standing { size, taken, own: 0, group: 0 };
                prop_assert_eq!(judge(newcomer), Verdict::Given);
            }
        }
    }
}
