//! Faults of `CPython` itself that end the interpreter: each ends its own run, and nothing else.

use std::time::Duration;

use eryx::{Error, ExecutionOptions, Session};

use crate::support::sessions::{execute, failure, session, started, value, with_each_strategy};
use crate::support::{alone, printed_by, raised, runtime, sandbox, until, within};

/// Programs that crash any `CPython` 3.14.0, by name. The number is that of the fault upstream.
const CRASHES: [(&str, &str); 5] = [
    // gh-141805
    (
        "an __eq__ that adds to the set that is added to",
        "
s = set()
class Plain:
    def __hash__(self): return 0
class Adds:
    done = False
    def __hash__(self): return 0
    def __eq__(self, other):
        if not self.done:
            self.done = True
            s.add(self)
        return False
s.add(Plain())
s.add(Plain())
s.pop()
s.add(Adds())
repr(s)",
    ),
    // gh-155752
    (
        "a generic alias whose argument becomes a parameter later",
        "
class Parameter: pass
first, late = Parameter(), Parameter()
first.__typing_subst__ = lambda value: value
alias = dict[first, late]
alias.__parameters__
late.__typing_subst__ = lambda value: value
alias[0,]",
    ),
    // gh-154275
    (
        "a generic alias of a list that holds itself",
        "
loop = []
loop.append(loop)
list[loop].__parameters__",
    ),
    (
        "a name of the compiler's own that is no set",
        "exec('__conditional_annotations__ = 0\\nx: int', {})",
    ),
    ("os.abort()", "import os\nos.abort()"),
];

/// Programs that use memory which was freed or never theirs. What comes of that depends on what lies there.
const FREED: [(&str, &str); 6] = [
    // gh-154709
    (
        "reversed() of a dict that is cleared and filled again",
        "
d = {number: number for number in range(100_000)}
for number in range(99_995): d.pop(number)
backwards = reversed(d)
d.clear()
for number in range(5): d[number] = [number]
list(backwards)",
    ),
    // gh-157639
    (
        "a profiler whose timer switches it on",
        "
import _lsprof
def timer():
    profiler.enable()
    return 1
profiler = _lsprof.Profiler(timer)
profiler.enable()
def f(): pass
f()
profiler.disable()",
    ),
    // gh-143543
    (
        "keys of groupby whose __eq__ moves it on",
        "
from itertools import groupby
class Key(bytearray):
    seen = False
    def __init__(self, first): self.first = first
    def __eq__(self, other):
        if self.first and not Key.seen:
            Key.seen = True
            next(groups)
            return NotImplemented
        return False
def keys():
    yield Key(True)
    while True: yield Key(False)
groups = groupby([None, 1, 2], keys().send)
next(groups)
next(groups)",
    ),
    // gh-146613
    (
        "a key whose __eq__ moves its own group on",
        "
import itertools
class Key:
    __hash__ = None
    def __init__(self): self.payload = bytearray(256)
    def __eq__(self, other):
        if self.payload:
            self.payload = None
            try: next(group)
            except StopIteration: pass
            return NotImplemented
        return True
groups = itertools.groupby(range(100), lambda number: Key())
key, group = next(groups)
for item in group: pass",
    ),
    (
        "tags whose __eq__ clears the element that is searched",
        "
import xml.etree.ElementTree as ET
class Tag:
    def __eq__(self, other):
        root.clear()
        junk = [bytearray(64) for _ in range(1000)]
        return True
for search in ('find', 'findtext', 'findall'):
    root = ET.Element('root')
    for _ in range(10): ET.SubElement(root, 'child').tag = Tag()
    getattr(root, search)('x')",
    ),
    // gh-143545
    (
        "a profiler whose timer clears it",
        "
import _lsprof
class Now:
    def __index__(self):
        profiler.clear()
        return 1
profiler = _lsprof.Profiler(Now)
profiler.enable()
def f(): g()
def g(): pass
for _ in range(10): f()
profiler.disable()",
    ),
];

/// Freed memory may also make code run on for ever.
const LIMIT: Duration = Duration::from_secs(2);

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    CRASHES.into_iter().chain(FREED)
}

/// How a run may end whose memory was used after it was freed: in any way in which Python code may end.
fn assert_python(error: &Error, name: &str) {
    assert!(
        matches!(error, Error::Python(_) | Error::Timeout { .. }),
        "{name}: {error:?}"
    );
}

