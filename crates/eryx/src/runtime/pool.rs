//! Guests that are ready to run: hot slots with an instance in them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use wasmtime::{ExternType, InstancePre, Linker, Module, Mutability};

use crate::Error;
use crate::caps::MAX_IDLE_PER_CORE;
use crate::guest::host;
use crate::guest::host::{Calls, Host, RunState};
use crate::guest::instance::{Condition, Instance, Recycled};
use crate::guest::interrupt::Interrupt;
use crate::manifest::ImageManifest;
use crate::output::Output;
use crate::runtime::engine::Code;
use crate::threads::workers;
use eryx_memory::Image;
use eryx_memory::SavedMemory;
use eryx_memory::{CountFaults, GUARD, RESERVATION, RestoreStrategy, Slot};

/// Makes and recycles the guests of one image and one kind of code.
pub(crate) struct Pool {
    module: InstancePre<Host>,
    image: Arc<Image>,
    manifest: Arc<ImageManifest>,
    strategy: RestoreStrategy,
    metered: bool,
    idle: Mutex<Vec<Instance>>,
    /// The first guest is in the making.
    preparing: AtomicBool,
    /// Guests that are being cleaned.
    returning: AtomicUsize,
    returned: Notify,
}

impl Pool {
    pub(crate) fn new(
        code: &Code,
        image: Arc<Image>,
        manifest: Arc<ImageManifest>,
        strategy: RestoreStrategy,
        metered: bool,
    ) -> wasmtime::Result<Self> {
        check_globals(&code.module, &manifest)?;
        let mut linker = Linker::new(&code.engine);
        host::add_to_linker(&mut linker)?;
        let module = linker.instantiate_pre(&code.module)?;
        Ok(Self {
            module,
            image,
            manifest,
            strategy,
            metered,
            idle: Mutex::default(),
            preparing: AtomicBool::new(false),
            returning: AtomicUsize::new(0),
            returned: Notify::new(),
        })
    }

    /// Begins to make the first guest, so that whoever loads the runtime can go on meanwhile. It takes about a millisecond.
    pub(crate) fn prepare(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        self.preparing.store(true, Ordering::Relaxed);
        workers::spawn(async move {
            let prepared = Prepared(&pool);
            // If this fails, so will whoever takes a guest, and tells why.
            let made = Slot::new(Arc::clone(&pool.image)).ok();
            let made = made.and_then(|slot| pool.instantiate(slot).ok());
            pool.idle().extend(made);
            drop(prepared);
            // What is found out before the first run that counts.
            CountFaults::new(std::future::ready(())).await;
        });
    }

