//! Our side: the imports of a sandbox, over files in memory.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use eryx::internals::builder::Command;
use eryx_vfs::{MemoryFs, Namespace};

/// A program under our imports.
pub struct Ours(Command);

impl Ours {
    /// Compiles it.
    ///
    /// # Errors
    /// It imports what we do not have.
    pub fn new(wasm: &[u8]) -> Result<Self> {
        Ok(Self(Command::new(wasm).map_err(|error| anyhow!(error))?))
    }

    /// What it prints with an empty tree in memory.
    ///
    /// # Errors
    /// It traps or fails.
    pub async fn run(&self, stdin: &str) -> Result<String> {
        let files = Namespace::new(Arc::new(MemoryFs::new(64 << 20)));
        let (code, output) = self
            .0
            .run(files, stdin.as_bytes())
            .await
            .map_err(|error| anyhow!(error))?;
        anyhow::ensure!(code == 0, "exit code {code}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
