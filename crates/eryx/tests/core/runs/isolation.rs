//! A run sees nothing of the run before it in the same slot, whatever that did and however it ended.
//!
//! For every way of cleaning a slot, and while huge pages are asked for. The memory is compared byte by byte with the image; what lives outside of it
//! (files, environment, clocks) is looked at from Python.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::time::Duration;

use eryx::internals::RestoreStrategy;
use eryx::{Error, ExecutionOptions, Outcome, Runtime, Sandbox, SandboxOptions};

use crate::support::{copied_runtime, huge_pages, strategies, text, within};

/// Everything a program can look at, one line each: equal texts mean that nothing differs.
const FINGERPRINT: &str = include_str!("isolation/fingerprint.py");
/// Changes every kind of state that a program can change.
const POLLUTER: &str = include_str!("isolation/polluter.py");

/// One sandbox that always runs in the same slot.
struct Lane {
    sandbox: Sandbox,
    directory: std::path::PathBuf,
    executor: tokio::runtime::Runtime,
    /// What the slot holds between runs.
    #[cfg(target_os = "linux")]
    memory: Vec<u8>,
    /// Where the contents of the image lie in it.
    #[cfg(target_os = "linux")]
    content: usize,
    #[cfg(target_os = "linux")]
    slot: Option<u64>,
}

impl Lane {
    /// The runtime's files get a directory of their own: that tells this lane's slots apart from all others.
    fn new(strategy: RestoreStrategy, name: &str) -> Self {
        let directory = copied_runtime(&format!("isolation-{name}-{strategy:?}"));
        let runtime = Runtime::load_with(&directory, strategy).expect("the runtime loads");
        let mut options = SandboxOptions::default();
        options.limits.max_memory_bytes = Some(512 << 20);
        Self {
            sandbox: Sandbox::new(&runtime, options).expect("the options are good"),
            executor: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("an executor"),
            #[cfg(target_os = "linux")]
            memory: memory_of_the_image(&runtime, &directory),
            #[cfg(target_os = "linux")]
            content: bytes(runtime.manifest().image.start),
            #[cfg(target_os = "linux")]
            slot: None,
            directory,
        }
    }

    fn run_with(&mut self, code: &str, options: ExecutionOptions) -> Outcome {
        let run = self.sandbox.execute(code, options);
        let outcome = huge_pages::asked_for_meanwhile(|| self.executor.block_on(run));
        self.wait_until_clean();
        huge_pages::ask_for_them();
        self.wait_until_clean();
        outcome
    }

    fn run(&mut self, code: &str) -> Outcome {
        self.run_with(code, ExecutionOptions::default())
    }

    fn fingerprint(&mut self) -> String {
        let result = self.run(FINGERPRINT).expect("the fingerprint is taken");
        text(&result.output.stdout)
    }

    /// The slot is cleaned after the outcome is handed over: waits for that, and checks that it is the one slot.
    #[cfg(target_os = "linux")]
    fn wait_until_clean(&mut self) {
        let mut differs = None;
        for _ in 0..500 {
            std::thread::sleep(Duration::from_millis(10));
            differs = self.first_difference();
            if differs.is_none() {
                return;
            }
        }
        panic!("the slot is not its image again: {differs:x?}");
    }

    /// Elsewhere nothing can be seen from outside.
    #[cfg(not(target_os = "linux"))]
    fn wait_until_clean(&mut self) {
        std::thread::sleep(Duration::from_millis(100));
    }

    /// The first byte of the slot that is not as in the image.
    #[cfg(target_os = "linux")]
    fn first_difference(&mut self) -> Option<usize> {
        use std::os::unix::fs::FileExt;
        let Some(image) = only_mapping(&self.directory.join("python.img")) else {
            return Some(0);
        };
        let slot = image - self.content as u64;
        assert_eq!(*self.slot.get_or_insert(slot), slot, "another slot");
        let memory = std::fs::File::open("/proc/self/mem").expect("our own memory");
        let mut held = vec![0; self.memory.len()];
        if memory.read_exact_at(&mut held, slot).is_err() {
            return Some(0);
        }
        let at = held
            .iter()
            .zip(&self.memory)
            .position(|(held, image)| held != image);
        // Behind the image nothing is accessible.
        let size = self.memory.len();
        at.or_else(|| (accessible_bytes(slot) != size as u64).then_some(size))
    }

