//! What a guest can reach: one file per family of imports.

mod calls;
mod computing;
mod deliver;
mod errno;
pub(crate) mod files;
pub(crate) mod system;
mod trace;

/// Import module of the functions that libc calls.
const WASI: &str = "wasi_snapshot_preview1";

use std::sync::Arc;
use std::time::Instant;

use eryx_vfs::{MemoryFs, Namespace};
use wasmtime::{Caller, Linker, Memory, ResourceLimiter};

pub(crate) use calls::{Calls, Open, Timeouts};
use computing::Computing;
pub(crate) use deliver::Delivered;
pub(crate) use errno::Errno;
use files::Files;

use crate::caps::MAX_TABLE_ELEMENTS;
use crate::guest::interrupt::{Interrupt, Verdict};
use crate::guest::memory::GuestMemory;
use crate::manifest::InterruptWord;
use crate::output::Output;
use eryx_memory::{Brake, Order};

/// The state of one run, as the imports see it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) memory: Option<Memory>,
    pub(crate) files: Files,
    pub(crate) output: Output,
    pub(crate) delivered: Delivered,
    pub(crate) calls: Calls,
    pub(crate) interrupt: Interrupt,
    pub(crate) limits: Growth,
    /// The monotonic clock counts from here.
    pub(crate) started: Instant,
    pub(crate) frozen: bool,
    /// The interpreter goes on living when the run has ended.
    pub(crate) lasting: bool,
    /// Whether something is to be done before the interpreter goes, if the guest has told.
    pub(crate) unfinished: Option<bool>,
    /// The guest computes. `None` while it waits, with an empty stack or below an import.
    computing: Option<Computing>,
    interrupt_words: Arc<[InterruptWord]>,
    /// Stops the guest while it computes. `None`: nothing does.
    pub(crate) brake: Option<Arc<Brake>>,
}

/// Limits of what the guest can make grow inside wasmtime.
#[derive(Debug)]
pub(crate) struct Growth {
    pub(crate) max_memory: usize,
}

impl ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.max_memory)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

/// What one run brings with it.
pub(crate) struct RunState {
    /// `None`: the guest keeps its files and its clock.
    pub(crate) files: Option<Namespace>,
    pub(crate) stdin: Arc<[u8]>,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
    pub(crate) calls: Calls,
    pub(crate) max_memory: usize,
    /// Clocks stand still and random numbers are zeros. For making images: the same inputs give the same bytes.
    pub(crate) frozen: bool,
}

/// The guest was cut off: [`Interrupt::error`] says why.
#[derive(Debug, thiserror::Error)]
#[error("the run was cut off")]
pub(crate) struct CutOff;

impl Host {
    pub(crate) fn new(mut run: RunState, interrupt_words: Arc<[InterruptWord]>) -> Self {
        let nowhere = || Namespace::new(Arc::new(MemoryFs::new(0)));
        let files = run.files.take().unwrap_or_else(nowhere);
        Self {
            memory: None,
            files: Files::new(files, run.stdin),
            output: run.output,
            delivered: Delivered::default(),
            interrupt: run.interrupt,
            calls: run.calls,
            limits: Growth {
                max_memory: run.max_memory,
            },
            started: Instant::now(),
            frozen: run.frozen,
            lasting: false,
            unfinished: None,
            computing: None,
            interrupt_words,
            brake: None,
        }
    }

    /// Replaces everything that belongs to a run.
    pub(crate) fn begin(&mut self, mut run: RunState) {
        self.lasting = run.files.is_none();
        self.unfinished = None;
        match run.files.take() {
            Some(namespace) => {
                self.files = Files::new(namespace, run.stdin);
                self.started = Instant::now();
            }
            None => self.files.set_stdin(run.stdin),
        }
        self.output = run.output;
        self.delivered = Delivered::default();
        self.interrupt = run.interrupt;
        self.calls = run.calls;
        self.limits.max_memory = run.max_memory;
        self.frozen = run.frozen;
    }

    /// Lets go of what belonged to a run that has ended: handlers, answers, what was delivered. The files stay.
    pub(crate) fn end_run(&mut self) {
        self.output = Output::new(Some(0), None);
        self.delivered = Delivered::default();
        self.interrupt = Interrupt::never();
        self.calls = Calls::default();
    }

    /// The same, and closes everything: a guest that waits for its next run holds nothing of the host's.
    pub(crate) fn release(&mut self) {
        self.end_run();
        self.files = Files::none();
    }

    /// Gives a guest files of its own and a clock that counts from `started`.
    pub(crate) fn settle(&mut self, files: Files, started: Instant) {
        self.files = files;
        self.started = started;
    }

    /// Whether a wait until then is over. Ends calls that have taken too long.
    pub(crate) fn is_over(&mut self, until: Option<Instant>) -> bool {
        self.calls.expire();
        until.is_some_and(|until| Instant::now() >= until)
    }

