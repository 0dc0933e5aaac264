//! Sessions as bytes: what comes back.

use eryx::{ExecutionOptions, Runtime, Sandbox, Session, Storage, Value, Volume};
use eryx_test::new_directory;

use crate::support::callbacks::{options_with, tools};
use crate::support::layout::Layout;
use crate::support::sessions::{
    DRAW, LARGE, TRAP, assert_all_differ, execute, failure, limited, runtimes, session, session_of,
    started, suspended, suspending, value, values, with_each_strategy,
};
use crate::support::{list, runtime};

pub(crate) async fn snapshot(session: &Session) -> Vec<u8> {
    session.snapshot().await.expect("a snapshot")
}

pub(crate) async fn snapshot_of(runtime: &Runtime, code: &str) -> Vec<u8> {
    snapshot(&started(runtime, code).await).await
}

pub(crate) async fn restored(runtime: &Runtime, bytes: &[u8]) -> Session {
    let session = session(runtime);
    session.restore(bytes.to_vec()).await.expect("it is good");
    session
}

const STATE: &str = "
import asyncio, dataclasses, enum, io, itertools, math, re, sqlite3, threading, weakref
class Base:
    n = 1
    def __init__(self): self.me = self
class Derived(Base):
    __slots__ = ('slot',)
class Color(enum.Enum):
    RED = 1
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
words = ['a', 'b', '\\U0001f600']
add = lambda a: a + len(words)
def count():
    n = 0
    while True:
        n += (yield n) or 1
generator = count()
next(generator), generator.send(5)
def make():
    n = 10
    def up():
        nonlocal n
        n += 1
        return n
    return up
up = make()
up()
derived = Derived()
derived.slot = Color.RED
lock = threading.Lock()
lock.acquire()
queue = asyncio.Queue()
await queue.put('q')
math.mine = 'kept'
stream = io.StringIO('one\\ntwo\\n')
stream.readline()
ref = weakref.ref(derived)
chain = itertools.chain([1, 2], [3])
next(chain)
big = list(range(100_000))
frozen = (item for item in [lock, re.compile('x')])
table = sqlite3.connect(':memory:')
table.execute('create table t(x)')
table.execute('insert into t values (5)')
file = open('/data/f', 'w+')
n = file.write('0123456789'), file.seek(4)
gone = open('/tmp/gone', 'w+')
n = gone.write('still here'), gone.flush()
import os
os.unlink('/tmp/gone')";

fn looks() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("functions", "add(1)", 4.into()),
        (
            "classes",
            "class More(Derived): pass\n[More().n, isinstance(derived, Base), derived.me is derived]",
            list([1.into(), true.into(), true.into()]),
        ),
        (
            "enums",
            "[derived.slot is Color.RED, Color(1).name]",
            list([true.into(), "RED".into()]),
        ),
        (
            "dataclasses",
            "[Point(1) == Point(1), repr(Point(2))]",
            list([true.into(), "Point(x=2)".into()]),
        ),
        ("text", "words[2]", "\u{1f600}".into()),
        (
            "half-run generators",
            "[generator.send(10), next(generator)]",
            list([15.into(), 16.into()]),
        ),
        ("closures", "up()", 12.into()),
        (
            "locks",
            "[lock.locked(), lock.acquire(blocking=False)]",
            list([true.into(), false.into()]),
        ),
        ("queues", "await queue.get()", "q".into()),
        ("modules", "import math\nmath.mine", "kept".into()),
        ("streams", "stream.readline()", "two\n".into()),
        ("weak references", "ref() is derived", true.into()),
        ("iterators", "list(chain)", list([2.into(), 3.into()])),
        (
            "much",
            "[len(big), sum(big)]",
            list([100_000.into(), 4_999_950_000_i64.into()]),
        ),
        (
            "what does not pickle",
            "[next(frozen) is lock, table.execute('select x from t').fetchone()[0]]",
            list([true.into(), 5.into()]),
        ),
        (
            "files",
            "[file.tell(), file.read(), gone.seek(0), gone.read(), os.listdir('/data'), os.path.exists('/tmp/gone')]",
            list([
                4.into(),
                "456789".into(),
                0.into(),
                "still here".into(),
                list(["f".into()]),
                false.into(),
            ]),
        ),
    ]
}

