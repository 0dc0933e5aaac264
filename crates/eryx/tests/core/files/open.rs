//! Opening files at the limits: nothing is made or cut unless it is opened, and the host's memory stays bounded.

use std::fs;

use eryx::{ExecutionOptions, Volume};
use eryx_test::new_directory;

use crate::support::sessions::{STUBBORN, execute, failure, session_of, value};
use crate::support::{alone, printed, printed_by, runtime, sandbox_of, text, within};

/// Opens `place` until there are no descriptors left, tries `open` in each mode, then looks at what is there.
const AT_THE_LIMIT: &str = "
import errno, os
kept, new = place + '/kept', place + '/new'
with open(kept, 'w') as file: file.write('old')
def tried(path, mode):
    try: open(path, mode).close()
    except OSError as error: return errno.errorcode[error.errno]
descriptors = []
while True:
    try: descriptors.append(os.open(filler(len(descriptors)), os.O_RDWR | os.O_CREAT))
    except OSError: break
found = [tried(kept, 'w'), tried(kept, 'r+'), tried(kept, 'r'), tried(new, 'w'), tried(new, 'x'), tried(new, 'a')]
for fd in descriptors: os.close(fd)
print(*found, open(kept).read(), os.path.exists(new), len(descriptors) > 200)";

const REFUSED: &str = "EMFILE EMFILE EMFILE EMFILE EMFILE EMFILE old False True";

#[tokio::test]
async fn at_the_limit_of_descriptors_nothing_is_made_or_cut() {
    let code = format!("place = '/data'\nfiller = lambda n: '/tmp/f'{AT_THE_LIMIT}");
    assert_eq!(printed(&code).await.trim_end(), REFUSED);
}

#[tokio::test]
async fn at_the_limit_of_a_volume_nothing_is_made_or_cut() {
    let host = new_directory("open_at_the_limit");
    let sandbox = sandbox_of(|options| {
        let mut volume = Volume::new(&host, "/v");
        volume.read_only = false;
        options.volumes = vec![volume];
    });
    let code = format!("place = '/v'\nfiller = lambda n: f'/v/{{n}}'{AT_THE_LIMIT}");
    assert_eq!(printed_by(&sandbox, &code).await, REFUSED);
    let code = format!("place = '/v'\nfiller = lambda n: '/tmp/f'{AT_THE_LIMIT}");
    assert_eq!(printed_by(&sandbox, &code).await, REFUSED);
    assert!(!host.join("new").exists());
    assert_eq!(fs::read_to_string(host.join("kept")).expect("kept"), "old");
}

#[tokio::test]
async fn what_is_refused_for_its_flags_changes_nothing() {
    let code = "
import errno, os
open('/data/kept', 'w').write('old')
def tried(path, flags):
    try: os.close(os.open(path, flags))
    except OSError as error: return errno.errorcode[error.errno]
R, W, C, T, D, X = os.O_RDONLY, os.O_WRONLY, os.O_CREAT, os.O_TRUNC, os.O_DIRECTORY, os.O_EXCL
library = os.__file__
print(tried('/data/new', R | C | D), tried('/data/new', R | C | D | X), tried('/data/kept', R | C | D), tried('/data/kept', R | T | D),
      tried('/data', W | T), tried('/data', R | C), tried('/data/kept', C | X | T | W), tried(library, R | T), tried(library, W | T))
print(open('/data/kept').read(), os.listdir('/data'), os.path.getsize(library) > 1000)";
    assert_eq!(
        printed(code).await,
        "EINVAL EINVAL EINVAL ENOTDIR EISDIR EISDIR EEXIST EROFS EROFS\nold ['kept'] True\n"
    );
}

