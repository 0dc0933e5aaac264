//! What code leaves open, and when it is finished.

use std::time::Duration;

use eryx::{Session, Storage};

use crate::support::sessions::{STUBBORN, execute, failure_with, session, session_of, value};
use crate::support::{runtime, within};

/// Leaves a file that is finished by more than a flush.
const OPEN: &str = "import gzip\nf = gzip.open('a.gz', 'wt')\nf.write('text')";
const READ: &str = "import gzip\ngzip.open('a.gz', 'rt').read()";

fn with(storage: &Storage) -> Session {
    session_of(runtime(), |options| options.files = Some(storage.clone()))
}

async fn is_finished(storage: &Storage) -> bool {
    let session = with(storage);
    let read = session.execute(READ, within(Duration::from_mins(1))).await;
    read.is_ok_and(|result| result.value == Some("text".into()))
}

#[tokio::test]
async fn closing_finishes_and_can_be_awaited() {
    let storage = Storage::new(1 << 20);
    let session = with(&storage);
    execute(&session, OPEN).await;
    assert!(!is_finished(&storage).await);
    session.close();
    session.close();
    session.rested().await;
    assert!(is_finished(&storage).await);
    session.rested().await;
}

#[tokio::test]
async fn a_session_that_is_dropped_is_finished_too() {
    let storage = Storage::new(1 << 20);
    let session = with(&storage);
    execute(&session, OPEN).await;
    drop(session);
    for _ in 0..6000 {
        if is_finished(&storage).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never finished");
}

#[tokio::test]
async fn a_session_whose_last_execution_was_cut_off_is_finished() {
    let storage = Storage::new(1 << 20);
    let session = with(&storage);
    execute(&session, OPEN).await;
    failure_with(&session, STUBBORN, within(Duration::from_millis(50))).await;
    session.close();
    session.rested().await;
    assert!(is_finished(&storage).await);
}

#[tokio::test]
async fn a_session_at_rest_has_nothing_to_wait_for() {
    let session = session(runtime());
    session.rested().await;
    execute(&session, "x = 1").await;
    session.rested().await;
    assert_eq!(value(&session, "x").await, 1.into());
}

/// The snapshot still has all of it, and others restore it too.
#[tokio::test]
async fn a_restored_state_in_which_nothing_ran_is_not_finished() {
    let first = with(&Storage::new(1 << 20));
    execute(&first, OPEN).await;
    let bytes = first.snapshot().await.expect("a snapshot");
    let storage = Storage::new(1 << 20);
    storage.write_file("a.gz", b"").expect("written");
    let session = with(&storage);
    for _ in 0..2 {
        session.restore(bytes.clone()).await.expect("restored");
    }
    let forks = session.fork(2).await.expect("forks");
    session.close();
    session.rested().await;
    forks[0].close();
    forks[0].rested().await;
    assert_eq!(storage.read_file("a.gz").expect("there"), b"");
    execute(&forks[1], "1").await;
    forks[1].close();
    forks[1].rested().await;
    assert_ne!(storage.read_file("a.gz").expect("there"), b"");
    storage.write_file("a.gz", b"").expect("written");
    let session = with(&storage);
    session.restore(bytes.clone()).await.expect("restored");
    execute(&session, "1").await;
    session.restore(bytes.clone()).await.expect("restored");
    assert_ne!(storage.read_file("a.gz").expect("there"), b"");
}