#[tokio::test]
async fn everything_comes_back() {
    with_each_strategy(async |runtime| {
        let bytes = snapshot_of(runtime, STATE).await;
        let copy = restored(runtime, &bytes).await;
        for (what, code, expected) in looks() {
            assert_eq!(value(&copy, code).await, expected, "{what}");
        }
        assert!(bytes.len() < 2 << 20, "{}", bytes.len());
    })
    .await;
}

/// What is the same in the image takes nothing, and of what is not, most is a few reference counts.
#[tokio::test]
async fn it_is_small() {
    with_each_strategy(async |runtime| {
        for (code, limit) in [
            ("pass", 11_000),
            ("x = 1", 12_000),
            ("x = list(range(100_000))", 600_000),
            ("d = {str(i): [i, {'a': i}] for i in range(5000)}", 400_000),
        ] {
            let bytes = snapshot_of(runtime, code).await;
            assert!(bytes.len() < limit, "{code}: {}", bytes.len());
        }
        let sandbox = Sandbox::new(runtime, options_with(suspending())).expect("good options");
        let outcome = sandbox.execute("x = 1\nawait stop(x)", ExecutionOptions::default());
        let checkpoint = suspended(outcome.await).checkpoint;
        assert!(checkpoint.len() < 20_000, "{}", checkpoint.len());
    })
    .await;
}

