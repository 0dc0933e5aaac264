//! One guest in its slot. The only file that calls its exports.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use wasmtime::{Global, InstancePre, Store, Trap, TypedFunc, Val};

use crate::error::PythonError;
use crate::guest::abi::{NO_MEMORY, Status};
use crate::guest::host::system::Exit;
use crate::guest::host::{CutOff, Host, RunState, untrip_signal};
use crate::guest::interrupt::{Interrupt, Verdict};
use crate::guest::memory::GuestMemory;
use crate::manifest::ImageManifest;
use crate::threads::workers;
use crate::threads::workers::survived;
use crate::{Error, Limit};
use eryx_memory::Image;
use eryx_memory::{CountFaults, Occupied, Resting, RestoreStrategy, SignalWord, Slot};

/// Instructions for [`Instance::flush_output`].
const FLUSH_FUEL: u64 = 50_000_000;

/// A guest in its slot, at rest between calls.
pub(crate) struct Instance {
    store: Store<Host>,
    slot: Occupied,
    globals: Vec<Global>,
    start: TypedFunc<(u32, u32), i64>,
    resume: TypedFunc<(), i64>,
    interrupt: TypedFunc<(), i64>,
    flush: TypedFunc<(), ()>,
    alloc: TypedFunc<u32, u32>,
    request_buffer: (u32, u32),
    metered: bool,
}

/// The guest has no room for what it is to be given.
#[derive(Debug, thiserror::Error)]
#[error("no memory for the request")]
struct NoMemory;

/// How a run begins.
#[derive(Clone, Copy)]
pub(crate) enum Begin<'a> {
    /// With a request to the driver.
    Request(&'a [u8]),
    /// In the middle: it waits for answers.
    Waiting,
}

/// A callback suspended the run. The guest waits with an empty stack.
#[derive(Debug, thiserror::Error)]
#[error("the run was suspended")]
struct Suspended;

/// How a run left the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// At rest: its memory is what Python made of it.
    Sound,
    /// Cut off somewhere: nothing in its memory can be relied on.
    Lost,
    /// At rest, in the middle of a run that waits for answers.
    Suspended,
}

/// The end of one call of [`Instance::run`].
pub(crate) struct Ended {
    pub(crate) condition: Condition,
    /// The guest was given the request, or went on. `false`: the run had to end before.
    pub(crate) reached: bool,
    /// `Ok`: the guest said that it is done. What it delivered tells the rest.
    pub(crate) result: Result<(), Error>,
    pub(crate) fuel_consumed: Option<u64>,
}

impl Instance {
    /// Makes an instance whose memory is `slot`. The run's state is a placeholder until [`Instance::begin`].
    pub(crate) fn new(
        module: &InstancePre<Host>,
        slot: Slot,
        host: Host,
        manifest: &ImageManifest,
        metered: bool,
    ) -> wasmtime::Result<Self> {
        let mut store = Store::new(module.module().engine(), host);
        store.limiter(|host| &mut host.limits);
        if metered {
            store.set_fuel(u64::MAX)?;
        }
        let (instance, slot) =
            slot.occupy(&mut store, |store| now(module.instantiate_async(store))?)?;
        let host = store.data_mut();
        host.memory = Some(slot.memory());
        let brake = slot.brake(manifest.interrupt.iter().map(SignalWord::from).collect());
        host.brake = Some(Arc::clone(&brake));
        brake.attach(&mut store);
        let globals = manifest
            .globals
            .iter()
            .map(|(name, _)| {
                instance
                    .get_global(&mut store, name)
                    .ok_or_else(|| missing(name))
            })
            .collect::<Result<_, _>>()?;
        let mut made = Self {
            start: instance.get_typed_func(&mut store, "eryx_start")?,
            resume: instance.get_typed_func(&mut store, "eryx_resume")?,
            interrupt: instance.get_typed_func(&mut store, "eryx_interrupt")?,
            flush: instance.get_typed_func(&mut store, "eryx_flush")?,
            alloc: instance.get_typed_func(&mut store, "eryx_alloc")?,
            request_buffer: manifest.request_buffer,
            store,
            slot,
            globals,
            metered,
        };
        made.set_globals()?;
        Ok(made)
    }

