//! `fd_readdir`.

use eryx_vfs::{Device, DirEntry, Kind, NodeId};
use wasmtime::{Caller, Linker};

use super::super::errno::number;
use super::super::{Errno, Host, WASI, parts};
use super::{Files, filetype};
use crate::caps::MAX_ENTRIES_AT_ONCE;
use crate::guest::memory::GuestMemory;

/// Bytes of a `dirent`; the name follows.
const HEADER: usize = 24;
/// Cookies of the entries "." and ".."; those of the file system come after them.
const DOTS: u64 = 2;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        WASI,
        "fd_readdir",
        |mut caller: Caller<'_, Host>, fd: u32, at: u32, size: u32, cookie: u64, into: u32| {
            let (mut memory, host) = parts(&mut caller);
            number(read_directory(
                &mut memory,
                &host.files,
                fd,
                (at, size),
                cookie,
                into,
            ))
        },
    )?;
    Ok(())
}

/// Fills the buffer with entries behind `cookie`. The last one may be cut: the caller then asks again for it.
fn read_directory(
    memory: &mut GuestMemory<'_>,
    files: &Files,
    fd: u32,
    (at, size): (u32, u32),
    cookie: u64,
    into: u32,
) -> Result<(), Errno> {
    memory.bytes(into, 4)?;
    let node = files.node(fd)?;
    let mut buffer = memory.bytes_mut(at, size)?;
    let fs = files.namespace.fs(node.at);
    let own = fs.device(node.at.node) == Some(Device::Descriptors);
    let read = |after| {
        if own {
            return Ok(own_descriptors(files, after, MAX_ENTRIES_AT_ONCE));
        }
        fs.read_dir(node.at.node, after, MAX_ENTRIES_AT_ONCE)
    };
    // Refused before anything is written.
    let mut after = cookie.saturating_sub(DOTS);
    let mut some = read(after)?;
    let dots = [".", ".."].into_iter().zip(0..);
    for (name, index) in dots.skip(usize::try_from(cookie).unwrap_or(usize::MAX)) {
        let entry = DirEntry {
            name: name.into(),
            node: NodeId(0),
            kind: Kind::Directory,
            next: index + 1,
        };
        buffer = put(buffer, &entry);
    }
    while let Some(last) = some.last().filter(|_| !buffer.is_empty()) {
        after = last.next;
        for entry in some {
            let next = entry.next.saturating_add(DOTS);
            buffer = put(buffer, &DirEntry { next, ..entry });
        }
        some = if buffer.is_empty() {
            Vec::new()
        } else {
            read(after)?
        };
    }
    let used = size - u32::try_from(buffer.len()).unwrap_or(size);
    Ok(memory.write(into, &used.to_le_bytes())?)
}

/// Writes as much of an entry as fits, and returns what is left of the buffer.
fn put<'b>(buffer: &'b mut [u8], entry: &DirEntry) -> &'b mut [u8] {
    let rest = put_cut(buffer, &header(entry));
    put_cut(rest, entry.name.as_bytes())
}

fn put_cut<'b>(buffer: &'b mut [u8], data: &[u8]) -> &'b mut [u8] {
    let (into, rest) = buffer.split_at_mut(buffer.len().min(data.len()));
    into.copy_from_slice(&data[..into.len()]);
    rest
}

/// What `/dev/fd` lists.
fn own_descriptors(files: &Files, cookie: u64, max: usize) -> Vec<DirEntry> {
    let open = (0..)
        .zip(&files.open)
        .filter(|(_, descriptor)| descriptor.is_some());
    let entry = |(number, _): (u64, _)| DirEntry {
        name: number.to_string().into(),
        node: NodeId(number),
        kind: Kind::Device,
        next: number + 1,
    };
    let behind = open.skip_while(|(number, _)| *number < cookie);
    behind.take(max).map(entry).collect()
}

fn header(entry: &DirEntry) -> [u8; HEADER] {
    let mut raw = [0; HEADER];
    raw[..8].copy_from_slice(&entry.next.to_le_bytes());
    raw[8..16].copy_from_slice(&entry.node.0.to_le_bytes());
    raw[16..20].copy_from_slice(&u32::try_from(entry.name.len()).unwrap_or(0).to_le_bytes());
    raw[20] = filetype(entry.kind);
    raw
}
