//! The last steps of an attempt, stored to find loops.

use super::{BYTES, ENTRY, Fingerprint, Loop, NUMBER, Step, WINDOW, loops};

/// The last steps of an attempt, with the numbers that its agent gave them.
///
/// The database function `steps_after` appends to stored windows, by the rule of [`Window::push`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window(Vec<(u64, Fingerprint)>);

impl Window {
    /// The window of some steps, in their order, without the unfinished ones.
    #[must_use]
    pub fn of(steps: &[Step]) -> Self {
        let mut window = Self::default();
        for step in steps {
            if let Some(print) = step.fingerprint() {
                window.push(step.n, print);
            }
        }
        window
    }

    /// From the stored bytes. Malformed bytes give an empty window: a loop is found a little later.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (steps, rest) = bytes.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Self::default();
        }
        let from = steps.len().saturating_sub(WINDOW);
        Self(steps[from..].iter().map(entry).collect())
    }

    /// The bytes to store: per step 8 bytes of its number (big-endian) and 32 of its fingerprint, the
    /// oldest step first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = |(n, print): &(u64, Fingerprint)| {
            let mut bytes = n.to_be_bytes().to_vec();
            bytes.extend(print.as_bytes());
            bytes
        };
        self.0.iter().flat_map(entry).collect()
    }

    /// Adds a step, unless its number is not above the last one. Drops steps beyond the window.
    pub fn push(&mut self, n: u64, step: Fingerprint) {
        if self.0.last().is_some_and(|(last, _)| n <= *last) {
            return;
        }
        self.0.push((n, step));
        let over = self.0.len().saturating_sub(WINDOW);
        self.0.drain(..over);
    }

    /// Adds the steps of another, in their order.
    pub fn extend(&mut self, later: &Self) {
        for (n, step) in &later.0 {
            self.push(*n, *step);
        }
    }

    /// Whether it has no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every pattern at the end of the steps, the reported one first.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let prints: Vec<Fingerprint> = self.0.iter().map(|(_, print)| *print).collect();
        loops(&prints).collect()
    }
}

fn entry(bytes: &[u8; ENTRY]) -> (u64, Fingerprint) {
    let (mut n, mut print) = ([0; NUMBER], [0; BYTES]);
    n.copy_from_slice(&bytes[..NUMBER]);
    print.copy_from_slice(&bytes[NUMBER..]);
    (u64::from_be_bytes(n), Fingerprint::from_bytes(print))
}
