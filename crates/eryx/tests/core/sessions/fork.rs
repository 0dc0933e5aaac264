//! Copies of sessions.

use eryx::{Error, ExecutionOptions, MAX_FORKS, Session, Storage, Value, Volume};
use eryx_test::new_directory;

use crate::support::callbacks::{options_with, tools};
use crate::support::sessions::{
    DRAW, FOREVER, LARGE, TRAP, assert_all_differ, execute, failure, failure_with, session,
    session_of, started, value, values, with_each_strategy,
};
use crate::support::{invalid, list, runtime, within};

async fn one_fork(session: &Session) -> Session {
    let mut forks = session.fork(1).await.expect("a fork");
    forks.pop().expect("one")
}

#[tokio::test]
async fn parent_and_children_do_not_see_each_others_writes() {
    with_each_strategy(async |runtime| {
        for first in ["1", LARGE] {
            let parent = started(runtime, first).await;
            execute(&parent, "x = [0]\nd = {'k': x}").await;
            let forks = parent.fork(2).await.expect("forks");
            let [a, b] = forks.as_slice() else {
                panic!("two were asked for");
            };
            execute(a, "x.append('a')").await;
            execute(&parent, "x.append('p')").await;
            execute(b, "x.append('b')").await;
            let c = one_fork(a).await;
            execute(a, "x.append('a2')").await;
            execute(&c, "x.append('c')").await;
            let found = values([&parent, a, b, &c], "d['k']").await;
            let strings = |names: &[&str]| {
                let names = names.iter().map(|&name| Value::from(name));
                Value::List([0.into()].into_iter().chain(names).collect())
            };
            let expected = [
                strings(&["p"]),
                strings(&["a", "a2"]),
                strings(&["b"]),
                strings(&["a", "c"]),
            ];
            assert_eq!(found, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn everything_is_copied() {
    with_each_strategy(async |runtime| {
        let code = "
import asyncio, math, re, threading
def count():
    n = 0
    while True:
        n += 1
        yield n
generator = count()
next(generator)
math.mine = 5
lock = threading.Lock()
lock.acquire()
frozen = (item for item in [lock, re.compile('x')])
same = []
pair = [same, same]
number = id(same)
cycle = []
cycle.append(cycle)";
        let parent = started(runtime, code).await;
        let forks = parent.fork(3).await.expect("forks");
        let look = "[next(generator), math.mine, lock.locked(), next(frozen) is lock, pair[0] is pair[1], id(same) == number, cycle[0] is cycle]";
        let expected = list([
            2.into(),
            5.into(),
            true.into(),
            true.into(),
            true.into(),
            true.into(),
            true.into(),
        ]);
        for found in values(forks.iter().chain([&parent]), look).await {
            assert_eq!(found, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn of_a_session_that_ran_nothing() {
    with_each_strategy(async |runtime| {
        let mut options = options_with(tools());
        options.env = vec![("A".into(), "1".into())];
        options.libraries = vec!["loaded = globals().get('loaded', 0) + 1".into()];
        let parent = Session::new(runtime, options).expect("good options");
        let forks = parent.fork(2).await.expect("forks");
        let code = "import os\nx = await echo(7)\n[x, os.environ['A'], loaded]";
        let expected = list([7.into(), "1".into(), 1.into()]);
        assert_eq!(values(&forks, code).await, [expected.clone(), expected]);
        assert_eq!(value(&parent, "'x' in globals()").await, false.into());
        assert_eq!(
            (forks[0].execution_count(), parent.execution_count()),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn of_forks_of_forks() {
    with_each_strategy(async |runtime| {
        let mut session = started(runtime, "path = [0]\nbig = list(range(100_000))").await;
        for depth in 1..40 {
            let next = one_fork(&session).await;
            let code = format!("path.append({depth})\nbig[{depth} * 1000] = -1");
            execute(&next, &code).await;
            // What the parent does later is not seen.
            execute(&session, "path.clear()\nbig.clear()").await;
            session.close();
            session = next;
        }
        let code = "[path == list(range(40)), big.count(-1), len(big)]";
        let expected = list([true.into(), 39.into(), 100_000.into()]);
        assert_eq!(value(&session, code).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_hundred() {
    with_each_strategy(async |runtime| {
        let parent = started(runtime, "big = list(range(50_000))\nn = None").await;
        let forks = parent.fork(100).await.expect("forks");
        let runs = forks.iter().enumerate().map(|(index, fork)| {
            let (fork, code) = (fork.clone(), format!("n = {index}\nbig[n] = -1"));
            tokio::spawn(async move { drop(execute(&fork, &code).await) })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.expect("runs");
        }
        let found = values(&forks, "[n, big.count(-1), big[n], len(big)]").await;
        for (index, found) in (0..).zip(found) {
            let expected = list([Value::Int(index), 1.into(), (-1).into(), 50_000.into()]);
            assert_eq!(found, expected);
        }
        let expected = list([Value::Null, 0.into()]);
        assert_eq!(value(&parent, "[n, big.count(-1)]").await, expected);
    })
    .await;
}

#[tokio::test]
async fn of_grown_memory() {
    with_each_strategy(async |runtime| {
        let parent = started(runtime, "big = [bytes([n]) * 1_000_000 for n in range(30)]").await;
        let forks = parent.fork(2).await.expect("forks");
        execute(&forks[0], "big[3] = None\nbig.append('a' * 10_000_000)").await;
        let found = values(
            forks.iter().chain([&parent]),
            "[len(big), big[3] is None, big[29][-1]]",
        )
        .await;
        let expected =
            |length: i32, changed: bool| list([length.into(), changed.into(), 29.into()]);
        assert_eq!(
            found,
            [expected(31, true), expected(30, false), expected(30, false)]
        );
        let error = failure(&forks[1], "'a' * 2**27").await.error;
        assert_eq!(error.to_string(), "MemoryError");
    })
    .await;
}

#[tokio::test]
async fn own_files_are_copied_with_open_ones_and_their_places() {
    with_each_strategy(async |runtime| {
        let code = "
import os
for path in '/data/a', '/tmp/a':
    n = open(path, 'w').write('0123456789')
f = open('/data/a', 'r+')
f.read(2), f.seek(2)
g = open('/tmp/a', 'rb', buffering=0)
head = g.read(4)
gone = open('/data/gone', 'w+')
n = gone.write('still here'), gone.flush()
os.unlink('/data/gone')";
        let parent = started(runtime, code).await;
        let forks = parent.fork(2).await.expect("forks");
        let [a, b] = forks.as_slice() else {
            panic!("two were asked for");
        };
        execute(
            a,
            "n = f.write('AA'), f.flush()\nos.remove('/tmp/a')\nopen('/tmp/new', 'w').close()",
        )
        .await;
        let found = value(b, "[f.read(3), g.read(2).decode(), f.tell()]").await;
        assert_eq!(found, list(["234".into(), "45".into(), 5.into()]));
        let look = "[open('/data/a').read(), sorted(os.listdir('/tmp'))]";
        let untouched = list(["0123456789".into(), list(["a".into()])]);
        let changed = list(["01AA456789".into(), list(["new".into()])]);
        let found = values([&parent, a, b], look).await;
        assert_eq!(found, [untouched.clone(), changed, untouched]);
        let found = values([&parent, a], "[f.tell(), g.read(1).decode()]").await;
        let expected = [list([2.into(), "4".into()]), list([4.into(), "4".into()])];
        assert_eq!(found, expected);
        let found = values([&parent, a, b], "gone.seek(0)\ngone.read()").await;
        assert_eq!(found, vec![Value::from("still here"); 3]);
        a.storage().write_file("host", b"x").expect("room");
        assert!(!parent.storage().exists("host") && !b.storage().exists("host"));
    })
    .await;
}

#[tokio::test]
async fn a_storage_of_the_options_is_shared() {
    with_each_strategy(async |runtime| {
        let files = Storage::new(1 << 20);
        let parent = session_of(runtime, |options| options.files = Some(files.clone()));
        execute(
            &parent,
            "f = open('/data/f', 'w+')\nn = f.write('abc'), f.flush(), f.seek(1)",
        )
        .await;
        let fork = one_fork(&parent).await;
        execute(&fork, "n = f.write('X'), f.flush()").await;
        assert_eq!(files.read_file("f").expect("there"), b"aXc");
        assert_eq!(value(&parent, "f.read()").await, "Xc".into());
        // Each has the file open on its own.
        execute(&parent, "f.close()\nimport os\nos.unlink('/data/f')").await;
        assert_eq!(value(&fork, "f.seek(0)\nf.read()").await, "aXc".into());
        assert!(files.used_bytes() > 0);
        execute(&fork, "f.close()").await;
        // Until its next execution a session may hold what was open at the start of the last one, to fall back to.
        values([&parent, &fork], "1").await;
        assert_eq!(files.used_bytes(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_drawn_at_random_differs() {
    with_each_strategy(async |runtime| {
        let parent = started(runtime, DRAW).await;
        let forks = parent.fork(4).await.expect("forks");
        assert_all_differ(&values(forks.iter().chain([&parent]), "draw()").await);
        // Before anything else ran, and after the variables are gone.
        let parent = session(runtime);
        let forks = parent.fork(4).await.expect("forks");
        let code = format!("{DRAW}\ndraw()");
        assert_all_differ(&values(forks.iter().chain([&parent]), &code).await);
        let forks = forks[0].fork(3).await.expect("forks");
        for fork in &forks {
            fork.clear_state().await.expect("cleared");
        }
        assert_all_differ(&values(&forks, &code).await);
        // After a run that was cut off before it could draw.
        let forks = parent.fork(3).await.expect("forks");
        for fork in &forks {
            failure(fork, TRAP).await;
        }
        assert_all_differ(&values(&forks, "draw()").await);
    })
    .await;
}

#[tokio::test]
async fn limits_count_and_callbacks_are_those_of_the_parent() {
    let parent = session_of(runtime(), |options| {
        *options = options_with(tools());
        options.limits.max_output_bytes = Some(5);
        options.result_variable = Some("out".into());
    });
    execute(&parent, "kept = echo").await;
    let timeout = std::time::Duration::from_millis(70);
    parent.set_execution_timeout(Some(timeout));
    let fork = one_fork(&parent).await;
    parent.set_execution_timeout(None);
    assert_eq!(fork.execution_count(), 1);
    let error = failure(&fork, FOREVER).await.error;
    assert!(matches!(error, Error::Timeout { limit, .. } if limit == timeout));
    fork.set_execution_timeout(None);
    let result = execute(&fork, "out = await kept(3)\nprint('0123456789')").await;
    assert_eq!(
        (result.result, result.output.truncated),
        (Some(3.into()), true)
    );
    assert_eq!((parent.execution_count(), fork.execution_count()), (1, 3));
}

#[tokio::test]
async fn cut_off_runs_of_forks_fall_back_to_the_fork() {
    with_each_strategy(async |runtime| {
        for first in ["1", LARGE] {
            let parent = started(runtime, first).await;
            execute(&parent, "x = 1").await;
            let fork = one_fork(&parent).await;
            execute(&parent, "x = 2").await;
            for session in [&fork, &parent] {
                assert!(!failure(session, &format!("x = 3\n{TRAP}")).await.state_lost);
            }
            assert_eq!(values([&fork, &parent], "x").await, [1.into(), 2.into()]);
        }
    })
    .await;
}

#[tokio::test]
async fn each_ends_and_starts_over_apart_from_the_others() {
    with_each_strategy(async |runtime| {
        let parent = started(runtime, "x = 1").await;
        let forks = parent.fork(4).await.expect("forks");
        parent.close();
        forks[0].close();
        forks[1].reset().await.expect("reset");
        forks[2].clear_state().await.expect("cleared");
        let found = values(&forks[1..], "globals().get('x', 'none')").await;
        assert_eq!(found, ["none".into(), "none".into(), 1.into()]);
        assert_eq!(failure(&forks[0], "x").await.error, Error::Closed);
        drop(forks);
    })
    .await;
}

#[tokio::test]
async fn it_is_taken_behind_what_was_asked_before() {
    with_each_strategy(async |runtime| {
        let parent = session(runtime);
        let run = |code: &'static str| {
            parent
                .spawn(code, ExecutionOptions::default(), |_| {})
                .expect("open");
        };
        run("import asyncio\nx = 0\nawait asyncio.sleep(0.1)\nx = 1");
        let first = parent.fork(1);
        run("x = 2\nraise ValueError");
        let second = parent.fork(2);
        run("x = 3\nimport os\nos.abort()");
        let third = parent.fork(1);
        let mut forks = Vec::new();
        for asked in [first.await, second.await, third.await] {
            forks.extend(asked.expect("forks"));
        }
        let expected: [Value; 4] = [1.into(), 2.into(), 2.into(), 2.into()];
        assert_eq!(values(&forks, "x").await, expected);
        let outcome = failure_with(
            &forks[0],
            FOREVER,
            within(std::time::Duration::from_millis(50)),
        );
        assert!(matches!(outcome.await.error, Error::Timeout { .. }));
    })
    .await;
}

#[tokio::test]
async fn none_and_too_many() {
    let parent = started(runtime(), "x = 1").await;
    assert!(parent.fork(0).await.expect("none").is_empty());
    let error = parent.fork(MAX_FORKS + 1).await.expect_err("too many");
    let text = format!(
        "count: expected at most {MAX_FORKS} forks, got {}",
        MAX_FORKS + 1
    );
    assert_eq!(invalid(&error), text);
    assert_eq!(value(&parent, "x").await, 1.into());
}

#[tokio::test]
async fn open_files_of_volumes_count_for_each_fork() {
    let directory = new_directory("session-fork-volume");
    for n in 0..400 {
        std::fs::write(directory.join(n.to_string()), b"x").expect("ours");
    }
    let parent = session_of(runtime(), |options| {
        options.volumes = vec![Volume::new(&directory, "/mnt/volume")];
    });
    let code = "def open_from(n): return [open(f'/mnt/volume/{n + i}') for i in range(100)]";
    execute(&parent, code).await;
    let forks = parent.fork(4).await.expect("forks");
    for (n, fork) in forks.iter().enumerate() {
        let code = format!("files = open_from({n} * 100)\nlen(files)");
        assert_eq!(value(fork, &code).await, 100.into());
    }
    std::fs::remove_dir_all(directory).expect("ours");
}
