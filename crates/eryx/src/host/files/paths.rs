//! `path_*` calls. The namespace walks the path; nothing in it leaves the guest's own tree.

use std::sync::Arc;

use eryx_vfs::{Kind, Location, MAX_PATH};
use wasmtime::Linker;

use super::super::{Errno, Host};
use super::descriptors::{filestat_of, set_times};
use super::{Files, OpenNode, import};
use crate::guest_memory::GuestMemory;

const LOOKUP_FOLLOW: u32 = 1;
const OPEN_CREATE: u32 = 1;
const OPEN_DIRECTORY: u32 = 2;
const OPEN_EXCLUSIVE: u32 = 4;
const OPEN_TRUNCATE: u32 = 8;
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;
const RIGHT_READ_DIRECTORY: u64 = 1 << 14;

/// A (pointer, length) pair that should be a path.
type Text = (u32, u32);

#[expect(clippy::too_many_lines, reason = "a flat list of imports")]
pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    import!(
        linker,
        "path_create_directory",
        |memory, files, fd: u32, path: u32, size: u32| {
            files
                .namespace
                .create_dir(files.start(fd)?, text(memory, (path, size))?)?;
            Ok(())
        }
    );
    import!(
        linker,
        "path_unlink_file",
        |memory, files, fd: u32, path: u32, size: u32| {
            let (start, path) = (files.start(fd)?, text(memory, (path, size))?);
            files.check_unlink(start, path)?;
            Ok(files.namespace.unlink(start, path)?)
        }
    );
    import!(
        linker,
        "path_remove_directory",
        |memory, files, fd: u32, path: u32, size: u32| {
            Ok(files
                .namespace
                .remove_dir(files.start(fd)?, text(memory, (path, size))?)?)
        }
    );
    import!(
        linker,
        "path_filestat_get",
        |memory, files, fd: u32, flags: u32, path: u32, size: u32, into: u32| {
            let at = resolve(memory, files, fd, flags, (path, size))?;
            let raw = filestat_of(files.namespace.device(at), &files.metadata(at)?);
            Ok(memory.write(into, &raw)?)
        }
    );
    import!(
        linker,
        "path_filestat_set_times",
        |memory,
         files,
         fd: u32,
         flags: u32,
         path: u32,
         size: u32,
         accessed: u64,
         modified: u64,
         which: u32| {
            let at = resolve(memory, files, fd, flags, (path, size))?;
            set_times(files, at, accessed, modified, which)
        }
    );
    import!(
        linker,
        "path_link",
        |memory,
         files,
         from: u32,
         flags: u32,
         old: u32,
         old_size: u32,
         to: u32,
         new: u32,
         new_size: u32| {
            let at = resolve(memory, files, from, flags, (old, old_size))?;
            Ok(files
                .namespace
                .hard_link(at, files.start(to)?, text(memory, (new, new_size))?)?)
        }
    );
    import!(
        linker,
        "path_symlink",
        |memory, files, target: u32, target_size: u32, fd: u32, path: u32, size: u32| {
            let target = text(memory, (target, target_size))?;
            files.namespace.create_symlink(
                target,
                files.start(fd)?,
                text(memory, (path, size))?,
            )?;
            Ok(())
        }
    );
    import!(
        linker,
        "path_readlink",
        |memory, files, fd: u32, path: u32, size: u32, at: u32, room: u32, into: u32| {
            let link = resolve(memory, files, fd, 0, (path, size))?;
            let target = files.namespace.fs(link).read_link(link.node)?;
            let cut = target.len().min(room as usize);
            memory.write(at, &target.as_bytes()[..cut])?;
            Ok(memory.write(into, &u32::try_from(cut).unwrap_or(room).to_le_bytes())?)
        }
    );
    import!(
        linker,
        "path_rename",
        |memory, files, from: u32, old: u32, old_size: u32, to: u32, new: u32, new_size: u32| {
            let (from, old) = (files.start(from)?, text(memory, (old, old_size))?);
            let (to, new) = (files.start(to)?, text(memory, (new, new_size))?);
            Ok(files.namespace.rename(from, old, to, new)?)
        }
    );
    import!(
        linker,
        "path_open",
        |memory,
         files,
         fd: u32,
         lookup: u32,
         path: u32,
         size: u32,
         how: u32,
         rights: u64,
         _more: u64,
         flags: u32,
         into: u32| {
            let node = open(memory, files, fd, lookup, (path, size), how, rights, flags)?;
            let fd = files.insert(node)?;
            Ok(memory.write(into, &fd.to_le_bytes())?)
        }
    );
    Ok(())
}

fn text<'m>(memory: &'m GuestMemory<'_>, (at, size): Text) -> Result<&'m str, Errno> {
    if size as usize > MAX_PATH {
        return Err(Errno::Nametoolong);
    }
    memory.text(at, size)?.ok_or(Errno::Ilseq)
}

fn resolve(
    memory: &GuestMemory<'_>,
    files: &Files,
    fd: u32,
    flags: u32,
    path: Text,
) -> Result<Location, Errno> {
    let follow = flags & LOOKUP_FOLLOW != 0;
    Ok(files
        .namespace
        .resolve(files.start(fd)?, text(memory, path)?, follow)?)
}

#[expect(clippy::too_many_arguments, reason = "the parameters of path_open")]
fn open(
    memory: &GuestMemory<'_>,
    files: &Files,
    fd: u32,
    lookup: u32,
    path: Text,
    how: u32,
    rights: u64,
    flags: u32,
) -> Result<OpenNode, Errno> {
    let start = files.start(fd)?;
    let follow = lookup & LOOKUP_FOLLOW != 0;
    let path = text(memory, path)?;
    let writable = rights & RIGHT_WRITE != 0;
    let namespace = &files.namespace;
    let at = match (how & OPEN_CREATE != 0, how & OPEN_EXCLUSIVE != 0) {
        (true, true) => namespace.create_file(start, path)?,
        (true, false) if follow => namespace.open_or_create(start, path)?.0,
        (true, false) => match namespace.resolve(start, path, false) {
            Err(eryx_vfs::Error::NotFound) => namespace.create_file(start, path)?,
            found => found?,
        },
        (false, _) => namespace.resolve(start, path, follow)?,
    };
    check_kind(files.metadata(at)?.kind, how, writable)?;
    if how & OPEN_TRUNCATE != 0 {
        namespace.fs(at).set_len(at.node, 0)?;
    }
    let readable = rights & (RIGHT_READ | RIGHT_READ_DIRECTORY) != 0;
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if writable && namespace.fs(at).is_read_only() {
        return Err(Errno::Rofs);
    }
    Ok(OpenNode {
        at,
        offset: 0,
        flags,
        readable,
        writable,
        path: joined(&files.node(fd)?.path, path),
        revoked: false,
    })
}

/// An absolute path, not simplified: for opening the same file again.
fn joined(directory: &str, path: &str) -> Arc<str> {
    if path.starts_with('/') {
        path.into()
    } else {
        format!("{}/{path}", directory.trim_end_matches('/')).into()
    }
}

fn check_kind(kind: Kind, how: u32, writable: bool) -> Result<(), Errno> {
    match kind {
        Kind::Symlink => Err(Errno::Loop),
        Kind::Directory if writable || how & (OPEN_CREATE | OPEN_TRUNCATE) != 0 => {
            Err(Errno::Isdir)
        }
        Kind::File if how & OPEN_DIRECTORY != 0 => Err(Errno::Notdir),
        Kind::File | Kind::Directory => Ok(()),
    }
}
