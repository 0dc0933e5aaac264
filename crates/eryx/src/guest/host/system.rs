//! WASI without files: clocks, random numbers, environment, waiting, exit.

use std::time::{Duration, Instant, SystemTime};

use wasmtime::{Caller, Linker};

use super::errno::number;
use super::{Errno, Host, WASI, Wake, parts, wait};
use crate::caps::{MAX_RANDOM, MAX_SUBSCRIPTIONS};
use crate::guest::memory::GuestMemory;

/// Clocks tick in steps of so many nanoseconds.
const CLOCK_RESOLUTION: u64 = 1000;

/// The guest left through `proc_exit`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the guest exited with code {0}")]
pub(crate) struct Exit(pub(crate) i32);

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        WASI,
        "clock_res_get",
        |mut caller: Caller<'_, Host>, clock: u32, into: u32| {
            number(clock_resolution(&mut parts(&mut caller).0, clock, into))
        },
    )?;
    linker.func_wrap(
        WASI,
        "clock_time_get",
        |mut caller: Caller<'_, Host>, clock: u32, _: u64, into: u32| {
            let (mut memory, host) = parts(&mut caller);
            number(clock_time(&mut memory, host, clock, into))
        },
    )?;
    linker.func_wrap(
        WASI,
        "random_get",
        |mut caller: Caller<'_, Host>, at: u32, size: u32| {
            let (mut memory, host) = parts(&mut caller);
            number(random(&mut memory, host, at, size))
        },
    )?;
    // The environment is set through the request: os.environ of a run is its own.
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut caller: Caller<'_, Host>, count: u32, size: u32| {
            number(no_environment(&mut parts(&mut caller).0, count, size))
        },
    )?;
    linker.func_wrap(WASI, "environ_get", |_: u32, _: u32| 0)?;
    linker.func_wrap(WASI, "sched_yield", || 0)?;
    linker.func_wrap(WASI, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(Exit(code).into())
    })?;
    for (name, parameters) in [
        ("sock_accept", 3),
        ("sock_recv", 6),
        ("sock_send", 5),
        ("sock_shutdown", 2),
    ] {
        refuse(linker, name, parameters)?;
    }
    linker
        .func_wrap_async(
            WASI,
            "poll_oneoff",
            |mut caller: Caller<'_, Host>,
             (subscriptions, events, count, into): (u32, u32, u32, u32)| {
                Box::new(async move {
                    poll(&mut caller, subscriptions, events, count, into)
                        .await
                        .map(number)
                })
            },
        )
        .map(|_| ())
}

/// No file descriptor of a guest is a socket.
fn refuse(linker: &mut Linker<Host>, name: &str, parameters: usize) -> wasmtime::Result<()> {
    use wasmtime::{FuncType, Val, ValType};
    let parameters = std::iter::repeat_n(ValType::I32, parameters);
    let kind = FuncType::new(linker.engine(), parameters, [ValType::I32]);
    linker.func_new(WASI, name, kind, |_, _, results| {
        results[0] = Val::I32(Errno::Notsock as i32);
        Ok(())
    })?;
    Ok(())
}

fn clock_resolution(memory: &mut GuestMemory<'_>, clock: u32, into: u32) -> Result<(), Errno> {
    if clock > 3 {
        return Err(Errno::Inval);
    }
    Ok(memory.write(into, &CLOCK_RESOLUTION.to_le_bytes())?)
}

fn clock_time(
    memory: &mut GuestMemory<'_>,
    host: &Host,
    clock: u32,
    into: u32,
) -> Result<(), Errno> {
    let elapsed = match clock {
        0..=3 if host.frozen => Duration::ZERO,
        0 => wall_clock(),
        1..=3 => host.started.elapsed(),
        _ => return Err(Errno::Inval),
    };
    let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    Ok(memory.write(
        into,
        &(nanoseconds - nanoseconds % CLOCK_RESOLUTION).to_le_bytes(),
    )?)
}

/// Time since 1970.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

fn random(memory: &mut GuestMemory<'_>, host: &Host, at: u32, size: u32) -> Result<(), Errno> {
    if size > MAX_RANDOM {
        return Err(Errno::Inval);
    }
    let into = memory.bytes_mut(at, size)?;
    if host.frozen {
        into.fill(0);
        return Ok(());
    }
    getrandom::fill(into).map_err(|_| Errno::Notsup)
}

