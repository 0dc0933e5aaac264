//! The guest of a session, which lives from one execution to the next.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::{MemoryFs, Namespace};

use crate::guest::host::RunState;
use crate::guest::host::files::{Files, ROOT_MOUNT, STORAGE_MOUNT};
use crate::guest::instance::{Begin, Condition, Ended, Instance};
use crate::run::context::Context;
use crate::run::request;
use crate::run::request::{Past, Start};
use crate::runtime::pool::Pool;
use crate::snapshot::kept::Kept;
use crate::snapshot::pages::PackedMemory;
use crate::snapshot::{Origin, Snapshot, SnapshotKind};
use crate::{CancelHandle, Error, ExecutionOptions, Storage};
use eryx_memory::SavedMemory;

/// How long the driver may take for what it does itself, unless an execution may take less.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// Sessions with more bytes that differ from the image are not packed: that would take long, and whoever uses them then waits.
const LARGE: usize = 64 << 20;

/// A guest and what is needed to put it back to where it was before an execution.
pub(crate) struct Interpreter {
    residence: Residence,
    /// Its memory as it was when its last run ended.
    saved: Saved,
    /// That is so. `false` if there was no room for it.
    has_saved: bool,
    /// Instructions that a run may take.
    fuel: Option<u64>,
    /// The tree at `/`, which belongs to this guest alone.
    root: Arc<MemoryFs>,
    /// The session's storage is mounted. `false`: it goes on with a run of a sandbox, whose working directory is in `root`.
    has_storage: bool,
    /// What the next request must bring with it.
    pub(crate) start: Start,
    /// What is to be done in it before it goes.
    leftovers: Leftovers,
}

/// What runs have left behind to be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftovers {
    /// Nothing but open files, if there are any.
    None,
    /// Something, as the guest says.
    Some,
    /// It was restored, and no run has ended in order since: the snapshot still has all of it.
    InSnapshot,
}

/// Where an interpreter is.
enum Residence {
    /// In a slot.
    Awake(Box<Instance>),
    /// Its state is all there is.
    Asleep(Asleep),
}

/// The memory of an interpreter at rest.
enum Saved {
    Memory(SavedMemory),
    /// It was not used for long.
    Packed(PackedMemory),
}

impl Saved {
    /// The memory, which stays unpacked.
    fn memory(&mut self, pool: &Pool) -> Result<&mut SavedMemory, Error> {
        if let Self::Packed(packed) = self {
            let memory = packed.unpack(pool.image());
            *self = Self::Memory(memory.map_err(no_memory)?);
        }
        match self {
            Self::Memory(memory) => Ok(memory),
            Self::Packed(_) => unreachable!("unpacked above"),
        }
    }

    /// Packs what takes less room packed. What others share stays as it is: it takes none for this one.
    fn pack(&mut self, pool: &Pool) {
        if let Self::Memory(memory) = self
            && !memory.is_shared()
            && memory.changed_bytes() <= LARGE
            && let Some(packed) = PackedMemory::new(memory, pool.image())
        {
            *self = Self::Packed(packed);
        }
    }
}

fn no_memory(_: io::Error) -> Error {
    Error::Initialization("no memory for the session's state".into())
}

/// What the host keeps of a guest without a slot.
struct Asleep {
    files: Files,
    /// When its clock was at zero.
    started: Instant,
}

impl Interpreter {
    /// A guest in the image's state. Costs next to nothing: it sleeps.
    pub(crate) fn new(context: &Context, pool: &Pool, storage: Option<&Storage>) -> Self {
        let (root, namespace) = context.files(storage);
        Self {
            residence: Residence::Asleep(Asleep {
                files: Files::new(namespace, Arc::default()),
                started: Instant::now(),
            }),
            saved: Saved::Memory(SavedMemory::of(pool.image())),
            has_saved: true,
            fuel: context.config.limits.max_fuel,
            root,
            has_storage: storage.is_some(),
            start: Start::FRESH,
            leftovers: Leftovers::None,
        }
    }

    /// Puts the guest into a slot, if it is in none.
    ///
    /// # Errors
    /// The machine has no room. The guest sleeps on.
    pub(crate) async fn wake(&mut self, pool: &Pool) -> Result<(), Error> {
        if let Residence::Asleep(asleep) = &mut self.residence {
            let mut instance = pool.take_in(self.saved.memory(pool)?).await?;
            let files = std::mem::replace(&mut asleep.files, Files::none());
            instance.host().settle(files, asleep.started);
            self.residence = Residence::Awake(Box::new(instance));
        }
        Ok(())
    }

