//! Starting over, and the end.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eryx::{Error, ExecutionOptions, Session};

use crate::support::callbacks::{options_with, tools};
use crate::support::sessions::{FOREVER, execute, failure, session, value, with_each_strategy};
use crate::support::{list, runtime};

#[tokio::test]
async fn clear_state_removes_the_users_variables_only() {
    with_each_strategy(async |runtime| {
        let mut options = options_with(tools());
        options.libraries = vec!["def helper(): return 5".into()];
        let session = Session::new(runtime, options).expect("good options");
        let code = "import math\nmath.mine = 1\nx = 1\n__mine = 2\necho = helper = None";
        execute(&session, code).await;
        execute(&session, "n = open('/data/f', 'w').write('kept')").await;
        session.clear_state().await.expect("cleared");
        let code = "import math\n['x' in globals(), '__mine' in globals(), math.mine, await echo(7), helper(), open('/data/f').read()]";
        let expected = list([
            false.into(),
            false.into(),
            1.into(),
            7.into(),
            5.into(),
            "kept".into(),
        ]);
        assert_eq!(value(&session, code).await, expected);
        assert_eq!(session.execution_count(), 3);
        // What was cleared is the state to fall back to.
        execute(&session, "x = 1").await;
        session.clear_state().await.expect("cleared");
        failure(&session, "x = 2\nimport os\nos.abort()").await;
        assert_eq!(value(&session, "'x' in globals()").await, false.into());
    })
    .await;
}

#[tokio::test]
async fn reset_gives_a_new_interpreter_with_the_same_options_and_files() {
    with_each_strategy(async |runtime| {
        let session = Session::new(runtime, options_with(tools())).expect("good options");
        session.set_execution_timeout(Some(Duration::from_secs(25)));
        let code = "import math\nmath.mine = 1\nx = 1\nbig = list(range(500_000))\nf = open('/data/f', 'w')\nn = f.write('kept'), f.flush()\nopen('/tmp/t', 'w').close()";
        execute(&session, code).await;
        session.reset().await.expect("reset");
        assert_eq!(session.execution_count(), 0);
        let code = "import math, os\n['x' in globals(), hasattr(math, 'mine'), await echo(7), open('/data/f').read(), os.listdir('/tmp')]";
        let expected = list([
            false.into(),
            false.into(),
            7.into(),
            "kept".into(),
            list([]),
        ]);
        assert_eq!(value(&session, code).await, expected);
        assert_eq!(session.execution_count(), 1);
        failure(&session, "x = 2\nimport os\nos.abort()").await;
        assert_eq!(value(&session, "'x' in globals()").await, false.into());
    })
    .await;
}

#[tokio::test]
async fn starting_over_before_the_start_and_twice_changes_nothing() {
    with_each_strategy(async |runtime| {
        let session = session(runtime);
        for _ in 0..2 {
            session.reset().await.expect("reset");
            session.clear_state().await.expect("cleared");
        }
        assert_eq!(session.execution_count(), 0);
        assert_eq!(value(&session, "1 + 1").await, 2.into());
        for _ in 0..2 {
            session.clear_state().await.expect("cleared");
            session.reset().await.expect("reset");
        }
        assert_eq!(value(&session, "1 + 1").await, 2.into());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_session_finishes_what_was_asked() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let session = session(runtime());
    let slow = "import time\ntime.sleep(0.2)\nx = 'slept'";
    let options = ExecutionOptions::default;
    session.spawn(slow, options(), |_| {}).expect("open");
    session
        .spawn("x", options(), |outcome| drop(sender.send(outcome)))
        .expect("open");
    drop(session);
    let outcome = receiver.await.expect("called").expect("runs");
    assert_eq!(outcome.value, Some("slept".into()));
}

#[tokio::test]
async fn closing_cancels_what_runs_and_refuses_the_rest() {
    with_each_strategy(async |runtime| {
        let session = session(runtime);
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let (started, has_started) = tokio::sync::oneshot::channel();
        let mut running = ExecutionOptions::default();
        running.sink = Some(Arc::new(Tell(Mutex::new(Some(started)))));
        for (code, options) in [
            (format!("print('started', flush=True)\n{FOREVER}"), running),
            ("1".to_owned(), ExecutionOptions::default()),
            ("2".to_owned(), ExecutionOptions::default()),
        ] {
            let outcomes = Arc::clone(&outcomes);
            session
                .spawn(code, options, move |outcome| {
                    let error = outcome.expect_err("closed").error;
                    outcomes.lock().expect("not poisoned").push(error);
                })
                .expect("open");
        }
        let (snapshot, fork) = (session.snapshot(), session.fork(1));
        has_started.await.expect("it prints");
        session.close();
        session.close();
        assert_eq!(snapshot.await, Err(Error::Closed));
        assert_eq!(fork.await.map(drop), Err(Error::Closed));
        let outcomes = outcomes.lock().expect("not poisoned").clone();
        assert!(
            matches!(outcomes[0], Error::Cancelled { .. }),
            "{outcomes:?}"
        );
        assert_eq!(outcomes[1..], [Error::Closed, Error::Closed]);
        assert_closed(&session).await;
        // Others of the same runtime go on.
        assert_eq!(
            value(&crate::support::sessions::session(runtime), "1").await,
            1.into()
        );
    })
    .await;
}

/// Tells once that something was printed.
struct Tell(Mutex<Option<tokio::sync::oneshot::Sender<()>>>);

impl eryx::OutputSink for Tell {
    fn wants(&self, stream: eryx::Stream) -> bool {
        stream == eryx::Stream::Stdout
    }

    fn write(&self, _: eryx::Stream, _: &str) {
        if let Some(sender) = self.0.lock().expect("not poisoned").take() {
            let _ = sender.send(());
        }
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

async fn assert_closed(session: &Session) {
    assert_eq!(failure(session, "1").await.error, Error::Closed);
    assert_eq!(session.reset().await, Err(Error::Closed));
    assert_eq!(session.clear_state().await, Err(Error::Closed));
    assert_eq!(session.snapshot().await, Err(Error::Closed));
    assert_eq!(session.restore(Vec::new()).await, Err(Error::Closed));
    assert_eq!(session.fork(1).await.map(drop), Err(Error::Closed));
    let spawned = session.spawn("1", ExecutionOptions::default(), |_| panic!("refused"));
    assert_eq!(spawned, Err(Error::Closed));
}

#[tokio::test]
async fn closing_an_idle_session_and_one_that_ran_nothing() {
    with_each_strategy(async |runtime| {
        for code in [None, Some("x = 1")] {
            let session = session(runtime);
            if let Some(code) = code {
                execute(&session, code).await;
            }
            let clone = session.clone();
            session.close();
            assert_closed(&clone).await;
        }
    })
    .await;
}

#[tokio::test]
async fn closing_ends_driver_work_that_python_code_holds_up() {
    let session = session(runtime());
    session.set_execution_timeout(None);
    let code = format!(
        "import _eryx_driver\ndef hold(_):\n    {FOREVER}\n_eryx_driver._ORDERS['clear'] = hold"
    );
    execute(&session, &code).await;
    let clearing = tokio::spawn(session.clear_state());
    tokio::time::sleep(Duration::from_millis(50)).await;
    session.close();
    let ended = clearing.await.expect("no panic");
    // Not by a limit.
    let closed = matches!(ended, Err(Error::Cancelled { .. } | Error::Closed));
    assert!(closed, "{ended:?}");
}
