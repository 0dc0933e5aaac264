//! `SQLite` on files: its locks between connections, runs and sessions.

use std::sync::Arc;

use eryx::{ExecutionOptions, Sandbox, SandboxOptions, Storage, Value, Volume};
use eryx_test::new_directory;

use crate::support::callbacks::{Recorder, handled_with, start, succeeded};
use crate::support::sessions::{STUBBORN, TRAP, execute, failure_with, session_of, value};
use crate::support::{printed_by, runtime, sandbox, sandbox_of, within};

/// Opens the database and defines `attempt(connection, sql)`: the rows, or what `SQLite` says.
const OPEN: &str = "
import os, sqlite3
def connect(timeout=0): return sqlite3.connect(path, timeout=timeout, isolation_level=None)
def attempt(connection, sql):
    try: return connection.execute(sql).fetchall()
    except sqlite3.Error as error: return str(error)
";
const LOCKED: &str = "database is locked";
/// What `SQLite` says of a file that it cannot use any more.
const BROKEN: &str = "disk I/O error";
const UNUSABLE: &str = "unable to open database file";

fn open(path: &str) -> String {
    format!("path = {path:?}{OPEN}")
}

/// With a table of one row.
fn create(path: &str) -> String {
    let open = open(path);
    format!(
        "{open}db = connect()\ndb.execute('create table t (x)')\ndb.execute('insert into t values (1)')\n"
    )
}

#[tokio::test]
async fn two_connections_of_one_interpreter() {
    let code = create("a.db")
        + "
other = connect()
print(attempt(other, 'select x from t'), os.listdir())
db.execute('begin immediate')
db.execute('insert into t values (2)')
print('writer in its transaction:', attempt(other, 'select x from t'), attempt(other, 'begin immediate'))
db.execute('commit')
print(attempt(other, 'select x from t'))
reader = other.execute('select x from t')
next(reader)
db.execute('begin immediate')
db.execute('insert into t values (3)')
print('reader is not done:', attempt(db, 'commit'), attempt(connect(), 'select 1 from t'))
reader.close()
print(attempt(db, 'commit'), len(attempt(other, 'select x from t')))
db.execute('begin exclusive')
print('exclusive:', attempt(other, 'select x from t'))
db.execute('rollback')
print(attempt(other, 'begin exclusive'), attempt(db, 'select x from t'))
other.close()
print(len(attempt(db, 'select x from t')), sorted(os.listdir()))";
    let expected = [
        "[(1,)] ['a.db']",
        "writer in its transaction: [(1,)] database is locked",
        "[(1,), (2,)]",
        "reader is not done: database is locked database is locked",
        "[] 3",
        "exclusive: database is locked",
        "[] database is locked",
        "3 ['a.db']",
    ];
    assert_eq!(printed_by(&sandbox(), &code).await, expected.join("\n"));
}

/// A sandbox over `storage`, with a function `f` that waits for the test.
fn over(storage: &Storage, handler: &Arc<Recorder>) -> Sandbox {
    handled_with(&["f"], handler, |options| {
        options.files = Some(storage.clone());
        options.limits.callback_timeout = None;
    })
}

#[tokio::test]
async fn what_was_cut_off_leaves_no_lock() {
    let storage = Storage::new(1 << 20);
    let sandbox = sandbox_of(|options| options.files = Some(storage.clone()));
    printed_by(&sandbox, &create("a.db")).await;
    // What earlier versions left behind.
    storage.create_dir("a.db.lock").expect("room");
    let begin = open("a.db")
        + "
db = connect()
db.execute('pragma cache_size = 1')
db.execute('begin exclusive')
db.execute('insert into t values (2)')
";
    for end in [
        STUBBORN,
        TRAP,
        "os._exit(0)",
        "1 / 0",
        "while True: pass",
        "",
    ] {
        let limit = within(std::time::Duration::from_millis(300));
        let _ = sandbox.execute(begin.clone() + end, limit).await;
        let look = open("a.db")
            + "
db = connect()
print(attempt(db, 'begin exclusive'), attempt(db, 'select x from t'), attempt(db, 'rollback'))";
        assert_eq!(printed_by(&sandbox, &look).await, "[] [(1,)] []", "{end}");
    }
    let mut names: Vec<_> = storage
        .read_dir("/")
        .expect("there")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert_eq!(names, ["a.db", "a.db.lock"]);
}