    fn assert_untouched(&mut self, before: &str, after: &str) {
        let now = self.fingerprint();
        let difference = before
            .lines()
            .zip(now.lines())
            .find(|(before, now)| before != now);
        assert_eq!(difference, None, "{after}");
        assert_eq!(before.lines().count(), now.lines().count(), "{after}");
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The whole memory of a guest that has not run yet.
#[cfg(target_os = "linux")]
fn memory_of_the_image(runtime: &Runtime, directory: &Path) -> Vec<u8> {
    let manifest = &runtime.manifest().image;
    let content = std::fs::read(directory.join("python.img")).expect("the image");
    let mut memory = vec![0; bytes(manifest.size)];
    memory[bytes(manifest.start)..][..content.len()].copy_from_slice(&content);
    memory
}

#[cfg(target_os = "linux")]
fn bytes(count: u64) -> usize {
    usize::try_from(count).expect("an image fits the address space")
}

/// Address ranges of this process with their permissions and files.
#[cfg(target_os = "linux")]
fn mappings() -> Vec<(u64, u64, String, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let parsed = maps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?.to_owned();
        let file = fields.nth(3).unwrap_or_default().to_owned();
        let parse = |text| u64::from_str_radix(text, 16).ok();
        Some((parse(start)?, parse(end)?, permissions, file))
    });
    parsed.collect()
}

/// Where the one writable private mapping of `image` starts. A slot that is being mapped afresh may have none.
#[cfg(target_os = "linux")]
fn only_mapping(image: &Path) -> Option<u64> {
    let path = image.to_str().expect("a readable path");
    let mut pieces: Vec<(u64, u64)> = mappings()
        .into_iter()
        .filter(|(_, _, permissions, file)| file == path && permissions == "rw-p")
        .map(|(start, end, ..)| (start, end))
        .collect();
    // One mapping may be shown in pieces that follow each other.
    pieces.dedup_by(|next, previous| {
        let follows = next.0 == previous.1;
        if follows {
            previous.1 = next.1;
        }
        follows
    });
    assert!(pieces.len() < 2, "more than one slot: {pieces:x?}");
    pieces.first().map(|(start, _)| *start)
}

/// How far from `slot` on memory may be touched.
#[cfg(target_os = "linux")]
fn accessible_bytes(slot: u64) -> u64 {
    let mut end = slot;
    for (from, to, permissions, _) in mappings() {
        if from == end && permissions.starts_with('r') {
            end = to;
        }
    }
    end - slot
}

/// What a run may do before the next one must be clean, and the error it should end with.
struct Ending {
    name: &'static str,
    code: &'static str,
    timeout: Option<Duration>,
    expected: fn(&Error) -> bool,
}

const ENDINGS: [Ending; 7] = [
    Ending {
        name: "an exception",
        code: "raise ValueError('the end')",
        timeout: None,
        expected: |error| matches!(error, Error::Python(python) if python.message == "ValueError: the end"),
    },
    Ending {
        name: "os._exit",
        code: "os._exit(3)",
        timeout: None,
        expected: |error| matches!(error, Error::Python(python) if python.exit_code == Some(3)),
    },
    Ending {
        name: "os.abort",
        code: "os.abort()",
        timeout: None,
        expected: |error| matches!(error, Error::Python(python) if python.interpreter_lost),
    },
    Ending {
        name: "a deadline that Python meets",
        code: "while True: pass",
        timeout: Some(Duration::from_secs(2)),
        expected: |error| matches!(error, Error::Timeout { hard: false, .. }),
    },
    Ending {
        name: "a deadline that Python ignores",
        code: "
while True:
    try:
        while True: pass
    except BaseException: pass",
        timeout: Some(Duration::from_secs(2)),
        expected: |error| matches!(error, Error::Timeout { hard: true, .. }),
    },
    Ending {
        name: "a wait that is cut short",
        code: "time.sleep(60)",
        timeout: Some(Duration::from_secs(2)),
        expected: |error| matches!(error, Error::Timeout { hard: false, .. }),
    },
    Ending {
        name: "an await that is cut short",
        code: "await asyncio.sleep(60)",
        timeout: Some(Duration::from_secs(2)),
        expected: |error| matches!(error, Error::Timeout { hard: false, .. }),
    },
];

fn check(strategy: RestoreStrategy) {
    let mut lane = Lane::new(strategy, "endings");
    let before = lane.fingerprint();
    lane.assert_untouched(&before, "a run that only looked");
    let polluted = lane.run(POLLUTER).expect("the polluter runs");
    assert_eq!(text(&polluted.output.stdout), "polluted\n");
    lane.assert_untouched(&before, "a run that succeeded");
    for ending in &ENDINGS {
        let code = format!("{POLLUTER}\nimport asyncio, os, time\n{}\n", ending.code);
        let options = ending
            .timeout
            .map_or_else(ExecutionOptions::default, within);
        // On a crowded machine Python may not hear of its deadline in time, and is cut off: then once more.
        let mut errors = Vec::new();
        while !errors.last().is_some_and(|error| (ending.expected)(error)) {
            let outcome = lane.run_with(&code, options.clone());
            let error = outcome.expect_err("it does not end well").error;
            lane.assert_untouched(&before, ending.name);
            errors.push(error);
            assert!(errors.len() < 20, "{}: {errors:?}", ending.name);
        }
    }
}