    /// Its state is not known any more: it can only be dropped.
    pub(crate) fn is_lost(&self) -> bool {
        !self.has_saved && !self.is_awake()
    }

    pub(crate) fn is_awake(&self) -> bool {
        matches!(self.residence, Residence::Awake(_))
    }

    /// Gives the slot back.
    pub(crate) fn sleep(&mut self, pool: &Pool) {
        if self.expect_state(pool).is_err() {
            return;
        }
        if let Some(instance) = self.asleep(None) {
            pool.reclaim(*instance, Condition::Sound);
            if let Saved::Memory(memory) = &mut self.saved {
                // What cannot be trimmed stays as it is.
                drop(memory.trim());
            }
        }
    }

    /// Gives the slot back, and packs what is left.
    pub(crate) fn pack(&mut self, pool: &Pool) {
        self.sleep(pool);
        if !self.is_awake() {
            self.saved.pack(pool);
        }
    }

    /// Makes the guest one that sleeps, with these files or its own, and returns what it was in.
    fn asleep(&mut self, files: Option<Files>) -> Option<Box<Instance>> {
        let Residence::Awake(instance) = &mut self.residence else {
            return None;
        };
        let host = instance.host();
        let own = || std::mem::replace(&mut host.files, Files::none());
        let asleep = Asleep {
            files: files.unwrap_or_else(own),
            started: host.started,
        };
        match std::mem::replace(&mut self.residence, Residence::Asleep(asleep)) {
            Residence::Awake(instance) => Some(instance),
            Residence::Asleep(_) => None,
        }
    }

    fn instance(&mut self) -> Option<&mut Instance> {
        match &mut self.residence {
            Residence::Awake(instance) => Some(instance),
            Residence::Asleep(_) => None,
        }
    }

    /// Its open files, and when its clock was at zero.
    fn files(&mut self) -> (&Files, Instant) {
        match &mut self.residence {
            Residence::Awake(instance) => {
                let host = instance.host();
                (&host.files, host.started)
            }
            Residence::Asleep(asleep) => (&asleep.files, asleep.started),
        }
    }

    /// Runs. `settle` makes of the end what `done` is given, together with whether the state was lost: that is when the run had
    /// to be cut off and the state before it could not be put back. Then this guest is of no more use, and `false` is
    /// returned. The guest must be awake.
    pub(crate) async fn run<T>(
        &mut self,
        pool: &Pool,
        state: RunState,
        begin: Begin<'_>,
        settle: impl FnOnce(&mut Instance, Ended) -> T,
        done: impl FnOnce(T, bool),
    ) -> bool {
        let (fuel, mut before) = (self.fuel, self.files().0.saved());
        let instance = self.instance().expect("woken before it is to run");
        let ended = instance.run(state, begin, fuel).await;
        let (condition, reached) = (ended.condition, ended.reached);
        let settled = settle(instance, ended);
        let unfinished = instance.host().unfinished;
        instance.host().end_run();
        // What was not read is for nobody else, and takes no memory of a session that rests.
        let stdin_used = instance.host().files.take_stdin();
        if condition != Condition::Sound {
            before.go_back(&mut instance.host().files);
            // wasmtime's own state of the instance cannot be relied on, nor what is in its slot.
            if let Some(instance) = self.asleep(Some(before)) {
                pool.reclaim(*instance, condition);
            }
            done(settled, !self.has_saved);
            return self.has_saved;
        }
        if reached && matches!(begin, Begin::Request(_)) {
            self.start.given();
        }
        self.start.stdin_used |= stdin_used;
        self.leftovers = match (unfinished, self.leftovers) {
            (Some(true), _) | (None, Leftovers::InSnapshot) => Leftovers::Some,
            (Some(false), _) => Leftovers::None,
            (None, leftovers) => leftovers,
        };
        // Nobody has to wait for this but the next execution.
        done(settled, false);
        self.commit(pool);
        true
    }

    fn commit(&mut self, pool: &Pool) {
        let Residence::Awake(instance) = &mut self.residence else {
            return;
        };
        let Saved::Memory(saved) = &mut self.saved else {
            unreachable!("unpacked when it was put into its slot");
        };
        match saved.commit(&mut instance.resting(), pool.strategy()) {
            Ok(usable) => {
                self.has_saved = true;
                if !usable && let Some(instance) = self.asleep(None) {
                    pool.reclaim(*instance, Condition::Lost);
                }
            }
            Err(_) => self.has_saved = false,
        }
    }

