//! The guest of a session, which lives from one execution to the next.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use eryx_vfs::MemoryFs;

use crate::checkpoint::Kept;
use crate::host::files::Files;
use crate::host::{Host, RunState};
use crate::instance::{Begin, Condition, Ended, Instance};
use crate::net::Net;
use crate::pool::Pool;
use crate::setup::Setup;
use crate::slot::Slot;
use crate::snapshot::{self, Kind, Snapshot};
use crate::{Error, ExecutionOptions, RestoreStrategy, request};

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
    /// Nothing was run in it yet.
    pub(crate) fresh: bool,
    /// It shares its past with another guest: random numbers must go different ways from here on.
    pub(crate) reseed: bool,
}

impl Live {
    /// A guest in the image's state.
    pub(crate) async fn new(setup: &Setup, pool: &Pool) -> Result<Self, Error> {
        let (root, namespace) = setup.files();
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
            fresh: true,
            reseed: true,
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
        (self.fresh, self.reseed) = (false, false);
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

    /// So many copies of this guest, which share its memory until they write.
    pub(crate) fn fork(&mut self, pool: &Pool, count: usize) -> Result<Vec<Self>, Error> {
        let failed = |error: io::Error| Error::Initialization(format!("the fork failed: {error}"));
        let slot = Arc::clone(self.instance().slot());
        let image = self.net.seal(&slot, self.strategy).map_err(failed)?;
        self.reseed = true;
        let started = self.host().started;
        (0..count)
            .map(|_| {
                let root = Arc::new(self.root.fork());
                let files = self.host().files.forked(Arc::clone(&root));
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
                    fresh: self.fresh,
                    reseed: true,
                })
            })
            .collect()
    }

    /// The state as bytes.
    pub(crate) fn snapshot(
        &mut self,
        setup: &Setup,
        pool: &Pool,
        executions: u64,
    ) -> Result<Vec<u8>, Error> {
        let kept = Kept::of(self.host(), executions, Vec::new());
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

    /// A guest in the state of a snapshot, with the callbacks of `setup`.
    pub(crate) async fn restored(
        setup: &Setup,
        pool: &Pool,
        bytes: &[u8],
        kind: Kind,
    ) -> Result<(Self, Kept), Error> {
        let runtime = setup.runtime.identity();
        let max_memory = setup.max_memory();
        let snapshot = Snapshot::parse(bytes, kind, &runtime, pool.image(), max_memory)?;
        let mut live = Self::new(setup, pool).await?;
        if snapshot.memory_size > live.instance().slot().accessible() {
            live.enlarge(pool, snapshot.memory_size)?;
        }
        snapshot.load(live.instance().slot())?;
        let kept = Kept::from_value(snapshot.host).ok_or_else(snapshot::damaged)?;
        let host = live.host();
        host.files.reopen(&kept.files);
        host.started = kept.started();
        live.fresh = false;
        live.rebind(setup, pool).await?;
        live.has_net = live.commit().is_ok();
        live.reseed = true;
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
    async fn rebind(&mut self, setup: &Setup, pool: &Pool) -> Result<(), Error> {
        let request = request::encode_rebind(&setup.config.callbacks)?;
        let (mut ended, started) = (Ok(()), Instant::now());
        let state = setup.state(&ExecutionOptions::default(), None, started);
        let settle = |_: &mut Instance, end: Ended| end.result;
        let begin = Begin::Request(&request);
        self.run(pool, state, begin, settle, |end, _| ended = end)
            .await;
        ended.map_err(|_| snapshot::refused("the interpreter in it does not run"))
    }
}
