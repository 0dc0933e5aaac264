//! For the runtime builder: compiling the module, and starting an interpreter once to take its image.

mod command;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use eryx_vfs::Namespace;
use wasmtime::{Instance, Linker, Memory, Store, Val, WasmParams, WasmResults};

use crate::callback::{Call, CallbackHandler, CallbackTable};
use crate::guest::host;
use crate::guest::host::{Calls, Host, RunState};
use crate::guest::instance::now;
use crate::guest::interrupt::Interrupt;
use crate::guest::memory::GuestMemory;
use crate::manifest::{ImageManifest, InterruptWord};
use crate::output::Output;
use crate::runtime::engine;
use crate::runtime::engine::{Code, Metering};
use crate::{CancelHandle, ExecutionOutput};
use eryx_memory::{Image, PAGE};
use eryx_memory::{Occupied, Slot};

#[doc(hidden)]
pub use command::Command;

/// Errors of the builder are for its user's eyes only, as text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Machine code of `wasm` for this platform's CPU baseline.
///
/// # Errors
/// The module is not valid.
pub fn compile(wasm: &[u8]) -> Result<Vec<u8>> {
    Ok(engine::compile(wasm, Metering::Off)?)
}

/// An interpreter that is being prepared.
pub struct Boot {
    store: Store<Host>,
    instance: Instance,
    memory: Memory,
    /// Holds on to what is mapped.
    _slot: Occupied,
    globals: Vec<String>,
}

/// A prepared interpreter, frozen.
pub struct Frozen {
    /// Its linear memory from the first page to the last one that is not zero.
    pub memory: Vec<u8>,
    /// What the host must know of it; the lists of names are the caller's.
    pub manifest: ImageManifest,
}

impl Boot {
    /// Starts an interpreter on `module` (compiled code), `memory` (the module's initial memory) and the initial values
    /// of its mutable globals.
    ///
    /// # Errors
    /// The module does not load, or CPython does not start.
    pub fn new(
        module: &Path,
        memory: &[u8],
        globals: &[(String, i32)],
        files: Namespace,
    ) -> Result<Self> {
        let mut boot = Self::load(module, memory, globals, files)?;
        if boot.call::<(), i32>("eryx_boot", ())? != 0 {
            let at = boot.call::<(), u32>("eryx_boot_error", ())?;
            let text = boot.text(at)?;
            return Err(format!("CPython did not start: {text}").into());
        }
        Ok(boot)
    }

    /// The same for any module: one of C functions that are tested or measured has no interpreter to start.
    ///
    /// # Errors
    /// The module does not load.
    pub fn load(
        module: &Path,
        memory: &[u8],
        globals: &[(String, i32)],
        files: Namespace,
    ) -> Result<Self> {
        let code = Code::load(module, Metering::Off)?;
        let mut linker = Linker::new(&code.engine);
        host::add_to_linker(&mut linker)?;
        let values = globals.iter().map(|(_, value)| *value).collect();
        let slot = Slot::new(Arc::new(Image::from_memory(memory, values)?))?;
        let mut store = Store::new(&code.engine, Host::new(unlimited(files), Arc::default()));
        let (instance, slot) = slot.occupy(&mut store, |store| {
            now(linker.instantiate_async(store, &code.module))?
        })?;
        let memory = slot.memory();
        store.data_mut().memory = Some(memory);
        for (name, value) in globals {
            let global = instance
                .get_global(&mut store, name)
                .ok_or("the module lacks a global")?;
            global.set(&mut store, Val::I32(*value))?;
        }
        let mut boot = Self {
            store,
            instance,
            memory,
            _slot: slot,
            globals: globals.iter().map(|(name, _)| name.clone()).collect(),
        };
        boot.call::<(), ()>("_initialize", ())?;
        Ok(boot)
    }

