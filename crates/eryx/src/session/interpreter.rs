//! The guest of a session, which lives from one execution to the next.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::{MemoryFs, Namespace};

use crate::guest::host::RunState;
use crate::guest::host::files::{Files, ROOT_MOUNT, STORAGE_MOUNT};
use crate::guest::instance::{Begin, Condition, Ended, Instance};
use crate::run::context::Setup;
use crate::run::request;
use crate::run::request::{Past, Start};
use crate::runtime::pool::Pool;
use crate::snapshot::kept::Kept;
use crate::snapshot::{Frame, Kind, Snapshot};
use crate::{CancelHandle, Error, ExecutionOptions, Storage};
use eryx_memory::SavedMemory;

/// How long the driver may take for what it does itself, unless an execution may take less.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// A guest and what is needed to put it back to where it was before an execution.
pub(crate) struct Live {
    guest: Guest,
    /// Its memory as it was when its last run ended.
    state: SavedMemory,
    /// That is so. `false` if there was no room for it.
    has_state: bool,
    /// Instructions that a run may take.
    fuel: Option<u64>,
    /// The tree at `/`, which belongs to this guest alone.
    root: Arc<MemoryFs>,
    /// The session's storage is mounted. `false`: it goes on with a run of a sandbox, whose working directory is in `root`.
    has_storage: bool,
    /// What the next request must bring with it.
    pub(crate) start: Start,
    /// Something is to be done in it before it goes, as the guest says. Open files come on top.
    unfinished: bool,
}

enum Guest {
    /// In a slot.
    Awake(Box<Instance>),
    /// Its state is all there is.
    Asleep(Asleep),
}

/// What the host keeps of a guest without a slot.
struct Asleep {
    files: Files,
    /// When its clock was at zero.
    started: Instant,
}

impl Live {
    /// A guest in the image's state. Costs next to nothing: it sleeps.
    pub(crate) fn new(setup: &Setup, pool: &Pool, storage: Option<&Storage>) -> Self {
        let (root, namespace) = setup.files(storage);
        Self {
            guest: Guest::Asleep(Asleep {
                files: Files::new(namespace, Arc::default()),
                started: Instant::now(),
            }),
            state: SavedMemory::of(pool.image()),
            has_state: true,
            fuel: setup.config.limits.max_fuel,
            root,
            has_storage: storage.is_some(),
            start: Start::FRESH,
            unfinished: false,
        }
    }

    /// Puts the guest into a slot, if it is in none.
    ///
    /// # Errors
    /// The machine has no room. The guest sleeps on.
    pub(crate) async fn wake(&mut self, pool: &Pool) -> Result<(), Error> {
        if let Guest::Asleep(asleep) = &mut self.guest {
            let mut instance = pool.take_in(&self.state).await?;
            let files = std::mem::replace(&mut asleep.files, Files::none());
            instance.host().settle(files, asleep.started);
            self.guest = Guest::Awake(Box::new(instance));
        }
        Ok(())
    }

    pub(crate) fn is_awake(&self) -> bool {
        matches!(self.guest, Guest::Awake(_))
    }

    /// Gives the slot back.
    pub(crate) fn sleep(&mut self, pool: &Pool) {
        if !self.has_state {
            return;
        }
        if let Some(instance) = self.asleep(None) {
            pool.reclaim(*instance, Condition::Sound);
            // What cannot be trimmed stays as it is.
            drop(self.state.trim());
        }
    }

    /// Makes the guest one that sleeps, with these files or its own, and returns what it was in.
    fn asleep(&mut self, files: Option<Files>) -> Option<Box<Instance>> {
        let Guest::Awake(instance) = &mut self.guest else {
            return None;
        };
        let host = instance.host();
        let own = || std::mem::replace(&mut host.files, Files::none());
        let asleep = Asleep {
            files: files.unwrap_or_else(own),
            started: host.started,
        };
        match std::mem::replace(&mut self.guest, Guest::Asleep(asleep)) {
            Guest::Awake(instance) => Some(instance),
            Guest::Asleep(_) => None,
        }
    }

    fn instance(&mut self) -> Option<&mut Instance> {
        match &mut self.guest {
            Guest::Awake(instance) => Some(instance),
            Guest::Asleep(_) => None,
        }
    }

    /// Its open files, and when its clock was at zero.
    fn files(&mut self) -> (&Files, Instant) {
        match &mut self.guest {
            Guest::Awake(instance) => {
                let host = instance.host();
                (&host.files, host.started)
            }
            Guest::Asleep(asleep) => (&asleep.files, asleep.started),
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
            done(settled, !self.has_state);
            return self.has_state;
        }
        if reached && matches!(begin, Begin::Request(_)) {
            self.start.given();
        }
        self.start.stdin_used |= stdin_used;
        self.unfinished = unfinished.unwrap_or(self.unfinished);
        // Nobody has to wait for this but the next execution.
        done(settled, false);
        self.commit(pool);
        true
    }

