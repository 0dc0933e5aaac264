//! What an execution costs: an empty one, small ones, callbacks, and putting a slot back. Run with `cargo bench --bench execute`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use eryx::internals::RestoreStrategy;
use eryx::{Call, CallbackHandler, ExecutionOptions, Runtime, Sandbox, SandboxOptions};
use eryx_test::runtime_directory;
use tokio::runtime::{Builder, Runtime as Executor};

/// Programs whose time is of interest, by name.
const PROGRAMS: [(&str, &str); 5] = [
    ("pass", "pass"),
    ("print", "print(1)"),
    (
        "json, re and a class",
        "
import json, re
class Point:
    def __init__(self, x, y): self.x, self.y = x, y
    def __repr__(self): return f'Point({self.x}, {self.y})'
points = [Point(*map(int, pair)) for pair in re.findall(r'(\\d+),(\\d+)', '1,2 3,4 5,6')]
print(json.dumps([vars(point) for point in points]), points)",
    ),
    ("import urllib.request", "import urllib.request"),
    ("10,000 prints", "for i in range(10_000): print(i)"),
];

fn sandbox(strategy: RestoreStrategy) -> Sandbox {
    let runtime = Runtime::load_with(&runtime_directory(), strategy).expect("the runtime loads");
    Sandbox::new(&runtime, SandboxOptions::default()).expect("the options are good")
}

fn executor() -> Executor {
    Builder::new_current_thread()
        .build()
        .expect("an executor of this thread")
}

async fn run(sandbox: &Sandbox, code: &str) {
    sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("the program succeeds");
}

/// From the call to the result, in a slot that is warm.
fn fresh(criterion: &mut Criterion) {
    let executor = executor();
    let sandbox = sandbox(RestoreStrategy::detect());
    let mut group = criterion.benchmark_group("fresh");
    for (name, code) in PROGRAMS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| executor.block_on(run(&sandbox, code)));
        });
    }
    group.finish();
}

/// Answers `None` at once, in the call itself: what is left is the cost of the way there and back.
struct AtOnce;

impl CallbackHandler for AtOnce {
    fn call(&self, call: Call) {
        call.reply.send(Ok(().into()));
    }
}

/// A thousand calls, one after the other and all at once.
fn callbacks(criterion: &mut Criterion) {
    let executor = executor();
    let runtime = Runtime::load(&runtime_directory()).expect("the runtime loads");
    let mut options = SandboxOptions::default();
    options.callbacks = vec!["f".into()];
    options.callback_handler = Some(Arc::new(AtOnce));
    let sandbox = Sandbox::new(&runtime, options).expect("the options are good");
    let mut group = criterion.benchmark_group("1,000 calls");
    for (name, code) in [
        ("in sequence", "for _ in range(1000): await f(1)"),
        (
            "gathered",
            "import asyncio\nawait asyncio.gather(*[f(1) for _ in range(1000)])",
        ),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| executor.block_on(run(&sandbox, code)));
        });
    }
    group.finish();
}

/// Processor time of whole cycles, the cleaning of the slot included, which results do not wait for. The programs write
/// about as many pages as their names say.
fn restored(criterion: &mut Criterion) {
    let executor = executor();
    let mut group = criterion.benchmark_group("restore");
    for strategy in [
        RestoreStrategy::PagemapScan,
        RestoreStrategy::Pagemap,
        RestoreStrategy::Remap,
        RestoreStrategy::Copy,
    ] {
        let sandbox = sandbox(strategy);
        for (pages, code) in [
            (0, "pass"),
            (256, "held = bytearray(b'x') * (1 << 20)"),
            (2048, "import gc\ngc.unfreeze()\ngc.collect()"),
        ] {
            group.bench_function(format!("{strategy:?}, {pages} pages"), |bencher| {
                bencher.iter_custom(|count| executor.block_on(cycles(&sandbox, code, count)));
            });
        }
    }
    group.finish();
}

/// Keeps all cores busy with `count` cycles for each of them; then no cleaning hides in idle time.
async fn cycles(sandbox: &Sandbox, code: &'static str, count: u64) -> Duration {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let started = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..cores {
        let sandbox = sandbox.clone();
        lanes.spawn(async move {
            for _ in 0..count {
                run(&sandbox, code).await;
            }
        });
    }
    lanes.join_all().await;
    started.elapsed()
}

criterion_group!(benches, fresh, callbacks, restored);
criterion_main!(benches);
