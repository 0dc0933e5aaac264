//! A host that forks. The copy has neither the threads that run guests, nor page tables that the first process can read.

use eryx::{Error, ExecutionOptions, Runtime, Sandbox, SandboxOptions, Session};
use eryx_test::runtime_directory;

use crate::support::sessions::{execute, session};
use crate::support::{alone, runtime};

#[tokio::test]
async fn a_forked_process_is_told() {
    if !alone("host::forked::a_forked_process_is_told") {
        return;
    }
    let sandbox = Sandbox::new(runtime(), SandboxOptions::default()).expect("good options");
    let used = session(runtime());
    execute(&used, "held = list(range(300_000))").await;
    // SAFETY: the child only asks for what is refused at once, and ends without running what the parent registered.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: neither call has a requirement. Whatever waits for ever ends at the alarm.
        unsafe {
            libc::alarm(60);
            libc::_exit(i32::from(!everything_is_refused(&sandbox, &used)));
        }
    }
    // What the child shares is copied when it is written to. The answers stay right.
    for count in 0..3_i64 {
        let code = format!("held[{count}] = 5\nresult = sum(held)");
        let sum = execute(&used, &code).await.result.expect("a result");
        let changed = (0..=count).map(|at| 5 - at).sum::<i64>();
        assert_eq!(sum, (44_999_850_000 + changed).into());
        let run = sandbox.execute("import json", ExecutionOptions::default());
        drop(run.await.expect("it ends well"));
    }
    let mut status = 0;
    // SAFETY: the kernel writes the status to a variable of this function.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(
        (ended, status),
        (child, 0),
        "a call in the child was not refused"
    );
}

/// Never waits: there is nobody who would answer.
fn everything_is_refused(sandbox: &Sandbox, used: &Session) -> bool {
    let told = |result: Result<(), Error>| {
        let text = result.err().map(|error| error.to_string());
        text.is_some_and(|text| text.contains("this process was forked"))
    };
    let (for_sandbox, for_session) = (ExecutionOptions::default(), ExecutionOptions::default());
    told(sandbox.spawn("pass", for_sandbox, drop))
        && told(used.spawn("pass", for_session, drop))
        && told(Runtime::load(&runtime_directory()).map(drop))
}
