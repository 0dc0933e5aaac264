//! Snapshot files that earlier versions wrote, and the writing of such files. The rules are in tests/corpus/README.md.

use std::path::{Path, PathBuf};

use eryx::{Answers, Error, ExecutionOptions, Outcome, Sandbox, Session, Storage, Value};
use eryx_test::new_directory;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::support::callbacks::options_with;
use crate::support::runtime;
use crate::support::sessions::{execute, refusal, session, started, suspended, suspending};

const DESCRIPTION: &str = "corpus.json";
const MAX_BYTES: usize = 2_000_000;

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Described {
    file: String,
    what: String,
    sha256: String,
    kind: Kind,
}

/// What is done with it, and what that must give.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Restored. Then each code has a value with this `repr`, in this order.
    Session { answers: Vec<(String, String)> },
    /// Resumed with answers to calls, by number. Its value has this `repr`; then as a session.
    Checkpoint {
        results: Vec<(u64, String)>,
        errors: Vec<(u64, String)>,
        value: String,
        answers: Vec<(String, String)>,
    },
    /// Loaded. Then these are all its files, and what is in them.
    Storage { files: Vec<(String, String)> },
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn directories() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus()).expect("it is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut directories: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    directories.sort();
    directories
}

fn description(directory: &Path) -> Vec<Described> {
    let text = std::fs::read(directory.join(DESCRIPTION)).expect("each directory has one");
    serde_json::from_slice(&text).expect("it is of this shape")
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Whether it loads. If not, it is refused for what it cannot help.
async fn loads(described: &Described, bytes: Vec<u8>) -> bool {
    let message = match &described.kind {
        Kind::Session { answers } => {
            let session = session(runtime());
            match session.restore(bytes).await {
                Ok(()) => return check_answers(&session, answers).await,
                Err(Error::Snapshot(message)) => message,
                Err(other) => panic!("{}: {other:?}", described.file),
            }
        }
        Kind::Checkpoint {
            results,
            errors,
            value,
            answers,
        } => {
            let results = results.iter().map(|(id, text)| (*id, Value::from(&**text)));
            let given = Answers {
                results: results.collect(),
                errors: errors.clone(),
            };
            let (session, outcome) = resume(bytes, given).await;
            match outcome.map_err(|failure| failure.error) {
                Ok(result) => {
                    assert_eq!(
                        result.value_repr.as_ref(),
                        Some(value),
                        "{}",
                        described.file
                    );
                    return check_answers(&session, answers).await;
                }
                Err(Error::Snapshot(message)) => message,
                Err(other) => panic!("{}: {other:?}", described.file),
            }
        }
        Kind::Storage { files } => match Storage::from_snapshot(&bytes, None) {
            Ok(storage) => {
                assert_eq!(contents(&storage), *files, "{}", described.file);
                return true;
            }
            Err(error) => error.to_string(),
        },
    };
    let named = ["format", "runtime"]
        .iter()
        .any(|word| message.contains(word));
    assert!(named, "{}: {message}", described.file);
    false
}

async fn check_answers(session: &Session, answers: &[(String, String)]) -> bool {
    for (code, expected) in answers {
        let result = execute(session, code).await;
        assert_eq!(result.value_repr.as_ref(), Some(expected), "{code}");
    }
    true
}

async fn resume(bytes: Vec<u8>, answers: Answers) -> (Session, Outcome) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = |outcome| drop(sender.send(outcome));
    let (options, execution) = (options_with(suspending()), ExecutionOptions::default());
    let session = Session::resume(runtime(), options, bytes, answers, execution, done);
    let outcome = receiver.await.expect("called");
    (session.expect("the options are good"), outcome)
}

/// Paths of files with their contents as text.
fn contents(storage: &Storage) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(directory) = pending.pop() {
        for entry in storage.read_dir(&format!("/{directory}")).expect("there") {
            let path = format!("{directory}{}", entry.name);
            if entry.metadata.kind == eryx::StorageKind::Directory {
                pending.push(path + "/");
            } else {
                let text = storage.read_file(&path).expect("there");
                files.push((path, String::from_utf8(text).expect("text")));
            }
        }
    }
    files.sort();
    files
}

/// Checks every file of a directory, and says how many load.
async fn check(directory: &Path) -> usize {
    let mut loaded = 0;
    for described in description(directory) {
        let bytes = std::fs::read(directory.join(&described.file)).expect("it is described");
        assert_eq!(
            hash(&bytes),
            described.sha256,
            "{} was changed",
            described.file
        );
        loaded += usize::from(loads(&described, bytes).await);
    }
    loaded
}

#[tokio::test]
async fn each_file_loads_or_is_refused_with_the_reason() {
    for directory in directories() {
        let loaded = check(&directory).await;
        // Shown with `--nocapture`.
        eprintln!("{}: {loaded} files load", directory.display());
    }
}

#[tokio::test]
async fn an_older_format_is_refused_by_its_number() {
    let bytes = std::fs::read(corpus().join("0.1.0/values.session")).expect("it stays");
    let message = refusal(
        session(runtime())
            .restore(bytes)
            .await
            .expect_err("format 2"),
    );
    assert_eq!(message, "it has format 2, this version reads 3");
}

