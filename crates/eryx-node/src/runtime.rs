//! The runtime of one JavaScript environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::events::{self, Dispatch};
use crate::outcome;

/// The loaded runtime, and where this environment's events go.
#[napi]
pub struct Runtime {
    pub(crate) core: eryx::Runtime,
    pub(crate) dispatch: Arc<Dispatch>,
}

#[napi]
impl Runtime {
    /// Loads the runtime in `directory`. The process keeps it: later calls with the same directory share it.
    ///
    /// # Errors
    /// The runtime cannot be loaded.
    #[napi(constructor, catch_unwind)]
    pub fn new(directory: String, dispatch: Function<'_, events::Arguments, ()>) -> Result<Self> {
        let core = shared(Path::new(&directory)).map_err(|error| outcome::thrown(&error))?;
        Ok(Self {
            core,
            dispatch: Arc::new(events::build(dispatch)?),
        })
    }

    /// Version of Python, of wasmtime, and the runtime's identity.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let manifest = self.core.manifest();
        vec![
            manifest.python.clone(),
            manifest.wasmtime.clone(),
            manifest.runtime.clone(),
        ]
    }
}

/// One runtime per directory and process.
fn shared(directory: &Path) -> std::result::Result<eryx::Runtime, eryx::Error> {
    static LOADED: Mutex<Option<HashMap<PathBuf, eryx::Runtime>>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(runtime) = loaded.get(directory) {
        return Ok(runtime.clone());
    }
    let runtime = eryx::Runtime::load(directory)?;
    loaded.insert(directory.to_path_buf(), runtime.clone());
    Ok(runtime)
}
