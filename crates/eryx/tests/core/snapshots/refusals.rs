//! Bytes that are no snapshot for a session: they are refused with a reason, and leave no trace.

use eryx::{Error, Runtime, Session, Storage};

use super::sessions::{UNLINKED, restored, snapshot_of};
use crate::support::layout::{KIND_AT, Layout, RUNTIME_AT, VERSION_AT, signed};
use crate::support::sessions::{
    execute, failure, limited, refusal, session_of, started, suspended, suspending_session, value,
    with_each_strategy,
};
use crate::support::{copied_runtime, list, replace, runtime};

/// What must be as it was after a refusal.
async fn witness(runtime: &Runtime) -> Session {
    let code = "y = [1, 2]\nf = open('/data/f', 'wb+', buffering=0)\nn = f.write(b'abc'), f.seek(1)\nimport os\ng = open('/data/g', 'w+')\nn = g.write('gone'), g.flush()\nos.unlink('/data/g')";
    let session = started(runtime, code).await;
    execute(&session, "1").await;
    session
}

async fn assert_untouched(witness: &Session) {
    let code = "[y, 'x' in globals(), f.seek(0, 1), f.read().decode(), f.seek(1), os.listdir('/data'), g.seek(0), g.read()]";
    let expected = list([
        list([1.into(), 2.into()]),
        false.into(),
        1.into(),
        "bc".into(),
        1.into(),
        list(["f".into()]),
        0.into(),
        "gone".into(),
    ]);
    let before = witness.execution_count();
    assert_eq!(value(witness, code).await, expected);
    assert_eq!(witness.execution_count(), before + 1);
    assert!(before >= 2);
}

async fn refused(witness: &Session, bytes: &[u8]) -> String {
    let restored = witness.restore(bytes.to_vec()).await;
    refusal(restored.expect_err("refused"))
}

const NO_SNAPSHOT: &str = "these bytes are no snapshot";
const DAMAGED: &str = "it is damaged";

#[tokio::test]
async fn foreign_bytes_are_refused() {
    with_each_strategy(async |runtime| {
        let witness = witness(runtime).await;
        let storage = Storage::new(1 << 20).snapshot().expect("memory");
        for bytes in [
            &[][..],
            b"ERYXSNA",
            &vec![0; 100_000],
            b"PK\x03\x04 something else",
            &storage,
        ] {
            assert_eq!(refused(&witness, bytes).await, NO_SNAPSHOT);
        }
        assert_untouched(&witness).await;
    })
    .await;
}

#[tokio::test]
async fn truncated_bytes_are_refused() {
    with_each_strategy(async |runtime| {
        let good = snapshot_of(runtime, "x = 5").await;
        let witness = witness(runtime).await;
        let near_ends = (0..200).chain(good.len() - 200..good.len());
        for size in near_ends.chain((0..good.len()).step_by(4999)) {
            let expected = if size < 8 { NO_SNAPSHOT } else { DAMAGED };
            assert_eq!(refused(&witness, &good[..size]).await, expected, "{size}");
        }
        for longer in [[&good[..], b"x"].concat(), [&good[..], &good[..]].concat()] {
            assert_eq!(refused(&witness, &longer).await, DAMAGED);
        }
        assert_untouched(&witness).await;
    })
    .await;
}

#[tokio::test]
async fn flipped_bits_are_refused() {
    with_each_strategy(async |runtime| {
        let good = snapshot_of(runtime, "x = 5").await;
        let witness = witness(runtime).await;
        let ends = (0..150).chain(good.len() - 40..good.len());
        for (round, at) in ends.chain((0..good.len()).step_by(2999)).enumerate() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (round % 8);
            let expected = if at < 8 { NO_SNAPSHOT } else { DAMAGED };
            assert_eq!(refused(&witness, &bad).await, expected, "{at}");
        }
        assert_untouched(&witness).await;
    })
    .await;
}

#[tokio::test]
async fn other_formats_kinds_and_runtimes_are_refused_by_name() {
    with_each_strategy(async |runtime| {
        let good = snapshot_of(runtime, "x = 5").await;
        let witness = witness(runtime).await;
        let version = good[VERSION_AT];
        for other in [0, version + 1, 255] {
            let mut bytes = good.clone();
            bytes[VERSION_AT] = other;
            let expected = format!("it has format {other}, this version reads {version}");
            assert_eq!(refused(&witness, &signed(bytes)).await, expected);
        }
        let mut bytes = good.clone();
        bytes[KIND_AT] = 2;
        assert_eq!(refused(&witness, &signed(bytes)).await, DAMAGED);
        let mut bytes = good;
        bytes[RUNTIME_AT] ^= 1;
        let expected = "it was made with another Python runtime";
        assert_eq!(refused(&witness, &signed(bytes)).await, expected);
        let suspending = suspending_session(runtime);
        let outcome = suspending.execute("await stop()", eryx::ExecutionOptions::default());
        let checkpoint = suspended(outcome.await).checkpoint;
        let expected = "it is a checkpoint: use Session.resume()";
        assert_eq!(refused(&witness, &checkpoint).await, expected);
        assert_untouched(&witness).await;
    })
    .await;
}

