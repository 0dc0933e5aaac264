//! `manifest.json`: what the runtime builder made and what of it the host must know.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Raised when a reader of an older manifest would misunderstand a newer one.
pub const FORMAT: u32 = 2;

/// Version of wasmtime that compiles and loads modules.
pub const WASMTIME_VERSION: &str = env!("ERYX_WASMTIME_VERSION");

/// The CPU baseline that modules are compiled for, and the Cranelift flags that it stands for.
#[cfg(target_arch = "x86_64")]
pub const CPU_BASELINE: (&str, &[&str]) = (
    "x86-64-v3",
    &[
        "has_sse3",
        "has_ssse3",
        "has_sse41",
        "has_sse42",
        "has_popcnt",
        "has_avx",
        "has_avx2",
        "has_bmi1",
        "has_bmi2",
        "has_fma",
        "has_lzcnt",
    ],
);
/// The CPU baseline that modules are compiled for, and the Cranelift flags that it stands for.
#[cfg(not(target_arch = "x86_64"))]
pub const CPU_BASELINE: (&str, &[&str]) = ("armv8-a", &[]);

/// Bytes of a page of linear memory.
const WASM_PAGE: u64 = 65_536;

/// Names of the runtime's files.
pub mod file {
    /// The module, compiled for this platform.
    pub const MODULE: &str = "python.cwasm";
    /// The module as WebAssembly, without data, zstd. Variants are compiled from it.
    pub const WASM: &str = "python.wasm.zst";
    /// The memory image of a started interpreter.
    pub const IMAGE: &str = "python.img";
    /// The standard library, a tar archive.
    pub const LIBRARY: &str = "stdlib.tar";
    /// Its index: what is where in the archive.
    pub const INDEX: &str = "stdlib.index";
    /// This description.
    pub const MANIFEST: &str = "manifest.json";
}

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of CPython: `3.14.0`.
    pub python: String,
    /// Version of wasmtime that compiled the module.
    pub wasmtime: String,
    /// The CPU baseline that the module is compiled for: `x86-64-v3`.
    pub cpu: String,
    /// Hash over all outputs: the identity of this runtime, which snapshots name.
    pub runtime: String,
    /// sha256 of every input, by name.
    pub inputs: BTreeMap<String, String>,
    /// sha256 of every output, by file name.
    pub outputs: BTreeMap<String, String>,
    /// What is in the image.
    pub image: ImageManifest,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What the host must know of the image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageManifest {
    /// Bytes of linear memory.
    pub size: u64,
    /// Where in it the contents of `python.img` begin. Around them it is zero.
    pub start: u64,
    /// Where they end.
    pub end: u64,
    /// The module's mutable globals, by export name, and their values.
    pub globals: Vec<(String, i32)>,
    /// What to set in memory so that Python raises `SandboxInterrupt`.
    pub interrupt: Vec<InterruptWord>,
    /// Where small requests are written.
    pub request_buffer: (u32, u32),
    /// Modules that are imported already.
    pub modules: Vec<String>,
    /// Names that are built in, ours included. Callbacks must not hide them.
    pub builtins: Vec<String>,
}

/// A word of memory and the bits that are set in it to trip the interrupt signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptWord {
    /// Its address.
    pub address: u32,
    /// The bits to set.
    pub bits: u32,
}

impl From<&InterruptWord> for eryx_memory::SignalWord {
    fn from(word: &InterruptWord) -> Self {
        Self {
            address: word.address,
            bits: word.bits,
        }
    }
}

impl Manifest {
    /// Reads and checks the manifest in `directory`.
    ///
    /// # Errors
    /// [`Error::Initialization`] if it is missing, damaged, or made by another version.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let text = std::fs::read(directory.join(file::MANIFEST)).map_err(|error| {
            Error::Initialization(format!(
                "the Python runtime cannot be read: {}",
                error.kind()
            ))
        })?;
        // Read alone: another format may have another shape.
        let format: Format = serde_json::from_slice(&text).map_err(|error| {
            Error::Initialization(format!("the Python runtime's manifest is damaged: {error}"))
        })?;
        if format.format != FORMAT {
            return Err(Error::Initialization(format!(
                "the Python runtime has format {}, this version reads format {FORMAT}",
                format.format
            )));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| {
            Error::Initialization(format!("the Python runtime's manifest is damaged: {error}"))
        })?;
        manifest.check_engine()?;
        manifest.check_image()?;
        Ok(manifest)
    }

    fn check_engine(&self) -> Result<(), Error> {
        let ours = (WASMTIME_VERSION, CPU_BASELINE.0);
        if (self.wasmtime.as_str(), self.cpu.as_str()) == ours {
            return Ok(());
        }
        Err(Error::Initialization(format!(
            "the Python runtime was compiled by wasmtime {} for {}, this version needs wasmtime {} for {}",
            self.wasmtime, self.cpu, ours.0, ours.1
        )))
    }

    fn check_image(&self) -> Result<(), Error> {
        let image = &self.image;
        let inside = |at: u32, size: u32| u64::from(at) + u64::from(size) <= image.size;
        let good = inside(image.request_buffer.0, image.request_buffer.1)
            && image.interrupt.iter().all(|word| inside(word.address, 4))
            && image.size.is_multiple_of(WASM_PAGE)
            && image.size < 1 << 32
            && image.start < image.end
            && image.end <= image.size;
        if good {
            Ok(())
        } else {
            Err(Error::Initialization(
                "the Python runtime's manifest contradicts itself".into(),
            ))
        }
    }
}
