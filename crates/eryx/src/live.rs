//! The guest of a session, which lives from one execution to the next.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::MemoryFs;

use crate::checkpoint::Kept;
use crate::host::files::{Files, ROOT_MOUNT, STORAGE_MOUNT};
use crate::host::{Host, RunState};
use crate::instance::{Begin, Condition, Ended, Instance};
use crate::net::Net;
use crate::pool::Pool;
use crate::request::Start;
use crate::setup::Setup;
use crate::slot::Slot;
use crate::snapshot::{self, Kind, Snapshot};
use crate::{CancelHandle, Error, ExecutionOptions, RestoreStrategy, Storage, request};

/// How long the driver may take for what it does itself, unless an execution may take less.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// A guest and what is needed to put it back to where it was before an execution.
pub(crate) struct Live {
    /// `None` only while it is being replaced.
    instance: Option<Instance>,
    net: Net,
    /// The net holds the state as it is now.
    has_net: bool,
    /// Instructions that a run may take.
    fuel: Option<u64>,
    strategy: RestoreStrategy,
    /// The tree at `/`, which belongs to this guest alone.
    root: Arc<MemoryFs>,
    /// What the next request must bring with it.
    pub(crate) start: Start,
}

impl Live {
    /// A guest in the image's state.
    pub(crate) async fn new(
        setup: &Setup,
        pool: &Pool,
        storage: Option<&Storage>,
    ) -> Result<Self, Error> {
        let (root, namespace) = setup.files(storage);
        let mut instance = pool.take().await?;
        instance
            .host()
            .settle(Files::new(namespace, Arc::default()), Instant::now());
        Ok(Self {
            instance: Some(instance),
            net: Net::default(),
            has_net: true,
            fuel: setup.config.limits.max_fuel,
            strategy: pool.strategy(),
            root,
            start: Start::FRESH,
        })
    }

    fn instance(&mut self) -> &mut Instance {
        self.instance
            .as_mut()
            .expect("taken out only to be replaced at once")
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.instance().host()
    }

    /// Runs. `settle` makes of the end what `done` is given, together with whether the state was lost: that is when the run had
    /// to be cut off and the state before it could not be put back. Then this guest is of no more use, and `false` is
    /// returned.
    pub(crate) async fn run<T>(
        &mut self,
        pool: &Pool,
        state: RunState,
        begin: Begin<'_>,
        settle: impl FnOnce(&mut Instance, Ended) -> T,
        done: impl FnOnce(T, bool),
    ) -> bool {
        let before = self.host().files.saved();
        let fuel = self.fuel;
        let ended = self.instance().run(state, begin, fuel).await;
        let condition = ended.condition;
        let settled = settle(self.instance(), ended);
        if condition != Condition::Sound {
            let kept = self.has_net && self.roll_back(pool, before).is_ok();
            done(settled, !kept);
            return kept;
        }
        if matches!(begin, Begin::Request(_)) {
            (self.start.fresh, self.start.reseed) = (false, false);
        }
        self.start.stdin_used |= self.host().files.stdin_used();
        // Nobody has to wait for the net but the next execution.
        done(settled, false);
        self.has_net = self.commit().is_ok();
        true
    }

    fn commit(&mut self) -> io::Result<()> {
        let slot = Arc::clone(self.instance().slot());
        self.net.commit(&slot, self.strategy)
    }

    fn roll_back(&mut self, pool: &Pool, files: Files) -> Result<(), Error> {
        let slot = Arc::clone(self.instance().slot());
        let started = self.host().started;
        // wasmtime's own state of the old instance cannot be relied on.
        self.instance = None;
        self.net
            .roll_back(&slot)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let mut instance = pool.instantiate(slot)?;
        instance.host().settle(files, started);
        self.instance = Some(instance);
        Ok(())
    }

    /// Gives what is left of the guest back.
    pub(crate) fn end(self, pool: &Pool) {
        if let Some(instance) = self.instance {
            pool.reclaim(instance);
        }
    }

    /// So many copies of this guest, which share its memory until they write. Each takes one of `storages` in the place of the
    /// storage that it has: forks of that, made just now. Without any, the copies share it.
    pub(crate) fn fork(
        &mut self,
        pool: &Pool,
        count: usize,
        storages: &[Storage],
    ) -> Result<Vec<Self>, Error> {
        let failed = |error: io::Error| Error::Initialization(format!("the fork failed: {error}"));
        let slot = Arc::clone(self.instance().slot());
        let image = self.net.seal(&slot, self.strategy).map_err(failed)?;
        self.start.reseed = true;
        let started = self.host().started;
        (0..count)
            .map(|index| {
                let root = Arc::new(self.root.fork());
                let mut trees = vec![(ROOT_MOUNT, Arc::clone(&root))];
                let storage = storages.get(index);
                trees.extend(storage.map(|storage| (STORAGE_MOUNT, storage.file_system())));
                let files = self.host().files.forked(&trees);
                let slot = Slot::new(Arc::clone(&image)).map_err(failed)?;
                let mut instance = pool.instantiate(Arc::new(slot))?;
                instance.host().settle(files, started);
                Ok(Self {
                    instance: Some(instance),
                    net: Net::default(),
                    has_net: true,
                    fuel: self.fuel,
                    strategy: self.strategy,
                    root,
                    start: self.start,
                })
            })
            .collect()
    }