    fn commit(&mut self, pool: &Pool) {
        let Guest::Awake(instance) = &mut self.guest else {
            return;
        };
        match self.state.commit(&mut instance.resting(), pool.strategy()) {
            Ok(usable) => {
                self.has_state = true;
                if !usable && let Some(instance) = self.asleep(None) {
                    pool.reclaim(*instance, Condition::Lost);
                }
            }
            Err(_) => self.has_state = false,
        }
    }

    /// Whether something in it is lost if it goes without [`Live::finish`].
    pub(crate) fn is_unfinished(&mut self) -> bool {
        self.unfinished || self.files().0.writers().is_some()
    }

    /// Has Python do what it does at its end: open files are written and closed. It is of no use afterwards.
    pub(crate) async fn finish(&mut self, setup: &Setup, pool: &Pool, limit: Option<Duration>) {
        self.unfinished = false;
        if let Ok(request) = request::encode_end() {
            let cancel = CancelHandle::new();
            // Nobody can be told of what goes wrong.
            drop(self.order(setup, pool, &request, (limit, &cancel)).await);
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
                guest: Guest::Asleep(Asleep {
                    files: files.forked(&trees),
                    started,
                }),
                state: self.state.clone(),
                has_state: true,
                fuel: self.fuel,
                root,
                has_storage: self.has_storage,
                start,
                unfinished: self.unfinished,
            }
        };
        Ok((0..count).map(fork).collect())
    }

    fn expect_state(&mut self, pool: &Pool) -> Result<(), Error> {
        if !self.has_state {
            self.commit(pool);
        }
        if self.has_state {
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
        setup: &Setup,
        pool: &Pool,
        executions: u64,
        own: Option<&Storage>,
    ) -> Result<Vec<u8>, Error> {
        let fresh = self.start.past == Past::Fresh;
        let (files, started) = self.files();
        let kept = Kept::of(files, started, None, (executions, fresh));
        let frame = Frame {
            kind: Kind::Rest,
            runtime: &setup.runtime.identity(),
            base: pool.image(),
        };
        let root = self.root();
        let trees = [Some(&*root), self.saves(own).map(Storage::tree)];
        let taken = match self.instance() {
            Some(instance) => {
                let mut slot = instance.resting();
                slot.changed(pool.strategy())
                    .and_then(|changed| frame.take(&slot, &changed, &kept, trees))
            }
            None => self
                .state
                .pages()
                .and_then(|memory| frame.take(&memory, &self.state.changed(), &kept, trees)),
        };
        taken.map_err(|error: io::Error| {
            Error::Snapshot(format!("the snapshot could not be taken: {error}"))
        })
    }

    /// Tells the interpreter of the callbacks that it has now, in the middle of a run that waits. Otherwise the next request
    /// does that.
    pub(crate) async fn rebind(
        &mut self,
        setup: &Setup,
        pool: &Pool,
        cancel: &CancelHandle,
    ) -> Result<(), Error> {
        let request = request::encode_rebind(&setup.config.callbacks)?;
        let limit = setup.config.limits.execution_timeout;
        self.order(setup, pool, &request, (limit, cancel))
            .await
            .map_err(|error| match error {
                Error::Cancelled { .. } | Error::Initialization(_) => error,
                _ => Error::refused_snapshot("the interpreter in it does not run"),
            })
    }

    /// Has the driver do something. None of the user's code runs, unless it took the driver apart: then it is stopped soon.
    pub(crate) async fn order(
        &mut self,
        setup: &Setup,
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
        let state = setup.state(&options, None, Instant::now());
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
    state: SavedMemory,
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
        setup: &Setup,
        pool: &Pool,
        (bytes, kind): (&[u8], Kind),
        storage: &Storage,
        own: bool,
    ) -> Result<Self, Error> {
        let frame = Frame {
            kind,
            runtime: &setup.runtime.identity(),
            base: pool.image(),
        };
        let snapshot = Snapshot::parse(bytes, frame, setup.max_memory())?;
        let (state, [root, files]) = snapshot.unpack(pool.image(), setup.max_files())?;
        // What a sandbox had in its working directory is in its tree at `/`, where no storage hides it.
        let mounted = (!own || files.is_some()).then_some(storage);
        let mut came = Vec::new();
        let (root, namespace) = match root {
            Some(root) => {
                came.push(ROOT_MOUNT);
                let root = Arc::new(root);
                let namespace = setup.files_on(&root, mounted)?;
                (root, namespace)
            }
            None => setup.files(mounted),
        };
        let files = files.filter(|_| own);
        came.extend(files.as_ref().map(|_| STORAGE_MOUNT));
        Ok(Self {
            state,
            root,
            namespace,
            has_storage: mounted.is_some(),
            came,
            files,
            kept: snapshot.kept,
        })
    }

    /// The guest, which sleeps. Whatever used `storage` as its own before must be gone.
    pub(crate) fn into_live(self, setup: &Setup, storage: &Storage) -> Live {
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
        Live {
            guest: Guest::Asleep(Asleep {
                files,
                started: self.kept.started(),
            }),
            state: self.state,
            has_state: true,
            fuel: setup.config.limits.max_fuel,
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
            unfinished: !self.kept.fresh,
        }
    }
}