#[test]
fn slots_cleaned_by_pagemap_scan() {
    if strategies().contains(&RestoreStrategy::PagemapScan) {
        check(RestoreStrategy::PagemapScan);
    }
}

#[test]
fn slots_cleaned_by_pagemap() {
    if strategies().contains(&RestoreStrategy::Pagemap) {
        check(RestoreStrategy::Pagemap);
    }
}

#[test]
fn slots_cleaned_by_mapping_afresh() {
    check(RestoreStrategy::Remap);
}

#[test]
fn slots_cleaned_by_copying() {
    check(RestoreStrategy::Copy);
}

#[test]
fn each_kind_of_growth_is_taken_back() {
    for strategy in strategies() {
        let mut lane = Lane::new(strategy, "growth");
        let before = lane.fingerprint();
        for mebibytes in [1, 6, 60, 300] {
            let code = format!("held = bytearray(b'\\xee') * ({mebibytes} << 20)\nlen(held)");
            lane.run(&code).expect("fits the limit");
            lane.assert_untouched(&before, &format!("{mebibytes} MiB, {strategy:?}"));
        }
    }
}

#[test]
fn random_numbers_differ_from_run_to_run() {
    let mut lane = Lane::new(RestoreStrategy::detect(), "random");
    let code = "
import os, random, secrets, tempfile, uuid
result = [random.random(), random.SystemRandom().random(), secrets.token_hex(8), str(uuid.uuid4()), str(uuid.uuid1()),
          os.urandom(16).hex(), tempfile.mktemp(), random.Random().random(), random.getrandbits(64)]";
    let runs: Vec<_> = (0..3)
        .map(|_| lane.run(code).expect("runs").result.expect("a result"))
        .collect();
    for (first, second) in [(0, 1), (0, 2), (1, 2)] {
        let (eryx::Value::List(first), eryx::Value::List(second)) = (&runs[first], &runs[second])
        else {
            panic!("not lists: {runs:?}");
        };
        for (index, (first, second)) in first.iter().zip(second).enumerate() {
            assert_ne!(first, second, "item {index}");
        }
    }
}

/// The host's seed makes all of the generator's words, and `random.seed()` means what it does in CPython.
#[test]
fn the_generator_is_in_a_good_state() {
    let mut lane = Lane::new(RestoreStrategy::detect(), "generator");
    let code = "
import random
_, state, gauss = random.getstate()
drawn = [random.random() for _ in range(20000)]
bits = [sum(random.getrandbits(32) >> bit & 1 for _ in range(2000)) for bit in range(32)]
mean = sum(drawn) / len(drawn)
good = [len(set(state[:-1])) > 620, state[-1] == 624, gauss is None, 0.48 < mean < 0.52, len(set(drawn)) == 20000,
        all(700 < bit < 1300 for bit in bits)]
random.seed(1)
result = [good, random.random(), random.Random(1).random()]";
    let result = lane.run(code).expect("runs").result.expect("a result");
    let good = eryx::Value::List(vec![true.into(); 6]);
    // CPython's first number of this seed.
    let first = eryx::Value::Float(0.134_364_244_112_401_22);
    assert_eq!(result, eryx::Value::List(vec![good, first.clone(), first]));
}

#[test]
fn secrets_of_one_run_are_nowhere_in_the_next() {
    let mut lane = Lane::new(RestoreStrategy::detect(), "secrets");
    let mut options = ExecutionOptions::default();
    let secret = "hunter2-".repeat(4000);
    options.inputs = vec![("secret".into(), secret.as_str().into())];
    options.stdin = secret.clone().into_bytes();
    lane.run_with(
        "import sys\ntext = sys.stdin.read() + secret\nopen('/data/kept', 'w').write(text)\nprint(text)",
        options,
    )
    .expect("runs");
    // wait_until_clean has compared every byte of the slot; what is left is what the host keeps.
    let result = lane
        .run("import os, sys\n[os.listdir('/data'), sys.stdin.read(), 'secret' in globals()]")
        .expect("runs");
    let value = eryx::Value::List(vec![eryx::Value::List(vec![]), "".into(), false.into()]);
    assert_eq!(result.value, Some(value));
    assert!(result.output.stdout.is_empty());
}
