//! When Python's reference cycles are collected, and what it costs: work is counted in instructions, not in time.

use eryx::{ExecutionOptions, SandboxOptions, Session, Value};

use crate::support::callbacks::succeeded;
use crate::support::layout::Layout;
use crate::support::sessions::{execute, session, session_of};
use crate::support::{printed, runtime, succeed};

/// What is done 40,000 times, and four times as often: the setup, and one round with `i`.
const BUILDS: [(&str, &str); 9] = [
    ("rows = []", "rows.append({'id': i, 'tags': [i]})"),
    (
        "import collections\ngroups = collections.defaultdict(list)",
        "groups[i // 10].append((i, [i]))",
    ),
    (
        "import csv, itertools\nrows = []\nlines = csv.DictReader(itertools.chain(['a,b'], itertools.repeat('1,2')))",
        "rows.append(next(lines))",
    ),
    ("import json\njson.cache = []", "json.cache.append([[i]])"),
    (
        "class Table: rows = {}",
        "Table.rows[i] = {'id': i, 'tags': [i]}",
    ),
    (
        "import sys, types\nmodule = sys.modules['mine'] = types.ModuleType('mine')\nmodule.rows = []",
        "module.rows.append({'id': [i]})",
    ),
    (
        "import builtins\nbuiltins.rows = []",
        "rows.append({'id': [i]})",
    ),
    (
        "class Node: pass\nfirst = last = Node()",
        "last.next = Node()\n    last.next.before = last\n    last = last.next",
    ),
    (
        "import functools\n@functools.cache\ndef made(n): return [[n]]",
        "made(i)",
    ),
];

fn metered(options: &mut SandboxOptions) {
    options.limits.max_fuel = Some(u64::MAX / 2);
    options.limits.max_memory_bytes = Some(512 << 20);
    options.limits.execution_timeout = None;
}

async fn fuel(session: &Session, code: &str) -> u64 {
    let outcome = session.execute(code, ExecutionOptions::default()).await;
    succeeded(outcome)
        .output
        .usage
        .fuel_consumed
        .expect("counted")
}

/// Checks that four times the rounds are about four times the work, in sessions that `ready` makes.
async fn assert_linear<F: Future<Output = Session>>(
    (setup, round): (&str, &str),
    ready: impl Fn() -> F,
) {
    let mut taken = Vec::new();
    for rounds in [40_000, 160_000] {
        let code = format!("{setup}\nfor i in range({rounds}):\n    {round}");
        taken.push(fuel(&ready().await, &code).await);
    }
    let [few, many] = taken[..] else {
        unreachable!("two sizes");
    };
    assert!(many < 6 * few, "{round}: {few} and {many}");
}

fn new_session() -> Session {
    session_of(runtime(), metered)
}

#[tokio::test]
async fn building_data_at_the_top_level_is_linear() {
    for build in BUILDS {
        assert_linear(build, async || new_session()).await;
    }
}

#[tokio::test]
async fn building_data_is_linear_wherever_the_interpreter_comes_from() {
    let before = "import json\nrows = [[i] for i in range(10_000)]\njson.cache = []";
    let base = new_session();
    fuel(&base, before).await;
    let snapshot = base.snapshot().await.expect("at rest");
    for build in ["rows.append([[i]])", "json.cache.append({'id': [i]})"] {
        let build = ("1", build);
        let second = async || {
            let session = new_session();
            fuel(&session, before).await;
            session
        };
        assert_linear(build, second).await;
        let restored = async || {
            let session = new_session();
            session.restore(snapshot.clone()).await.expect("restored");
            session
        };
        assert_linear(build, restored).await;
        let forked = async || {
            let mut forks = base.fork(1).await.expect("forked");
            forks.remove(0)
        };
        assert_linear(build, forked).await;
        let library = async || {
            session_of(runtime(), |options| {
                metered(options);
                options.libraries = vec![before.to_owned()];
            })
        };
        assert_linear(build, library).await;
    }
}

#[tokio::test]
async fn the_top_level_costs_what_a_function_costs() {
    let body = "rows = []\nfor i in range(100_000): rows.append({'id': i, 'tags': [i]})";
    let function = format!("def f():\n    {}\nf()", body.replace('\n', "\n    "));
    let top_level = fuel(&new_session(), body).await;
    let function = fuel(&new_session(), &function).await;
    assert!(top_level < function * 13 / 10, "{top_level} and {function}");
}

/// Each of these loops makes garbage that only the collector finds, and would run out of something without it.
#[tokio::test]
async fn cyclic_garbage_is_freed() {
    for (kept, round) in [
        // File descriptors.
        ("0", "a = A(); a.file = open('/data/x', 'w'); a.me = a"),
        (
            "[[i] for i in range(200_000)]",
            "a = A(); a.file = open('/data/x', 'w'); a.me = a",
        ),
        // Memory: many small objects, few containers with much in them, and large blocks.
        ("0", "for _ in range(1000): a = A(); a.me = a"),
        ("0", "a = list(range(1000, 5000)); a.append(a)"),
        ("0", "a = A(); a.data = bytearray(1 << 20); a.me = a"),
        ("0", "a = A(); a.data = bytearray(8 << 20); a.me = a"),
        (
            "bytes(60 << 20)",
            "a = A(); a.data = bytearray(4 << 20); a.me = a",
        ),
        (
            "[[i] for i in range(200_000)]",
            "a = A(); a.data = bytearray(1 << 20); a.me = a",
        ),
        (
            "bytes(100 << 20)",
            "a = [bytes(1000) for _ in range(1000)]; a.append(a)",
        ),
    ] {
        let code =
            format!("class A: pass\nkept = {kept}\nfor _ in range(5000):\n    {round}\n'done'");
        let result = succeed(&code).await;
        assert_eq!(result.value, Some("done".into()), "{kept}, {round}");
    }
}

