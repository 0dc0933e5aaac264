//! Patches of the library: applied where they fit, refused where they do not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use eryx_runtime::patch::apply;

const PATCH: &str =
    "Why it is there.\n\n--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n";

/// A folder with these patches.
fn folder(name: &str, patches: &[&str]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It may be there from an earlier run, and not from any.
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).expect("a folder");
    for (index, patch) in patches.iter().enumerate() {
        fs::write(folder.join(format!("{index}.patch")), patch).expect("a file");
    }
    folder
}

fn library(content: &str) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("m.py".into(), content.into())])
}

#[test]
fn a_patch_changes_the_file_that_it_names() {
    let mut files = library("a = 1\nb = 2\n");
    apply(&folder("patch-fits", &[PATCH]), &mut files).expect("fits");
    assert_eq!(files, library("a = 1\nb = 3\n"));
}

#[test]
fn a_patch_that_does_not_fit_is_an_error_that_names_it() {
    for (name, patch, content, reason) in [
        (
            "patch-mended",
            PATCH,
            "a = 1\nb = 3\n",
            "error applying hunk #1",
        ),
        ("patch-elsewhere", PATCH, "", "error applying hunk #1"),
        (
            "patch-absent",
            &PATCH.replace("m.py", "n.py"),
            "",
            "there is no n.py in the library",
        ),
        (
            "patch-empty",
            "Nothing.\n",
            "",
            "its header names no file of the library: --- a/NAME.py",
        ),
    ] {
        let mut files = library(content);
        let error = apply(&folder(name, &[patch]), &mut files).expect_err(name);
        let text = format!("{error:#}");
        assert!(text.contains("0.patch does not fit: "), "{text}");
        assert!(text.ends_with(reason), "{name}: {text}");
        assert_eq!(files, library(content), "{name}");
    }
}
