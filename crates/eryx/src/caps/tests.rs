//! The table holds all caps, its tests are there, and docs/security.md says what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::table::{BOUNDED, Cap, table};

const BEGIN: &str =
    "<!-- Made from crates/eryx/src/caps/table.rs: run its test with ERYX_WRITE_DOCS=1 -->\n\n";
const END: &str = "\n<!-- The end of that -->";

/// Constants that bound work or bytes on a disk, or what only the package's own files make grow.
const NO_CAPS: [&str; 12] = [
    // How many pages are copied before a layer is made, and of how many parts layers are.
    "MAX_COPIES",
    "MAX_FILLED",
    "MAX_LONG",
    "MAX_GAP",
    "MAX_RANGES",
    "MAX_PARTS",
    // Work of one read, which keeps nothing.
    "MAX_DEVICE_READ",
    // A time.
    "MAX_SEARCH",
    // Names in /dev/fd, which take no memory.
    "MAX_DESCRIPTORS",
    // The library's archive.
    "MAX_ARCHIVE_NODES",
    // Numbers in a saved tree.
    "MAX_NUMBER",
    // The host's mounts: volumes are far fewer.
    "MAX_MOUNTS",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The table as the document has it: columns as wide as their widest cell.
fn markdown(caps: &[Cap]) -> String {
    let head = ["what", "cap", "beyond it"].map(str::to_owned);
    let rows = caps
        .iter()
        .map(|cap| [cap.what.clone(), cap.limit.clone(), cap.beyond.to_owned()]);
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let line = |row: &[String; 3]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.insert(1, line(&widths.map(|width| "-".repeat(width))));
    lines.concat()
}

#[test]
fn the_document_has_the_table() {
    let path = root().join("docs/security.md");
    let document = read(&path);
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.expect("docs/security.md has a place for the table");
    let expected = format!("{before}{BEGIN}{}{END}{after}", markdown(&table()));
    if std::env::var_os("ERYX_WRITE_DOCS").is_some() {
        fs::write(&path, &expected).expect("the document can be written");
    }
    assert!(
        read(&path) == expected,
        "docs/security.md does not have this table:\n{}",
        markdown(&table())
    );
}

#[test]
fn every_cap_has_a_test_that_is_there() {
    for cap in table() {
        assert!(!cap.tests.is_empty(), "{}", cap.key);
        for test in cap.tests {
            let (file, name) = test.split_once(": ").expect("file and name");
            let source = read(&root().join(file));
            let defined = if file.starts_with("crates/") {
                format!("fn {name}(")
            } else {
                format!("\"{name}\"")
            };
            assert!(source.contains(&defined), "{}: no test {test}", cap.key);
        }
    }
}

#[test]
fn everything_that_is_bounded_is_bounded_by_caps_of_the_table() {
    let caps = table();
    let keys: BTreeSet<_> = caps.iter().map(|cap| cap.key).collect();
    assert_eq!(keys.len(), caps.len());
    let cited: BTreeSet<_> = BOUNDED
        .iter()
        .flat_map(|(_, caps)| caps.iter().copied())
        .collect();
    assert_eq!(cited, keys);
}

#[test]
fn every_import_is_bounded() {
    let known: BTreeSet<_> = BOUNDED.iter().map(|(name, _)| *name).collect();
    for (module, name) in crate::guest::host::imported() {
        let name = match module.as_str() {
            "wasi_snapshot_preview1" => name,
            module => format!("{module}.{name}"),
        };
        assert!(known.contains(name.as_str()), "{name} is not in the table");
    }
}

/// A constant that begins with `MAX_` and is no part of the table is a cap that was forgotten.
#[test]
fn every_constant_that_looks_like_a_cap_is_in_the_table() {
    let crates = root().join("crates");
    let table = read(&crates.join("eryx/src/caps/table.rs"));
    let is_other = |letter: char| !letter.is_alphanumeric() && letter != '_';
    let words: BTreeSet<_> = table.split(is_other).collect();
    for name in ["eryx", "eryx-memory", "eryx-vfs", "eryx-node"] {
        for path in sources(&crates.join(name).join("src")) {
            for line in read(&path).lines() {
                let constant = line
                    .split_once("const ")
                    .and_then(|(_, rest)| rest.split_once(": "));
                let Some((constant, _)) = constant.filter(|(name, _)| name.starts_with("MAX_"))
                else {
                    continue;
                };
                let known = words.contains(constant) || NO_CAPS.contains(&constant);
                assert!(known, "{constant} in {} is in no table", path.display());
            }
        }
    }
}
