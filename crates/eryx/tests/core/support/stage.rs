//! Good snapshots for the targets to damage, and what must hold whatever becomes of the bytes.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use eryx::{Answers, Error, ExecutionError, ExecutionOptions, Outcome, Session, Storage, Value};
use proptest::prop_assert;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use crate::support::callbacks::options_with;
use crate::support::sessions::{
    execute, limited, session, suspended, suspending, suspending_session,
};
use crate::support::{executor, list, runtime, within};

/// What an interpreter made of anything may run for.
const SHORT: Duration = Duration::from_millis(150);
/// Nothing takes so long; whatever does hangs.
const LONG: Duration = Duration::from_mins(1);

/// Bytes that are good.
pub(crate) struct Seeds {
    /// Of sessions between executions.
    pub(crate) sessions: Vec<Vec<u8>>,
    /// Of runs that wait.
    pub(crate) checkpoints: Vec<Vec<u8>>,
    pub(crate) storages: Vec<Vec<u8>>,
}

impl Seeds {
    /// Sessions and checkpoints; `true` for these.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, bool)> {
        let of = |list: &[Vec<u8>], checkpoint| {
            let pairs = list.iter().map(move |bytes| (bytes.clone(), checkpoint));
            pairs.collect::<Vec<_>>()
        };
        [of(&self.sessions, false), of(&self.checkpoints, true)].concat()
    }
}

/// Made once for all targets.
pub(crate) fn seeds() -> &'static Seeds {
    static SEEDS: OnceLock<Seeds> = OnceLock::new();
    SEEDS.get_or_init(|| executor().block_on(make_seeds()))
}

const FILES: &str = "
import os
os.makedirs('/data/d/e')
n = open('/data/d/f', 'w').write('0123456789')
f = open('/data/d/f', 'r+')
f.seek(4)
os.symlink('d/f', '/data/l')
os.link('/data/d/f', '/data/g')
sparse = open('/tmp/s', 'wb')
sparse.seek(1 << 20), sparse.write(b'x'), sparse.flush()
gone = open('/tmp/gone', 'w+')
n = gone.write('still here'), gone.flush()
os.unlink('/tmp/gone')
words = [str(n) for n in range(500)]
def count():
    yield from range(9)
generator = count()
next(generator)";

async fn make_seeds() -> Seeds {
    let unused = session(runtime());
    let small = session(runtime());
    execute(&small, "x = 5").await;
    let files = session(runtime());
    execute(&files, FILES).await;
    let grown = session(runtime());
    execute(&grown, "x = bytearray(5 << 20)").await;
    let mut sessions = Vec::new();
    for session in [unused, small, files, grown] {
        sessions.push(session.snapshot().await.expect("a snapshot"));
    }
    let mut checkpoints = Vec::new();
    let several =
        "import asyncio\nawait asyncio.gather(stop(1, a='x'), stop(2), asyncio.sleep(0.05))";
    for (first, code) in [("1", "await stop(1)"), (FILES, several)] {
        let session = suspending_session(runtime());
        execute(&session, first).await;
        let outcome = session.execute(code, ExecutionOptions::default()).await;
        checkpoints.push(suspended(outcome).checkpoint);
    }
    Seeds {
        sessions,
        checkpoints,
        storages: make_storages(),
    }
}

fn make_storages() -> Vec<Vec<u8>> {
    let empty = Storage::new(1 << 16);
    let files = Storage::new(1 << 20);
    files.create_dir_all("a/b").expect("room");
    files.write_file("a/b/f", b"hello").expect("room");
    files.write_file("g", &vec![7; 40_000]).expect("room");
    files.rename("g", "a/h").expect("room");
    [empty, files]
        .map(|files| files.snapshot().expect("memory"))
        .into()
}

/// A session that is asked to take bytes that may be anything, and one that must not notice.
pub(crate) struct Stage {
    /// Every victim is a copy of it.
    origin: Session,
    /// It serves until it took something.
    victim: RefCell<Option<Session>>,
    bystander: Session,
}

const STATE: &str =
    "y = [1, 2]\nf = open('/data/f', 'wb+', buffering=0)\nn = f.write(b'abc'), f.seek(1)";
const LOOK: &str = "[y, f.tell(), f.read().decode(), f.seek(1), 'x' in globals()]";

fn seen() -> Value {
    let y = list([1.into(), 2.into()]);
    list([y, 1.into(), "bc".into(), 1.into(), false.into()])
}

/// Touches much of the interpreter, its files and its callbacks.
const PROBE: &str = "
import gc, os
for path in '/data', '/tmp', '/usr/lib/python3.14':
    try: os.listdir(path)
    except OSError: pass
