//! Tells the compiler which way conditional branches go, as they went in training.
//!
//! The hints are the section `metadata.code.branch_hint` of WebAssembly's branch hinting proposal. Cranelift puts a block that is
//! hardly reached behind the rest of its function, so that what runs lies together and falls through. Hints go into the finished
//! module: nothing may move its code afterwards, and they were counted on the same code. The [`Profile`] is a file of the sources,
//! so builds are reproducible; [`crate::train()`] makes it anew.

mod branches;
mod count;
mod profile;
mod ways;

use std::collections::HashSet;

use anyhow::Result;
use wasm_encoder::{BranchHint, BranchHints, Module as Encoder, RawSection};
use wasmparser::{Parser, Payload};

use branches::Function;

pub use count::counting;
pub use profile::Profile;
pub use ways::Counters;

/// A module with hints, and how much of the profile is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hinted {
    /// The module.
    pub wasm: Vec<u8>,
    /// How many of its functions have hints.
    pub functions: usize,
    /// How many lines of the profile they have them from.
    pub lines: usize,
    /// How many branches have one.
    pub branches: usize,
}

/// Adds the hints of `profile`. A function whose code is not that of the training gets none.
///
/// # Errors
/// Not a module.
pub fn add(wasm: &[u8], profile: &Profile) -> Result<Hinted> {
    let mut section = BranchHints::new();
    let (mut branches, mut lines) = (0, HashSet::new());
    for function in branches::functions(wasm)? {
        let hints = hints(&function, profile.of(&function.shape));
        if !hints.is_empty() {
            branches += hints.len();
            lines.insert(function.shape);
            section.function_hints(function.index, hints);
        }
    }
    Ok(Hinted {
        wasm: with_section(wasm, &section)?,
        functions: usize::try_from(section.len())?,
        lines: lines.len(),
        branches,
    })
}

fn hints(function: &Function<'_>, ways: &[Option<bool>]) -> Vec<BranchHint> {
    let known = function.branches.iter().zip(ways);
    known
        .filter_map(|(branch, way)| {
            way.map(|taken| BranchHint {
                branch_func_offset: branch.offset,
                branch_hint_value: taken.into(),
            })
        })
        .collect()
}

/// The section's place is before the code.
fn with_section(wasm: &[u8], hints: &BranchHints) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if matches!(payload, Payload::CodeSectionStart { .. }) && !hints.is_empty() {
            encoder.section(hints);
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &wasm[range];
            encoder.section(&RawSection { id, data });
        }
    }
    Ok(encoder.finish())
}
