//! From the lock file to files in the cache, each checked against its hash.

pub mod download;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::lock::{Extracted, Input, Lock};
use crate::progress::Steps;
use crate::{Layout, Progress, digest, musl, wheel};

/// libpython's name inside the wheel and in the cache.
const LIBPYTHON: &str = "libpython3.14.so";

/// Everything the link needs, on disk and verified.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Folder with the wheel's libraries: `libpython3.14.so`, `libc++.so` and so on.
    pub libraries: PathBuf,
    /// `CPython` as a position-independent module.
    pub libpython: PathBuf,
    /// The standard library as it is in the wheel: an uncompressed tar of `.py` files.
    pub stdlib_tar: PathBuf,
    /// The tzdata wheel, as downloaded.
    pub tzdata_wheel: PathBuf,
    /// The folder that holds the `zig` program and its `lib`.
    pub zig: PathBuf,
    /// musl's sources, in the folders that musl has below `src`.
    pub musl: PathBuf,
    /// The folder that holds binaryen's programs, which run in node.
    pub binaryen: PathBuf,
    /// Compiled C libraries that zig keeps between runs.
    pub zig_cache: PathBuf,
    /// Changes when any input does.
    pub fingerprint: String,
}

/// Downloads what is missing, checks every file against the lock and unpacks it. Needs no network when the cache is full.
///
/// # Errors
/// A host tool is missing, a download fails, or a file is not the one the lock file pins.
pub fn fetch(layout: &Layout, lock: &Lock, progress: &mut dyn Progress) -> Result<Inputs> {
    let mut steps = Steps::new(progress, 5);
    let libraries = steps.run("fetching CPython", || fetch_libraries(layout, lock))?;
    let tzdata_wheel = steps.run("fetching tzdata", || {
        download::locked(layout, lock.input("tzdata")?)
    })?;
    let zig = steps.run("fetching zig", || {
        let folder = fetch_unpacked(layout, lock.input("ziglang")?)?;
        Ok(folder.join("ziglang"))
    })?;
    let musl = steps.run("fetching musl", || fetch_musl(layout, lock))?;
    let binaryen = steps.run("fetching binaryen", || {
        let folder = fetch_unpacked(layout, lock.input("binaryen")?)?;
        Ok(folder.join("package/bin"))
    })?;
    Ok(Inputs {
        libpython: libraries.join(LIBPYTHON),
        stdlib_tar: libraries.join(wheel::STDLIB),
        libraries,
        fingerprint: digest::of_bytes(toml::to_string(lock)?.as_bytes()),
        tzdata_wheel,
        zig_cache: layout.cache.join("zig"),
        zig,
        musl,
        binaryen,
    })
}

/// The folder of an unpacked package. A stamp with the archive's hash says that it is complete.
fn fetch_unpacked(layout: &Layout, input: &Input) -> Result<PathBuf> {
    let sha256 = &input.file_for_host()?.sha256;
    let folder = layout
        .cache
        .join(format!("{}-{}", input.name, input.version));
    let stamp = folder.join("sha256");
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == *sha256) {
        return Ok(folder);
    }
    let archive = download::locked(layout, input)?;
    unpack::replace(&archive, input.source, &folder)?;
    fs::write(&stamp, sha256)?;
    Ok(folder)
}

/// The folder of the wheel's libraries. They are small: their own hashes are checked every time.
fn fetch_libraries(layout: &Layout, lock: &Lock) -> Result<PathBuf> {
    let input = lock.input("componentize-py")?;
    let folder = layout.cache.join(format!("libraries-{}", input.version));
    if input.extracted.iter().all(|file| is_there(&folder, file)) {
        return Ok(folder);
    }
    let archive = download::locked(layout, input)?;
    let found = wheel::libraries(&fs::read(&archive)?)?;
    fs::create_dir_all(&folder)?;
    for file in &input.extracted {
        let bytes = &found
            .iter()
            .find(|library| library.name == file.name)
            .with_context(|| format!("{} holds no {}", archive.display(), file.name))?
            .bytes;
        if digest::of_bytes(bytes) != file.sha256 {
            bail!(
                "{} in {} is not the one in the lock file",
                file.name,
                archive.display()
            );
        }
        fs::write(folder.join(&file.name), bytes)?;
    }
    Ok(folder)
}

/// The folder of musl's sources: all of them have one digest, which is checked every time.
fn fetch_musl(layout: &Layout, lock: &Lock) -> Result<PathBuf> {
    let input = lock.input(musl::NAME)?;
    let [locked] = input.extracted.as_slice() else {
        bail!("the lock file has not one digest of musl's sources");
    };
    let folder = layout.cache.join(format!("musl-{}", input.version));
    if musl::read(&folder).is_ok_and(|sources| musl::fingerprint(&sources) == locked.sha256) {
        return Ok(folder);
    }
    let archive = download::locked(layout, input)?;
    let sources = musl::sources(&fs::read(&archive)?)?;
    if musl::fingerprint(&sources) != locked.sha256 {
        bail!(
            "the sources in {} are not those in the lock file",
            archive.display()
        );
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    musl::write(&sources, &folder)?;
    Ok(folder)
}

fn is_there(folder: &Path, file: &Extracted) -> bool {
    digest::of_file(&folder.join(&file.name)).is_ok_and(|sha256| sha256 == file.sha256)
}
