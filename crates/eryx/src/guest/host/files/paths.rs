//! `path_*` calls. The namespace walks the path; nothing in it leaves the guest's own tree.

use std::sync::Arc;

use eryx_vfs::{Device, Location, MAX_PATH, OpenHow};
use wasmtime::Linker;

use super::super::{Errno, Host};
use super::descriptors::{filestat_of, set_times};
use super::{Descriptor, Files, OpenNode, import};
use crate::guest::memory::GuestMemory;

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
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
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
            let at = files.behind(resolve(memory, files, fd, flags, (path, size))?)?;
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
            // What can be refused is refused before a file is made or cut.
            memory.bytes(into, 4)?;
            let free = files.free()?;
            let opened = open(memory, files, fd, lookup, (path, size), how, rights, flags)?;
            files.occupy(free, opened);
            Ok(memory.write(into, &free.to_le_bytes())?)
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
) -> Result<Descriptor, Errno> {
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    let directory = files.node(fd).map_err(|_| Errno::Notdir);
    let start = files.start(fd)?;
    let path = text(memory, path)?;
    let how = OpenHow {
        write: rights & RIGHT_WRITE != 0,
        follow: lookup & LOOKUP_FOLLOW != 0,
        create: how & OPEN_CREATE != 0,
        exclusive: how & OPEN_EXCLUSIVE != 0,
        truncate: how & OPEN_TRUNCATE != 0,
        directory: how & OPEN_DIRECTORY != 0,
    };
    let readable = rights & (RIGHT_READ | RIGHT_READ_DIRECTORY) != 0;
    let mut whole = joined(&directory?.path, path);
    // Cut when it is known that the file can be used, which is known only when it is open.
    let opening = OpenHow {
        truncate: false,
        ..how
    };
    let mut at = files.namespace.open(start, path, opening)?;
    let fs = files.namespace.fs(at);
    if let Some(Device::Descriptor(number)) = fs.device(at.node) {
        // A name of a descriptor of the caller's own: what that leads to is opened in its place.
        fs.closed(at.node);
        match files.get(number).map_err(|_| Errno::Noent)? {
            Descriptor::Node(node) => (at, whole) = (node.at, Arc::clone(&node.path)),
            _ if how.directory => return Err(Errno::Notdir),
            stream => return again(stream, readable, how.write),
        }
        files.namespace.open_node(at, opening)?;
    }
    files.ready(at, how.truncate)?;
    Ok(Descriptor::Node(OpenNode {
        at,
        offset: 0,
        flags,
        readable,
        writable: how.write,
        path: whole,
        revoked: false,
    }))
}

/// A standard stream once more, which goes one way only.
fn again(stream: &Descriptor, readable: bool, writable: bool) -> Result<Descriptor, Errno> {
    match stream {
        Descriptor::Stdin if writable => Err(Errno::Acces),
        Descriptor::Output(_) if readable => Err(Errno::Acces),
        stream => Ok(stream.clone()),
    }
}

/// An absolute path, for opening the same file again: without `.`, but not simplified further, because of links. Empty if it
/// is longer than a path may be.
fn joined(directory: &str, path: &str) -> Arc<str> {
    let above = if path.starts_with('/') { "" } else { directory };
    let mut whole = String::with_capacity(above.len() + path.len() + 1);
    let parts = above.split('/').chain(path.split('/'));
    for part in parts.filter(|part| !matches!(*part, "" | ".")) {
        whole.push('/');
        whole.push_str(part);
    }
    match whole.len() {
        _ if directory.is_empty() && !path.starts_with('/') => "".into(),
        0 => "/".into(),
        size if size > MAX_PATH => "".into(),
        _ => whole.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PATH, joined};

    #[test]
    fn paths_of_open_files_do_not_grow_beyond_what_can_be_opened() {
        for (directory, path, expected) in [
            ("/", "a", "/a"),
            ("/a", "./b//c/.", "/a/b/c"),
            ("/a", "/b", "/b"),
            ("/a", "../b", "/a/../b"),
            ("/", ".", "/"),
            ("", "a", ""),
            ("", "/a", "/a"),
        ] {
            assert_eq!(&*joined(directory, path), expected, "{directory} {path}");
        }
        let mut path = joined("/", "a");
        for _ in 0..MAX_PATH {
            path = joined(&path, "./././..");
            assert!(path.len() <= MAX_PATH);
        }
        assert_eq!(&*path, "");
    }
}