    /// A guest in the image's state. Waits for the first one, and if there is no room for one more, for those that are being
    /// cleaned.
    pub(crate) async fn take(&self) -> Result<Instance, Error> {
        loop {
            let returned = self.returned.notified();
            // Read before the look: then the guest is among the idle ones.
            let preparing = self.preparing.load(Ordering::Acquire);
            if let Some(instance) = self.idle().pop() {
                return Ok(instance);
            }
            if preparing {
                returned.await;
                continue;
            }
            let error = match Slot::new(Arc::clone(&self.image)) {
                Ok(slot) => return self.instantiate(slot),
                Err(error) => error,
            };
            // Read before the second look: whoever is not counted any more is among the idle ones.
            let returning = self.returning.load(Ordering::Acquire);
            if let Some(instance) = self.idle().pop() {
                return Ok(instance);
            }
            if returning == 0 {
                return Err(no_room(&error));
            }
            returned.await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest in `slot`, as it is.
    pub(crate) fn instantiate(&self, slot: Slot) -> Result<Instance, Error> {
        let host = Host::new(nothing(), self.manifest.interrupt.as_slice().into());
        Instance::new(&self.module, slot, host, &self.manifest, self.metered).map_err(|error| {
            Error::Initialization(format!("the Python runtime cannot be started: {error:#}"))
        })
    }

    pub(crate) fn image(&self) -> &Arc<Image> {
        &self.image
    }

    pub(crate) fn strategy(&self) -> RestoreStrategy {
        self.strategy
    }

    /// A guest whose memory is in `state`.
    pub(crate) async fn take_in(&self, state: &SavedMemory) -> Result<Instance, Error> {
        let no_room = |error| no_room(&error);
        if Arc::ptr_eq(state.image(), &self.image) && state.size() == self.image.size() {
            let mut instance = self.take().await?;
            state.put(&mut instance.resting()).map_err(no_room)?;
            return Ok(instance);
        }
        let mut slot = Slot::new(Arc::clone(state.image())).map_err(no_room)?;
        state.put(&mut slot.resting()).map_err(no_room)?;
        self.instantiate(slot)
    }

    /// Takes back a guest that was not given back after each run, if its slot is still on the image.
    pub(crate) fn reclaim(&self, instance: Instance, condition: Condition) {
        if Arc::ptr_eq(instance.image(), &self.image) {
            drop(self.returning(instance, condition));
        }
    }

    /// A guest that has ended its run, and is given back when this is dropped, however that comes about.
    pub(crate) fn returning(&self, instance: Instance, condition: Condition) -> Returning<'_> {
        self.returning.fetch_add(1, Ordering::AcqRel);
        Returning {
            guest: Some((instance, condition)),
            place: Place(self),
        }
    }

    /// Cleans a guest up after its run and keeps it, if there is room.
    fn give_back(&self, instance: Instance, condition: Condition) {
        // A slot that cannot be cleaned is dropped, mapping and all.
        let clean = match instance.recycle(condition, self.strategy) {
            Ok(Recycled::Instance(instance)) => Some(*instance),
            Ok(Recycled::Slot(slot)) => self.instantiate(slot).ok(),
            Err(_) => None,
        };
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE_PER_CORE * workers::count() {
            idle.extend(clean);
        }
    }
}

/// A guest on its way back to its pool.
pub(crate) struct Returning<'a> {
    guest: Option<(Instance, Condition)>,
    place: Place<'a>,
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        if let Some((instance, condition)) = self.guest.take() {
            self.place.0.give_back(instance, condition);
        }
    }
}

/// The first guest is in its pool, or was not to be had, once this is dropped.
struct Prepared<'a>(&'a Pool);

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        self.0.preparing.store(false, Ordering::Release);
        self.0.returned.notify_waiters();
    }
}

/// Counts as a guest that is being cleaned.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.returning.fetch_sub(1, Ordering::AcqRel);
        self.0.returned.notify_waiters();
    }
}

/// A global that is not in the image would keep its value from run to run.
fn check_globals(module: &Module, manifest: &ImageManifest) -> wasmtime::Result<()> {
    let mutable = |kind: &ExternType| {
        kind.global()
            .is_some_and(|global| global.mutability() == Mutability::Var)
    };
    let named = |name: &str| manifest.globals.iter().any(|(global, _)| global == name);
    let numbered = module
        .exports()
        .filter(|export| mutable(&export.ty()) && export.name().starts_with("__mg"));
    let numbered: Vec<_> = numbered.map(|export| export.name().to_owned()).collect();
    if numbered.len() == manifest.globals.len() && numbered.iter().all(|name| named(name)) {
        return Ok(());
    }
    Err(wasmtime::Error::msg(
        "the Python runtime's manifest names other globals than its module",
    ))
}

fn no_room(error: &std::io::Error) -> Error {
    let mebibytes = (RESERVATION + GUARD) >> 20;
    Error::Initialization(format!(
        "no address space for a sandbox: each running one reserves {mebibytes} MiB of it ({}). \
         Raise the limit on virtual memory (ulimit -v), or run fewer at a time",
        error.kind()
    ))
}

/// The state of a guest that runs nothing.
pub(crate) fn nothing() -> RunState {
    RunState {
        files: None,
        stdin: Arc::default(),
        output: Output::new(Some(0), None),
        interrupt: Interrupt::never(),
        calls: Calls::default(),
        max_memory: usize::MAX,
        frozen: false,
    }
}
