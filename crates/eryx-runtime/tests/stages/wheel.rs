//! Frames in a file without an index.

use std::io::{Cursor, Write as _};

use eryx_runtime::wheel::{STDLIB, frames, libraries};
use wasm_encoder::{CustomSection, Module, NameSection};
use zip::write::SimpleFileOptions;

fn frame(contents: &[u8]) -> Vec<u8> {
    zstd::encode_all(contents, 3).expect("zstd encodes")
}

fn module(name: &str) -> Vec<u8> {
    let mut names = NameSection::new();
    names.module(name);
    let other = CustomSection {
        name: "other".into(),
        data: b"x".as_slice().into(),
    };
    let mut module = Module::new();
    module.section(&other).section(&names);
    module.finish()
}

fn tar(file: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, file, b"x".as_slice())
        .expect("a tar takes a file");
    archive.into_inner().expect("a tar ends")
}

fn wheel(names: &[&str], contents: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .expect("a zip takes a file");
        archive.write_all(contents).expect("a zip takes bytes");
    }
    archive.finish().expect("a zip ends").into_inner()
}

#[test]
fn frames_are_found_between_other_bytes() {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let cut = &frame(&[7; 5000])[..12];
    let file = [
        b"ELF".as_slice(),
        &magic,
        &frame(b"one"),
        &magic[..3],
        &frame(b"two"),
        cut,
    ]
    .concat();
    assert_eq!(frames(&file), [b"one".as_slice(), b"two"]);
}

#[test]
fn libraries_are_named_by_what_they_hold() {
    let file = [
        frame(&module("libpython3.14.so")),
        frame(&module("adapter.wasm")),
        frame(&tar("poll_loop.py")),
        frame(&tar("os.py")),
        frame(b"neither"),
    ]
    .concat();
    let found = libraries(&wheel(&["p/__init__.py", "p/p.abi3.so"], &file)).expect("a wheel");
    let names: Vec<_> = found.iter().map(|library| library.name.as_str()).collect();
    assert_eq!(names, ["libpython3.14.so", STDLIB]);
    assert_eq!(found[0].bytes, module("libpython3.14.so"));
}

#[test]
fn a_wheel_that_is_not_understood_is_an_error() {
    let twice = [frame(&module("libc.so")), frame(&module("libc.so"))].concat();
    for (wheel, reason) in [
        (
            wheel(&["p.py"], b""),
            "the wheel holds 0 extension modules, not one",
        ),
        (
            wheel(&["a.so", "b.so"], b""),
            "the wheel holds 2 extension modules, not one",
        ),
        (wheel(&["a.so"], &twice), "the wheel holds libc.so twice"),
        (b"no zip".to_vec(), "the wheel is no zip file"),
    ] {
        assert_eq!(libraries(&wheel).expect_err(reason).to_string(), reason);
    }
}
