//! Where the build keeps its files.

use std::path::{Path, PathBuf};

/// The folders of one build.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The workspace root: holds `crates/eryx-runtime`.
    pub root: PathBuf,
    /// Downloads and what was unpacked from them. Safe to delete; filled again by [`crate::inputs::fetch`].
    pub cache: PathBuf,
    /// Intermediate files.
    pub work: PathBuf,
    /// The finished runtime.
    pub output: PathBuf,
}

impl Layout {
    /// The usual layout: the runtime in `target/eryx-runtime` of the workspace at `root`, the rest beside it.
    #[must_use]
    pub fn in_workspace(root: &Path) -> Self {
        let build = root.join("target/eryx-runtime-build");
        Self {
            root: root.to_path_buf(),
            cache: build.join("cache"),
            work: build.join("work"),
            output: root.join("target/eryx-runtime"),
        }
    }

    /// The lock file of inputs.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("crates/eryx-runtime/inputs.lock.toml")
    }

    /// Patches of the standard library.
    #[must_use]
    pub fn patches(&self) -> PathBuf {
        self.guest().join("patches")
    }

    /// Which way branches go: [`crate::hint::Profile`].
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.root.join("crates/eryx-runtime/branches.txt")
    }

    /// The programs that say so.
    #[must_use]
    pub fn training(&self) -> PathBuf {
        self.root.join("crates/eryx-runtime/training")
    }

    /// The guest's C sources and headers.
    #[must_use]
    pub fn guest(&self) -> PathBuf {
        self.root.join("crates/eryx-runtime/guest")
    }
}
