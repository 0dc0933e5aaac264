//! What all modules share: the runtime, one-line runs, and looks at the outcome.

pub(crate) mod callbacks;
pub(crate) mod damage;
pub(crate) mod huge_pages;
pub(crate) mod layout;
pub(crate) mod sessions;
pub(crate) mod stage;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use eryx::internals::RestoreStrategy;
use eryx::{
    CancelHandle, Error, ExecutionOptions, ExecutionResult, Outcome, OutputSink, PythonError,
    ResourceLimits, Runtime, Sandbox, SandboxOptions, Stream, Value,
};
use eryx_test::{new_directory, runtime_directory};

/// What tells a run that is late on a busy machine from one that does not end. How soon runs end is measured by
/// [`promptly`].
pub(crate) const SLACK: Duration = Duration::from_secs(20);

/// How late a run ends that is ended by its deadline or cancelled, if the machine has time for it.
pub(crate) const PROMPT: Duration = Duration::from_millis(150);

/// Tries `attempt` until it takes less than `most`: what else runs on the machine delays some tries, a defect all of them. On a
/// busy machine that share of `most` that is [`PROMPT`] is as much longer as everything takes there.
pub(crate) async fn promptly<T>(most: Duration, mut attempt: impl AsyncFnMut() -> T) -> T {
    let mut took = Vec::new();
    while took.len() < 20 {
        let started = Instant::now();
        let value = attempt().await;
        let time = started.elapsed();
        if time < most || time < most + PROMPT.mul_f64(slowness() - 1.0) {
            return value;
        }
        took.push(time);
    }
    panic!("never within {most:?}: {took:?}")
}

/// How many times as long as on an idle machine a thread takes for what it computes.
fn slowness() -> f64 {
    let started = Instant::now();
    let before = processor_time();
    let mut computed = Duration::ZERO;
    while computed < Duration::from_millis(20) {
        computed = processor_time().saturating_sub(before);
    }
    started.elapsed().div_duration_f64(computed)
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split(' ').next().expect("three numbers");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

/// Waits until `is_so`. A test that waits in vain fails.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The runtime that most tests share.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::load(&runtime_directory()).expect("the runtime loads"))
}

/// The ways of finding what a guest wrote that this machine offers.
pub(crate) fn strategies() -> Vec<RestoreStrategy> {
    use RestoreStrategy::{Copy, Pagemap, PagemapScan, Remap};
    match RestoreStrategy::detect() {
        PagemapScan => vec![PagemapScan, Pagemap, Remap, Copy],
        Pagemap => vec![Pagemap, Remap, Copy],
        _ => vec![Remap, Copy],
    }
}

/// Runs that are to end by themselves may take so long, on a machine that is busy with other things too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// A sandbox with defaults, but for its deadline.
pub(crate) fn sandbox() -> Sandbox {
    sandbox_with(|_| {})
}

/// The same with some limits changed.
pub(crate) fn sandbox_with(change: impl FnOnce(&mut ResourceLimits)) -> Sandbox {
    let mut options = SandboxOptions::default();
    options.limits.execution_timeout = Some(PATIENCE);
    change(&mut options.limits);
    compile_for(&options);
    Sandbox::new(runtime(), options).expect("the options are good")
}

/// Has the code that counts instructions compiled, if it is wanted: on a busy machine that takes longer than a run may.
pub(crate) fn compile_for(options: &SandboxOptions) {
    static COMPILED: Once = Once::new();
    if options.limits.max_fuel.is_none() {
        return;
    }
    let compile = || {
        let mut options = SandboxOptions::default();
        options.limits.max_fuel = Some(1_000_000_000);
        options.limits.execution_timeout = None;
        let sandbox = Sandbox::new(runtime(), options).expect("the options are good");
        let ran = executor().block_on(sandbox.execute("", ExecutionOptions::default()));
        ran.expect("it runs");
    };
    // On a thread of its own: the test's has an executor.
    COMPILED.call_once(|| std::thread::spawn(compile).join().expect("it compiles"));
}

/// A sandbox with options of its own.
pub(crate) fn sandbox_of(change: impl FnOnce(&mut SandboxOptions)) -> Sandbox {
    let mut options = SandboxOptions::default();
    change(&mut options);
    Sandbox::new(runtime(), options).expect("the options are good")
}

/// Why options are refused.
pub(crate) fn refused(change: impl FnOnce(&mut SandboxOptions)) -> Error {
    let mut options = SandboxOptions::default();
    change(&mut options);
    Sandbox::new(runtime(), options).expect_err("refused")
}

