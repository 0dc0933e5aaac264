//! The standard library as the guest sees it: sources, the code that this very interpreter compiles from them, and the
//! time zone database.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use eryx::internals::builder::Boot;
use eryx_vfs::{ArchiveFs, FileSystem, Kind, MemoryFs, Namespace, NodeId};

use crate::patch;
use crate::strip::Stripped;

/// Where the guest has it: `configure()` in `guest/boot.c` says the same.
const MOUNT: &str = "/usr/lib/python3.14";

/// Parts that make no sense without a screen, processes, or the network to install from.
const LEFT_OUT: [&str; 7] = [
    "ensurepip",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "venv",
];

/// Compiles every `.py` of the library. Sources are trusted to belong to the code: nothing in the archive changes.
const COMPILE: &str = r"
import os, sys, importlib._bootstrap_external as external
root = '/usr/lib/python3.14'
for folder, folders, files in os.walk(root):
    folders.sort()
    for name in sorted(files):
        if not name.endswith('.py'):
            continue
        path = folder + '/' + name
        with open(path, 'rb') as file:
            source = file.read()
        try:
            code = compile(source, path, 'exec', dont_inherit=True, optimize=0)
        except SyntaxError:
            continue
        target = '/out' + folder[len(root):]
        os.makedirs(target, exist_ok=True)
        with open(target + '/' + name[:-3] + '.cpython-314.pyc', 'wb') as file:
            file.write(external._code_to_hash_pyc(code, b'\0' * 8, False))
";

/// Files by path.
type Files = BTreeMap<String, Vec<u8>>;

/// A booted interpreter with `library` mounted; the writable rest is returned too.
///
/// # Errors
/// The interpreter does not start.
pub(crate) fn boot(
    module: &Path,
    stripped: &Stripped,
    library: Vec<u8>,
) -> Result<(Boot, Arc<MemoryFs>)> {
    let root = Arc::new(MemoryFs::new(u64::MAX));
    let mut namespace = Namespace::new(Arc::clone(&root) as Arc<dyn FileSystem>);
    for path in [
        "/usr",
        "/usr/lib",
        MOUNT,
        "/data",
        "/tmp",
        "/home",
        "/home/sandbox",
        "/eryx",
        "/out",
    ] {
        namespace.create_dir(namespace.root(), path)?;
    }
    namespace.mount(MOUNT, Arc::new(ArchiveFs::from_tar(Arc::new(library))?))?;
    let globals = stripped.values()?;
    let boot =
        Boot::new(module, &stripped.image, &globals, namespace).map_err(|error| anyhow!(error))?;
    Ok((boot, root))
}

/// Makes the archive, with the patches in the folder `patches` applied.
///
/// # Errors
/// An input is damaged, a patch does not fit, or the interpreter fails.
pub(crate) fn make(
    module: &Path,
    stripped: &Stripped,
    (stdlib_tar, tzdata_wheel): (&Path, &Path),
    patches: &Path,
) -> Result<Vec<u8>> {
    let mut files = from_tar(&fs::read(stdlib_tar)?)?;
    patch::apply(patches, &mut files)?;
    files.extend(time_zones(tzdata_wheel)?);
    let (mut boot, root) = boot(module, stripped, to_tar(&files)?)?;
    boot.exec(COMPILE)
        .map_err(|error| anyhow!("the library does not compile: {error}"))?;
    let out = root.lookup(root.root(), "out")?;
    let mut compiled = Files::new();
    collect(&root, out, "", &mut compiled)?;
    for (path, content) in compiled {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let cached = if folder.is_empty() {
            format!("__pycache__/{name}")
        } else {
            format!("{folder}/__pycache__/{name}")
        };
        files.insert(cached, content);
    }
    to_tar(&files)
}

fn from_tar(archive: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry
            .path()?
            .to_str()
            .context("a path in the library is not UTF-8")?
            .to_owned();
        let top = path.split('/').next().unwrap_or_default();
        if !entry.header().entry_type().is_file()
            || LEFT_OUT.contains(&top)
            || path.contains("__pycache__")
        {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}

/// The package `tzdata`, which `zoneinfo` looks into when the system has no time zones.
fn time_zones(wheel: &Path) -> Result<Files> {
    let mut archive = zip::ZipArchive::new(Cursor::new(fs::read(wheel)?))?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        if file.is_file() && name.starts_with("tzdata/") {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            files.insert(name, content);
        }
    }
    Ok(files)
}

fn collect(fs: &MemoryFs, folder: NodeId, path: &str, into: &mut Files) -> Result<()> {
    for entry in fs.read_dir(folder, 0, usize::MAX)? {
        let path = if path.is_empty() {
            entry.name.to_string()
        } else {
            format!("{path}/{}", entry.name)
        };
        if entry.kind == Kind::Directory {
            collect(fs, entry.node, &path, into)?;
            continue;
        }
        let mut content = vec![0; usize::try_from(fs.metadata(entry.node)?.size)?];
        fs.read(entry.node, 0, &mut content)?;
        into.insert(path, content);
    }
    Ok(())
}

/// An archive with nothing in it that differs from build to build.
fn to_tar(files: &Files) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder.append_data(&mut header, path, content.as_slice())?;
    }
    Ok(builder.into_inner()?)
}
