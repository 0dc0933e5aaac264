//! Runs properties for as long as they are asked to run: see docs/fuzzing.md.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// Seconds of each target, and seed of its first round.
const SECONDS: &str = "ERYX_FUZZ_SECONDS";
const SEED: &str = "ERYX_FUZZ_SEED";
/// Without being asked for more.
const USUAL_TIME: Duration = Duration::from_secs(2);
/// Each round has a seed of its own, so that repeating one is quick.
const CASES_PER_ROUND: u32 = 16;

/// Tries `test` with inputs that `strategy` makes, until the time is over.
///
/// # Panics
///
/// With the smallest input for which `test` fails, and the seed to repeat its round by.
pub fn run<S: Strategy>(target: &str, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let asked = number(SECONDS).map(Duration::from_secs);
    let time = asked.unwrap_or(USUAL_TIME);
    let first = number(SEED).unwrap_or_else(|| if asked.is_some() { random() } else { 1 });
    let started = Instant::now();
    let mut seed = first;
    while seed == first || started.elapsed() < time {
        if asked.is_some() {
            note_down(target, seed);
        }
        let mut runner = TestRunner::new_with_rng(config(), rng(seed));
        if let Err(error) = runner.run(strategy, &test) {
            panic!("{target}: repeat this with {SEED}={seed}\n{error}");
        }
        seed = seed.wrapping_add(1);
    }
    // Shown with `--nocapture`.
    let cases = u64::from(CASES_PER_ROUND) * seed.wrapping_sub(first);
    eprintln!("{target}: {cases} cases from {SEED}={first}");
}

/// What is left to repeat a round by, should it end the process.
fn note_down(target: &str, seed: u64) {
    let notes = crate::target().join("tmp");
    std::fs::create_dir_all(&notes).expect("the target directory is ours");
    let note = notes.join(format!("fuzz-{target}"));
    std::fs::write(note, format!("{SEED}={seed}\n")).expect("the target directory is ours");
}

/// The whole number that an environment variable holds, if it is set.
///
/// # Panics
///
/// If it holds something else.
#[must_use]
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}: expected a whole number, got {text:?}")))
}

/// A seed that is another one each time.
#[must_use]
pub fn random() -> u64 {
    // What it is seeded with is random; half of the range leaves room to count on.
    RandomState::new().build_hasher().finish() >> 1
}

/// What each round is run with.
#[must_use]
pub fn config() -> Config {
    Config {
        cases: CASES_PER_ROUND,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    }
}

/// The source of all inputs of the round with this seed.
#[must_use]
pub fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
