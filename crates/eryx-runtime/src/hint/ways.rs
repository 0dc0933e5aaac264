//! What the counters of a module say of its branches.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::branches::{self, Function, Target};
use super::count;
use super::profile::Profile;

/// A branch that was reached less often than this has shown no way.
const REACHED: u64 = 50;
/// One time in this many is rare: 2 in 100.
const RARE: u64 = 50;

/// The counters of a module, to be read from one that [`counting`](super::counting) made of it.
pub struct Counters<'a> {
    functions: Vec<Function<'a>>,
}

impl<'a> Counters<'a> {
    /// Those of `wasm`, the module without counters.
    ///
    /// # Errors
    /// Not a module.
    pub fn of(wasm: &'a [u8]) -> Result<Self> {
        let functions = branches::functions(wasm)?;
        Ok(Self { functions })
    }

    /// The names of the exported globals, each an i64.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let all = self.functions.iter().map(Function::counters).sum();
        (0..all).map(count::name)
    }

    /// What `counts`, in the order of the names, say of the branches. Functions of the same code are one.
    ///
    /// # Errors
    /// These are not as many as there are names.
    pub fn profile(&self, counts: &[u64]) -> Result<Profile> {
        let mut shapes = BTreeMap::<&str, (&Function<'_>, Vec<u64>)>::new();
        let mut rest = counts;
        for function in &self.functions {
            let own;
            let split = rest.split_at_checked(function.counters());
            (own, rest) = split.context("fewer counts than counters")?;
            let (_, sum) = shapes
                .entry(&function.shape)
                .or_insert_with(|| (function, vec![0; own.len()]));
            sum.iter_mut()
                .zip(own)
                .for_each(|(sum, count)| *sum += count);
        }
        ensure!(rest.is_empty(), "more counts than counters");
        let mut profile = Profile::default();
        for (shape, (function, counts)) in shapes {
            profile.insert(shape, &ways(function, &counts));
        }
        Ok(profile)
    }
}

fn ways(function: &Function<'_>, counts: &[u64]) -> Vec<Option<bool>> {
    let (labels, branches) = counts.split_at(function.labels);
    let targets = function.branches.iter().map(|branch| branch.target);
    targets
        .zip(branches.as_chunks::<2>().0)
        .map(|(target, &[reached, taken])| way(target, reached, taken, labels))
        .collect()
}

/// Which way a branch goes, if the block on the other way is rare, wherever one comes to it from: the compiler moves the whole
/// block. Nothing is said of a loop's own branches: what comes behind it is in nobody's way.
fn way(target: Target, reached: u64, taken: u64, labels: &[u64]) -> Option<bool> {
    let rare = |count: u64| count.saturating_mul(RARE) <= reached;
    let target_is_rare = match target {
        Target::Inside => rare(taken),
        Target::Behind(label) => rare(labels[label]),
        Target::Back => return None,
    };
    if reached < REACHED {
        None
    } else if rare(reached.saturating_sub(taken)) {
        Some(true)
    } else {
        target_is_rare.then_some(false)
    }
}