/// Runs of `holder` and `others` meet in a database that both call `path`.
async fn meet(path: &str, holder: &Sandbox, other: &Sandbox, handler: &Arc<Recorder>) {
    let hold = create(path)
        + "
db.execute('begin immediate')
db.execute('insert into t values (2)')
# Closing another descriptor of the file ends no lock.
open(path, 'rb').read(); os.close(os.open(path, os.O_RDWR))
await f()
db.execute('commit')";
    let run = start(holder, &hold);
    let (_, reply) = handler.one().await;
    let look = open(path)
        + "
db = connect()
print(attempt(db, 'select x from t'), attempt(db, 'begin immediate'))";
    assert_eq!(printed_by(other, &look).await, format!("[(1,)] {LOCKED}"));
    // With time, SQLite tries again until the lock is gone.
    let waits = open(path)
        + "
db = connect(600)
print(attempt(db, 'begin immediate'))
result = attempt(db, 'select x from t')";
    let waiting = start(other, &waits);
    reply.send(Ok(Value::Null));
    succeeded(run.await.expect("no panic"));
    let rows = succeeded(waiting.await.expect("no panic")).result;
    let row = |x: i64| Value::List(vec![x.into()]);
    assert_eq!(rows, Some(Value::List(vec![row(1), row(2)])));
}

#[tokio::test]
async fn two_runs_that_share_a_storage() {
    let (storage, handler) = (Storage::new(1 << 20), Recorder::new());
    let (one, two) = (over(&storage, &handler), over(&storage, &handler));
    meet("a.db", &one, &two, &handler).await;
}

#[tokio::test]
async fn two_runs_that_share_a_volume() {
    let (host, handler) = (new_directory("sqlite_volume"), Recorder::new());
    let sandbox = || {
        handled_with(&["f"], &handler, |options| {
            let mut volume = Volume::new(&host, "/v");
            volume.read_only = false;
            options.volumes = vec![volume];
            options.limits.callback_timeout = None;
        })
    };
    meet("/v/a.db", &sandbox(), &sandbox(), &handler).await;
    let names = std::fs::read_dir(&host).expect("ours");
    let names: Vec<_> = names
        .map(|entry| entry.expect("there").file_name())
        .collect();
    assert_eq!(names, ["a.db"]);
}

#[tokio::test]
async fn a_run_that_is_to_end_does_not_wait_for_a_lock() {
    let (storage, handler) = (Storage::new(1 << 20), Recorder::new());
    let sandbox = over(&storage, &handler);
    let hold = create("a.db") + "db.execute('begin exclusive')\nawait f()";
    let run = start(&sandbox, &hold);
    let (_, reply) = handler.one().await;
    let limit = std::time::Duration::from_millis(200);
    let waits = open("a.db") + "attempt(connect(600), 'select x from t')";
    for tries in 0.. {
        let failure = sandbox.execute(waits.clone(), within(limit)).await;
        let error = failure.expect_err("too long").error;
        let eryx::Error::Timeout { hard, .. } = error else {
            panic!("{error:?}");
        };
        if !hard {
            break;
        }
        assert!(tries < 20, "always cut off");
    }
    reply.send(Ok(Value::Null));
    succeeded(run.await.expect("no panic"));
}

fn sharing(storage: &Storage) -> impl Fn(&mut SandboxOptions) {
    let storage = storage.clone();
    move |options| options.files = Some(storage.clone())
}

/// What a run of another sandbox gets for its wish to write.
async fn from_outside(storage: &Storage) -> String {
    let sandbox = sandbox_of(sharing(storage));
    printed_by(
        &sandbox,
        &(open("a.db") + "db = connect()\nprint(attempt(db, 'begin immediate'))"),
    )
    .await
}

#[tokio::test]
async fn a_session_holds_its_locks_from_one_execution_to_the_next() {
    let storage = Storage::new(1 << 20);
    let session = session_of(runtime(), sharing(&storage));
    execute(&session, &create("a.db")).await;
    execute(
        &session,
        "db.execute('begin immediate'); db.execute('insert into t values (2)')",
    )
    .await;
    assert_eq!(from_outside(&storage).await, LOCKED);
    // It goes back to its state, and to its locks.
    let limit = || within(std::time::Duration::from_millis(200));
    for code in [STUBBORN, TRAP] {
        failure_with(&session, code, limit()).await;
        assert_eq!(from_outside(&storage).await, LOCKED);
    }
    execute(&session, "db.execute('commit')").await;
    assert_eq!(from_outside(&storage).await, "[]");
    let count = "db.execute('select count(*) from t').fetchone()[0]";
    assert_eq!(value(&session, count).await, 2.into());
    // Locks of an execution that is cut off end with it.
    let code = format!("db.execute('begin immediate')\n{TRAP}");
    failure_with(&session, &code, limit()).await;
    assert_eq!(from_outside(&storage).await, "[]");
    assert_eq!(value(&session, count).await, 2.into());
    for end in ["db.close()", ""] {
        execute(&session, "db = connect(); db.execute('begin immediate')").await;
        assert_eq!(from_outside(&storage).await, LOCKED);
        if end.is_empty() {
            session.reset().await.expect("open");
        } else {
            execute(&session, end).await;
        }
        assert_eq!(from_outside(&storage).await, "[]");
    }
}

