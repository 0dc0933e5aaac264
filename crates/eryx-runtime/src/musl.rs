//! The part of musl that zig's C library has rewritten, from an older zig that carries it whole.
//!
//! zig's own mathematical, string and number functions are weak symbols, slower and less exact: `log2` is wrong for subnormal
//! numbers, `exp` often by one unit in the last place. These definitions are strong and win over them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::object::{self, Symbols};
use crate::{command, digest, stamp};

/// What the lock file calls the input, and the folder of sources that the build takes out of it.
pub const NAME: &str = "musl";

/// The folders below `src` that are looked at.
const FOLDERS: [&str; 3] = ["math", "stdlib", "string"];

/// Where musl is in the wheel.
const IN_WHEEL: &str = "ziglang/lib/libc/wasi/libc-top-half/musl/src/";

/// Where zig keeps musl's files, those changed for WASI first.
const IN_ZIG: [&str; 2] = ["lib/libc/wasi/libc-top-half/musl", "lib/libc/musl"];

/// Headers that musl's sources need beside the public ones, in `IN_ZIG`'s first and second folder.
const HEADERS: [&str; 6] = [
    "lib/libc/wasi/libc-top-half/musl/src/include",
    "lib/libc/musl/src/include",
    "lib/libc/wasi/libc-top-half/musl/src/internal",
    "lib/libc/musl/src/internal",
    "lib/libc/wasi/libc-top-half/musl/arch/wasm32",
    "lib/libc/musl/arch/generic",
];

/// A source or header of musl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path below `src`, such as `math/exp.c`.
    pub name: String,
    /// Its text.
    pub bytes: Vec<u8>,
}

/// The sources in a zig wheel, sorted by name.
///
/// # Errors
/// Not a wheel, or one without musl.
pub fn sources(wheel: &[u8]) -> Result<Vec<Source>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(wheel))?;
    let mut names = BTreeSet::new();
    for path in archive.file_names() {
        if let Some(name) = path?.strip_prefix(IN_WHEEL).filter(|name| is_wanted(name)) {
            names.insert(name.to_owned());
        }
    }
    ensure!(!names.is_empty(), "no file of musl in the wheel");
    names
        .into_iter()
        .map(|name| {
            let mut bytes = Vec::new();
            archive
                .by_name(&format!("{IN_WHEEL}{name}"))?
                .read_to_end(&mut bytes)?;
            Ok(Source { name, bytes })
        })
        .collect()
}

/// Plain files of [`FOLDERS`], not those for one processor below them.
fn is_wanted(name: &str) -> bool {
    name.split_once('/').is_some_and(|(folder, file)| {
        let extension = Path::new(file).extension();
        FOLDERS.contains(&folder)
            && !file.contains('/')
            && extension.is_some_and(|extension| extension == "c" || extension == "h")
    })
}

/// One digest for all: of a list of names and digests.
#[must_use]
pub fn fingerprint(sources: &[Source]) -> String {
    let mut lines = String::new();
    for source in sources {
        lines.extend([
            source.name.as_str(),
            " ",
            &digest::of_bytes(&source.bytes),
            "\n",
        ]);
    }
    digest::of_bytes(lines.as_bytes())
}

/// What [`write`] has written to `folder`, sorted by name.
///
/// # Errors
/// It is not there.
pub fn read(folder: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for name in FOLDERS {
        for path in stamp::files(&folder.join(name), &["c", "h"])? {
            let file = path.file_name().context("a source has a name")?;
            sources.push(Source {
                name: format!("{name}/{}", file.display()),
                bytes: fs::read(&path)?,
            });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

/// Writes the sources below `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write(sources: &[Source], folder: &Path) -> Result<()> {
    for name in FOLDERS {
        fs::create_dir_all(folder.join(name))?;
    }
    for source in sources {
        fs::write(folder.join(&source.name), &source.bytes)?;
    }
    Ok(())
}

/// Those of zig's that stay. Its sort is in place and n log n at worst as well, and three times as fast. Its functions for
/// long doubles call each other, by musl's names with other parameters.
fn stays(name: &Path) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("stdlib/qsort") || name.starts_with("math/") && name.ends_with("l.c")
}

/// The C files that `zig` does not compile into its own C library, by folder.
fn missing_in(zig: &Path, musl: &Path, folder: &str) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for path in stamp::files(&musl.join(folder), &["c"])? {
        let name = Path::new(folder).join(path.file_name().context("a source has a name")?);
        let kept = IN_ZIG
            .iter()
            .any(|musl| zig.join(musl).join("src").join(&name).exists());
        if !kept && !stays(&name) {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// Compiles what zig's C library lacks to object files in `folder`, except for what `defined` has already. `build` is
/// `zig build-lib` with a target. zig runs in the folder of the sources, so that no path of this machine gets into them.
pub(crate) fn objects(
    mut build: Command,
    (zig, musl): (&Path, &Path),
    defined: &Symbols,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let archive = folder.join("libmusl.a");
    build
        .current_dir(musl)
        .args(["-static", "-fno-compiler-rt", "-O", "ReleaseFast", "-lc"]);
    build.arg(format!("-femit-bin={}", archive.display()));
    build.args(
        HEADERS
            .iter()
            .map(|header| format!("-I{}", zig.join(header).display())),
    );
    for name in FOLDERS {
        // A loop that copies must not become a call of the function that it is in. Mathematics has no such loops, and
        // its calls of `sqrt` and `floor` become instructions.
        let builtins = if name == "math" {
            "-fno-math-errno"
        } else {
            "-fno-builtin"
        };
        build.args(["-cflags", "-w", builtins, "--"]);
        build.args(missing_in(zig, musl, name)?);
    }
    command::run(&mut build)?;
    let mut written = Vec::new();
    for (number, bytes) in object::members(&fs::read(&archive)?)?
        .into_iter()
        .enumerate()
    {
        if object::symbols(bytes)?.strong.is_disjoint(&defined.strong) {
            let path = folder.join(format!("{number}.o"));
            fs::write(&path, bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}