/// Runs code that must succeed in a given sandbox, and returns what it printed.
pub(crate) async fn printed_by(sandbox: &Sandbox, code: &str) -> String {
    match sandbox.execute(code, ExecutionOptions::default()).await {
        Ok(result) => text(&result.output.stdout).trim_end().to_owned(),
        Err(failure) => panic!("{:?}", failure.error),
    }
}

/// Options with a deadline.
pub(crate) fn within(timeout: Duration) -> ExecutionOptions {
    let mut options = ExecutionOptions::default();
    options.timeout = Some(Some(timeout));
    options
}

/// Cancels once the run prints.
pub(crate) struct AtOutput(pub(crate) CancelHandle);

impl OutputSink for AtOutput {
    fn write(&self, _: Stream, _: &str) {
        self.0.cancel();
    }

    fn wants(&self, _: Stream) -> bool {
        true
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// Runs code with all defaults.
pub(crate) async fn run(code: &str) -> Outcome {
    sandbox().execute(code, ExecutionOptions::default()).await
}

/// Runs code that must succeed.
pub(crate) async fn succeed(code: &str) -> ExecutionResult {
    match run(code).await {
        Ok(result) => result,
        Err(failure) => panic!(
            "{:?}\n{}",
            failure.error,
            String::from_utf8_lossy(&failure.output.stderr)
        ),
    }
}

/// Runs code that must succeed and returns what it printed on stdout.
pub(crate) async fn printed(code: &str) -> String {
    text(&succeed(code).await.output.stdout)
}

/// Runs code that must end with a Python exception.
pub(crate) async fn raised(code: &str) -> PythonError {
    python_error(run(code).await)
}

/// The Python exception that a run ended with.
pub(crate) fn python_error(outcome: Outcome) -> PythonError {
    match outcome.map_err(|failure| failure.error) {
        Err(Error::Python(error)) => error,
        other => panic!("not a Python exception: {other:?}"),
    }
}

/// Checks that a run was ended by its deadline, and soon enough.
pub(crate) fn assert_timed_out(outcome: Outcome, started: Instant, limit: Duration) -> bool {
    let took = started.elapsed();
    let error = outcome.map_err(|failure| failure.error);
    let Err(Error::Timeout { limit: named, hard }) = error else {
        panic!("not a timeout: {error:?}");
    };
    assert_eq!(named, limit);
    assert!(took >= limit, "ended after {took:?}, before the deadline");
    assert!(
        took < limit + SLACK,
        "ended {:?} late",
        took.saturating_sub(limit)
    );
    hard
}

/// An executor of this thread, for tests that are no `async` functions.
pub(crate) fn executor() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("an executor")
}

/// A list value.
pub(crate) fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::List(items.into())
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The test that runs in a process of its own.
const ALONE: &str = "ERYX_TEST_ALONE";

/// Whether this process runs nothing but `test`, for what is counted per process. If not, it runs the test in one that
/// does, and the caller returns.
pub(crate) fn alone(test: &str) -> bool {
    said_alone("env", &[], test).is_none()
}

/// The same below `program`, which is given the test binary and its arguments. Gives what was printed there, on both
/// streams.
pub(crate) fn said_alone(program: &str, arguments: &[&str], test: &str) -> Option<String> {
    if std::env::var_os(ALONE).is_some_and(|name| name == test) {
        return None;
    }
    let output = Command::new(program)
        .args(arguments)
        .arg(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(ALONE, test)
        .output()
        .expect("the test binary starts");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no test is called {test}");
    Some(said)
}

/// The text of an error about an argument.
pub(crate) fn invalid(error: &eryx::Error) -> String {
    assert!(
        matches!(error, eryx::Error::InvalidArgument { .. }),
        "{error:?}"
    );
    error.to_string()
}

/// A field of `/proc/self/status` in KiB.
#[cfg(target_os = "linux")]
pub(crate) fn process_kibibytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("a number of KiB")
}

/// Puts the runtime's files, linked or copied, into a new directory.
pub(crate) fn copied_runtime(name: &str) -> PathBuf {
    let directory = new_directory(name);
    for entry in std::fs::read_dir(runtime_directory()).expect("a directory") {
        let from = entry.expect("an entry").path();
        let to = directory.join(from.file_name().expect("a name"));
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).expect("copies");
        }
    }
    directory
}

/// Overwrites one file of a copied runtime. Never writes through a hard link.
pub(crate) fn replace(directory: &Path, name: &str, content: &[u8]) {
    let path = directory.join(name);
    std::fs::remove_file(&path).expect("it was there");
    std::fs::write(path, content).expect("the target directory is ours");
}
