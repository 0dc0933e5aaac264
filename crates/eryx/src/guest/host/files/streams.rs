//! Reading and writing at a descriptor's own position, standard streams included.

use wasmtime::{Caller, Linker};

use super::super::errno::number;
use super::super::{Errno, Host, WASI, held_back, parts};
use super::{Descriptor, FLAG_APPEND, Files};
use crate::caps::MAX_IOVECS;
use crate::guest::memory::GuestMemory;
use crate::output::Output;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        WASI,
        "fd_read",
        |mut caller: Caller<'_, Host>, fd: u32, iovecs: u32, count: u32, into: u32| {
            let (mut memory, host) = parts(&mut caller);
            number(reported(&mut memory, into, |memory| {
                read(memory, &mut host.files, fd, iovecs, count)
            }))
        },
    )?;
    linker.func_wrap_async(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, Host>, (fd, iovecs, count, into): (u32, u32, u32, u32)| {
            Box::new(async move {
                if let Some(sink) = streamed_to(caller.data(), fd) {
                    held_back(&mut caller, || sink.ready()).await?;
                }
                let (mut memory, host) = parts(&mut caller);
                let (files, output) = (&mut host.files, &mut host.output);
                Ok(number(reported(&mut memory, into, |memory| {
                    write(memory, files, output, fd, iovecs, count)
                })))
            })
        },
    )?;
    Ok(())
}

/// Runs `step` and writes how many bytes it moved to `into`. That place is looked at first: nothing is moved if it is none.
fn reported<'m>(
    memory: &mut GuestMemory<'m>,
    into: u32,
    step: impl FnOnce(&mut GuestMemory<'m>) -> Result<u32, Errno>,
) -> Result<(), Errno> {
    memory.bytes(into, 4)?;
    let size = step(memory)?;
    Ok(memory.write(into, &size.to_le_bytes())?)
}

fn streamed_to(host: &Host, fd: u32) -> Option<std::sync::Arc<dyn crate::OutputSink>> {
    match host.files.get(fd) {
        Ok(Descriptor::Output(_)) => host.output.sink(),
        _ => None,
    }
}

fn read(
    memory: &mut GuestMemory<'_>,
    files: &mut Files,
    fd: u32,
    iovecs: u32,
    count: u32,
) -> Result<u32, Errno> {
    if let Descriptor::Stdin = files.get(fd)? {
        return each(count, |index| {
            let (at, size) = memory.iovec(iovecs, index)?;
            let into = memory.bytes_mut(at, size)?;
            let rest = &files.stdin[files.stdin_at..];
            let taken = rest.len().min(into.len());
            into[..taken].copy_from_slice(&rest[..taken]);
            files.stdin_at += taken;
            Ok((size, taken))
        });
    }
    if let Descriptor::Output(_) = files.get(fd)? {
        return Err(Errno::Badf);
    }
    let mut offset = files.node(fd)?.offset;
    let total = read_at(memory, files, fd, iovecs, count, &mut offset)?;
    files.node_mut(fd)?.offset = offset;
    Ok(total)
}

/// Reads into the iovecs from `offset`, which moves on.
pub(super) fn read_at(
    memory: &mut GuestMemory<'_>,
    files: &Files,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: &mut u64,
) -> Result<u32, Errno> {
    let node = files.node(fd)?;
    if !node.readable {
        return Err(Errno::Badf);
    }
    let fs = files.namespace.fs(node.at);
    // A device never ends: it fills one buffer, so that what the host does in one call is bounded.
    let endless = fs.device(node.at.node).is_some();
    each(if endless { count.min(1) } else { count }, |index| {
        let (at, size) = memory.iovec(iovecs, index)?;
        let done = fs.read(node.at.node, *offset, memory.bytes_mut(at, size)?)?;
        *offset = offset.saturating_add(done as u64);
        Ok((size, done))
    })
}

fn write(
    memory: &GuestMemory<'_>,
    files: &mut Files,
    output: &mut Output,
    fd: u32,
    iovecs: u32,
    count: u32,
) -> Result<u32, Errno> {
    match files.get(fd)? {
        Descriptor::Stdin => return Err(Errno::Badf),
        Descriptor::Output(stream) => {
            return each(count, |index| {
                let (at, size) = memory.iovec(iovecs, index)?;
                output.write(*stream, memory.bytes(at, size)?);
                Ok((size, size as usize))
            });
        }
        Descriptor::Node(_) => {}
    }
    let mut offset = files.node(fd)?.offset;
    let append = files.node(fd)?.flags & FLAG_APPEND != 0;
    let total = write_at(memory, files, fd, iovecs, count, &mut offset, append)?;
    files.node_mut(fd)?.offset = offset;
    Ok(total)
}

/// Writes the iovecs at `offset`, or at the end; `offset` moves behind what was written.
pub(super) fn write_at(
    memory: &GuestMemory<'_>,
    files: &Files,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: &mut u64,
    append: bool,
) -> Result<u32, Errno> {
    let node = files.node(fd)?;
    if !node.writable {
        return Err(Errno::Badf);
    }
    let fs = files.namespace.fs(node.at);
    each(count, |index| {
        let (at, size) = memory.iovec(iovecs, index)?;
        let data = memory.bytes(at, size)?;
        let done = if append {
            let (end, done) = fs.append(node.at.node, data)?;
            *offset = end;
            done
        } else {
            let done = fs.write(node.at.node, *offset, data)?;
            *offset = offset.saturating_add(done as u64);
            done
        };
        Ok((size, done))
    })
}

/// Runs `step` for each buffer until one comes up short. An error after the first bytes is a short count instead.
fn each(
    count: u32,
    mut step: impl FnMut(u32) -> Result<(u32, usize), Errno>,
) -> Result<u32, Errno> {
    if count > MAX_IOVECS {
        return Err(Errno::Inval);
    }
    let mut total = 0u32;
    for index in 0..count {
        let (size, done) = match step(index) {
            Err(errno) if total == 0 => return Err(errno),
            Err(_) => break,
            Ok(step) => step,
        };
        total = u32::try_from(done)
            .ok()
            .and_then(|done| total.checked_add(done))
            .ok_or(Errno::Inval)?;
        if done < size as usize {
            break;
        }
    }
    Ok(total)
}