    /// Whether something in it is lost if it goes without [`Interpreter::finish`].
    pub(crate) fn is_unfinished(&mut self) -> bool {
        match self.leftovers {
            Leftovers::None => self.files().0.writers().is_some(),
            Leftovers::Some => true,
            Leftovers::InSnapshot => false,
        }
    }

    /// Has Python do what it does at its end: open files are written and closed. It is of no use afterwards.
    pub(crate) async fn finish(&mut self, context: &Context, pool: &Pool, limit: Option<Duration>) {
        self.leftovers = Leftovers::None;
        if let Ok(request) = request::encode_end() {
            let cancel = CancelHandle::new();
            // Nobody can be told of what goes wrong.
            drop(self.order(context, pool, &request, (limit, &cancel)).await);
        }
    }

    /// Gives what is left of the guest back.
    pub(crate) fn end(mut self, pool: &Pool) {
        if let Some(instance) = self.asleep(None) {
            pool.reclaim(*instance, Condition::Sound);
        }
    }

    /// So many copies of this guest, which share its memory until they write. Each takes one of `storages` in the place of the
    /// storage that it has: forks of that, made just now. Without any, the copies share it.
    ///
    /// # Errors
    /// The machine has no room.
    pub(crate) fn fork(
        &mut self,
        pool: &Pool,
        count: usize,
        storages: &[Storage],
    ) -> Result<Vec<Self>, Error> {
        self.expect_state(pool)?;
        let saved = self.saved.memory(pool)?.clone();
        let start = Start {
            reseed: true,
            ..self.start
        };
        let fork = |index: usize| {
            let root = Arc::new(self.root.fork());
            let mut trees = vec![(ROOT_MOUNT, Arc::clone(&root))];
            let storage = storages.get(index).filter(|_| self.has_storage);
            trees.extend(storage.map(|storage| (STORAGE_MOUNT, storage.file_system())));
            let (files, started) = self.files();
            Self {
                residence: Residence::Asleep(Asleep {
                    files: files.forked(&trees),
                    started,
                }),
                saved: Saved::Memory(saved.clone()),
                has_saved: true,
                fuel: self.fuel,
                root,
                has_storage: self.has_storage,
                start,
                leftovers: self.leftovers,
            }
        };
        Ok((0..count).map(fork).collect())
    }

    fn expect_state(&mut self, pool: &Pool) -> Result<(), Error> {
        if !self.has_saved {
            self.commit(pool);
        }
        if self.has_saved {
            return Ok(());
        }
        Err(Error::Initialization(
            "no memory for a copy of the session".into(),
        ))
    }

    /// The tree at `/`.
    pub(crate) fn root(&self) -> Arc<MemoryFs> {
        Arc::clone(&self.root)
    }

    /// What is saved with this guest of a storage that is its session's own.
    pub(crate) fn saves<'s>(&self, own: Option<&'s Storage>) -> Option<&'s Storage> {
        own.filter(|_| self.has_storage)
    }

    /// The state as bytes. `own`: the storage, if nobody shares it.
    pub(crate) fn snapshot(
        &mut self,
        context: &Context,
        pool: &Pool,
        executions: u64,
        own: Option<&Storage>,
    ) -> Result<Vec<u8>, Error> {
        let fresh = self.start.past == Past::Fresh;
        let (files, started) = self.files();
        let kept = Kept::of(files, started, None, (executions, fresh));
        let origin = Origin {
            kind: SnapshotKind::Session,
            runtime: &context.runtime.identity(),
            base: pool.image(),
        };
        let root = self.root();
        let trees = [Some(&*root), self.saves(own).map(Storage::tree)];
        let taken = if let Some(instance) = self.instance() {
            let mut slot = instance.resting();
            slot.changed(pool.strategy())
                .and_then(|changed| origin.take(&slot, &changed, &kept, trees))
        } else {
            let saved = self.saved.memory(pool)?;
            saved
                .pages()
                .and_then(|memory| origin.take(&memory, &saved.changed(), &kept, trees))
        };
        taken.map_err(|error: io::Error| {
            Error::Snapshot(format!("the snapshot could not be taken: {error}"))
        })
    }

    /// Tells the interpreter of the callbacks that it has now, in the middle of a run that waits. Otherwise the next request
    /// does that.
    pub(crate) async fn rebind(
        &mut self,
        context: &Context,
        pool: &Pool,
        cancel: &CancelHandle,
    ) -> Result<(), Error> {
        let request = request::encode_rebind(&context.config.callbacks)?;
        let limit = context.config.limits.execution_timeout;
        let leftovers = self.leftovers;
        let bound = self.order(context, pool, &request, (limit, cancel)).await;
        self.leftovers = leftovers;
        bound.map_err(|error| match error {
            Error::Cancelled { .. } | Error::Initialization(_) => error,
            _ => Error::refused_snapshot("the interpreter in it does not run"),
        })
    }

    /// Has the driver do something. None of the user's code runs, unless it took the driver apart: then it is stopped soon.
    pub(crate) async fn order(
        &mut self,
        context: &Context,
        pool: &Pool,
        request: &[u8],
        (limit, cancel): (Option<Duration>, &CancelHandle),
    ) -> Result<(), Error> {
        let limit = limit.map_or(ORDER_LIMIT, |limit| limit.min(ORDER_LIMIT));
        let options = ExecutionOptions {
            timeout: Some(Some(limit)),
            cancel: cancel.clone(),
            ..ExecutionOptions::default()
        };
        let start = self.start;
        let state = context.run_state(&options, None, Instant::now());
        let settle = |instance: &mut Instance, ended: Ended| {
            let interrupt = &instance.host().interrupt;
            ended.result.and_then(|()| {
                if interrupt.stopped() {
                    return Err(interrupt.error(false));
                }
                Ok(())
            })
        };
        let mut result = Ok(());
        let begin = Begin::Request(request);
        self.wake(pool).await?;
        self.run(pool, state, begin, settle, |ended, _| result = ended)
            .await;
        self.start = start;
        result
    }
}

