//! `fd_*` calls: one open descriptor.

use eryx_vfs::Metadata;
use wasmtime::Linker;

use super::super::system::wall_clock;
use super::super::{Errno, Host};
use super::{
    Descriptor, FILETYPE_STREAM, FLAG_APPEND, Files, OpenNode, ROOT_FD, filetype, import, streams,
};

const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;
/// Everything; what a descriptor may do is decided by how it was opened.
const ALL_RIGHTS: u64 = (1 << 29) - 1;
const ROOT_NAME: &[u8] = b"/";

#[expect(clippy::too_many_lines, reason = "a flat list of imports")]
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    import!(linker, "fd_close", |_memory, files, fd: u32| files
        .close(fd));
    import!(
        linker,
        "fd_renumber",
        |_memory, files, from: u32, to: u32| files.renumber(from, to)
    );
    import!(
        linker,
        "fd_advise",
        |_memory, files, fd: u32, _offset: u64, _size: u64, _advice: u32| files
            .node(fd)
            .map(|_| ())
    );
    import!(linker, "fd_sync", |_memory, files, fd: u32| files
        .get(fd)
        .map(|_| ()));
    import!(linker, "fd_datasync", |_memory, files, fd: u32| files
        .get(fd)
        .map(|_| ()));
    import!(
        linker,
        "fd_allocate",
        |_memory, files, fd: u32, offset: u64, size: u64| allocate(files, fd, offset, size)
    );
    import!(
        linker,
        "fd_fdstat_get",
        |memory, files, fd: u32, into: u32| Ok(memory.write(into, &fdstat(files, fd)?)?)
    );
    import!(
        linker,
        "fd_fdstat_set_flags",
        |_memory, files, fd: u32, flags: u32| set_flags(files, fd, flags)
    );
    import!(
        linker,
        "fd_filestat_get",
        |memory, files, fd: u32, into: u32| Ok(memory.write(into, &filestat(files, fd)?)?)
    );
    import!(
        linker,
        "fd_filestat_set_size",
        |_memory, files, fd: u32, size: u64| set_size(files, fd, size)
    );
    import!(
        linker,
        "fd_filestat_set_times",
        |_memory, files, fd: u32, accessed: u64, modified: u64, which: u32| {
            let at = files.node(fd)?.at;
            set_times(files, at, accessed, modified, which)
        }
    );
    import!(
        linker,
        "fd_seek",
        |memory, files, fd: u32, offset: i64, whence: u32, into: u32| {
            memory.bytes(into, 8)?;
            let at = seek(files, fd, offset, whence)?;
            Ok(memory.write(into, &at.to_le_bytes())?)
        }
    );
    import!(linker, "fd_tell", |memory, files, fd: u32, into: u32| {
        Ok(memory.write(into, &files.node(fd)?.offset.to_le_bytes())?)
    });
    import!(
        linker,
        "fd_pread",
        |memory, files, fd: u32, iovecs: u32, count: u32, offset: u64, into: u32| {
            let size = streams::read_at(memory, files, fd, iovecs, count, &mut offset.clone())?;
            Ok(memory.write(into, &size.to_le_bytes())?)
        }
    );
    import!(
        linker,
        "fd_pwrite",
        |memory, files, fd: u32, iovecs: u32, count: u32, offset: u64, into: u32| {
            memory.bytes(into, 4)?;
            // As on Linux, where O_APPEND counts for more than the offset.
            let append = files.node(fd)?.flags & FLAG_APPEND != 0;
            let size = streams::write_at(
                memory,
                files,
                fd,
                iovecs,
                count,
                &mut offset.clone(),
                append,
            )?;
            Ok(memory.write(into, &size.to_le_bytes())?)
        }
    );
    import!(
        linker,
        "fd_prestat_get",
        |memory, _files, fd: u32, into: u32| {
            let size = u32::try_from(ROOT_NAME.len()).map_err(|_| Errno::Inval)?;
            root_only(fd)?;
            memory.write(into, &[0; 4])?;
            Ok(memory.write(
                into.checked_add(4).ok_or(Errno::Fault)?,
                &size.to_le_bytes(),
            )?)
        }
    );
    import!(
        linker,
        "fd_prestat_dir_name",
        |memory, _files, fd: u32, into: u32, size: u32| {
            root_only(fd)?;
            if (size as usize) < ROOT_NAME.len() {
                return Err(Errno::Nametoolong);
            }
            Ok(memory.write(into, ROOT_NAME)?)
        }
    );
    Ok(())
}

fn root_only(fd: u32) -> Result<(), Errno> {
    if fd == ROOT_FD {
        Ok(())
    } else {
        Err(Errno::Badf)
    }
}

