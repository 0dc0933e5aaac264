//! The lock file.

use std::path::Path;

use eryx_runtime::lock::{Lock, Source};

const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn lock(name: &str, sha256: &str) -> String {
    format!(
        "[[input]]\nsource = \"pypi\"\nname = \"tool\"\nversion = \"1.0\"\n\
         [[input.file]]\nhost = \"linux-x86_64\"\nname = \"{name}\"\nsha256 = \"{sha256}\"\n"
    )
}

#[test]
fn the_committed_lock_file_is_complete() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inputs.lock.toml");
    let lock = Lock::read(&path).expect("it parses");
    for name in ["componentize-py", "ziglang", "musl", "tzdata", "binaryen"] {
        let input = lock.input(name).expect("it is locked");
        input
            .file_for("linux-x86_64")
            .expect("it is locked for this host");
    }
    let extracted = &lock
        .input("componentize-py")
        .expect("it is locked")
        .extracted;
    for name in [
        "libpython3.14.so",
        "stdlib.tar",
        "libc++.so",
        "libc++abi.so",
    ] {
        assert!(extracted.iter().any(|file| file.name == name), "{name}");
    }
}

#[test]
fn a_file_is_chosen_by_host() {
    let lock = Lock::parse(&lock("tool.whl", SHA)).expect("it parses");
    let input = lock.input("tool").expect("it is there");
    assert_eq!(input.source, Source::Pypi);
    assert_eq!(
        input.file_for("linux-x86_64").expect("it is there").name,
        "tool.whl"
    );
    assert_eq!(
        input
            .file_for("plan9-mips")
            .expect_err("it is not there")
            .to_string(),
        "tool 1.0 is not locked for plan9-mips: add a [[input.file]] with this host and run the lock update"
    );
    let error = lock.input("other").expect_err("it is not there");
    assert_eq!(error.to_string(), "the lock file has no input named other");
}

#[test]
fn names_that_leave_the_cache_and_broken_checksums_are_refused() {
    for (text, reason) in [
        (lock("../tool", SHA), "\"../tool\" is not a plain file name"),
        (lock("..", SHA), "\"..\" is not a plain file name"),
        (
            lock("tool", "12"),
            "the sha256 of tool is not 64 hexadecimal digits",
        ),
    ] {
        assert_eq!(Lock::parse(&text).expect_err(reason).to_string(), reason);
    }
    assert!(Lock::parse("[[input]]\nunknown = 1").is_err());
}
