//! The kernel may put a huge page in the place of small ones at any time, of which nobody wrote to most. Guests must not notice.

use std::time::Duration;

use eryx::Value;

use crate::support::huge_pages::ask_for_them;
use crate::support::sessions::{
    STUBBORN, TRAP, execute, failure, failure_with, session, value, with_each_strategy,
};
use crate::support::within;

/// Eight million bytes, of which every page is touched once and then some are.
const BEGIN: &str =
    "held = bytearray(8_000_000)\nheld[::4096] = b'\\1' * len(range(0, len(held), 4096))";
const WRITE: &str = "for at in range(0, len(held), 8192): held[at + 7] = 2";
const LOOK: &str = "[held.count(1), held.count(2), held.count(3)]";

fn seen(ones: i64, twos: i64) -> Value {
    Value::List(vec![ones.into(), twos.into(), 0.into()])
}

#[tokio::test]
async fn a_session_its_forks_and_what_it_falls_back_to() {
    with_each_strategy(async |runtime| {
        let base = session(runtime);
        let mut twos = 0;
        for code in [BEGIN, "pass", WRITE, "pass"] {
            execute(&base, code).await;
            ask_for_them();
            if code == WRITE {
                twos = 977;
            }
            // Nobody wrote to these pages before, and no fault tells that somebody does now.
            execute(&base, "held[4096 * 3 + 9] = 3").await;
            ask_for_them();
            execute(&base, "held[4096 * 3 + 9] = 0").await;
            let fork = base.fork(1).await.expect("room").remove(0);
            ask_for_them();
            assert_eq!(value(&fork, LOOK).await, seen(1954, twos), "{code}");
            let lost = failure(&base, &format!("held[:] = bytes(len(held))\n{TRAP}")).await;
            assert!(!lost.state_lost);
            ask_for_them();
            assert_eq!(value(&base, LOOK).await, seen(1954, twos), "{code}");
            let cut = format!("held[::4096] = b'\\3' * 1954\n{STUBBORN}");
            let lost = failure_with(&base, &cut, within(Duration::from_millis(200))).await;
            assert!(!lost.state_lost);
            assert_eq!(value(&base, LOOK).await, seen(1954, twos), "{code}");
            let bytes = base.snapshot().await.expect("a snapshot");
            ask_for_them();
            let other = session(runtime);
            other.restore(bytes).await.expect("it is good");
            assert_eq!(value(&other, LOOK).await, seen(1954, twos), "{code}");
        }
    })
    .await;
}
