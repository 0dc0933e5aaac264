//! A C program in the place of Python: the C library's functions, compiled and run as Python's are, to test and measure them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use eryx::internals::builder::{self, Boot};
use eryx_vfs::{MemoryFs, Namespace};

use crate::compile::{self, Library};
use crate::inputs::{self, Inputs};
use crate::lock::Lock;
use crate::{Layout, strip};

/// The inputs that `layout` has, fetched if need be.
///
/// # Errors
/// See [`inputs::fetch`].
pub fn inputs(layout: &Layout) -> Result<Inputs> {
    let lock = Lock::read(&layout.lock_file())?;
    inputs::fetch(layout, &lock, &mut |_: &str| {})
}

/// Compiles `source` with `library`, in the folder `work`, and loads it. Its exports are called with [`Boot::call`].
///
/// # Errors
/// It does not compile or load.
pub fn load(layout: &Layout, source: &Path, library: Library, work: &Path) -> Result<Boot> {
    let inputs = inputs(layout)?;
    let path = compile::program(&inputs, &layout.guest(), source, library, work)?;
    let stripped = strip::strip(&fs::read(path)?)?;
    let code = work.join("program.cwasm");
    let machine = builder::compile(&stripped.wasm).map_err(|error| anyhow!(error))?;
    fs::write(&code, machine)?;
    let files = Namespace::new(Arc::new(MemoryFs::new(0)));
    Boot::load(&code, &stripped.image, &stripped.values()?, files)
        .map_err(|error| anyhow!(error))
        .context("the program does not load")
}