#[test]
fn every_file_is_described_and_all_are_small() {
    let mut bytes = 0;
    for directory in directories() {
        let mut described: Vec<_> = description(&directory)
            .into_iter()
            .map(|described| described.file)
            .collect();
        described.push(DESCRIPTION.to_owned());
        described.sort();
        let mut there = Vec::new();
        for entry in std::fs::read_dir(&directory).expect("it is there") {
            let entry = entry.expect("readable");
            there.push(entry.file_name().into_string().expect("a readable name"));
            bytes += usize::try_from(entry.metadata().expect("readable").len()).expect("small");
        }
        there.sort();
        assert_eq!(there, described, "{}", directory.display());
    }
    assert!(bytes < MAX_BYTES, "{bytes} bytes");
}

/// With `ERYX_CORPUS` the files become the corpus of that name.
#[tokio::test]
async fn what_this_version_writes_loads() {
    let kept = std::env::var("ERYX_CORPUS").map(|name| corpus().join(name));
    let directory = kept.clone().unwrap_or_else(|_| new_directory("corpus"));
    if kept.is_ok() {
        std::fs::create_dir(&directory).expect("published files stay as they are");
    }
    write(&directory).await;
    assert_eq!(check(&directory).await, description(&directory).len());
    if kept.is_err() {
        std::fs::remove_dir_all(directory).expect("ours");
    }
}

/// Writes one file of each sort, and their description.
async fn write(directory: &Path) {
    let mut all = Vec::new();
    for (file, what, kind, bytes) in [values().await, files().await, calls().await, storage()] {
        std::fs::write(directory.join(file), &bytes).expect("ours");
        all.push(Described {
            file: file.to_owned(),
            what: what.to_owned(),
            sha256: hash(&bytes),
            kind,
        });
    }
    let text = serde_json::to_string_pretty(&all).expect("serialises");
    std::fs::write(directory.join(DESCRIPTION), text + "\n").expect("ours");
}

type Written = (&'static str, &'static str, Kind, Vec<u8>);

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .into()
}

/// Little code: what is compiled and imported makes the file large.
const VALUES: &str = "
class Point:
    n = 1
def count():
    n = 0
    while True:
        n += (yield n) or 1
point = Point()
point.x = [point]
generator = count()
next(generator), generator.send(5)
k = 3
add = lambda n: n + k
values = [None, True, -1, 2 ** 70, 1.5, 'größe', b'\\xff', (1,), {2}, {'a': []}]";

async fn values() -> Written {
    let session = started(runtime(), VALUES).await;
    let bytes = session.snapshot().await.expect("a snapshot");
    let values =
        "[None, True, -1, 1180591620717411303424, 1.5, 'größe', b'\\xff', (1,), {2}, {'a': []}]";
    let answers = pairs([
        ("values", values),
        ("generator.send(10), next(generator)", "(15, 16)"),
        ("add(4)", "7"),
        (
            "point.x[0] is point, isinstance(point, Point), Point().n",
            "(True, True, 1)",
        ),
        ("import random\n0 <= random.random() < 1", "True"),
    ]);
    let what = "a session with values, classes, functions and a half-run generator";
    ("values.session", what, Kind::Session { answers }, bytes)
}

const FILES: &str = "
f = open('/data/f', 'w+')
n = f.write('0123456789'), f.seek(4)
gone = open('/tmp/gone', 'w+')
n = gone.write('still here'), gone.flush()
import os
os.unlink('/tmp/gone')";

async fn files() -> Written {
    let session = started(runtime(), FILES).await;
    let bytes = session.snapshot().await.expect("a snapshot");
    let answers = pairs([
        ("f.tell(), f.read()", "(4, '456789')"),
        ("gone.seek(0), gone.read()", "(0, 'still here')"),
        (
            "open('/data/f').read(), os.listdir('/data'), os.listdir('/tmp')",
            "('0123456789', ['f'], [])",
        ),
    ]);
    let what = "a session with files of its own, open ones and an unlinked one among them";
    ("files.session", what, Kind::Session { answers }, bytes)
}

const CALLS: &str = "
import asyncio
ends = await asyncio.gather(stop(1), stop(2, name='x'), asyncio.sleep(0.01, 'slept'), return_exceptions=True)
ends";

async fn calls() -> Written {
    let sandbox = Sandbox::new(runtime(), options_with(suspending())).expect("good options");
    let stop = suspended(sandbox.execute(CALLS, ExecutionOptions::default()).await);
    let [first, second] = stop.pending.as_slice() else {
        panic!("two calls wait: {:?}", stop.pending);
    };
    let kind = Kind::Checkpoint {
        results: vec![(first.id, "answer".into())],
        errors: vec![(second.id, "failure".into())],
        value: "['answer', CallbackError('failure'), 'slept']".into(),
        answers: pairs([("ends[0]", "'answer'")]),
    };
    let what = "a run that waits for two calls and a timer";
    ("calls.checkpoint", what, kind, stop.checkpoint)
}

fn storage() -> Written {
    let files = Storage::new(1 << 20);
    files.create_dir_all("a/b").expect("room");
    files.write_file("a/b/größe", b"text").expect("room");
    files.write_file("empty", b"").expect("room");
    let bytes = files.snapshot().expect("memory");
    let kind = Kind::Storage {
        files: pairs([("a/b/größe", "text"), ("empty", "")]),
    };
    (
        "files.storage",
        "a storage with directories and files",
        kind,
        bytes,
    )
}