    /// The tree at `/`.
    pub(crate) fn root(&self) -> Arc<MemoryFs> {
        Arc::clone(&self.root)
    }

    /// The state as bytes. `own`: the storage, if nobody shares it.
    pub(crate) fn snapshot(
        &mut self,
        setup: &Setup,
        pool: &Pool,
        executions: u64,
        own: Option<&Storage>,
    ) -> Result<Vec<u8>, Error> {
        let root = Arc::clone(&self.root);
        let trees = [Some(&*root), own.map(Storage::tree)];
        let fresh = self.start.fresh;
        let kept = Kept::of(self.host(), executions, fresh, trees);
        snapshot::take(
            self.instance().slot(),
            pool.image(),
            pool.strategy(),
            &setup.runtime.identity(),
            Kind::Rest,
            &kept.to_value(),
        )
        .map_err(|error| Error::Snapshot(format!("the snapshot could not be taken: {error}")))
    }

    /// A guest in the state of a snapshot, with the callbacks of `setup`. If `own`, `storage` takes the contents of the storage
    /// in the snapshot.
    pub(crate) async fn restored(
        setup: &Setup,
        pool: &Pool,
        (bytes, kind): (&[u8], Kind),
        storage: &Storage,
        own: bool,
        cancel: &CancelHandle,
    ) -> Result<(Self, Kept), Error> {
        let runtime = setup.runtime.identity();
        let max_memory = setup.max_memory();
        let snapshot = Snapshot::parse(bytes, kind, &runtime, pool.image(), max_memory)?;
        let kept = Kept::from_value(snapshot.host.clone()).ok_or_else(snapshot::damaged)?;
        let max_files = setup.max_files();
        let [root, files] = kept
            .trees
            .each_ref()
            .map(|tree| loaded(tree.as_deref(), max_files));
        let (root, files) = (root?, files?);
        // What a sandbox had in its working directory is in its tree at `/`, where no storage hides it.
        let mounted = (!own || files.is_some()).then_some(storage);
        let mut live = Self::new(setup, pool, mounted).await?;
        if snapshot.memory_size > live.instance().slot().accessible() {
            live.enlarge(pool, snapshot.memory_size)?;
        }
        snapshot.load(live.instance().slot())?;
        let mut came = Vec::new();
        if let Some(root) = &root {
            live.root.replace_with(root);
            came.push(ROOT_MOUNT);
        }
        let before = files.as_ref().filter(|_| own).map(|files| {
            let before = storage.fork();
            storage.tree().replace_with(files);
            came.push(STORAGE_MOUNT);
            before
        });
        let host = live.host();
        host.files.reopen(&kept.files, &came);
        host.started = kept.started();
        live.start.fresh = kept.fresh;
        live.start.stdin_used = true;
        let bound = if kept.fresh {
            Ok(())
        } else {
            live.rebind(setup, pool, cancel).await
        };
        if let Err(error) = bound {
            if let Some(before) = before {
                storage.tree().replace_with(before.tree());
            }
            return Err(error);
        }
        live.root.free_unused();
        live.has_net = live.commit().is_ok();
        live.start.reseed = true;
        Ok((live, kept))
    }

    /// A new guest's memory grows before anything is put into it.
    fn enlarge(&mut self, pool: &Pool, size: usize) -> Result<(), Error> {
        let failed = |error: io::Error| Error::Initialization(format!("no memory: {error}"));
        let slot = Slot::new(Arc::clone(pool.image())).map_err(failed)?;
        slot.grow(size).map_err(failed)?;
        let started = self.host().started;
        let files = self.host().files.saved();
        let mut instance = pool.instantiate(Arc::new(slot))?;
        instance.host().settle(files, started);
        self.instance = Some(instance);
        Ok(())
    }

    /// Tells the interpreter of the callbacks that it has now.
    async fn rebind(
        &mut self,
        setup: &Setup,
        pool: &Pool,
        cancel: &CancelHandle,
    ) -> Result<(), Error> {
        let request = request::encode_rebind(&setup.config.callbacks)?;
        let limit = setup.config.limits.execution_timeout;
        let done = self.order(setup, pool, &request, (limit, cancel)).await;
        done.map_err(|_| snapshot::refused("the interpreter in it does not run"))
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
            if interrupt.stopped() {
                return Err(interrupt.error(false));
            }
            ended.result
        };
        let mut result = Ok(());
        let begin = Begin::Request(request);
        self.run(pool, state, begin, settle, |ended, _| result = ended)
            .await;
        self.start = start;
        result
    }
}

/// A tree from a snapshot.
fn loaded(bytes: Option<&[u8]>, max_files: u64) -> Result<Option<MemoryFs>, Error> {
    let Some(mut bytes) = bytes else {
        return Ok(None);
    };
    // The directories that every guest has are not counted.
    let max_bytes = max_files.saturating_add(1 << 16);
    MemoryFs::load(&mut bytes, max_bytes)
        .map(Some)
        .map_err(|error| snapshot::refused(&format!("its files: {error}")))
}