/// Makes the file at least `offset + size` long; the new part is a hole.
fn allocate(files: &Files, fd: u32, offset: u64, size: u64) -> Result<(), Errno> {
    let node = writable(files, fd)?;
    let end = offset.checked_add(size).ok_or(Errno::Fbig)?;
    if files.metadata(node.at)?.size < end {
        files.namespace.fs(node.at).set_len(node.at.node, end)?;
    }
    Ok(())
}

fn writable(files: &Files, fd: u32) -> Result<&OpenNode, Errno> {
    let node = files.node(fd)?;
    if node.writable {
        Ok(node)
    } else {
        Err(Errno::Inval)
    }
}

fn set_size(files: &Files, fd: u32, size: u64) -> Result<(), Errno> {
    let node = writable(files, fd)?;
    Ok(files.namespace.fs(node.at).set_len(node.at.node, size)?)
}

fn set_flags(files: &mut Files, fd: u32, flags: u32) -> Result<(), Errno> {
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    match files.node_mut(fd) {
        Ok(node) => node.flags = flags,
        // A stream has no mode worth keeping: it never blocks.
        Err(Errno::Spipe) => {}
        Err(errno) => return Err(errno),
    }
    Ok(())
}

/// `fdstat`: type, flags, rights.
fn fdstat(files: &Files, fd: u32) -> Result<[u8; 24], Errno> {
    let (kind, flags, rights) = match files.get(fd)? {
        // With the right to seek, libc's isatty says no.
        Descriptor::Stdin => (FILETYPE_STREAM, 0, ALL_RIGHTS & !RIGHT_WRITE),
        Descriptor::Output(_) => (FILETYPE_STREAM, 0, ALL_RIGHTS & !RIGHT_READ),
        Descriptor::Node(node) => {
            let read = if node.readable { 0 } else { RIGHT_READ };
            let write = if node.writable { 0 } else { RIGHT_WRITE };
            (
                filetype(files.metadata(node.at)?.kind),
                node.flags,
                ALL_RIGHTS & !read & !write,
            )
        }
    };
    let mut raw = [0; 24];
    raw[0] = kind;
    raw[2..4].copy_from_slice(&flags.to_le_bytes());
    raw[8..16].copy_from_slice(&rights.to_le_bytes());
    raw[16..24].copy_from_slice(&ALL_RIGHTS.to_le_bytes());
    Ok(raw)
}

fn filestat(files: &Files, fd: u32) -> Result<[u8; 64], Errno> {
    match files.get(fd)? {
        Descriptor::Node(node) => Ok(filestat_of(
            files.namespace.device(node.at),
            &files.metadata(node.at)?,
        )),
        Descriptor::Stdin | Descriptor::Output(_) => {
            let mut raw = [0; 64];
            raw[16] = FILETYPE_STREAM;
            raw[24] = 1;
            Ok(raw)
        }
    }
}

/// `filestat`: device, inode, type, links, size, three times.
pub(super) fn filestat_of(device: u64, metadata: &Metadata) -> [u8; 64] {
    let mut raw = [0; 64];
    let numbers = [
        (0, device),
        (8, metadata.node.0),
        (16, u64::from(filetype(metadata.kind))),
        (24, metadata.links),
        (32, metadata.size),
        (40, metadata.accessed),
        (48, metadata.modified),
        (56, metadata.changed),
    ];
    for (at, number) in numbers {
        raw[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    raw
}

fn seek(files: &mut Files, fd: u32, offset: i64, whence: u32) -> Result<u64, Errno> {
    let node = files.node(fd)?;
    let base = match whence {
        0 => 0,
        1 => node.offset,
        2 => files.metadata(node.at)?.size,
        _ => return Err(Errno::Inval),
    };
    let at = base
        .checked_add_signed(offset)
        .filter(|&at| i64::try_from(at).is_ok())
        .ok_or(Errno::Inval)?;
    files.node_mut(fd)?.offset = at;
    Ok(at)
}

const SET_ACCESSED: u32 = 1;
const SET_ACCESSED_NOW: u32 = 2;
const SET_MODIFIED: u32 = 4;
const SET_MODIFIED_NOW: u32 = 8;

pub(super) fn set_times(
    files: &Files,
    at: eryx_vfs::Location,
    accessed: u64,
    modified: u64,
    which: u32,
) -> Result<(), Errno> {
    let pick = |given: u32, now: u32, time: u64| match (which & given != 0, which & now != 0) {
        (true, true) => Err(Errno::Inval),
        (true, false) => Ok(Some(time)),
        (false, true) => Ok(Some(unix_nanoseconds())),
        (false, false) => Ok(None),
    };
    let accessed = pick(SET_ACCESSED, SET_ACCESSED_NOW, accessed)?;
    let modified = pick(SET_MODIFIED, SET_MODIFIED_NOW, modified)?;
    Ok(files
        .namespace
        .fs(at)
        .set_times(at.node, accessed, modified)?)
}

fn unix_nanoseconds() -> u64 {
    u64::try_from(wall_clock().as_nanos()).unwrap_or(u64::MAX)
}
