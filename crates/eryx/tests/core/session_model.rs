//! Random lives of sessions against a model of what they must remember.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use eryx::{Answers, Error, ExecutionOptions, Runtime, Session, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use crate::callback_support::options_with;
use crate::fuzz;
use crate::fuzz_support::executor;
use crate::huge_pages;
use crate::session_support::{execute, runtimes, suspended, suspending, suspending_session, value};
use crate::support::list;

/// Sessions and snapshots that one case keeps.
const MOST: usize = 4;

/// One thing that code does.
#[derive(Clone, Debug)]
enum Deed {
    Append(i32),
    /// So many KiB of a number that it holds on to, in place of those before.
    Hold(usize, u8),
    /// A number in every so many bytes of what it holds.
    Spread(u8, usize),
    Write(&'static str, String),
    Remove(&'static str),
    Open(&'static str),
    Read(usize),
    Close,
}

/// How code ends after what it did.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Raises,
    Exits,
    Traps,
    /// And goes on in another session.
    Suspends,
}

#[derive(Clone, Debug)]
enum Step {
    Execute(Vec<Deed>, End),
    Fork,
    Snapshot,
    Restore(Index),
    Clear,
    Reset,
}

/// What a session remembers.
#[derive(Clone, Debug, Default)]
struct Memory {
    seen: Vec<i32>,
    held: Vec<u8>,
    files: BTreeMap<&'static str, String>,
    /// The open file, and the place in it.
    open: Option<(&'static str, usize)>,
}

const BEGIN: &str = "import os\nseen = []\nheld = None\nf = None";
const LOOK: &str = "[seen, [(held or b'').count(n) for n in range(4)], f and f.tell(), {name: open('/data/' + name).read() for name in sorted(os.listdir('/data'))}]";

impl Memory {
    fn seen(&self) -> Value {
        let seen = self.seen.iter().map(|&number| number.into()).collect();
        let place = self
            .open
            .map(|(_, place)| i64::try_from(place).expect("small"));
        let files = self.files.iter();
        let files = files.map(|(&name, text)| (name.to_owned(), text.as_str().into()));
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
            place.into(),
            Value::Map(files.collect()),
        ])
    }

    /// Does it, and adds its code. An open file is not removed, and not opened twice.
    fn act(&mut self, deed: &Deed, code: &mut String) {
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
            Deed::Remove(name) => {
                if self.open.is_some_and(|(open, _)| open == name)
                    || self.files.remove(name).is_none()
                {
                    return;
                }
                writeln!(code, "os.remove('/data/{name}')")
            }
            Deed::Open(name) => {
                if !self.files.contains_key(name) {
                    return;
                }
                self.open = Some((name, 0));
                writeln!(code, "f = open('/data/{name}', 'rb', buffering=0)")
            }
            Deed::Read(count) => {
                let Some((name, place)) = &mut self.open else {
                    return;
                };
                let len = self.files.get(name).map_or(0, String::len);
                *place += count.min(len.saturating_sub(*place));
                writeln!(code, "f.read({count})")
            }
            Deed::Close => {
                self.open = None;
                writeln!(code, "f = None")
            }
        };
        added.expect("a string has room");
    }

    /// After a run that was cut off only files are as it left them.
    fn with_files_of(self, after: Self) -> Self {
        Self {
            files: after.files,
            ..self
        }
    }
}

struct Life {
    runtime: &'static Runtime,
    sessions: Vec<(Session, Memory)>,
    snapshots: Vec<(Vec<u8>, Memory)>,
}

impl Life {
    async fn new(runtime: &'static Runtime) -> Self {
        let session = suspending_session(runtime);
        execute(&session, BEGIN).await;
        Self {
            runtime,
            sessions: vec![(session, Memory::default())],
            snapshots: Vec::new(),
        }
    }

    async fn step(&mut self, which: Index, step: &Step) {
        let which = which.index(self.sessions.len());
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
        &self,
        session: &Session,
        before: &Memory,
        deeds: &[Deed],
        end: End,
    ) -> (Memory, Option<(Session, Memory)>) {
        let mut after = before.clone();
        let mut code = String::new();
        for deed in deeds {
            after.act(deed, &mut code);
        }
        code += match end {
            End::Well => "",
            End::Raises => "1/0",
            End::Exits => "os._exit(3)",
            End::Traps => "os.abort()",
            End::Suspends => "seen.append(await stop(7))",
        };
        let outcome = session.execute(code, ExecutionOptions::default()).await;
        match end {
            End::Well => drop(outcome.expect("it ends well")),
            End::Raises => {
                let failure = outcome.expect_err("it raises");
                assert_eq!(
                    failure.error.to_string(),
                    "ZeroDivisionError: division by zero"
                );
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
            options_with(suspending()),
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
            prop_assert_eq!(value(session, LOOK).await, memory.seen());
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
        1 => name().prop_map(Deed::Remove),
        3 => name().prop_map(Deed::Open),
        2 => (0..4_usize).prop_map(Deed::Read),
        1 => Just(Deed::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    use End::{Exits, Raises, Suspends, Traps, Well};
    let end = prop::sample::select(vec![Well, Well, Well, Raises, Exits, Traps, Suspends]);
    prop_oneof![
        10 => (vec(deed(), 0..5), end).prop_map(|(deeds, end)| Step::Execute(deeds, end)),
        1 => Just(Step::Fork),
        1 => Just(Step::Snapshot),
        2 => any::<Index>().prop_map(Step::Restore),
        1 => Just(Step::Clear),
        1 => Just(Step::Reset),
    ]
}

#[test]
fn random_lives_are_remembered() {
    let executor = executor();
    let runtimes = runtimes();
    let steps = vec((any::<Index>(), step()), 1..20);
    let strategy = (any::<Index>(), any::<bool>(), steps);
    fuzz::run("session-model", &strategy, |(runtime, collapses, steps)| {
        executor.block_on(async {
            let mut life = Life::new(&runtime.get(runtimes).1).await;
            for (which, step) in &steps {
                life.step(*which, step).await;
                if collapses {
                    huge_pages::ask_for_them();
                }
                // The one that it was done in, or another.
                let which = which.index(life.sessions.len());
                life.check(which..=which).await?;
            }
            life.check(0..life.sessions.len()).await?;
            for (session, _) in &life.sessions {
                session.close();
            }
            Ok(())
        })
    });
}