#[tokio::test]
async fn whatever_way_the_pages_were_found() {
    let states = runtimes().iter().map(async |(strategy, runtime)| {
        let session = started(runtime, STATE).await;
        (*strategy, snapshot(&session).await)
    });
    for state in states {
        let (taken, bytes) = state.await;
        for (given, runtime) in runtimes() {
            let copy = restored(runtime, &bytes).await;
            for (what, code, expected) in looks() {
                assert_eq!(
                    value(&copy, code).await,
                    expected,
                    "{what}, {taken:?} to {given:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn taking_one_changes_nothing_and_it_may_be_restored_often() {
    with_each_strategy(async |runtime| {
        for first in ["1", LARGE] {
            let session = started(runtime, first).await;
            execute(&session, "x = [1]").await;
            let bytes = snapshot(&session).await;
            let again = snapshot(&session).await;
            assert_eq!(
                Layout::parse(&bytes).memory(),
                Layout::parse(&again).memory()
            );
            execute(&session, "x.append(2)").await;
            for index in 3..6 {
                let copy = restored(runtime, &bytes).await;
                let expected = list([1.into(), index.into()]);
                assert_eq!(
                    value(&copy, &format!("x.append({index})\nx")).await,
                    expected
                );
            }
            assert_eq!(value(&session, "x").await, list([1.into(), 2.into()]));
        }
    })
    .await;
}

#[tokio::test]
async fn restoring_replaces_the_state() {
    with_each_strategy(async |runtime| {
        let code = "x = 1\nimport math\nmath.mine = 1\nn = open('/data/f', 'w').write('old'), open('/tmp/t', 'w').close()";
        let bytes = snapshot_of(runtime, code).await;
        for first in ["1", LARGE, "y = bytearray(b'x') * (40 << 20)"] {
            let session = started(runtime, first).await;
            let code = "x = 2\ny = 3\nimport json\njson.mine = 2\nf = open('/data/f', 'w')\nn = f.write('new')\nopen('/data/g', 'w').close()";
            execute(&session, code).await;
            session.restore(bytes.clone()).await.expect("it is good");
            assert_eq!(session.execution_count(), 1);
            let code = "import json, math, os\n[x, 'y' in globals(), hasattr(json, 'mine'), math.mine, open('/data/f').read(), os.listdir('/data'), os.listdir('/tmp')]";
            let expected = list([
                1.into(),
                false.into(),
                false.into(),
                1.into(),
                "old".into(),
                list(["f".into()]),
                list(["t".into()]),
            ]);
            assert_eq!(value(&session, code).await, expected);
            let names: Vec<_> = session.storage().read_dir("/").expect("there").into_iter().map(|entry| entry.name).collect();
            assert_eq!(names, ["f"]);
        }
    })
    .await;
}

#[tokio::test]
async fn restored_sessions_go_on_as_any_other() {
    with_each_strategy(async |runtime| {
        let session = restored(runtime, &snapshot_of(runtime, "x = 1").await).await;
        assert!(
            !failure(&session, &format!("x = 2\n{TRAP}"))
                .await
                .state_lost
        );
        let forks = session.fork(2).await.expect("forks");
        execute(&forks[0], "x = 3").await;
        let found = values(forks.iter().chain([&session]), "x").await;
        assert_eq!(found, [3.into(), 1.into(), 1.into()]);
        session.clear_state().await.expect("cleared");
        assert_eq!(value(&session, "'x' in globals()").await, false.into());
        session.reset().await.expect("reset");
        assert_eq!(session.execution_count(), 0);
    })
    .await;
}

#[tokio::test]
async fn of_a_restored_session_many_times_over() {
    with_each_strategy(async |runtime| {
        let mut bytes = snapshot_of(runtime, "path = [0]\nbig = list(range(100_000))").await;
        let first = bytes.len();
        for round in 1..=8 {
            let session = restored(runtime, &bytes).await;
            execute(&session, &format!("path.append({round})")).await;
            bytes = snapshot(&session).await;
        }
        let session = restored(runtime, &bytes).await;
        let code = "[path == list(range(9)), len(big)]";
        assert_eq!(
            value(&session, code).await,
            list([true.into(), 100_000.into()])
        );
        assert!(bytes.len() < first + 300_000, "{first} {}", bytes.len());
    })
    .await;
}

#[tokio::test]
async fn of_a_session_that_ran_nothing() {
    with_each_strategy(async |runtime| {
        let options = || {
            let mut options = options_with(tools());
            options.env = vec![("A".into(), "1".into())];
            options.libraries = vec!["loaded = globals().get('loaded', 0) + 1".into()];
            options
        };
        let source = Session::new(runtime, options()).expect("good options");
        let bytes = snapshot(&source).await;
        let copy = Session::new(runtime, options()).expect("good options");
        copy.restore(bytes).await.expect("it is good");
        let code = "import os\n[await echo(7), os.environ['A'], loaded]";
        let expected = list([7.into(), "1".into(), 1.into()]);
        assert_eq!(
            values([&copy, &source], code).await,
            [expected.clone(), expected]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_drawn_at_random_differs() {
    with_each_strategy(async |runtime| {
        let source = started(runtime, DRAW).await;
        let bytes = snapshot(&source).await;
        let mut drawn = vec![value(&source, "draw()").await];
        for _ in 0..4 {
            drawn.push(value(&restored(runtime, &bytes).await, "draw()").await);
        }
        source.restore(bytes).await.expect("it is good");
        drawn.push(value(&source, "draw()").await);
        assert_all_differ(&drawn);
    })
    .await;
}

#[tokio::test]
async fn callbacks_are_those_of_the_session_that_restores() {
    let source = Session::new(runtime(), options_with(tools())).expect("good options");
    execute(
        &source,
        "kept = echo\nasync def call(x): return await echo(x)",
    )
    .await;
    let bytes = snapshot(&source).await;
    let other = Session::new(
        runtime(),
        options_with(crate::support::sessions::suspending()),
    );
    let other = other.expect("good options");
    other.restore(bytes.clone()).await.expect("it is good");
    assert_eq!(
        value(&other, "[await call(1), await kept(2)]").await,
        list([1.into(), 2.into()])
    );
    let without = restored(runtime(), &bytes).await;
    let message = failure(&without, "await call(1)").await.error.to_string();
    assert_eq!(message, "CallbackError: echo() is not known to the host");
}

#[tokio::test]
async fn a_storage_of_the_options_is_not_touched() {
    with_each_strategy(async |runtime| {
        let own = snapshot_of(runtime, "n = open('/data/f', 'w').write('of the snapshot')").await;
        let files = Storage::new(1 << 20);
        files.write_file("f", b"of the options").expect("room");
        let session = session_of(runtime, |options| options.files = Some(files.clone()));
        session.restore(own).await.expect("it is good");
        assert_eq!(value(&session, "open('/data/f').read()").await, "of the options".into());
        // The reverse: the files that were shared are not in it.
        execute(&session, "f = open('/data/f')\nn = f.seek(3)").await;
        let bytes = snapshot(&session).await;
        let code = "import os\ntry: found = f.read()\nexcept OSError as e: found = e.errno\n[found, os.path.exists('/data/f')]";
        let alone = restored(runtime, &bytes).await;
        assert_eq!(value(&alone, code).await, list([8.into(), false.into()]));
        // Where they are shared again, they are opened again.
        let again = session_of(runtime, |options| options.files = Some(files.clone()));
        again.restore(bytes).await.expect("it is good");
        let found = value(&again, code).await;
        assert_eq!(found, list(["the options".into(), true.into()]));
    })
    .await;
}

/// An unlinked file in the session's own storage, which only its handle keeps.
pub(crate) const UNLINKED: &str = "
import os
gone = open('/data/gone', 'w+')
n = gone.write('still here'), gone.flush()
os.unlink('/data/gone')";

#[tokio::test]
async fn an_unlinked_open_file_survives_a_restore_in_the_same_session() {
    with_each_strategy(async |runtime| {
        let session = started(runtime, UNLINKED).await;
        let bytes = snapshot(&session).await;
        for _ in 0..3 {
            session.restore(bytes.clone()).await.expect("it is good");
            let found = value(&session, "[gone.seek(0), gone.read()]").await;
            assert_eq!(found, list([0.into(), "still here".into()]));
        }
    })
    .await;
}

#[tokio::test]
async fn restoring_leaves_the_quotas_as_they_are() {
    let session = limited(runtime(), |limits| limits.max_vfs_bytes = Some(1 << 20));
    let bytes = snapshot(&session).await;
    for _ in 0..3 {
        session.restore(bytes.clone()).await.expect("it is good");
        assert_eq!(session.storage().max_bytes(), 1 << 20);
    }
}

#[tokio::test]
async fn into_a_session_with_another_working_directory() {
    with_each_strategy(async |runtime| {
        let code = "import os\nn = open('/data/f', 'w').write('f'), open('/tmp/t', 'w').write('t')\nos.makedirs('/home/sandbox/d')";
        let bytes = snapshot_of(runtime, code).await;
        let other = session_of(runtime, |options| options.mount_path = Some("/work/deep".into()));
        other.restore(bytes).await.expect("it is good");
        let code = "import os, json.tool\n[os.listdir('/work/deep'), os.listdir('/tmp'), os.listdir('/home/sandbox')]";
        let names = |name: &str| list([name.into()]);
        assert_eq!(value(&other, code).await, list([names("f"), names("t"), names("d")]));
    })
    .await;
}

#[tokio::test]
async fn into_a_session_with_a_volume() {
    with_each_strategy(async |runtime| {
        let directory = new_directory("session-volume");
        std::fs::write(directory.join("of the host"), b"x").expect("ours");
        let code = "n = open('/tmp/t', 'w').write('t'), open('/tmp/u', 'w').write('u')\nf = open('/tmp/t')";
        let bytes = snapshot_of(runtime, code).await;
        let other = session_of(runtime, |options| {
            options.volumes = vec![Volume::new(&directory, "/mnt/volume")];
        });
        other.restore(bytes).await.expect("it is good");
        let code = "import os\n[f.read(), open('/tmp/t').read(), open('/tmp/u').read(), os.listdir('/mnt/volume'), os.listdir('/data')]";
        let expected = list([
            "t".into(),
            "t".into(),
            "u".into(),
            list(["of the host".into()]),
            list([]),
        ]);
        assert_eq!(value(&other, code).await, expected);
        std::fs::remove_dir_all(directory).expect("ours");
    })
    .await;
}

#[tokio::test]
async fn out_of_a_session_with_a_volume() {
    with_each_strategy(async |runtime| {
        let directory = new_directory("session-volume-out");
        std::fs::write(directory.join("a"), b"0123").expect("ours");
        let with_volume = |name: &str| {
            session_of(runtime, |options| {
                options.volumes = vec![Volume::new(&directory, name)];
            })
        };
        let source = with_volume("/mnt/volume");
        execute(&source, "f = open('/mnt/volume/a')\nn = f.seek(2)").await;
        let bytes = snapshot(&source).await;
        // Its files are opened by path, if they are there.
        let same = with_volume("/mnt/volume");
        same.restore(bytes.clone()).await.expect("it is good");
        assert_eq!(value(&same, "f.read()").await, "23".into());
        let without = restored(runtime, &bytes).await;
        let code = "try: x = f.read()\nexcept OSError as e: x = e.errno\nx";
        assert_eq!(value(&without, code).await, 8.into());
        std::fs::remove_dir_all(directory).expect("ours");
    })
    .await;
}