/// What a snapshot holds, read and found good. Nothing was changed yet.
pub(crate) struct Restored {
    saved: SavedMemory,
    root: Arc<MemoryFs>,
    namespace: Namespace,
    has_storage: bool,
    /// The mounts whose trees came with it.
    came: Vec<u32>,
    /// What its storage is to hold.
    files: Option<MemoryFs>,
    pub(crate) kept: Kept,
}

impl Restored {
    /// Reads a snapshot for a session with these options and this storage, which takes the contents of the one in the snapshot
    /// if it is the session's `own`.
    pub(crate) fn read(
        context: &Context,
        pool: &Pool,
        (bytes, kind): (&[u8], SnapshotKind),
        storage: &Storage,
        own: bool,
    ) -> Result<Self, Error> {
        let origin = Origin {
            kind,
            runtime: &context.runtime.identity(),
            base: pool.image(),
        };
        let snapshot = Snapshot::parse(bytes, origin, context.max_memory())?;
        let (saved, [root, files]) = snapshot.unpack(pool.image(), context.max_files())?;
        // What a sandbox had in its working directory is in its tree at `/`, where no storage hides it.
        let mounted = (!own || files.is_some()).then_some(storage);
        let mut came = Vec::new();
        let (root, namespace) = match root {
            Some(root) => {
                came.push(ROOT_MOUNT);
                let root = Arc::new(root);
                let namespace = context.files_on(&root, mounted)?;
                (root, namespace)
            }
            None => context.files(mounted),
        };
        let files = files.filter(|_| own);
        came.extend(files.as_ref().map(|_| STORAGE_MOUNT));
        Ok(Self {
            saved,
            root,
            namespace,
            has_storage: mounted.is_some(),
            came,
            files,
            kept: snapshot.kept,
        })
    }

    /// The guest, which sleeps. Whatever used `storage` as its own before must be gone.
    pub(crate) fn into_interpreter(self, context: &Context, storage: &Storage) -> Interpreter {
        if let Some(files) = self.files {
            files.set_max_bytes(storage.tree().max_bytes());
            storage.tree().replace_with(&files);
        }
        let mut files = Files::new(self.namespace, Arc::default());
        files.reopen(&self.kept.files, &self.came);
        self.root.free_unused();
        if self.came.contains(&STORAGE_MOUNT) {
            storage.tree().free_unused();
        }
        Interpreter {
            residence: Residence::Asleep(Asleep {
                files,
                started: self.kept.started(),
            }),
            saved: Saved::Memory(self.saved),
            has_saved: true,
            fuel: context.config.limits.max_fuel,
            root: self.root,
            has_storage: self.has_storage,
            start: Start {
                past: if self.kept.fresh {
                    Past::Fresh
                } else {
                    Past::Foreign
                },
                reseed: true,
                stdin_used: true,
            },
            leftovers: Leftovers::InSnapshot,
        }
    }
}