    fn set_globals(&mut self) -> wasmtime::Result<()> {
        let image = Arc::clone(self.slot.image());
        for (global, value) in self.globals.iter().zip(image.globals()) {
            global.set(&mut self.store, Val::I32(*value))?;
        }
        Ok(())
    }

    /// The run that this guest is for.
    pub(crate) fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Its slot, while nothing runs in it.
    pub(crate) fn resting(&mut self) -> Resting<'_> {
        self.slot.resting(&mut self.store)
    }

    pub(crate) fn image(&self) -> &Arc<Image> {
        self.slot.image()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.slot.accessible() as u64
    }

    /// Runs one request to its end. A panic of a function that the host gave the run ends that run.
    pub(crate) async fn run(
        &mut self,
        state: RunState,
        begin: Begin<'_>,
        fuel: Option<u64>,
    ) -> Ended {
        let survived = {
            let run = pin!(self.run_uncounted(state, begin, fuel));
            survived(CountFaults::new(run)).await
        };
        let Ok((ended, faults)) = survived else {
            // Unwound out of the guest: as after a trap, nothing in its memory can be relied on.
            self.end_computing();
            let host = self.store.data_mut();
            // It may have been the sink, which would be called for the rest.
            host.output.silence();
            return Ended {
                condition: Condition::Lost,
                reached: true,
                result: Err(Error::panicked()),
                fuel_consumed: None,
            };
        };
        self.slot.ran(faults);
        ended
    }

    async fn run_uncounted(
        &mut self,
        state: RunState,
        begin: Begin<'_>,
        fuel: Option<u64>,
    ) -> Ended {
        self.store.data_mut().begin(state);
        let budget = fuel.unwrap_or(u64::MAX);
        if self.metered {
            self.store
                .set_fuel(budget)
                .expect("the engine of a metered instance counts fuel");
        }
        if self.store.data_mut().interrupt.check() == Verdict::Ask {
            return Ended {
                condition: Condition::Sound,
                reached: false,
                result: Err(self.store.data().interrupt.error(false)),
                fuel_consumed: None,
            };
        }
        let result = self.drive(begin).await;
        self.end_computing();
        let fuel_consumed = fuel.and_then(|budget| Some(budget - self.store.get_fuel().ok()?));
        let (condition, result) = match result {
            Ok(()) => (Condition::Sound, Ok(())),
            Err(error) if error.is::<Suspended>() => {
                let result = Err(Error::Internal(error.to_string()));
                (Condition::Suspended, result)
            }
            Err(error) if matches!(error.downcast_ref(), Some(Exit(0))) => {
                (Condition::Lost, Ok(()))
            }
            Err(error) => {
                let result = Err(self.classify(&error));
                if !error.is::<Exit>() {
                    self.flush_output().await;
                }
                (Condition::Lost, result)
            }
        };
        Ended {
            condition,
            reached: true,
            result,
            fuel_consumed,
        }
    }

    /// Asks an interpreter that was cut off for what the code had printed. It may be in any state: if it fails at this,
    /// or takes long, the output stays lost. Its memory is thrown away afterwards.
    async fn flush_output(&mut self) {
        self.store.data_mut().interrupt = Interrupt::soon();
        if self.metered && self.store.set_fuel(FLUSH_FUEL).is_err() {
            return;
        }
        self.store.data_mut().set_computing(true);
        if self.set_globals().is_ok() {
            // The outcome is decided already; whether this works changes only what is shown with it.
            drop(self.flush.call_async(&mut self.store, ()).await);
        }
        self.end_computing();
    }

    /// Nothing runs any more, and nothing that was to stop it stops what runs next.
    fn end_computing(&mut self) {
        let host = self.store.data_mut();
        host.set_computing(false);
        if let Some(brake) = &host.brake {
            brake.release();
        }
    }

    async fn drive(&mut self, begin: Begin<'_>) -> wasmtime::Result<()> {
        untrip_signal(&mut self.store);
        self.store.data_mut().set_computing(true);
        let first = match begin {
            Begin::Request(request) => {
                let (at, size) = self.place(request).await?;
                let started = self.start.call_async(&mut self.store, (at, size)).await?;
                if started == NO_MEMORY {
                    return Err(NoMemory.into());
                }
                started
            }
            Begin::Waiting => self.resume.call_async(&mut self.store, ()).await?,
        };
        let mut status = Status::from_guest(first);
        while let Status::Pending(timer) = status {
            self.store.data_mut().set_computing(false);
            let until =
                timer.and_then(|timer| Instant::now().checked_add(Duration::from_nanos(timer)));
            let next = if self.wait(until).await? {
                &self.resume
            } else {
                &self.interrupt
            };
            self.store.data_mut().set_computing(true);
            status = Status::from_guest(next.call_async(&mut self.store, ()).await?);
        }
        Ok(())
    }

    /// Waits with an empty wasm stack. `false`: the run was asked to end, and Python must be told.
    async fn wait(&mut self, until: Option<Instant>) -> wasmtime::Result<bool> {
        let host = self.store.data_mut();
        loop {
            match host.verdict() {
                Verdict::Continue => {}
                Verdict::Ask => return Ok(false),
                Verdict::Cut => return Err(CutOff.into()),
            }
            if host.calls.has_answers() {
                return Ok(true);
            }
            if host.calls.suspended().is_some() {
                return Err(Suspended.into());
            }
            if host.is_over(until) {
                return Ok(true);
            }
            let calls = &host.calls;
            if !(calls.in_flight() && workers::look_out(|| calls.has_answers())) {
                host.sleep(until).await;
            }
        }
    }

    /// Puts `data` where the guest finds it.
    async fn place(&mut self, data: &[u8]) -> wasmtime::Result<(u32, u32)> {
        let size = u32::try_from(data.len())?;
        let (mut at, room) = self.request_buffer;
        if size > room {
            at = self.alloc.call_async(&mut self.store, size).await?;
            if at == 0 {
                return Err(NoMemory.into());
            }
        }
        GuestMemory::new(self.slot.memory().data_mut(&mut self.store))
            .write(at, data)
            .map_err(|_| {
                wasmtime::Error::msg(
                    "the guest's allocator returned an address outside of its memory",
                )
            })?;
        Ok((at, size))
    }

    /// What a call that did not return means.
    fn classify(&self, error: &wasmtime::Error) -> Error {
        let host = self.store.data();
        if error.is::<CutOff>() {
            return host.interrupt.error(true);
        }
        if error.is::<NoMemory>() {
            return Error::ResourceLimit(Limit::Memory);
        }
        if let Some(Exit(code)) = error.downcast_ref::<Exit>() {
            return Error::Python(exited(*code));
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Error::ResourceLimit(Limit::Fuel),
            // The guest gave up when it was asked to end.
            Some(_) if host.interrupt.stopped() => host.interrupt.error(true),
            Some(trap) => Error::Python(crashed(*trap)),
            None => Error::Internal(format!("{error:#}")),
        }
    }

    /// Puts everything back as it was before the run. `None`: the slot is clean, but it needs a new instance.
    pub(crate) fn recycle(
        mut self,
        condition: Condition,
        strategy: RestoreStrategy,
    ) -> std::io::Result<Recycled> {
        let grown = self.slot.accessible() > self.slot.image().size();
        if condition != Condition::Sound || grown {
            // wasmtime knows the grown size, and a trap may have left anything behind: both need a new instance.
            let mut slot = self.slot.vacate(self.store)?;
            match condition {
                Condition::Lost | Condition::Suspended => slot.resting().remap()?,
                Condition::Sound => drop(slot.resting().restore(strategy)?),
            }
            return Ok(Recycled::Slot(slot));
        }
        self.resting().restore(strategy)?;
        self.set_globals().map_err(std::io::Error::other)?;
        Ok(Recycled::Instance(Box::new(self)))
    }
}

/// What is left of an instance for the next run.
pub(crate) enum Recycled {
    Instance(Box<Instance>),
    Slot(Slot),
}

fn exited(code: i32) -> PythonError {
    let message = format!("SystemExit: {code}");
    PythonError {
        python_type: "SystemExit".into(),
        traceback: message.as_str().into(),
        message,
        exit_code: Some(code),
        interpreter_lost: true,
        ..PythonError::default()
    }
}

fn crashed(trap: Trap) -> PythonError {
    let message = format!("SystemError: the interpreter crashed ({trap})");
    PythonError {
        python_type: "SystemError".into(),
        traceback: message.as_str().into(),
        message,
        interpreter_lost: true,
        ..PythonError::default()
    }
}

fn missing(name: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the Python module has no export {name}"))
}

/// Runs a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(wasmtime::Error::msg("a step that never waits waited")),
    }
}
