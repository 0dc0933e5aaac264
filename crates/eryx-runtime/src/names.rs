//! Which names `main.wasm` exports.
//!
//! libpython needs some; native extensions link against all the others: the whole public C library, what our C code
//! defines, and the arithmetic helpers a compiler calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wasmparser::{ExternalKind, TypeRef};

use crate::glue;
use crate::module::Module;
use crate::object::Symbols;

/// Not exported: password hashes, 60 KB of tables that nobody calls from an extension.
const LEFT_OUT: [&str; 4] = ["crypt", "crypt_r", "encrypt", "setkey"];

/// Names of our own C code that are nobody else's business; what the host calls is marked in the source.
const OURS: &str = "eryx_";

/// Called by compiled code though no header declares them.
const COMPILER: [&str; 4] = [
    "__cxa_atexit",
    "__small_printf",
    "__stack_chk_fail",
    "__stack_chk_guard",
];

/// Type letters of compiler helpers: integers, floats and complex numbers of 16 to 128 bits. x87 floats (`xf`) and
/// integers of any width (`ei`) do not exist in C for wasm.
const HELPER_TYPES: [&str; 11] = [
    "si", "di", "ti", "hf", "sf", "df", "tf", "hc", "sc", "dc", "tc",
];

/// The symbols of the C library and what surrounds it.
#[derive(Clone, Debug, Default)]
pub struct Available {
    /// What our own C code defines.
    pub guest: Symbols,
    /// Objects that take the place of members of the C library.
    pub replaced: Vec<Symbols>,
    /// Members of the C library's archives.
    pub libc: Vec<Symbols>,
    /// Members of the compiler's helper library. Some of C's functions are only there: `memset`, `cosf`.
    pub helpers: Vec<Symbols>,
    /// Names with a leading underscore that the C library's headers mention.
    pub reserved: BTreeSet<String>,
}

/// What libpython imports and does not define itself: functions called, and functions and data whose address it takes.
#[must_use]
pub fn needed_by(libpython: &Module) -> BTreeSet<String> {
    let called = libpython
        .imported_from("env")
        .filter(|import| matches!(import.ty, TypeRef::Func(_)));
    let addressed = ["GOT.mem", "GOT.func"]
        .into_iter()
        .flat_map(|module| libpython.imported_from(module));
    called
        .chain(addressed)
        .map(|import| import.name.clone())
        .filter(|name| !libpython.exports.contains_key(name))
        .collect()
}

/// Everything `main.wasm` exports beyond what its sources mark: sorted, so that the same inputs give the same module.
#[must_use]
pub fn exported(libpython: &Module, available: &Available) -> BTreeSet<String> {
    let libc = available
        .libc
        .iter()
        .filter(|member| member.strong.is_disjoint(&available.guest.strong))
        .chain(&available.replaced)
        .flat_map(Symbols::all)
        .filter(|name| is_public(name, &available.reserved));
    let helpers = available
        .helpers
        .iter()
        .flat_map(Symbols::all)
        .filter(|name| is_helper(name) || is_public(name, &available.reserved));
    let guest = available.guest.all().filter(|name| !name.starts_with(OURS));
    needed_by(libpython)
        .into_iter()
        .chain([glue::DATA.to_owned()])
        .chain(libc.cloned())
        .chain(helpers.cloned())
        .chain(guest.cloned())
        .filter(|name| !defined_by(libpython, name))
        .collect()
}

/// `__wasi_*` are the imports themselves: exporting them would import even those that nothing uses.
fn is_public(name: &str, reserved: &BTreeSet<String>) -> bool {
    let known = !name.starts_with('_') || reserved.contains(name) || COMPILER.contains(&name);
    known && !name.starts_with("__wasi_") && !LEFT_OUT.contains(&name)
}

/// `__` + operation + one or two type names + the number of operands, for example `__muldc3` or `__fixtfdi`.
fn is_helper(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("__") else {
        return false;
    };
    let operation = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    !rest.contains('_')
        && !rest.contains("xf")
        && HELPER_TYPES.iter().any(|ty| operation.ends_with(ty))
}

/// A name that both sides define would be ambiguous after the merge: libpython's wins, ours is called by nobody else.
fn defined_by(libpython: &Module, name: &str) -> bool {
    libpython
        .exports
        .get(name)
        .is_some_and(|export| export.kind == ExternalKind::Func)
}

/// The names with a leading underscore in all headers below `folder`.
///
/// # Errors
/// A file cannot be read.
pub fn reserved_in(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            names.extend(reserved_in(&path)?);
        } else {
            let text = fs::read(&path)?;
            names.extend(
                String::from_utf8_lossy(&text)
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .filter(|word| word.starts_with('_'))
                    .map(str::to_owned),
            );
        }
    }
    Ok(names)
}