for fd in range(3, 48):
    for call in (lambda: os.fstat(fd), lambda: os.read(fd, 99), lambda: os.write(fd, b'x'), lambda: os.lseek(fd, 9, 2),
                 lambda: os.ftruncate(fd, 99), lambda: os.listdir(fd), lambda: os.utime(fd)):
        try: call()
        except (OSError, TypeError): pass
n = len([repr(type(item)) for item in gc.get_objects()])
gc.collect()
d = {n: [n] for n in range(3000)}";

impl Stage {
    pub(crate) async fn new() -> Self {
        let origin = limited(runtime(), |limits| limits.execution_timeout = Some(SHORT));
        origin
            .execute(STATE, within(LONG))
            .await
            .expect("it is not damaged");
        let bystander = session(runtime());
        execute(&bystander, STATE).await;
        Self {
            origin,
            victim: RefCell::default(),
            bystander,
        }
    }

    async fn victim(&self) -> Session {
        if let Some(victim) = self.victim.take() {
            return victim;
        }
        let mut forks = self.origin.fork(1).await.expect("room");
        forks.pop().expect("one")
    }

    /// Restores or resumes, and checks what must hold then. Says how it ended.
    pub(crate) async fn take(
        &self,
        bytes: Vec<u8>,
        checkpoint: bool,
    ) -> Result<&'static str, TestCaseError> {
        let taken = async {
            if checkpoint {
                resumed(bytes).await
            } else {
                self.restored(bytes).await
            }
        };
        let Ok(end) = tokio::time::timeout(LONG, taken).await else {
            return Err(TestCaseError::fail("it hangs"));
        };
        let end = end?;
        if end == "refused" {
            return Ok(end);
        }
        let found = self.bystander.execute(LOOK, within(LONG)).await;
        let found = found.map(|result| result.value);
        prop_assert!(found == Ok(Some(seen())), "another session: {found:?}");
        Ok(end)
    }

    async fn restored(&self, bytes: Vec<u8>) -> Result<&'static str, TestCaseError> {
        let victim = self.victim().await;
        let count = victim.execution_count();
        match victim.restore(bytes).await {
            Ok(()) => {
                probe(&victim).await?;
                victim.close();
                Ok("restored")
            }
            Err(Error::Snapshot(_)) => {
                prop_assert!(victim.execution_count() == count);
                let found = victim.execute(LOOK, within(LONG)).await;
                let found = found.map(|result| result.value);
                prop_assert!(found == Ok(Some(seen())), "after the refusal: {found:?}");
                self.victim.replace(Some(victim));
                Ok("refused")
            }
            Err(other) => Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
}

/// Whatever it does, it is an end that any code may have.
async fn probe(victim: &Session) -> TestCaseResult {
    ended(victim.execute(PROBE, within(SHORT)).await)?;
    // A state that came from anywhere can be kept, copied and left.
    match victim.snapshot().await {
        Ok(_) | Err(Error::Snapshot(_)) => {}
        Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
    }
    for fork in victim.fork(1).await.expect("room") {
        ended(fork.execute("1", within(SHORT)).await)?;
    }
    drop(victim.clear_state().await);
    victim.reset().await.expect("open");
    let fresh = victim.execute("1 + 1", within(LONG)).await;
    let fresh = fresh.map(|result| result.value);
    prop_assert!(fresh == Ok(Some(2.into())), "after a reset: {fresh:?}");
    Ok(())
}

/// Refuses ends that are no fault of the bytes.
fn ended(outcome: Outcome) -> TestCaseResult {
    match outcome {
        Ok(_)
        | Err(ExecutionError {
            error:
                Error::Python(_) | Error::Timeout { .. } | Error::ResourceLimit(_) | Error::Suspended(_),
            state_lost: false,
            ..
        }) => Ok(()),
        Err(other) => Err(TestCaseError::fail(format!("{other:?}"))),
    }
}

async fn resumed(checkpoint: Vec<u8>) -> Result<&'static str, TestCaseError> {
    let mut options = options_with(suspending());
    options.limits.execution_timeout = Some(SHORT);
    let answers = Answers {
        results: vec![(1, 1.into())],
        errors: Vec::new(),
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let session = Session::resume(
        runtime(),
        options,
        checkpoint,
        answers,
        within(SHORT),
        |outcome| drop(sender.send(outcome)),
    );
    let session = session.expect("the options are good");
    let outcome = receiver.await;
    let outcome = outcome.map_err(|_| TestCaseError::fail("nobody was told of the end"))?;
    let end = match outcome.as_ref().map_err(|failure| &failure.error) {
        Ok(_) => "resumed",
        Err(Error::Snapshot(_)) => "refused",
        // The call that the answer is for may not be among those that wait.
        Err(Error::InvalidArgument { .. }) => "refused the answer",
        Err(_) => {
            ended(outcome)?;
            "failed"
        }
    };
    session.close();
    Ok(end)
}
