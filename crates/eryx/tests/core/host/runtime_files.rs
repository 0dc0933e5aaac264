//! Loading a runtime whose files are missing, damaged or foreign: a clear error, never a crash.

use std::path::Path;

use eryx::internals::manifest::{FORMAT, Manifest, file};
use eryx::{Error, ExecutionOptions, Runtime, Sandbox, SandboxOptions};
use eryx_test::runtime_directory;
use sha2::Digest as _;

use crate::support::{copied_runtime, replace};

/// What is loaded at once.
const FILES: [&str; 5] = [
    file::LIBRARY,
    file::INDEX,
    file::IMAGE,
    file::MODULE,
    file::MANIFEST,
];

/// The message of the error that loading ends with; it must not name the directory.
fn refused(directory: &Path) -> String {
    refused_with(directory, "")
}

/// The same; `what` tells which of many cases failed.
fn refused_with(directory: &Path, what: &str) -> String {
    let Err(Error::Initialization(message)) = Runtime::load(directory) else {
        panic!("the runtime is not good, but it loaded: {what}");
    };
    let path = directory.to_str().expect("a readable path");
    assert!(!message.contains(path), "{message}");
    assert!(!message.contains("/target/"), "{message}");
    assert!(!message.is_empty());
    message
}

/// Every test has a directory of its own, gone at the end.
struct Copied(std::path::PathBuf);

