//! Random lives of sessions against a model of what they must remember.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eryx::{Answers, Error, ExecutionOptions, Runtime, SandboxOptions, Session, Value, Volume};
use eryx_test::{fuzz, new_directory};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use crate::support::callbacks::options_with;
use crate::support::sessions::{execute, runtimes, suspended, suspending, value};
use crate::support::{AtOutput, executor, huge_pages, list};

/// Sessions and snapshots that one case keeps.
const MOST: usize = 4;

/// One thing that code does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Append(i32),
    /// So many KiB of a number that it holds on to, in place of those before.
    Hold(usize, u8),
    /// A number in every so many bytes of what it holds.
    Spread(u8, usize),
    Write(&'static str, String),
    Remove(&'static str),
    /// Writes to a file of the host.
    Share(&'static str, String),
    Open(&'static str),
    Read(usize),
    Close,
}

/// How code ends after what it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Well,
    Raises,
    /// Wants more memory than there is.
    Exhausts,
    Cancelled,
    /// Cancelled, and does not want to end.
    CutOff,
    Exits,
    Traps,
    /// And goes on in another session.
    Suspends,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Execute(Vec<Deed>, End),
    Fork,
    Snapshot,
    Restore(Index),
    Clear,
    Reset,
}

type Files = BTreeMap<&'static str, String>;

/// What a session remembers.
#[derive(Clone, Debug, Default)]
struct Memory {
    seen: Vec<i32>,
    held: Vec<u8>,
    files: Files,
    open: Option<Open>,
    /// What the last run removed, and what was in it.
    removed: Files,
}

/// The open file.
#[derive(Clone, Debug)]
struct Open {
    name: &'static str,
    position: usize,
    /// What is in it, if it has no name any more. One of that name is another file.
    unlinked: Option<String>,
}

const BEGIN: &str = "
import os
seen = []
held = None
f = None
def exhaust():
    taken = []
    try:
        while True: taken.append(bytearray(b'x') * (1 << 20))
    finally: taken.clear()
def files(path):
    return {name: open(path + name).read() for name in sorted(os.listdir(path))}";
const LOOK: &str = "[seen, [(held or b'').count(n) for n in range(4)], f and f.tell(), files('/data/'), files('/shared/')]";

impl Memory {
    fn seen(&self, shared: &Files) -> Value {
        let seen = self.seen.iter().map(|&number| number.into()).collect();
        let open = self.open.as_ref();
        let position = open.map(|open| i64::try_from(open.position).expect("small"));
        let files = |files: &Files| {
            let files = files.iter();
            Value::Map(
                files
                    .map(|(&name, text)| (name.to_owned(), text.as_str().into()))
                    .collect(),
            )
        };
        let held = (0..4).map(|number| {
            let same = self
                .held
                .iter()
                .map(|&byte| usize::from(byte == number))
                .sum::<usize>();
            i64::try_from(same).expect("small").into()
        });
        list([
            Value::List(seen),
            Value::List(held.collect()),
            position.into(),
            files(&self.files),
            files(shared),
        ])
    }

    /// Does it, and adds its code. An open file is not removed, and not opened twice.
    fn act(&mut self, shared: &mut Files, deed: &Deed, code: &mut String) {
        let added = match *deed {
            Deed::Append(number) => {
                self.seen.push(number);
                writeln!(code, "seen.append({number})")
            }
            Deed::Hold(size, number) => {
                self.held = vec![number; size << 10];
                writeln!(code, "held = bytearray([{number}]) * ({size} << 10)")
            }
            Deed::Spread(number, step) => {
                if self.held.is_empty() {
                    return;
                }
                self.held
                    .iter_mut()
                    .step_by(step)
                    .for_each(|byte| *byte = number);
                writeln!(
                    code,
                    "held[::{step}] = bytes([{number}]) * len(range(0, len(held), {step}))"
                )
            }
            Deed::Write(name, ref text) => {
                self.files.insert(name, text.clone());
                writeln!(
                    code,
                    "with open('/data/{name}', 'w') as g: g.write('{text}')"
                )
            }
            Deed::Share(name, ref text) => {
                shared.insert(name, text.clone());
                writeln!(
                    code,
                    "with open('/shared/{name}', 'w') as g: g.write('{text}')"
                )
            }
            Deed::Remove(name) => {
                if self.open.as_ref().is_some_and(|open| open.name == name) {
                    return;
                }
                let Some(text) = self.files.remove(name) else {
                    return;
                };
                self.removed.entry(name).or_insert(text);
                writeln!(code, "os.remove('/data/{name}')")
            }
            Deed::Open(name) => {
                if !self.files.contains_key(name) {
                    return;
                }
                self.open = Some(Open {
                    name,
                    position: 0,
                    unlinked: None,
                });
                writeln!(code, "f = open('/data/{name}', 'rb', buffering=0)")
            }
            Deed::Read(count) => {
                let Some(open) = &mut self.open else {
                    return;
                };
                let text = open.unlinked.as_ref();
                let text = text.unwrap_or_else(|| &self.files[open.name]);
                open.position += count.min(text.len().saturating_sub(open.position));
                writeln!(code, "f.read({count})")
            }
            Deed::Close => {
                self.open = None;
                writeln!(code, "f = None")
            }
        };
        added.expect("a string has room");
    }

    /// After a run that was cut off only files are as it left them. One that was open before it, and that it closed and
    /// removed, is open again.
    fn with_files_of(mut self, mut after: Self) -> Self {
        if let Some(open) = &mut self.open
            && open.unlinked.is_none()
        {
            open.unlinked = after.removed.remove(open.name);
        }
        Self {
            files: after.files,
            ..self
        }
    }
}

/// Sessions that come from one another, and what they must remember.
pub(crate) struct Life {
    runtime: &'static Runtime,
    sessions: Vec<(Session, Memory)>,
    snapshots: Vec<(Vec<u8>, Memory)>,
    /// Each is packed as soon as it rests.
    rests: bool,
    /// A directory of the host, which all of them have, and what is in it.
    directory: PathBuf,
    shared: Files,
}

impl Life {
    /// `directory` is empty, and this life's own. `rests`: sessions are packed as soon as they rest.
    pub(crate) async fn new(runtime: &'static Runtime, directory: &Path, rests: bool) -> Self {
        let mut life = Self {
            runtime,
            rests,
            sessions: Vec::new(),
            snapshots: Vec::new(),
            directory: directory.to_owned(),
            shared: Files::new(),
        };
        let session = Session::new(runtime, life.options()).expect("the options are good");
        execute(&session, BEGIN).await;
        life.sessions.push((session, Memory::default()));
        life
    }

    fn options(&self) -> SandboxOptions {
        let mut options = options_with(suspending());
        options.limits.max_memory_bytes = Some(64 << 20);
        let mut shared = Volume::new(&self.directory, "/shared");
        shared.read_only = false;
        options.volumes = vec![shared];
        options.sleep_after = self.rests.then_some(Duration::from_millis(1));
        options
    }

    /// Does it, and checks what the session that it was done in knows then. `collapses`: asks for huge pages in between.
    pub(crate) async fn step(
        &mut self,
        which: Index,
        step: &Step,
        collapses: bool,
    ) -> TestCaseResult {
        self.done(which.index(self.sessions.len()), step).await;
        if collapses {
            huge_pages::ask_for_them();
        }
        // That one, or another if there are more now.
        let which = which.index(self.sessions.len());
        self.check(which..=which).await
    }

    /// Checks all of them, and ends them.
    pub(crate) async fn end(self) -> TestCaseResult {
        self.check(0..self.sessions.len()).await?;
        for (session, _) in &self.sessions {
            session.close();
        }
        Ok(())
    }

    async fn done(&mut self, which: usize, step: &Step) {
        let (session, memory) = self.sessions[which].clone();
        match step {
            Step::Execute(deeds, end) => {
                let (after, other) = self.execute(&session, &memory, deeds, *end).await;
                self.sessions[which].1 = after;
                self.add(other);
            }
            Step::Fork => {
                let forks = session.fork(1).await.expect("room");
                self.add(forks.into_iter().map(|fork| (fork, memory.clone())));
            }
            Step::Snapshot => {
                let bytes = session.snapshot().await.expect("a snapshot");
                self.snapshots.push((bytes, memory));
                if self.snapshots.len() > MOST {
                    self.snapshots.remove(0);
                }
            }
            Step::Restore(snapshot) => {
                if !self.snapshots.is_empty() {
                    let (bytes, memory) = snapshot
                        .get::<(Vec<u8>, Memory)>(&self.snapshots[..])
                        .clone();
                    session.restore(bytes).await.expect("it is good");
                    self.sessions[which].1 = memory;
                }
            }
            Step::Clear | Step::Reset => {
                let done = match step {
                    Step::Clear => session.clear_state().await,
                    _ => session.reset().await,
                };
                done.expect("open");
                execute(&session, BEGIN).await;
                self.sessions[which].1 = Memory::default().with_files_of(memory);
            }
        }
    }

    fn add(&mut self, sessions: impl IntoIterator<Item = (Session, Memory)>) {
        self.sessions.extend(sessions);
        if self.sessions.len() > MOST {
            self.sessions.remove(0).0.close();
        }
    }

    /// What it remembers then, and the session in which it went on.
    async fn execute(
        &mut self,
        session: &Session,
        before: &Memory,
        deeds: &[Deed],
        end: End,
    ) -> (Memory, Option<(Session, Memory)>) {
        let mut after = before.clone();
        after.removed.clear();
        let mut code = String::new();
        for deed in deeds {
            after.act(&mut self.shared, deed, &mut code);
        }
        code += match end {
            End::Well => "",
            End::Raises => "1/0",
            End::Exhausts => "exhaust()",
            End::Cancelled => "print('cancel', flush=True)\nwhile True: pass",
            End::CutOff => {
                "print('cancel', flush=True)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass"
            }
            End::Exits => "os._exit(3)",
            End::Traps => "os.abort()",
            End::Suspends => "seen.append(await stop(7))",
        };
        let mut options = ExecutionOptions::default();
        if matches!(end, End::Cancelled | End::CutOff) {
            options.sink = Some(Arc::new(AtOutput(options.cancel.clone())));
        }
        let outcome = session.execute(code, options).await;
        match end {
            End::Well => drop(outcome.expect("it ends well")),
            End::Raises => {
                let failure = outcome.expect_err("it raises");
                assert_eq!(
                    failure.error.to_string(),
                    "ZeroDivisionError: division by zero"
                );
            }
            End::Exhausts => {
                let error = outcome.expect_err("there is no more").error;
                assert_eq!(error.to_string(), "MemoryError");
            }
            End::Cancelled | End::CutOff => {
                let failure = outcome.expect_err("it is cancelled");
                let Error::Cancelled { hard } = failure.error else {
                    panic!("{failure:?}");
                };
                // On a busy machine the interrupt may come before the code is where it ignores it.
                assert!(!failure.state_lost, "{failure:?}");
                if hard {
                    return (before.clone().with_files_of(after), None);
                }
            }
            End::Exits | End::Traps => {
                let failure = outcome.expect_err("it is cut off");
                let lost =
                    matches!(&failure.error, Error::Python(python) if python.interpreter_lost);
                assert!(lost && !failure.state_lost, "{failure:?}");
                return (before.clone().with_files_of(after), None);
            }
            End::Suspends => {
                let stop = suspended(outcome);
                let before = before.clone().with_files_of(after.clone());
                after.seen.push(8);
                let call = stop.pending[0].id;
                let resumed = self.resumed(stop.checkpoint, call).await;
                return (before, Some((resumed, after)));
            }
        }
        (after, None)
    }

    async fn resumed(&self, checkpoint: Vec<u8>, call: u64) -> Session {
        let answers = Answers {
            results: vec![(call, 8.into())],
            errors: Vec::new(),
        };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let session = Session::resume(
            self.runtime,
            self.options(),
            checkpoint,
            answers,
            ExecutionOptions::default(),
            |outcome| drop(sender.send(outcome)),
        );
        receiver.await.expect("called").expect("it ends well");
        session.expect("the options are good")
    }

    async fn check(&self, which: impl IntoIterator<Item = usize>) -> TestCaseResult {
        for which in which {
            let (session, memory) = &self.sessions[which];
            prop_assert_eq!(value(session, LOOK).await, memory.seen(&self.shared));
        }
        Ok(())
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let name = || prop::sample::select(vec!["a", "b"]);
    prop_oneof![
        4 => any::<i32>().prop_map(Deed::Append),
        2 => (prop_oneof![0..40_usize, 0..9000_usize], 0..4_u8).prop_map(|(size, number)| Deed::Hold(size, number)),
        2 => (0..4_u8, 1..90_000_usize).prop_map(|(number, step)| Deed::Spread(number, step)),
        3 => (name(), "[a-z]{0,9}").prop_map(|(name, text)| Deed::Write(name, text)),
        1 => (name(), "[a-z]{0,9}").prop_map(|(name, text)| Deed::Share(name, text)),
        1 => name().prop_map(Deed::Remove),
        3 => name().prop_map(Deed::Open),
        2 => (0..4_usize).prop_map(Deed::Read),
        1 => Just(Deed::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    use End::{Cancelled, CutOff, Exhausts, Exits, Raises, Suspends, Traps, Well};
    let end = prop::sample::select(vec![
        Well, Well, Well, Well, Well, Well, Raises, Exits, Traps, Suspends, Exits, Traps, Suspends,
        Exhausts, Cancelled, CutOff,
    ]);
    prop_oneof![
        10 => (vec(deed(), 0..5), end).prop_map(|(deeds, end)| Step::Execute(deeds, end)),
        1 => Just(Step::Fork),
        1 => Just(Step::Snapshot),
        2 => any::<Index>().prop_map(Step::Restore),
        1 => Just(Step::Clear),
        1 => Just(Step::Reset),
    ]
}

/// Steps, and in which of the sessions that are there then.
pub(crate) fn steps() -> impl Strategy<Value = Vec<(Index, Step)>> {
    vec((any::<Index>(), step()), 1..20)
}

#[test]
fn random_lives_are_remembered() {
    let executor = executor();
    let runtimes = runtimes();
    let strategy = (any::<Index>(), any::<bool>(), any::<bool>(), steps());
    fuzz::run(
        "session-model",
        &strategy,
        |(runtime, collapses, rests, steps)| {
            let directory = new_directory("session-model");
            executor.block_on(async {
                let mut life = Life::new(&runtime.get(runtimes).1, &directory, rests).await;
                for (which, step) in &steps {
                    life.step(*which, step, collapses).await?;
                }
                life.end().await
            })
        },
    );
}
