//! The same inputs give the same bytes.

use std::fs;
use std::path::Path;

use eryx_runtime::lock::Lock;
use eryx_runtime::{Layout, digest, inputs, link};

#[test]
#[ignore = "downloads the inputs and links twice: two minutes"]
fn two_builds_give_the_same_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut layout = Layout::in_workspace(&root);
    let lock = Lock::read(&layout.lock_file()).expect("the lock file is there");
    let mut progress = |line: &str| eprintln!("{line}");
    let inputs = inputs::fetch(&layout, &lock, &mut progress).expect("the inputs can be had");
    let digests = ["first", "second"].map(|name| {
        layout.work = std::env::temp_dir().join(format!("eryx-{}-{name}", std::process::id()));
        let linked = link(&layout, &inputs, &mut progress).expect("the guest links");
        let digest = digest::of_file(&linked.wasm).expect("it is there");
        fs::remove_dir_all(&layout.work).expect("it can be removed");
        digest
    });
    assert_eq!(digests[0], digests[1]);
}