/// What has become old before it became garbage.
#[tokio::test]
async fn old_cyclic_garbage_is_freed() {
    let code = "
import gc, weakref
class A: pass
live = A()
live.me = live
gone = weakref.ref(live)
gc.collect()
del live
kept = 0
while gone() is not None:
    kept += 1
    assert kept < 1_000_000
    a = A()
    a.me = a
'done'";
    assert_eq!(succeed(code).await.value, Some("done".into()));
}

#[tokio::test]
async fn the_gc_module_means_what_it_says() {
    let code = "
import gc, weakref
class A: pass
def garbage():
    a = A()
    a.me = a
    return weakref.ref(a)
def live(count):
    return [garbage() for _ in range(count)], count
print(gc.isenabled(), gc.get_threshold(), gc.garbage, gc.callbacks)
a = garbage(); print(gc.collect() >= 1, a())
a = garbage(); print(gc.collect(0) >= 1, a())
seen = []
gc.callbacks.append(lambda phase, info: seen.append((phase, info['generation'])))
before = [entry['collections'] for entry in gc.get_stats()]
kept = [[i] for i in range(100_000)]
after = [entry['collections'] for entry in gc.get_stats()]
print([b > a for a, b in zip(before, after)], {generation for _, generation in seen}, gc.get_count()[0] <= 2000)
gc.disable(); seen.clear()
refs = [garbage() for _ in range(10_000)]
print(gc.isenabled(), seen, all(ref() for ref in refs))
gc.enable()
more = [garbage() for _ in range(10_000)]
print(any(ref() for ref in refs), sum(ref() is not None for ref in more) < 5000)
gc.set_threshold(0); seen.clear()
refs = [garbage() for _ in range(10_000)]
print(gc.get_threshold(), seen)
gc.set_threshold(100, 5, 5)
refs = [garbage() for _ in range(10_000)]
print(gc.get_threshold(), len(seen) > 100, {phase for phase, _ in seen} == {'start', 'stop'})
mine = [[]]
print(any(o is mine for o in gc.get_objects()), gc.is_tracked(mine), mine in gc.get_referrers(mine[0]))
gc.freeze(); print(gc.get_freeze_count() > 0, any(o is mine for o in gc.get_objects()))
gc.unfreeze(); print(gc.get_freeze_count(), gc.collect() >= 0)";
    assert_eq!(
        printed(code).await,
        "True (2000, 10, 0) [] []\nTrue None\nTrue None\n[True, False, True] {0, 2} True\nFalse [] True\n\
         False True\n(0, 10, 0) []\n(100, 5, 0) True True\nTrue True True\nTrue False\n0 True\n"
    );
}

/// Memory that runs short does not collect for somebody who has switched that off, and finalizers that fail end nothing.
#[tokio::test]
async fn collections_for_memory_obey_and_survive() {
    let disabled = "
import gc
gc.disable()
class A:
    def __del__(self): print('deleted')
a = A(); a.me = a; del a
try:
    held = []
    while True: held.append(bytearray(1 << 20))
except MemoryError: print('full')";
    // Finalizers of what is left run at the end, as in CPython.
    assert_eq!(printed(disabled).await, "full\ndeleted\n");
    let failing = "
class A:
    def __init__(self):
        self.data = bytearray(1 << 20)
        self.me = self
    def __del__(self): 1 / 0
for _ in range(300): A()
import sys
print('done')";
    let result = succeed(failing).await;
    assert_eq!(result.output.stdout, b"done\n");
}

/// A run that makes little does not look at what the image holds.
#[tokio::test]
async fn the_image_is_not_walked() {
    let session = session(runtime());
    let code = "import gc\nrows = [[i] for i in range(100_000)]\nlen(gc.get_objects()) - len(rows)";
    let value = execute(&session, code).await.value;
    assert!(matches!(value, Some(Value::Int(0..2000))), "{value:?}");
    let rows = "rows = [[i] for i in range(3000)]";
    let collecting = fuel(&new_session(), &format!("import gc\ngc.enable()\n{rows}")).await;
    let never = fuel(&new_session(), &format!("import gc\ngc.disable()\n{rows}")).await;
    assert!(collecting < never * 5 / 4, "{collecting} and {never}");
}

/// What all runs share stays shared: neither the collector nor the reserve writes to it, and what a run makes lies together.
#[tokio::test]
async fn a_short_run_writes_to_few_pages() {
    let session = session(runtime());
    for _ in 0..3 {
        execute(&session, "pass").await;
    }
    let snapshot = Layout::parse(&session.snapshot().await.expect("at rest"));
    assert!(snapshot.count() < 70, "{}", snapshot.count());
}