fn no_environment(memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Result<(), Errno> {
    memory.write(count, &[0; 4])?;
    Ok(memory.write(size, &[0; 4])?)
}

const SUBSCRIPTION_SIZE: u32 = 48;
const EVENT_SIZE: u32 = 32;
const EVENT_CLOCK: u8 = 0;
const CLOCK_ABSOLUTE: u16 = 1;

/// One `subscription`.
struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    /// For a clock, when it is due.
    due: Option<Instant>,
    /// What its event says: libc's `poll` makes POLLNVAL of a descriptor that is not open.
    errno: Errno,
}

/// Files and standard streams never block, so anything but clocks is ready at once.
async fn poll(
    caller: &mut Caller<'_, Host>,
    subscriptions: u32,
    events: u32,
    count: u32,
    into: u32,
) -> wasmtime::Result<Result<(), Errno>> {
    let list = {
        let (memory, host) = parts(caller);
        match read_subscriptions(&memory, host, subscriptions, count) {
            Ok(list) => list,
            Err(errno) => return Ok(Err(errno)),
        }
    };
    let all_clocks = list
        .iter()
        .all(|subscription| subscription.kind == EVENT_CLOCK);
    let first = list
        .iter()
        .filter_map(|subscription| subscription.due)
        .min();
    // A wait that is cut short counts as over: libc knows no other way to end it, and Python then meets its signal.
    let over = all_clocks && !wait(caller, first, Wake::Never).await?;
    let now = Instant::now();
    let ready = list.iter().filter(|subscription| match subscription.due {
        Some(due) => over || due <= now,
        None => over || subscription.kind != EVENT_CLOCK,
    });
    Ok(write_events(&mut parts(caller).0, ready, events, into))
}

fn read_subscriptions(
    memory: &GuestMemory<'_>,
    host: &Host,
    at: u32,
    count: u32,
) -> Result<Vec<Subscription>, Errno> {
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval);
    }
    (0..count)
        .map(|index| {
            let at = at
                .checked_add(index * SUBSCRIPTION_SIZE)
                .ok_or(Errno::Fault)?;
            let raw: [u8; SUBSCRIPTION_SIZE as usize] = memory.array(at)?;
            let userdata = *raw.first_chunk().expect("48 bytes");
            let kind = raw[8];
            Ok(Subscription {
                userdata,
                kind,
                due: if kind == EVENT_CLOCK {
                    due(&raw, host)?
                } else {
                    None
                },
                errno: if kind == EVENT_CLOCK || host.files.is_open(descriptor(&raw)) {
                    Errno::Success
                } else {
                    Errno::Badf
                },
            })
        })
        .collect()
}

/// Of a subscription that is not for a clock.
fn descriptor(raw: &[u8; SUBSCRIPTION_SIZE as usize]) -> u32 {
    u32::from_le_bytes(*raw[16..].first_chunk().expect("48 bytes"))
}

/// When a clock subscription is due. `None`: later than the host's clock can say.
fn due(raw: &[u8; SUBSCRIPTION_SIZE as usize], host: &Host) -> Result<Option<Instant>, Errno> {
    let clock = u32::from_le_bytes(*raw[16..].first_chunk().expect("48 bytes"));
    let timeout = Duration::from_nanos(u64::from_le_bytes(
        *raw[24..].first_chunk().expect("48 bytes"),
    ));
    let flags = u16::from_le_bytes(*raw[40..].first_chunk().expect("48 bytes"));
    let now = Instant::now();
    if flags & CLOCK_ABSOLUTE == 0 {
        return Ok(now.checked_add(timeout));
    }
    match clock {
        0 => Ok(now.checked_add(timeout.saturating_sub(wall_clock()))),
        1 => Ok(host.started.checked_add(timeout)),
        _ => Err(Errno::Inval),
    }
}

fn write_events<'a>(
    memory: &mut GuestMemory<'_>,
    ready: impl Iterator<Item = &'a Subscription>,
    events: u32,
    into: u32,
) -> Result<(), Errno> {
    let mut written = 0u32;
    for subscription in ready {
        let mut event = [0u8; EVENT_SIZE as usize];
        event[..8].copy_from_slice(&subscription.userdata);
        event[8..10].copy_from_slice(&(subscription.errno as u16).to_le_bytes());
        event[10] = subscription.kind;
        memory.write(
            events
                .checked_add(written * EVENT_SIZE)
                .ok_or(Errno::Fault)?,
            &event,
        )?;
        written += 1;
    }
    Ok(memory.write(into, &written.to_le_bytes())?)
}
