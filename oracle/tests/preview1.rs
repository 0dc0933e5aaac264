//! Random calls, on both sides.

#![deny(warnings)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use oracle::{DIFFERENCES, Difference, Ours, State, Theirs, compiled};

/// Seeds of a usual run.
const SEEDS: u64 = 600;
/// Asks for others, for so many seconds.
const SECONDS: &str = "ERYX_FUZZ_SECONDS";

/// The usual seeds, or others until the time is over.
fn seeds() -> Box<dyn Iterator<Item = u64>> {
    let Ok(seconds) = std::env::var(SECONDS) else {
        return Box::new(0..SEEDS);
    };
    let time = Duration::from_secs(seconds.parse().expect("a whole number"));
    let (first, started) = (
        RandomState::new().build_hasher().finish() >> 1,
        Instant::now(),
    );
    Box::new((first..).take_while(move |_| started.elapsed() < time))
}

/// The call, without its number, and its answer.
fn parts(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    line.trim_start().split_once(" = ").unwrap_or((line, ""))
}

fn listed(program: &str, ours: &str, theirs: &str) -> Option<(usize, &'static Difference)> {
    let ((call, ours), (other, theirs)) = (parts(ours), parts(theirs));
    let mut all = DIFFERENCES.iter().enumerate();
    all.find(|(_, entry)| {
        entry.program == program
            && call == other
            && call.starts_with(entry.call)
            && call.contains(entry.with)
            && begins(ours, entry.ours)
            && begins(theirs, entry.theirs)
    })
}

/// Nothing stands for any error.
fn begins(answer: &str, with: &str) -> bool {
    answer.starts_with(with) && !(with.is_empty() && answer.starts_with("ok"))
}

/// Runs a guest program on both sides, from each seed.
async fn compare(program: &str) {
    let wasm = compiled(program).expect("it compiles");
    let ours = Ours::new(&wasm).expect("ours");
    let theirs = Theirs::new(&wasm).expect("theirs");
    let mut tally = Tally::new(program);
    for seed in seeds() {
        let stdin = seed.to_string();
        let ours = ours.run(&stdin).await.expect("ours");
        let theirs = theirs.run(&stdin).await.expect("theirs");
        tally.add(seed, &ours, &theirs);
    }
    tally.check();
}

/// What was compared.
struct Tally {
    program: String,
    lines: u64,
    /// How often each listed difference was met.
    met: Vec<u64>,
    /// Those that are not listed, with an example: how often.
    unlisted: BTreeMap<String, (String, u64)>,
}

impl Tally {
    fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            lines: 0,
            met: vec![0; DIFFERENCES.len()],
            unlisted: BTreeMap::new(),
        }
    }

    fn add(&mut self, seed: u64, ours: &str, theirs: &str) {
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            self.lines += 1;
            if ours == theirs {
                continue;
            }
            let Some((index, entry)) = listed(&self.program, ours, theirs) else {
                let ((call, our_answer), (_, their_answer)) = (parts(ours), parts(theirs));
                let name = call.split(' ').next().unwrap_or_default();
                let kind = format!("{name}: {our_answer} | {their_answer}");
                let example = format!("seed {seed}: {ours} | {theirs}");
                self.unlisted.entry(kind).or_insert((example, 0)).1 += 1;
                return;
            };
            self.met[index] += 1;
            if entry.state == State::Differs {
                return;
            }
        }
        assert_eq!(
            ours.lines().count(),
            theirs.lines().count(),
            "{}, seed {seed}",
            self.program
        );
    }

    fn check(&self) {
        eprintln!("{}: {} lines compared", self.program, self.lines);
        let unlisted = self.unlisted.iter();
        let unlisted: Vec<_> = unlisted
            .map(|(kind, (example, count))| format!("{count} x {kind}\n    {example}"))
            .collect();
        assert!(
            unlisted.is_empty(),
            "ours | theirs\n{}",
            unlisted.join("\n")
        );
        let all = DIFFERENCES.iter().zip(&self.met);
        let stale: Vec<_> = all
            .filter(|(entry, met)| entry.program == self.program && !entry.rare && **met == 0)
            .map(|(entry, _)| entry)
            .collect();
        assert!(
            stale.is_empty() || std::env::var(SECONDS).is_ok(),
            "no longer differences: {stale:#?}"
        );
    }
}

#[tokio::test]
async fn random_calls_do_what_they_do_elsewhere() {
    compare("calls").await;
}

#[tokio::test]
async fn the_c_library_does_what_it_does_elsewhere() {
    compare("posix").await;
}
