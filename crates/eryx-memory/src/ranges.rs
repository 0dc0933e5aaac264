//! Ranges of addresses.

use std::ops::Range;

use crate::PAGE;

/// Ranges of addresses, each from its first to behind its last: whole pages, ascending, apart from each other.
pub type Ranges = [(usize, usize)];

/// How many pages they have.
pub(crate) fn pages_in(ranges: &Ranges) -> usize {
    ranges.iter().map(|(from, to)| (to - from) / PAGE).sum()
}

/// Ranges in any order, put in ascending order, and those joined that are at most `gap` bytes apart.
#[must_use]
pub fn joined(mut ranges: Vec<(usize, usize)>, gap: usize) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (from, to) in ranges {
        match found.last_mut() {
            Some(last) if from <= last.1 + gap => last.1 = last.1.max(to),
            _ => found.push((from, to)),
        }
    }
    found
}

/// At most `count` ranges that cover these: joined with what lies between them, where that is little.
pub(crate) fn coalesced(mut ranges: Vec<(usize, usize)>, count: usize) -> Vec<(usize, usize)> {
    let mut gap = 4 * PAGE;
    ranges = joined(ranges, gap);
    while ranges.len() > count {
        gap *= 2;
        ranges = joined(ranges, gap);
    }
    ranges
}

/// Those of `ranges` that no range of `taken` covers. One either covers a range or is apart from it.
pub(crate) fn without(ranges: &Ranges, taken: &Ranges) -> Vec<(usize, usize)> {
    let covered = |range: &Range<usize>| {
        let next = taken.partition_point(|(_, to)| *to <= range.start);
        taken
            .get(next)
            .is_some_and(|(from, _)| *from <= range.start)
    };
    ranges
        .iter()
        .copied()
        .filter(|(from, to)| !covered(&(*from..*to)))
        .collect()
}
