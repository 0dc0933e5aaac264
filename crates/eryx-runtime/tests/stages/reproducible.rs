//! The same inputs give the same bytes.

use std::fs;
use std::path::Path;

use eryx_runtime::lock::Lock;
use eryx_runtime::{Layout, digest, inputs, link};

/// The workspace's own module, which is there where the runtime was built, and one that is linked in another place.
#[test]
fn two_builds_give_the_same_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let layout = Layout::in_workspace(&root);
    let elsewhere = Layout {
        work: std::env::temp_dir().join(format!("eryx-{}-again", std::process::id())),
        ..layout.clone()
    };
    let lock = Lock::read(&layout.lock_file()).expect("the lock file is there");
    let mut progress = |line: &str| eprintln!("{line}");
    let inputs = inputs::fetch(&layout, &lock, &mut progress).expect("the inputs can be had");
    let [first, second] = [&layout, &elsewhere].map(|layout| {
        let linked = link(layout, &inputs, &mut progress).expect("the guest links");
        digest::of_file(&linked.wasm).expect("it is there")
    });
    fs::remove_dir_all(&elsewhere.work).expect("it can be removed");
    assert_eq!(first, second);
}