#[tokio::test]
async fn of_a_runtime_that_was_built_anew_it_is_refused() {
    let directory = copied_runtime("session-other-runtime");
    let path = directory.join("manifest.json");
    let text = std::fs::read_to_string(path).expect("the manifest");
    let identity = &runtime().manifest().runtime;
    replace(
        &directory,
        "manifest.json",
        text.replace(identity, "another").as_bytes(),
    );
    let other = Runtime::load(&directory).expect("nothing else was changed");
    let bytes = snapshot_of(&other, "x = 5").await;
    let back = restored(&other, &bytes).await;
    assert_eq!(value(&back, "x").await, 5.into());
    let witness = witness(runtime()).await;
    let expected = "it was made with another Python runtime";
    assert_eq!(refused(&witness, &bytes).await, expected);
    assert_untouched(&witness).await;
    let _ = std::fs::remove_dir_all(directory);
}

#[tokio::test]
async fn more_memory_than_the_limit_is_refused() {
    with_each_strategy(async |runtime| {
        let bytes = snapshot_of(runtime, "x = bytearray(b'x') * (60 << 20)").await;
        let lower = limited(runtime, |limits| limits.max_memory_bytes = Some(48 << 20));
        execute(&lower, "y = 1").await;
        let message = refused(&lower, &bytes).await;
        let size = Layout::parse(&bytes).memory_size();
        let expected = format!(
            "its memory of {size} bytes is more than the memory limit of {} bytes",
            48 << 20
        );
        assert_eq!(message, expected);
        assert_eq!(value(&lower, "y").await, 1.into());
    })
    .await;
}

#[tokio::test]
async fn more_files_than_the_limit_are_refused() {
    with_each_strategy(async |runtime| {
        for path in ["/data/f", "/tmp/f"] {
            let code = format!("n = open('{path}', 'wb').write(bytes(range(256)) * 4096)");
            let bytes = snapshot_of(runtime, &code).await;
            let lower = limited(runtime, |limits| limits.max_vfs_bytes = Some(300_000));
            execute(&lower, "y = 1").await;
            let message = refused(&lower, &bytes).await;
            assert!(
                message.starts_with("its files: the files take more than "),
                "{message}"
            );
            assert_eq!(value(&lower, "y").await, 1.into());
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_before_the_first_execution_leaves_it_to_come() {
    with_each_strategy(async |runtime| {
        let session = session_of(runtime, |options| {
            options.libraries = vec!["loaded = globals().get('loaded', 0) + 1".into()];
        });
        assert_eq!(refused(&session, b"x").await, NO_SNAPSHOT);
        assert_eq!(session.execution_count(), 0);
        assert_eq!(value(&session, "loaded").await, 1.into());
    })
    .await;
}

#[tokio::test]
async fn an_interpreter_that_does_not_come_back_is_ended_by_the_limit() {
    with_each_strategy(async |runtime| {
        let code =
            "import _eryx_driver\ndef hold(_):\n    while True: pass\n_eryx_driver._rebind = hold";
        let bytes = snapshot_of(runtime, code).await;
        let session = session_of(runtime, |options| options.callbacks = vec!["f".into()]);
        session.restore(bytes).await.expect("it is good");
        session.set_execution_timeout(Some(std::time::Duration::from_millis(100)));
        let error = failure(&session, "1").await.error;
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        session.reset().await.expect("open");
        assert_eq!(value(&session, "1").await, 1.into());
    })
    .await;
}

#[tokio::test]
async fn an_unlinked_open_file_survives_a_restore_that_is_refused() {
    with_each_strategy(async |runtime| {
        let large = format!("{UNLINKED}\nopen('/data/large', 'w').write('x' * 100_000)");
        let bytes = snapshot_of(runtime, &large).await;
        let session = limited(runtime, |limits| limits.max_vfs_bytes = Some(10_000));
        execute(&session, UNLINKED).await;
        let refused = session.restore(bytes).await;
        assert!(matches!(refused, Err(Error::Snapshot(_))), "{refused:?}");
        let found = value(&session, "[gone.seek(0), gone.read()]").await;
        assert_eq!(found, list([0.into(), "still here".into()]));
    })
    .await;
}
