//! The runtime's libraries, taken out of the componentize-py wheel.
//!
//! The wheel's only extension module carries them as zstd frames, with no index: every frame is unpacked and named by
//! what it holds.

use std::io::{Cursor, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::module;

/// The name that the tar of the standard library gets.
pub const STDLIB: &str = "stdlib.tar";

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest frame is the standard library, 13 MB.
const FRAME_LIMIT: u64 = 128 << 20;
const TAR_BLOCK: usize = 512;

/// A file found in the wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The module's own name, such as `libc++.so`, or [`STDLIB`].
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// The shared libraries and the standard library of a componentize-py wheel.
///
/// # Errors
/// Not a zip file, not exactly one extension module in it, or one name twice.
pub fn libraries(wheel: &[u8]) -> Result<Vec<Library>> {
    let extension = extension_module(wheel)?;
    let mut found: Vec<Library> = Vec::new();
    for bytes in frames(&extension) {
        let Some(name) = name_of(&bytes) else {
            continue;
        };
        if found.iter().any(|library| library.name == name) {
            bail!("the wheel holds {name} twice");
        }
        found.push(Library { name, bytes });
    }
    Ok(found)
}

fn extension_module(wheel: &[u8]) -> Result<Vec<u8>> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(wheel)).context("the wheel is no zip file")?;
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name?;
        if is_library(&name) {
            names.push(name.into_owned());
        }
    }
    let [name] = names.as_slice() else {
        bail!("the wheel holds {} extension modules, not one", names.len());
    };
    let mut bytes = Vec::new();
    archive.by_name(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The contents of every complete zstd frame in `data`, in order. The magic number may also occur by chance: what does
/// not decode is not a frame.
#[must_use]
pub fn frames(data: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = find(&data[at..], &ZSTD_MAGIC) {
        at += next;
        match decode(&data[at..]) {
            Some((contents, used)) => {
                found.push(contents);
                at += used;
            }
            None => at += ZSTD_MAGIC.len(),
        }
    }
    found
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// One frame's contents and its length in `data`.
fn decode(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = zstd::Decoder::with_buffer(data).ok()?.single_frame();
    let mut contents = Vec::new();
    let size = decoder
        .by_ref()
        .take(FRAME_LIMIT)
        .read_to_end(&mut contents)
        .ok()?;
    let whole = (size as u64) < FRAME_LIMIT;
    whole.then(|| (contents, data.len() - decoder.finish().len()))
}

fn is_library(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "so")
}

/// The name of a frame that the runtime can use.
fn name_of(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\0asm") {
        let name = module::name(bytes)?;
        return (name.starts_with("lib") && is_library(&name)).then_some(name);
    }
    is_stdlib(bytes).then(|| STDLIB.to_owned())
}

/// A tar with `os.py` at its top. The wheel also has tars of its own helper modules.
fn is_stdlib(bytes: &[u8]) -> bool {
    bytes
        .chunks_exact(TAR_BLOCK)
        .any(|block| block.starts_with(b"os.py\0") && block[257..].starts_with(b"ustar"))
}