impl Copied {
    fn new(name: &str) -> Self {
        Self(copied_runtime(&format!("files-{name}")))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("a file")
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest: Manifest =
            serde_json::from_slice(&self.read(file::MANIFEST)).expect("a manifest");
        change(&mut manifest);
        let text = serde_json::to_vec(&manifest).expect("serialises");
        replace(&self.0, file::MANIFEST, &text);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_copy_loads() {
    let copied = Copied::new("good");
    let runtime = Runtime::load(&copied.0).expect("loads");
    assert_eq!(runtime.manifest().format, FORMAT);
    assert!(runtime.manifest().python.starts_with("3.14."));
}

#[test]
fn nothing_there() {
    assert!(refused(Path::new("/nowhere/at/all")).contains("cannot be read"));
    let message = refused(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    assert!(message.contains("cannot be read"), "{message}");
}

#[test]
fn each_file_missing() {
    let copied = Copied::new("missing");
    for name in FILES {
        std::fs::remove_file(copied.0.join(name)).expect("it was there");
        refused(&copied.0);
        std::fs::copy(runtime_directory().join(name), copied.0.join(name)).expect("copies");
        Runtime::load(&copied.0).expect("whole again");
    }
}

#[test]
fn each_file_cut() {
    for name in FILES {
        let copied = Copied::new(&format!("cut-{name}"));
        let whole = copied.read(name);
        for size in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
            replace(&copied.0, name, &whole[..size]);
            refused_with(&copied.0, &format!("{name}, {size} bytes"));
        }
    }
}

#[test]
fn each_file_replaced_by_something_else() {
    for name in FILES {
        let copied = Copied::new(&format!("noise-{name}"));
        let size = copied.read(name).len();
        for byte in [0u8, 0xFF, b'{'] {
            let noise: Vec<u8> = (0..size)
                .map(|at| byte.wrapping_mul(u8::try_from(at % 251).expect("small")))
                .collect();
            replace(&copied.0, name, &noise);
            // The content of an image of the right size cannot be told from another: only that nothing breaks.
            if name != file::IMAGE {
                refused_with(&copied.0, &format!("{name}, {byte}"));
            }
        }
        std::fs::remove_file(copied.0.join(name)).expect("it was there");
        std::fs::create_dir(copied.0.join(name)).expect("ours");
        refused(&copied.0);
    }
}

/// With its hash in the manifest, as if it had been made with the rest.
fn replace_index(copied: &Copied, index: &[u8]) {
    replace(&copied.0, file::INDEX, index);
    copied.change_manifest(|manifest| {
        let hash = format!("{:x}", sha2::Sha256::digest(index));
        manifest.outputs.insert(file::INDEX.into(), hash);
    });
}

const ANOTHER: &str = "the standard library: its index is damaged or that of another archive";

#[test]
fn an_index_that_was_changed() {
    let copied = Copied::new("index-changed");
    let whole = copied.read(file::INDEX);
    for at in [0, 20, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        replace(&copied.0, file::INDEX, &changed);
        assert_eq!(
            refused(&copied.0),
            "the standard library: its index is not the one that was made with it"
        );
    }
    replace(&copied.0, file::INDEX, &whole);
    Runtime::load(&copied.0).expect("whole again");
    copied.change_manifest(|manifest| drop(manifest.outputs.remove(file::INDEX)));
    refused(&copied.0);
}

#[test]
fn an_index_of_another_library() {
    let copied = Copied::new("index-other");
    let whole = copied.read(file::INDEX);
    let empty = eryx_vfs::ArchiveFs::empty().index();
    for other in [&*empty, &whole[..whole.len() - 1], b"", &[0; 100]] {
        replace_index(&copied, other);
        assert_eq!(refused(&copied.0), ANOTHER);
    }
    replace_index(&copied, &whole);
    Runtime::load(&copied.0).expect("whole again");
    // As large as the library, and other files in it.
    let mut library = copied.read(file::LIBRARY);
    library.rotate_right(1024);
    replace(&copied.0, file::LIBRARY, &library);
    assert_eq!(refused(&copied.0), ANOTHER);
}

#[test]
fn the_index_is_that_of_the_library() {
    let copied = Copied::new("index");
    let library = std::sync::Arc::new(copied.read(file::LIBRARY));
    let read = eryx_vfs::ArchiveFs::from_tar(library).expect("a good archive");
    assert_eq!(read.index(), copied.read(file::INDEX));
}

#[test]
fn code_of_another_platform_or_version() {
    let copied = Copied::new("foreign-code");
    let whole = copied.read(file::MODULE);
    let target = std::env::consts::ARCH.as_bytes();
    let at = whole
        .windows(target.len())
        .position(|window| window == target)
        .expect("compiled code names its target");
    let mut other = whole.clone();
    other[at] = b'z';
    replace(&copied.0, file::MODULE, &other);
    let message = refused(&copied.0);
    assert!(
        message.contains("compiled Python runtime cannot be loaded"),
        "{message}"
    );
    replace(&copied.0, file::MODULE, b"\0asm\x01\0\0\0");
    refused(&copied.0);
}

#[test]
fn another_format() {
    let copied = Copied::new("format");
    for format in [0, FORMAT + 1, u32::MAX] {
        copied.change_manifest(|manifest| manifest.format = format);
        assert_eq!(
            refused(&copied.0),
            format!("the Python runtime has format {format}, this version reads format {FORMAT}")
        );
    }
}

#[test]
fn a_newer_format_of_another_shape() {
    let copied = Copied::new("shape");
    replace(
        &copied.0,
        file::MANIFEST,
        br#"{"format": 7, "everything": "else"}"#,
    );
    assert_eq!(
        refused(&copied.0),
        format!("the Python runtime has format 7, this version reads format {FORMAT}")
    );
}

#[test]
fn another_wasmtime() {
    let copied = Copied::new("wasmtime");
    copied.change_manifest(|manifest| manifest.wasmtime = "1.0.0".into());
    let message = refused(&copied.0);
    assert!(
        message.contains("1.0.0") && message.contains("48."),
        "{message}"
    );
}

#[test]
fn another_cpu() {
    let copied = Copied::new("cpu");
    copied.change_manifest(|manifest| manifest.cpu = "x86-64-v9".into());
    let message = refused(&copied.0);
    assert!(message.contains("x86-64-v9"), "{message}");
}

#[test]
fn an_image_that_contradicts_its_manifest() {
    let copied = Copied::new("image");
    let length = copied.read(file::IMAGE).len() as u64;
    let image = Runtime::load(&copied.0)
        .expect("loads")
        .manifest()
        .image
        .clone();
    let end = image.start + length;
    for size in [
        0,
        1,
        4096,
        image.start,
        end - 65536,
        end - 4096,
        end - 1,
        image.size + 1,
        image.size + 4096,
        1 << 32,
        1 << 40,
        u64::MAX,
    ] {
        copied.change_manifest(|manifest| manifest.image.size = size);
        refused_with(&copied.0, &format!("{size} in place of {}", image.size));
    }
    for start in [
        1,
        image.size - length + 65536,
        image.size,
        1 << 32,
        u64::MAX,
        u64::MAX - 4095,
    ] {
        copied.change_manifest(|manifest| {
            manifest.image = image.clone();
            manifest.image.start = start;
        });
        refused_with(&copied.0, &format!("start {start}"));
    }
}

#[test]
fn addresses_outside_of_the_image() {
    let copied = Copied::new("addresses");
    for change in [
        (|manifest| manifest.image.request_buffer = (u32::MAX, 16)) as fn(&mut Manifest),
        |manifest| manifest.image.request_buffer = (0, u32::MAX),
        |manifest| manifest.image.interrupt[0].address = u32::MAX,
    ] {
        let whole = copied.read(file::MANIFEST);
        copied.change_manifest(change);
        assert_eq!(
            refused(&copied.0),
            "the Python runtime's manifest contradicts itself"
        );
        replace(&copied.0, file::MANIFEST, &whole);
    }
}

#[test]
fn globals_that_the_module_does_not_have() {
    for change in [
        (|manifest| manifest.image.globals[0].0 = "nothing".into()) as fn(&mut Manifest),
        |manifest| manifest.image.globals.clear(),
        |manifest| manifest.image.globals.push(("memory".into(), 1)),
    ] {
        let copied = Copied::new("globals");
        copied.change_manifest(change);
        // At the latest the first run says so.
        let error = match Runtime::load(&copied.0) {
            Err(error) => error,
            Ok(runtime) => run(&runtime).expect_err("the runtime is not good"),
        };
        assert!(matches!(error, Error::Initialization(_)), "{error:?}");
    }
}

/// What a run in a damaged image ends with.
fn run(runtime: &Runtime) -> Result<(), Error> {
    let sandbox = Sandbox::new(runtime, SandboxOptions::default())?;
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("an executor");
    let run = sandbox.execute(
        "print(1)",
        crate::support::within(std::time::Duration::from_secs(2)),
    );
    executor
        .block_on(run)
        .map(|_| ())
        .map_err(|failure| failure.error)
}

#[test]
fn a_damaged_image_harms_itself_only() {
    let copied = Copied::new("noise");
    let whole = copied.read(file::IMAGE);
    for seed in 0..6u8 {
        let mut damaged = whole.clone();
        for at in (usize::from(seed) * 997..damaged.len()).step_by(4096 * 3) {
            damaged[at] = damaged[at].wrapping_add(1 + seed);
        }
        if seed == 5 {
            damaged.fill(0xEE);
        }
        replace(&copied.0, file::IMAGE, &damaged);
        if let Ok(runtime) = Runtime::load(&copied.0) {
            let _ = run(&runtime);
        }
    }
    // This process is as before.
    assert!(run(crate::support::runtime()).is_ok());
}

#[test]
fn a_runtime_outlives_its_handle() {
    let copied = Copied::new("handle");
    let runtime = Runtime::load(&copied.0).expect("loads");
    let sandbox = Sandbox::new(&runtime, SandboxOptions::default()).expect("good options");
    drop(runtime);
    let executor = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("an executor");
    let outcome = executor.block_on(sandbox.execute("1", ExecutionOptions::default()));
    assert_eq!(outcome.expect("runs").value, Some(1.into()));
}

#[test]
fn only_the_metered_code_needs_the_packed_module() {
    let copied = Copied::new("packed");
    std::fs::remove_file(copied.0.join(file::WASM)).expect("it was there");
    let runtime = Runtime::load(&copied.0).expect("loads");
    assert_eq!(run(&runtime), Ok(()));
}