    /// What is to be done with the guest now, by its own thread.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.brake.as_ref().and_then(|brake| brake.take()) {
            Some(Order::Ask) => Verdict::Ask,
            Some(Order::Cut) => Verdict::Cut,
            None => self.interrupt.check(),
        }
    }

    /// Waits until `until`, or until [`Host::verdict`] is to be looked at.
    async fn wait(&self, until: Option<Instant>) {
        self.interrupt.wait(self.brake.as_deref(), until).await;
    }

    /// A call was made: it may take too long while the guest goes on to compute.
    fn watch_timeouts(&self) {
        if let (Some(active), Some(timeouts)) = (&self.computing, self.calls.timeouts()) {
            active.expect_late(timeouts);
        }
    }

    /// The guest computes from now on, or does not any more.
    pub(crate) fn set_computing(&mut self, computes: bool) {
        if computes != self.computing.is_some() {
            let brake = self.brake.as_ref().filter(|_| computes);
            self.computing =
                brake.map(|brake| Computing::start(&self.interrupt, brake, self.calls.timeouts()));
        }
    }

    /// Awaits `wait`, during which the guest does not compute.
    async fn while_waiting<T>(&mut self, wait: impl AsyncFnOnce(&Self) -> T) -> T {
        let computes = self.computing.take().is_some();
        let waited = wait(self).await;
        self.set_computing(computes);
        waited
    }

    /// Sleeps until `until`, an answer, or something else that must be looked at.
    pub(crate) async fn sleep(&mut self, until: Option<Instant>) {
        let until = until.into_iter().chain(self.calls.next_deadline()).min();
        self.while_waiting(async |host| {
            tokio::select! {
                () = host.wait(until) => {}
                () = host.calls.mailbox().arrived() => {}
            }
        })
        .await;
    }
}

/// The bytes and the state of the guest that called.
fn parts<'a>(caller: &'a mut Caller<'_, Host>) -> (GuestMemory<'a>, &'a mut Host) {
    let memory = caller
        .data()
        .memory
        .expect("set before any guest code runs");
    let (bytes, host) = memory.data_and_store_mut(caller);
    (GuestMemory::new(bytes), host)
}

/// Applies the interrupt state to a guest in the middle of a run. `true`: it was asked to end just now.
pub(crate) fn apply_interrupt(
    mut store: impl wasmtime::AsContextMut<Data = Host>,
) -> wasmtime::Result<bool> {
    let mut context = store.as_context_mut();
    match context.data().verdict() {
        Verdict::Continue => Ok(false),
        Verdict::Cut => Err(CutOff.into()),
        Verdict::Ask => {
            let memory = context
                .data()
                .memory
                .expect("set before any guest code runs");
            let (bytes, host) = memory.data_and_store_mut(&mut context);
            trip_signal(bytes, &host.interrupt_words);
            Ok(true)
        }
    }
}

/// Sets the words that `PyErr_SetInterruptEx` sets, as the builder learned them.
fn trip_signal(bytes: &mut [u8], words: &[InterruptWord]) {
    let mut memory = GuestMemory::new(bytes);
    for word in words {
        // An address outside cannot be: the manifest is checked when it is loaded. The guest would only not be asked.
        if let Ok(old) = memory.u32(word.address) {
            let _ = memory.write(word.address, &(old | word.bits).to_le_bytes());
        }
    }
}

/// Takes the words back. A run may have ended after it was asked to and before it looked; what comes next was asked nothing.
pub(crate) fn untrip_signal(mut store: impl wasmtime::AsContextMut<Data = Host>) {
    let mut context = store.as_context_mut();
    let memory = context
        .data()
        .memory
        .expect("set before any guest code runs");
    let (bytes, host) = memory.data_and_store_mut(&mut context);
    let mut memory = GuestMemory::new(bytes);
    for word in host.interrupt_words.iter() {
        if let Ok(old) = memory.u32(word.address)
            && old & word.bits != 0
        {
            let _ = memory.write(word.address, &(old & !word.bits).to_le_bytes());
        }
    }
}

/// What ends a wait besides its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Nothing.
    Never,
    /// An answer to one of the guest's calls.
    OnAnswer,
}

/// Waits on behalf of the guest, holding no thread. `false`: the wait was cut short because the run is to end.
async fn wait(
    caller: &mut Caller<'_, Host>,
    until: Option<Instant>,
    wake: Wake,
) -> wasmtime::Result<bool> {
    loop {
        if apply_interrupt(&mut *caller)? {
            return Ok(false);
        }
        let host = caller.data_mut();
        if wake == Wake::OnAnswer {
            // A loop waits for it with a stack that is not empty: there is nothing that a checkpoint could be made of.
            host.calls.refuse_suspension();
        }
        if host.is_over(until) || (wake == Wake::OnAnswer && host.calls.has_answers()) {
            return Ok(true);
        }
        host.sleep(until).await;
    }
}

/// Holds the guest back until `ready` resolves, or the run is to end. Calls in flight time out meanwhile.
async fn held_back<R: Future<Output = ()>>(
    caller: &mut Caller<'_, Host>,
    ready: impl Fn() -> R,
) -> wasmtime::Result<()> {
    loop {
        let host = caller.data_mut();
        host.calls.expire();
        let has_room = host.while_waiting(async |host| {
            tokio::select! {
                biased;
                () = ready() => true,
                () = host.wait(host.calls.next_deadline()) => false,
            }
        });
        if has_room.await {
            return Ok(());
        }
        if apply_interrupt(&mut *caller)? || caller.data().interrupt.stopped() {
            return Ok(());
        }
    }
}

/// Defines every import.
pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    files::add_to_linker(linker)?;
    system::add_to_linker(linker)?;
    calls::add_to_linker(linker)?;
    deliver::add_to_linker(linker)?;
    trace::add_to_linker(linker)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::imported;
