//! `fd_readdir`.

use eryx_vfs::{Device, DirEntry, Kind, NodeId};
use wasmtime::{Caller, Linker};

use super::super::errno::number;
use super::super::{Errno, Host, WASI, parts};
use super::{Files, filetype};
use crate::guest_memory::GuestMemory;

/// Bytes of a `dirent`; the name follows.
const HEADER: usize = 24;
/// Cookies of the entries "." and ".."; those of the file system come after them.
const DOTS: u64 = 2;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
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
    let node = files.node(fd)?;
    let buffer = memory.bytes_mut(at, size)?;
    // More entries than fit are never asked for.
    let max = buffer.len() / HEADER + 1;
    let mut entries = Vec::new();
    for (index, name) in [".", ".."]
        .into_iter()
        .enumerate()
        .skip(usize::try_from(cookie).unwrap_or(usize::MAX))
    {
        entries.push(DirEntry {
            name: name.into(),
            node: NodeId(0),
            kind: Kind::Directory,
            next: index as u64 + 1,
        });
    }
    let (fs, behind) = (files.namespace.fs(node.at), cookie.saturating_sub(DOTS));
    let inner = if fs.device(node.at.node) == Some(Device::Descriptors) {
        own_descriptors(files, behind, max)
    } else {
        fs.read_dir(node.at.node, behind, max)?
    };
    entries.extend(inner.into_iter().map(|entry| DirEntry {
        next: entry.next.saturating_add(DOTS),
        ..entry
    }));
    let mut used = 0;
    for entry in entries {
        used += copy_cut(&mut buffer[used..], &header(&entry));
        used += copy_cut(&mut buffer[used..], entry.name.as_bytes());
    }
    Ok(memory.write(into, &u32::try_from(used).unwrap_or(size).to_le_bytes())?)
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

fn copy_cut(into: &mut [u8], data: &[u8]) -> usize {
    let size = into.len().min(data.len());
    into[..size].copy_from_slice(&data[..size]);
    size
}
