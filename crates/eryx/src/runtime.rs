//! The Python runtime: its files, loaded once, and the guests made from them.

#[cfg(feature = "internals")]
pub(crate) mod builder;
mod cache;
pub(crate) mod engine;
mod making;
pub(crate) mod pool;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use eryx_vfs::ArchiveFs;

use crate::Error;
use crate::manifest::{ImageManifest, Manifest, file};
use crate::runtime::cache::{CodeCache, hash};
use crate::runtime::engine::{Code, Metering};
use crate::runtime::making::Making;
use crate::runtime::pool::Pool;
use crate::threads::{process, workers};
use eryx_memory::{Image, RestoreStrategy};

/// A loaded runtime. Clones share it; all sandboxes of a process should.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    manifest: Manifest,
    image_manifest: Arc<ImageManifest>,
    image: Arc<Image>,
    strategy: RestoreStrategy,
    pool: Arc<Pool>,
    /// Made when someone first asks for fuel.
    metered_pool: Making<Pool>,
    wasm: std::path::PathBuf,
    /// The standard library.
    library: Arc<ArchiveFs>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("runtime", &self.0.manifest.runtime)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Loads the files in `directory`, which the runtime builder made. They must not change while the process lives.
    ///
    /// # Errors
    /// [`Error::Initialization`] if they are missing or damaged, or were made for another version or CPU.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        Self::open(directory, RestoreStrategy::detect())
    }

    /// As [`Runtime::load`], with a given way to clean slots. For tests of that.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    #[cfg(feature = "internals")]
    pub fn load_with(directory: &Path, strategy: RestoreStrategy) -> Result<Self, Error> {
        Self::open(directory, strategy)
    }

    fn open(directory: &Path, strategy: RestoreStrategy) -> Result<Self, Error> {
        process::check()?;
        let manifest = Manifest::load(directory)?;
        let library = begin_library(directory, &manifest);
        let code = Code::load(&directory.join(file::MODULE), Metering::Off)?;
        let image_manifest = Arc::new(manifest.image.clone());
        let image = open_image(directory, &image_manifest)?;
        let pool = Pool::new(
            &code,
            Arc::clone(&image),
            Arc::clone(&image_manifest),
            strategy,
            false,
        )
        .map_err(|error| Error::Initialization(format!("{error:#}")))?;
        let pool = Arc::new(pool);
        pool.prepare();
        Ok(Self(Arc::new(Inner {
            library: Arc::new(
                library.recv().map_err(|_| {
                    Error::Internal("opening the standard library panicked".into())
                })??,
            ),
            wasm: directory.join(file::WASM),
            manifest,
            image_manifest,
            image,
            strategy,
            pool,
            metered_pool: Making::default(),
        })))
    }

    /// What the runtime's builder wrote about it.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The identity of the runtime, which snapshots name.
    pub(crate) fn identity(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(self.0.manifest.runtime.as_bytes()).into()
    }

    /// Names that Python has built in.
    pub(crate) fn builtins(&self) -> &[String] {
        &self.0.image_manifest.builtins
    }

    /// The smallest memory limit that a sandbox can have: what the interpreter itself takes.
    #[must_use]
    pub fn memory_floor(&self) -> u64 {
        self.0.image.size() as u64
    }

    /// Where guests of one kind of code come from. Waits for that code if it is to be compiled.
    pub(crate) async fn pool(&self, metering: Metering) -> Result<&Pool, Error> {
        if metering == Metering::Off {
            return Ok(&self.0.pool);
        }
        let runtime = self.clone();
        let make = move || runtime.0.make_metered_pool();
        self.0.metered_pool.get(make).await
    }

    /// The standard library.
    pub(crate) fn library(&self) -> &Arc<ArchiveFs> {
        &self.0.library
    }
}

impl Inner {
    fn make_metered_pool(&self) -> Result<Pool, Error> {
        let code = metered_code(&self.manifest, &self.wasm)?;
        Pool::new(
            &code,
            Arc::clone(&self.image),
            Arc::clone(&self.image_manifest),
            self.strategy,
            true,
        )
        .map_err(|error| Error::Internal(format!("{error:#}")))
    }
}

fn open_image(directory: &Path, manifest: &ImageManifest) -> Result<Arc<Image>, Error> {
    let bytes = |size: u64| {
        usize::try_from(size)
            .map_err(|_| Error::Initialization("the memory image is too large".into()))
    };
    let globals = manifest.globals.iter().map(|(_, value)| *value).collect();
    let content = bytes(manifest.start)?..bytes(manifest.end)?;
    Image::open(
        &directory.join(file::IMAGE),
        content,
        bytes(manifest.size)?,
        globals,
    )
    .map(Arc::new)
    .map_err(|error| Error::Initialization(format!("the memory image cannot be mapped: {error}")))
}

/// Opens the standard library on a worker thread: that takes a quarter of what the code takes meanwhile.
fn begin_library(directory: &Path, manifest: &Manifest) -> Receiver<Result<ArchiveFs, Error>> {
    let (sender, receiver) = mpsc::channel();
    let directory = directory.to_owned();
    let index = manifest.outputs.get(file::INDEX).cloned();
    workers::spawn(async move {
        // Nobody waits for it any more if something else is damaged.
        let _ = sender.send(open_library(&directory, index.as_deref()));
    });
    receiver
}

/// `index_hash` is what the manifest says of its index.
fn open_library(directory: &Path, index_hash: Option<&str>) -> Result<ArchiveFs, Error> {
    let damaged = |error: &dyn std::fmt::Display| {
        Error::Initialization(format!("the standard library: {error}"))
    };
    let map = eryx_memory::MappedFile::open(&directory.join(file::LIBRARY))
        .map_err(|error| damaged(&error))?;
    let index = std::fs::read(directory.join(file::INDEX))
        .map_err(|error| damaged(&format_args!("its index: {}", error.kind())))?;
    if index_hash != Some(&hash(&index)) {
        return Err(damaged(&"its index is not the one that was made with it"));
    }
    let archive = ArchiveFs::from_index(Arc::new(map), &index).map_err(|error| damaged(&error))?;
    if archive.file("os.py").is_none() {
        return Err(damaged(&"it holds no os.py"));
    }
    Ok(archive)
}

/// The code that counts: from the cache, or compiled now, which takes about as long as ten seconds of one core.
fn metered_code(manifest: &Manifest, wasm: &Path) -> Result<Code, Error> {
    let cache = CodeCache::open();
    let name = format!("{}-{}-fuel.cwasm", manifest.runtime, manifest.wasmtime);
    if let Some(code) = cache
        .as_ref()
        .and_then(|cache| Code::load(&cache.get(&name)?, Metering::Fuel).ok())
    {
        return Ok(code);
    }
    let packed = std::fs::read(wasm).map_err(|error| {
        Error::Initialization(format!(
            "the Python module cannot be read: {}",
            error.kind()
        ))
    })?;
    let wasm = zstd::decode_all(packed.as_slice())
        .map_err(|_| Error::Initialization("the Python module is damaged".into()))?;
    let compiled = engine::compile(&wasm, Metering::Fuel)
        .map_err(|error| Error::Internal(format!("{error:#}")))?;
    match cache.and_then(|cache| cache.put(&name, &compiled)) {
        Some(path) => Code::load(&path, Metering::Fuel),
        None => Code::from_compiled(&compiled, Metering::Fuel),
    }
}