#[tokio::test]
async fn a_transaction_that_is_over_is_not_gone_back_to() {
    let storage = Storage::new(1 << 20);
    let session = session_of(runtime(), sharing(&storage));
    execute(&session, &create("a.db")).await;
    execute(
        &session,
        "db.execute('begin immediate'); db.execute('insert into t values (2)')",
    )
    .await;
    let code = format!("db.execute('commit')\n{TRAP}");
    failure_with(&session, &code, ExecutionOptions::default()).await;
    // Python believes that the transaction goes on. Nothing is written for it.
    assert_eq!(
        value(&session, "attempt(db, 'commit')").await,
        BROKEN.into()
    );
    assert_eq!(from_outside(&storage).await, "[]");
    // Nor does another connection share its locks.
    let another = "try: connect()\nexcept sqlite3.Error as error: result = str(error)\nresult";
    assert_eq!(value(&session, another).await, UNUSABLE.into());
    execute(&session, "db.close()").await;
    assert_eq!(value(&session, COUNT).await, 2.into());
    assert_eq!(
        value(
            &session,
            "attempt(connect(), 'pragma integrity_check')[0][0]"
        )
        .await,
        "ok".into()
    );
}

const IN_TRANSACTION: &str =
    "db.execute('begin immediate'); db.execute('insert into t values (2)')";
const COUNT: &str = "connect().execute('select count(*) from t').fetchone()[0]";

#[tokio::test]
async fn forks_of_a_session_in_a_transaction() {
    let session = session_of(runtime(), |_| ());
    execute(&session, &create("a.db")).await;
    execute(&session, IN_TRANSACTION).await;
    // Each has files of its own, and its locks on them.
    let forks = session.fork(2).await.expect("room");
    for session in forks.iter().chain([&session]) {
        assert_eq!(
            value(session, "attempt(connect(), 'begin immediate')").await,
            LOCKED.into()
        );
        execute(session, "db.execute('commit')").await;
        assert_eq!(value(session, COUNT).await, 2.into());
    }
    // They share the file: only one can go on.
    let storage = Storage::new(1 << 20);
    let session = session_of(runtime(), sharing(&storage));
    execute(&session, &create("a.db")).await;
    execute(&session, IN_TRANSACTION).await;
    let fork = session.fork(1).await.expect("room").remove(0);
    assert_eq!(value(&fork, "attempt(db, 'commit')").await, BROKEN.into());
    execute(&fork, "db.close()").await;
    assert_eq!(
        value(&fork, "attempt(connect(), 'begin immediate')").await,
        LOCKED.into()
    );
    execute(&session, "db.execute('commit')").await;
    assert_eq!(value(&fork, COUNT).await, 2.into());
}

#[tokio::test]
async fn snapshots_of_a_session_in_a_transaction() {
    let session = session_of(runtime(), |_| ());
    execute(&session, &create("a.db")).await;
    execute(&session, IN_TRANSACTION).await;
    let snapshot = session.snapshot().await.expect("taken");
    // Its files come with it.
    let other = session_of(runtime(), |_| ());
    other.restore(snapshot).await.expect("good");
    assert_eq!(
        value(&other, "attempt(connect(), 'begin immediate')").await,
        LOCKED.into()
    );
    execute(&other, "db.execute('commit')").await;
    assert_eq!(value(&other, COUNT).await, 2.into());
    // They do not: others may have written since.
    let storage = Storage::new(1 << 20);
    let session = session_of(runtime(), sharing(&storage));
    execute(&session, &create("a.db")).await;
    let at_rest = session.snapshot().await.expect("taken");
    execute(&session, IN_TRANSACTION).await;
    let snapshot = session.snapshot().await.expect("taken");
    session.restore(snapshot).await.expect("good");
    assert_eq!(
        value(&session, "attempt(db, 'commit')").await,
        BROKEN.into()
    );
    execute(&session, "db.close()").await;
    assert_eq!(from_outside(&storage).await, "[]");
    assert_eq!(value(&session, COUNT).await, 1.into());
    session.restore(at_rest).await.expect("good");
    execute(&session, "db.execute('insert into t values (2)')").await;
    assert_eq!(value(&session, COUNT).await, 2.into());
}

#[tokio::test]
async fn there_is_no_wal() {
    let code = create("a.db") + "print(attempt(db, 'pragma journal_mode = wal'))";
    assert_eq!(printed_by(&sandbox(), &code).await, "[('delete',)]");
}

/// What other code does with descriptors is as before.
#[tokio::test]
async fn flags_of_descriptors() {
    let code = "
import os
for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
    fd = os.open('f', flags | os.O_CREAT)
    os.set_blocking(fd, False)
    print(os.get_blocking(fd), os.get_inheritable(fd))
    os.set_blocking(fd, True)
    print(os.get_blocking(fd))";
    assert_eq!(
        printed_by(&sandbox(), code).await,
        ["False False\nTrue"; 3].join("\n")
    );
}
