//! Everything at once, for as long as it is asked for: answers stay right, and memory, descriptors and threads stay as they
//! were. See docs/fuzzing.md.

use std::path::Path;
use std::time::{Duration, Instant};

use eryx::{Error, ExecutionOptions};
use eryx_test::{fuzz, new_directory};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::sessions::model::{Life, steps};
use crate::support::huge_pages::asked_for_meanwhile;
use crate::support::sessions::runtimes;
use crate::support::{
    AtOutput, executor, process_kibibytes, said_alone, sandbox, text, until, within,
};

/// Without being asked for more.
const USUAL_TIME: Duration = Duration::from_secs(15);
/// Lives that are lived beside each other.
const LIVES: u64 = 4;
/// Rounds in which pools, caches and the allocator take what they keep.
const WARM_UP: u64 = 8;
/// How far the process may be above the most that it took in those, in KiB. It goes up and down by 200 MB between rounds.
const LEEWAY: u64 = 256 << 10;

/// What a leak makes grow.
#[derive(Debug)]
struct Held {
    memory: u64,
    descriptors: usize,
    threads: u64,
}

impl Held {
    fn now() -> Self {
        Self {
            memory: process_kibibytes("VmRSS"),
            descriptors: std::fs::read_dir("/proc/self/fd").expect("Linux").count(),
            threads: process_kibibytes("Threads"),
        }
    }

    fn most(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }

    fn is_more_than(&self, before: &Self) -> bool {
        self.memory > before.memory + LEEWAY
            || self.descriptors > before.descriptors
            || self.threads > before.threads
    }
}

/// One random life, from its beginning to its end.
fn live(seed: u64, directory: &Path) {
    let mut runner = TestRunner::new_with_rng(fuzz::config(), fuzz::rng(seed));
    let steps = steps().new_tree(&mut runner).expect("steps").current();
    let all = runtimes();
    let runtime = &all[usize::try_from(seed).expect("64 bits") % all.len()].1;
    std::fs::create_dir_all(directory).expect("ours");
    executor().block_on(async {
        let mut life = Life::new(runtime, directory, seed.is_multiple_of(2)).await;
        for (which, step) in &steps {
            let done = life.step(*which, step, false).await;
            done.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        let ended = life.end().await;
        ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    });
    std::fs::remove_dir_all(directory).expect("ours");
}

/// Runs in fresh interpreters that end in every way, beside the sessions.
async fn run_in_sandboxes(seed: u64) {
    let sandbox = sandbox();
    for (code, expected) in [
        ("print(sum(range(1000)))", "499500\n"),
        ("print(1, flush=True)\nwhile True: pass", "1\n"),
        ("print(2)\nraise ValueError", "2\n"),
        (
            "print(3)\nl = []\nwhile True: l.append(bytearray(b'x') * (1 << 20))",
            "3\n",
        ),
        (
            "print(4, flush=True)\nimport os\nopen('a', 'w').write('x' * 100_000)\nos.abort()",
            "4\n",
        ),
        ("print(5, flush=True)\nimport time\ntime.sleep(60)", "5\n"),
    ] {
        let mut options = within(Duration::from_mins(1));
        if code.contains("flush") {
            options.sink = Some(std::sync::Arc::new(AtOutput(options.cancel.clone())));
        }
        let outcome = sandbox.execute(code, options).await;
        let output = match &outcome {
            Ok(result) => &result.output,
            Err(failure) => &failure.output,
        };
        assert_eq!(text(&output.stdout), expected, "seed {seed}: {outcome:?}");
        let error = outcome.map_err(|failure| failure.error).err();
        assert!(!matches!(error, Some(Error::Internal(_))), "{error:?}");
    }
    let result = sandbox.execute("x", ExecutionOptions::default()).await;
    let error = result.expect_err("another run's").error.to_string();
    assert_eq!(error, "NameError: name 'x' is not defined");
}

/// Everything once, while the kernel is asked for huge pages again and again.
fn round(number: u64, directory: &Path) {
    let live_all = || {
        std::thread::scope(|scope| {
            let lives: Vec<_> = (0..LIVES)
                .map(|index| {
                    let directory = directory.join(index.to_string());
                    scope.spawn(move || live(number * LIVES + index, &directory))
                })
                .collect();
            executor().block_on(run_in_sandboxes(number));
            let ended = lives.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.filter(Result::is_err).count()
        })
    };
    assert_eq!(asked_for_meanwhile(live_all), 0, "round {number}");
}

#[test]
fn everything_at_once_stays_right_and_flat() {
    let test = "soak::everything_at_once_stays_right_and_flat";
    if let Some(said) = said_alone("env", &[], test) {
        // Shown with `--nocapture`.
        eprintln!("{said}");
        return;
    }
    let asked = fuzz::number("ERYX_SOAK_SECONDS").map(Duration::from_secs);
    let time = asked.unwrap_or(USUAL_TIME);
    let first = asked.map_or(0, |_| fuzz::random() >> 8);
    let directory = new_directory("soak");
    let started = Instant::now();
    let mut before = Held::now();
    let mut rounds = 0;
    while rounds <= WARM_UP || started.elapsed() < time {
        round(first + rounds, &directory);
        rounds += 1;
        if rounds <= WARM_UP {
            before = before.most(&Held::now());
        } else {
            // What ends gives back in its own time.
            executor().block_on(until(|| !Held::now().is_more_than(&before)));
        }
    }
    let after = Held::now();
    eprintln!("{rounds} rounds from {first}: {before:?}, then {after:?}");
}
