//! Many sessions at once, of which some sleep.

use eryx::ExecutionOptions;

use crate::support::list;
use crate::support::sessions::{execute, failure, session, started, value, with_each_strategy};

#[tokio::test]
async fn fifty_sessions_at_once_are_apart() {
    with_each_strategy(async |runtime| {
        let runs = (0..50_i64).map(|index| {
            tokio::spawn(async move {
                let session =
                    started(runtime, &format!("x = {index}\nfrom os import getcwd")).await;
                for round in 0..3 {
                    let code = format!("x += 100\nassert 'y' not in globals()\n[x, {round}]");
                    let expected = list([(index + 100 * (round + 1)).into(), round.into()]);
                    assert_eq!(value(&session, &code).await, expected);
                }
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.expect("checked");
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_and_sandboxes_take_turns_in_the_same_slots() {
    with_each_strategy(async |runtime| {
        let sandbox = eryx::Sandbox::new(runtime, eryx::SandboxOptions::default());
        let sandbox = sandbox.expect("the options are good");
        for round in 0..5 {
            let session = started(
                runtime,
                "import json\njson.mine = 1\nx = bytearray(3 << 20)",
            )
            .await;
            match round {
                0 => session.reset().await.expect("reset"),
                1 => session.close(),
                2 => drop(session),
                3 => drop(failure(&session, "import os\nos.abort()").await),
                _ => drop(session.fork(1).await),
            }
            for _ in 0..4 {
                let code = "import json\n[hasattr(json, 'mine'), 'x' in globals()]";
                let result = sandbox.execute(code, ExecutionOptions::default()).await;
                let expected = list([false.into(), false.into()]);
                assert_eq!(result.expect("runs").value, Some(expected), "{round}");
            }
        }
    })
    .await;
}

/// More sessions than keep their slots while they rest.
#[tokio::test]
async fn sessions_that_slept_go_on_as_if_they_had_not() {
    with_each_strategy(async |runtime| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let code = "
import time
def count():
    n = 0
    while True: yield (n := n + 1)
counter, large = count(), list(range(20_000)) if large else []
file = open('/data/f', 'w+')
began = time.monotonic()";
        let mut sessions = Vec::new();
        for index in 0..20 * cores {
            let session = session(runtime);
            let large = u8::from(index % 5 == 0);
            execute(&session, &format!("large = {large}\n{code}")).await;
            sessions.push(session);
        }
        for round in 1..4 {
            for (index, session) in sessions.iter().enumerate() {
                let code = format!(
                    "file.write('{index} ')\n[next(counter), sum(large), time.monotonic() >= began]"
                );
                let sum = if index % 5 == 0 { 199_990_000 } else { 0 };
                let expected = list([round.into(), sum.into(), true.into()]);
                assert_eq!(value(session, &code).await, expected, "{index}");
            }
        }
        for (index, session) in sessions.iter().enumerate() {
            let text = format!("{index} ").repeat(3);
            let found = value(session, "file.seek(0)\nfile.read()").await;
            assert_eq!(found, text.as_str().into());
        }
        // What a sleeping session is, a fork and a snapshot of it are too.
        let [fork] = &sessions[0].fork(1).await.expect("a fork")[..] else {
            panic!("one was asked for");
        };
        assert_eq!(value(fork, "next(counter)").await, 4.into());
        let bytes = sessions[1].snapshot().await.expect("a snapshot");
        sessions[2].restore(bytes).await.expect("it is good");
        assert_eq!(value(&sessions[2], "next(counter)").await, 4.into());
    })
    .await;
}