#[tokio::test]
async fn a_crash_is_a_system_error() {
    for (name, code) in CRASHES {
        let error = raised(code).await;
        assert_eq!(error.python_type, "SystemError", "{name}: {error:?}");
        assert!(
            error.message.contains("the interpreter crashed"),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_next_run_of_the_sandbox_is_a_fresh_one() {
    let sandbox = sandbox();
    for (name, code) in all() {
        let outcome = sandbox.execute(code, within(LIMIT)).await;
        if let Err(failure) = outcome {
            assert_python(&failure.error, name);
        }
        let fresh = "print(sorted(name for name in globals() if name[:2] != '__'), len({1, 2}))";
        assert_eq!(printed_by(&sandbox, fresh).await, "[] 2", "{name}");
    }
}

/// State of every kind, and what looks at it.
const STATE: &str = "
import re, sqlite3, decimal
numbers = list(range(50_000))
half = iter(numbers); next(half)
def later():
    yield 1
    yield 2
waiting = later(); next(waiting)
database = sqlite3.connect(':memory:')
database.execute('create table t(x)')
database.execute('insert into t values (7)')
decimal.getcontext().prec = 5
kept = open('kept.txt', 'w+'); kept.write('text'); kept.flush()";
const LOOK: &str = "
kept.seek(0)
repr((sum(numbers), half.__length_hint__(), waiting.gi_frame is not None,
    database.execute('select x from t').fetchall(), kept.read()))";

async fn assert_kept(session: &Session, name: &str) {
    let expected = "(1249975000, 49999, True, [(7,)], 'text')";
    assert_eq!(value(session, LOOK).await, expected.into(), "{name}");
}

#[tokio::test]
async fn a_session_goes_on_with_its_state_and_a_neighbour_notices_nothing() {
    with_each_strategy(async |runtime| {
        let (session, neighbour) = (started(runtime, STATE).await, started(runtime, STATE).await);
        let fork = session.fork(1).await.expect("a fork").pop().expect("one");
        for (name, code) in CRASHES {
            let spoil = format!("numbers[0] = 'spoilt'; database.close(); numbers = None\n{code}");
            let failure = failure(&session, &spoil).await;
            assert!(!failure.state_lost, "{name}");
            assert_python(&failure.error, name);
            for session in [&session, &neighbour, &fork] {
                assert_kept(session, name).await;
            }
        }
        execute(&session, "numbers.append(1)").await;
        assert_eq!(value(&session, "len(numbers)").await, 50_001.into());
        assert_kept(&neighbour, "in the end").await;
    })
    .await;
}

#[tokio::test]
async fn a_neighbour_that_computes_meanwhile_gets_its_answer() {
    let neighbour = session(runtime());
    let sum = "total = 0\nfor number in range(300_000): total += number % 7\ntotal";
    for (name, code) in all() {
        let sandbox = sandbox();
        let crash = sandbox.execute(code, within(LIMIT));
        let (answer, _) = tokio::join!(value(&neighbour, sum), crash);
        assert_eq!(answer, 899_997.into(), "{name}");
    }
}

/// `ERYX_CRASHES`: how many, if other than 400.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn crashes_leave_nothing_behind() {
    use crate::support::process_kibibytes;
    if !alone("python::crashes::crashes_leave_nothing_behind") {
        return;
    }
    let count = std::env::var("ERYX_CRASHES").map_or(400, |count| count.parse().expect("a number"));
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("Linux").count();
    let (sandbox, session) = (sandbox(), started(runtime(), "x = 1").await);
    let mut held = (0, 0, 0);
    for round in 0..count {
        let (name, code) = CRASHES[round % CRASHES.len()];
        // Each of them in both.
        if (round / CRASHES.len()).is_multiple_of(2) {
            let outcome = sandbox.execute(code, ExecutionOptions::default()).await;
            assert!(outcome.is_err(), "{name}");
        } else {
            assert!(!failure(&session, code).await.state_lost, "{name}");
        }
        if round == count / 4 {
            held = (
                process_kibibytes("VmRSS"),
                descriptors(),
                process_kibibytes("Threads"),
            );
        }
    }
    assert_eq!(value(&session, "x").await, 1.into());
    // Guests whose memory is being given back hold it for a moment.
    let most = held.0 + (16 << 10);
    until(|| process_kibibytes("VmRSS") < most).await;
    // So do threads that came because others were busy.
    until(|| process_kibibytes("Threads") <= held.2).await;
    assert_eq!(descriptors(), held.1);
}
