//! The C library's functions, compiled and run as Python's are. The inputs are those of the build: after it, no network is needed.

use std::fs;
use std::path::Path;

use eryx::internals::builder::Boot;
use eryx_runtime::compile::Library;
use eryx_runtime::{Layout, program};

const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");

fn load(source: &str, name: &str) -> Boot {
    let layout = Layout::in_workspace(&Path::new(MANIFEST).join("../.."));
    let work = std::env::temp_dir().join(format!("eryx-{name}-{}", std::process::id()));
    let source = Path::new(MANIFEST).join("tests/guest").join(source);
    let program =
        program::load(&layout, &source, Library::Ours, &work).expect("the program compiles");
    fs::remove_dir_all(&work).expect("it can be removed");
    program
}

#[test]
fn string_functions_are_those_of_the_standard() {
    let mut program = load("string_test.c", "strings");
    for test in [
        "test_searches",
        "test_comparisons",
        "test_copies",
        "test_text_copies",
        "test_wides",
        "test_numbers_and_sorting",
    ] {
        let failure: u32 = program.call(test, ()).expect(test);
        let text = program.text(failure).expect("a text");
        assert!(failure == 0, "{test}: {text}");
    }
}