    /// Runs Python source in `__main__`. Returns what was printed.
    ///
    /// # Errors
    /// The code raised: the text is what it printed on stderr.
    pub fn exec(&mut self, source: &str) -> Result<ExecutionOutput> {
        let text = [source.as_bytes(), b"\0"].concat();
        let at = self.call::<u32, u32>("eryx_alloc", u32::try_from(text.len())?)?;
        self.bytes()
            .write(at, &text)
            .map_err(|_| "no memory for the source")?;
        let ran = self.call::<u32, i32>("eryx_exec", at);
        let output = self.store.data_mut().output.finish();
        if !matches!(ran, Ok(0)) {
            let reason = ran
                .err()
                .map(|error| format!("{error:?}"))
                .unwrap_or_default();
            return Err(format!("{reason}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        self.call::<u32, ()>("eryx_free", at)?;
        Ok(output)
    }

    /// Ends the preparation.
    ///
    /// # Errors
    /// The interrupt signal does not work as expected.
    pub fn freeze(mut self) -> Result<Frozen> {
        let request_buffer = (
            self.call("eryx_request_buffer", ())?,
            self.call("eryx_request_buffer_size", ())?,
        );
        let mut globals = Vec::new();
        for name in self.globals.clone() {
            let global = self
                .instance
                .get_global(&mut self.store, &name)
                .ok_or("the module lacks a global")?;
            globals.push((
                name,
                global
                    .get(&mut self.store)
                    .i32()
                    .ok_or("a mutable global is not an i32")?,
            ));
        }
        let memory = self.memory.data(&self.store).to_vec();
        self.call::<(), i32>("eryx_trip_signal", ())?;
        let stack = globals.iter().map(|(_, value)| *value).max().unwrap_or(0);
        let interrupt = changed_words(
            &memory,
            self.memory.data(&self.store),
            usize::try_from(stack)?,
        );
        if !(1..=4).contains(&interrupt.len()) {
            return Err(format!(
                "tripping the signal changed {} words of memory, not three",
                interrupt.len()
            )
            .into());
        }
        let size = memory.len() as u64;
        let content = content(&memory);
        let (start, end) = (content.start as u64, content.end as u64);
        let manifest = ImageManifest {
            size,
            start,
            end,
            globals,
            interrupt,
            request_buffer,
            modules: Vec::new(),
            builtins: Vec::new(),
        };
        Ok(Frozen {
            memory: memory[content].to_vec(),
            manifest,
        })
    }

    fn bytes(&mut self) -> GuestMemory<'_> {
        GuestMemory::new(self.memory.data_mut(&mut self.store))
    }

    /// The text at an address, up to a zero or 1,000 bytes.
    ///
    /// # Errors
    /// The address is outside of memory.
    pub fn text(&mut self, at: u32) -> Result<String> {
        let text = self.bytes().c_string(at, 1000);
        Ok(text.map_err(|_| "a text outside of memory")?)
    }

    /// The value of an exported global that is an i64.
    ///
    /// # Errors
    /// There is none of this name and type.
    pub fn counter(&mut self, name: &str) -> Result<u64> {
        let global = self.instance.get_global(&mut self.store, name);
        let value = global.and_then(|global| global.get(&mut self.store).i64());
        let value = value.ok_or("the module has no such counter")?;
        Ok(value.cast_unsigned())
    }

    /// Calls an exported function.
    ///
    /// # Errors
    /// There is none with this name and type, or it traps.
    pub fn call<P: WasmParams + Sync, R: WasmResults + Sync>(
        &mut self,
        name: &str,
        arguments: P,
    ) -> Result<R> {
        let function = self
            .instance
            .get_typed_func::<P, R>(&mut self.store, name)?;
        Ok(now(function.call_async(&mut self.store, arguments))??)
    }
}

fn unlimited(files: Namespace) -> RunState {
    RunState {
        files: Some(files),
        stdin: Arc::default(),
        output: Output::new(None, None),
        interrupt: Interrupt::new(Instant::now(), None, CancelHandle::new()),
        calls: rehearsal(),
        max_memory: usize::MAX,
        frozen: true,
    }
}

/// Callbacks for the preparation of an image, which answer at once.
fn rehearsal() -> Calls {
    let table = CallbackTable {
        timeouts: vec![None; 3],
        handler: Some(Arc::new(AtOnce)),
        ..CallbackTable::default()
    };
    Calls::new(Arc::new(table), None, None)
}

struct AtOnce;

impl CallbackHandler for AtOnce {
    fn call(&self, call: Call) {
        call.reply.send(Ok(().into()));
    }
}

/// The pages that are not zero, and those between them.
fn content(memory: &[u8]) -> std::ops::Range<usize> {
    let zero = |page: &&[u8]| page.iter().all(|&byte| byte == 0);
    let before = memory.chunks(PAGE).take_while(zero).count();
    let after = memory.rchunks(PAGE).take_while(zero).count();
    before * PAGE..memory.len() - after * PAGE
}

/// Words that got additional bits. Those below `stack` are the calls' own scratch memory.
fn changed_words(before: &[u8], after: &[u8], stack: usize) -> Vec<InterruptWord> {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect()
    };
    let (before, after) = (words(before), words(after));
    (stack / 4..before.len().min(after.len()))
        .filter(|&index| before[index] != after[index])
        .map(|index| InterruptWord {
            address: u32::try_from(index * 4).expect("memory is at most 4 GiB"),
            bits: after[index] & !before[index],
        })
        .collect()
}
