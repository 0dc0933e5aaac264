//! Which C names are exported.

use std::collections::BTreeSet;

use eryx_runtime::module::Module;
use eryx_runtime::names::{Available, exported, needed_by};
use eryx_runtime::object::{Symbols, members};

use crate::modules::{self, CLEAR};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn strong(names: &[&str]) -> Symbols {
    Symbols {
        strong: set(names),
        weak: BTreeSet::new(),
    }
}

fn libpython() -> Module {
    Module::parse(&modules::libpython(&CLEAR)).expect("libpython parses")
}

#[test]
fn libpython_needs_what_it_does_not_define() {
    assert_eq!(needed_by(&libpython()), set(&["environ", "free", "ignore"]));
}

#[test]
fn the_public_library_is_exported_and_its_inside_is_not() {
    let available = Available {
        guest: strong(&["socket", "eryx_boot", "pthread_attr_getstack", "PyRun"]),
        replaced: vec![strong(&["memchr", "__log_data"])],
        libc: vec![
            strong(&[
                "qsort",
                "__assert_fail",
                "__fmodeflags",
                "__wasi_fd_read",
                "crypt",
            ]),
            strong(&["pthread_attr_getstack", "pthread_attr_getscope"]),
        ],
        helpers: vec![strong(&[
            "__muldc3",
            "__fixsfti",
            "__extendhfsf2",
            "__extendxftf2",
            "__divei4",
            "__cosh",
            "cosf",
        ])],
        reserved: set(&["__assert_fail", "__wasi_fd_read"]),
    };
    let mut expected = set(&[
        "__assert_fail",
        "__extendhfsf2",
        "__fixsfti",
        "__muldc3",
        "cosf",
    ]);
    expected.extend(set(&[
        "libpython_data",
        "memchr",
        "pthread_attr_getstack",
        "qsort",
        "socket",
    ]));
    expected.extend(needed_by(&libpython()));
    assert_eq!(exported(&libpython(), &available), expected);
}

#[test]
fn an_archive_yields_its_objects() {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, contents) in [("/", "index"), ("a.o/", "\0asm1"), ("b.o/", "\0asm23")] {
        archive.extend(format!("{name:<48}{:<10}`\n", contents.len()).bytes());
        archive.extend(contents.bytes());
        if contents.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    assert_eq!(
        members(&archive).expect("an archive"),
        [b"\0asm1".as_slice(), b"\0asm23"]
    );
    archive.pop();
    assert!(members(&archive).is_err(), "a cut-off archive");
}