#[tokio::test]
async fn a_large_directory_is_listed_in_any_buffer() {
    let code = "
import os
os.mkdir('/data/d')
names = {f'{n:04}' for n in range(3000)}
for name in names: open('/data/d/' + name, 'x').close()
listed = os.listdir('/data/d')
print(len(listed), set(listed) == names)
for name in sorted(names)[1:]: os.remove('/data/d/' + name)
print(os.listdir('/data/d'))";
    assert_eq!(printed(code).await, "3000 True\n['0000']\n");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn paths_of_open_files_take_no_more_of_the_host_than_their_cap() {
    use crate::support::process_kibibytes;
    if !alone("files::open::paths_of_open_files_take_no_more_of_the_host_than_their_cap") {
        return;
    }
    let sandbox = sandbox_of(|options| {
        options.limits.max_memory_bytes = Some(64 << 20);
        options.limits.max_vfs_bytes = Some(1 << 20);
    });
    printed_by(&sandbox, "pass").await;
    let before = process_kibibytes("VmHWM");
    let code = "
import os
os.makedirs('/data/a/b')
for step in ('./' * 1900 + '..', '../data/' * 400 + 'a/..', 'a/../' * 700 + '.'):
    fd = os.open('/data', os.O_RDONLY | os.O_DIRECTORY)
    held = []
    while len(held) < 480:
        fd = os.open(step, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        if step[:2] == './': fd = os.open('data', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        held.append(fd)
    for fd in held:
        try: os.close(fd)
        except OSError: pass
    os.closerange(10, 1024)
print('done')";
    assert_eq!(printed_by(&sandbox, code).await, "done");
    let grown = process_kibibytes("VmHWM") - before;
    assert!(grown < 100 << 10, "{grown} KiB");
}

#[tokio::test]
async fn a_restored_session_opens_again_what_has_a_path_and_the_rest_stays_closed() {
    let host = new_directory("opened_again");
    fs::create_dir_all(host.join("d")).expect("ours");
    fs::write(host.join("f"), "one").expect("ours");
    let session = session_of(runtime(), |options| {
        options.volumes = vec![Volume::new(&host, "/v")];
    });
    let code = "
import os
short = os.open('./././f', os.O_RDONLY, dir_fd=os.open('/v/./d/..', os.O_RDONLY | os.O_DIRECTORY))
fd = os.open('/v', os.O_RDONLY | os.O_DIRECTORY)
for _ in range(10): fd = os.open('d/../' * 200 + '.', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
long = os.open('f', os.O_RDONLY, dir_fd=fd)
def tried(fd):
    try: return os.pread(fd, 9, 0)
    except OSError as error: return os.strerror(error.errno)
[tried(short), tried(long)]";
    let expected = |second: &str| format!("[b'one', {second}]");
    let shown = async |code: &str| {
        let result = execute(&session, code).await;
        result.value_repr.expect("a value")
    };
    assert_eq!(shown(code).await, expected("b'one'"));
    let snapshot = session.snapshot().await.expect("a snapshot");
    session.restore(snapshot).await.expect("it is good");
    let closed = "'Bad file descriptor'";
    assert_eq!(shown("[tried(short), tried(long)]").await, expected(closed));
}

/// 20,000 names of 200 bytes are about 8 MB as a listing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn forks_share_the_listings_of_volumes() {
    use crate::support::process_kibibytes;
    if !alone("files::open::forks_share_the_listings_of_volumes") {
        return;
    }
    let host = new_directory("forked_listings");
    let first = host.join("0".repeat(200));
    fs::write(&first, "").expect("ours");
    for n in 1..20_000 {
        fs::hard_link(&first, host.join(format!("{n:0200}"))).expect("ours");
    }
    let session = session_of(runtime(), |options| {
        options.volumes = vec![Volume::new(&host, "/v")];
    });
    let code = "import os\nheld = os.scandir('/v')\nnext(held)\ndef count(): return sum(1 for _ in os.scandir('/v'))\ncount()";
    assert_eq!(value(&session, code).await, 20_000.into());
    drop(session.fork(1).await.expect("a fork"));
    let before = process_kibibytes("VmRSS");
    let forks = session.fork(100).await.expect("forks");
    let grown = process_kibibytes("VmRSS").saturating_sub(before);
    assert!(grown < 100 << 10, "{grown} KiB");
    // Looking again changes nothing as long as the directory is the same: what is taken is what a guest that runs takes.
    for fork in &forks[..30] {
        assert_eq!(
            value(fork, "sum(1 for _ in os.scandir('/tmp'))").await,
            0.into()
        );
    }
    let before = process_kibibytes("VmRSS");
    for fork in &forks[..30] {
        assert_eq!(value(fork, "count()").await, 20_000.into());
    }
    let grown = process_kibibytes("VmRSS").saturating_sub(before);
    assert!(grown < 120 << 10, "{grown} KiB");
    // One that differs is the fork's own.
    fs::remove_file(&first).expect("ours");
    assert_eq!(value(&forks[0], "count()").await, 19_999.into());
    assert_eq!(value(&forks[1], "count()").await, 19_999.into());
    fs::remove_dir_all(&host).expect("ours");
}

#[tokio::test]
async fn input_that_was_not_read_is_for_no_later_execution() {
    let session = session_of(runtime(), |_| {});
    let with = |stdin: &str| {
        let mut options = ExecutionOptions::default();
        options.stdin = stdin.into();
        options
    };
    let read = "import sys\nsys.stdin.readline()";
    let rest = "import sys\nsys.stdin.read()";
    // Cut off; asked to end; cancelled before it began; refused; failed.
    for between in 0..5 {
        let first = session.execute(read, with("one\nsecret\n")).await;
        assert_eq!(first.expect("runs").value, Some("one\n".into()));
        let brief = std::time::Duration::from_millis(300);
        match between {
            0 => drop(
                session
                    .execute(STUBBORN, within(brief))
                    .await
                    .expect_err("cut off"),
            ),
            1 => {
                let loops = "while True: pass";
                drop(
                    session
                        .execute(loops, within(brief))
                        .await
                        .expect_err("ended"),
                );
            }
            2 => {
                let options = ExecutionOptions::default();
                options.cancel.cancel();
                drop(session.execute("1", options).await.expect_err("cancelled"));
            }
            3 => drop(
                session
                    .execute("1", within(std::time::Duration::ZERO))
                    .await,
            ),
            _ => drop(failure(&session, "import sys\n1 / 0").await),
        }
        assert_eq!(value(&session, rest).await, "".into(), "{between}");
        let next = session.execute(rest, with("next")).await.expect("runs");
        assert_eq!(next.value, Some("next".into()), "{between}");
    }
}

#[tokio::test]
async fn an_execution_that_did_not_begin_leaves_what_is_due_to_the_next() {
    let session = session_of(runtime(), |options| {
        options.env = vec![("A".into(), "1".into())];
        options.libraries = vec!["loaded = 1".into()];
    });
    let mut cancelled = ExecutionOptions::default();
    cancelled.inputs = vec![("lost".into(), 1.into())];
    cancelled.stdin = b"lost".to_vec();
    cancelled.cancel.cancel();
    drop(
        session
            .execute("1", cancelled)
            .await
            .expect_err("cancelled"),
    );
    let code =
        "import os, sys\nprint([os.environ['A'], loaded, 'lost' in globals(), sys.stdin.read()])";
    let result = execute(&session, code).await;
    assert_eq!(text(&result.output.stdout), "['1', 1, False, '']\n");
}
