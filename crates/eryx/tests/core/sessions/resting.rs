//! Sessions that rest for long.

use std::time::Duration;

use eryx::{Session, Value};

use crate::support::sessions::{execute, session_of, value, values, with_each_strategy};
use crate::support::{alone, list, process_kibibytes, runtime, until};

const SOON: Duration = Duration::from_millis(1);
/// Time in which one that rests is packed, on most machines. If it is not, less is tested.
const LONG: Duration = Duration::from_millis(30);

fn resting(runtime: &eryx::Runtime) -> Session {
    session_of(runtime, |options| options.sleep_after = Some(SOON))
}

#[tokio::test]
async fn everything_is_there_after_a_rest() {
    with_each_strategy(async |runtime| {
        let session = resting(runtime);
        let code = "import json\nbig = bytearray(b'x') * (6 << 20)\nf = open('a', 'w+b', buffering=0)\nf.write(b'0123456789')\nf.seek(4)\nn = 0";
        execute(&session, code).await;
        for round in 0..4_i64 {
            tokio::time::sleep(LONG).await;
            let code = "n += 1\nbig[n] = n\n[n, big.count(b'x'), f.tell(), json.dumps(n)]";
            let expected = list([
                (round + 1).into(),
                ((6 << 20) - round - 1).into(),
                4.into(),
                (round + 1).to_string().as_str().into(),
            ]);
            assert_eq!(value(&session, code).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_packed_is_forked_saved_and_restored() {
    with_each_strategy(async |runtime| {
        let session = resting(runtime);
        execute(&session, "x = list(range(1000))").await;
        tokio::time::sleep(LONG).await;
        let saved = session.snapshot().await.expect("a snapshot");
        tokio::time::sleep(LONG).await;
        let forks = session.fork(3).await.expect("room");
        execute(&forks[0], "x.append(1)").await;
        tokio::time::sleep(LONG).await;
        let all = [&session, &forks[0], &forks[1], &forks[2]];
        let expected: [Value; 4] = [1000.into(), 1001.into(), 1000.into(), 1000.into()];
        assert_eq!(values(all, "len(x)").await, expected);
        let other = resting(runtime);
        other.restore(saved).await.expect("it is good");
        tokio::time::sleep(LONG).await;
        assert_eq!(value(&other, "sum(x)").await, 499_500.into());
        session.clear_state().await.expect("open");
        tokio::time::sleep(LONG).await;
        assert_eq!(value(&session, "'x' in globals()").await, false.into());
        session.close();
        session.rested().await;
    })
    .await;
}

/// Memory after 200 sessions have run and rest.
async fn memory_of_many(sleep_after: Duration) -> (u64, Vec<Session>) {
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let session = session_of(runtime(), |options| options.sleep_after = Some(sleep_after));
        execute(&session, "x = list(range(1000))").await;
        sessions.push(session);
    }
    (process_kibibytes("VmRSS"), sessions)
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_sessions_take_a_fraction_of_the_memory() {
    if !alone("sessions::resting::packed_sessions_take_a_fraction_of_the_memory") {
        return;
    }
    drop(memory_of_many(Duration::MAX).await);
    let before = process_kibibytes("VmRSS");
    let (unpacked, sessions) = memory_of_many(Duration::MAX).await;
    let each = unpacked - before;
    let most = process_kibibytes("VmRSS");
    drop(sessions);
    let (_, sessions) = memory_of_many(Duration::from_millis(100)).await;
    // Guests in slots that wait for the next run are not given back.
    until(|| process_kibibytes("VmRSS") < most - each / 2).await;
    let answers = values(&sessions, "len(x)").await;
    assert!(answers.iter().all(|answer| *answer == 1000.into()));
}
