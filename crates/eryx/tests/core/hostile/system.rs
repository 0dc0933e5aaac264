//! Code that attacks the system calls: sizes, descriptors, paths and times that make no sense.

use std::time::{Duration, Instant};

use eryx::{ExecutionOptions, ExecutionResult, Value};

use crate::support::{assert_timed_out, printed, sandbox, sandbox_with, succeed, text, within};

/// Runs code whose every `attempt(...)` may fail with an ordinary exception, and must succeed as a whole.
async fn attempts(code: &str) -> ExecutionResult {
    let prelude = "
import errno, os, sys
outcomes = []
def attempt(step, *arguments):
    try:
        value = step(*arguments)
        outcomes.append(ascii(value) if type(value) is str else value if type(value) in (int, bytes, bool) else type(value).__name__)
    except OSError as error:
        outcomes.append(errno.errorcode.get(error.errno, str(error.errno)))
    except (ValueError, ArithmeticError, MemoryError, TypeError, NotImplementedError, AttributeError, RecursionError) as error:
        outcomes.append(type(error).__name__)
    return outcomes[-1]
";
    let code = format!("{prelude}{code}\nresult = outcomes");
    match sandbox()
        .execute(code.as_str(), within(Duration::from_mins(1)))
        .await
    {
        Ok(result) => result,
        Err(failure) => panic!("{code}\n{:?}", failure.error),
    }
}

fn strings(result: &ExecutionResult) -> Vec<String> {
    let Some(Value::List(items)) = &result.result else {
        panic!("{:?} {:?}", result.result, result.result_error);
    };
    items
        .iter()
        .map(|item| match item {
            Value::String(text) => text.clone(),
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn every_call_on_every_descriptor() {
    let result = attempts(
        "
numbers = [*range(-5, 40), 1023, 1024, 1025, 5000, 2**31 - 1, -2**31, 2**31, 2**32, 2**63, 2**64]
calls = [lambda fd: os.read(fd, 10), lambda fd: os.write(fd, b''), lambda fd: os.lseek(fd, 0, 1), os.fstat,
         lambda fd: os.ftruncate(fd, 5), os.listdir, os.isatty, os.fsync, lambda fd: os.open('x', os.O_RDONLY, dir_fd=fd),
         lambda fd: os.get_inheritable(fd), lambda fd: os.set_blocking(fd, False), lambda fd: os.fdopen(fd, closefd=False),
         lambda fd: os.utime(fd), lambda fd: os.chmod(fd, 0o777), os.chdir, lambda fd: os.scandir(fd).close(),
         lambda fd: os.mkdir('y', dir_fd=fd), lambda fd: os.stat('data', dir_fd=fd), lambda fd: os.get_terminal_size(fd)]
for fd in numbers:
    for call in calls:
        attempt(call, fd)
for fd in range(40, 5000):
    attempt(os.fstat, fd)
sys.stdout.write('done')",
    )
    .await;
    assert_eq!(text(&result.output.stdout), "done");
    let outcomes = strings(&result);
    assert!(
        outcomes[outcomes.len() - 4960..]
            .iter()
            .all(|outcome| outcome == "EBADF")
    );
}

#[tokio::test]
async fn closing_everything() {
    let result = attempts(
        "
for fd in range(-5, 5000):
    attempt(os.close, fd)
for step in (lambda: open('/data/x', 'w'), lambda: os.listdir('/'), lambda: os.stat('/'), lambda: os.getcwd(),
             lambda: os.write(1, b'x'), lambda: os.read(0, 1), lambda: sys.stdout.write('x' * 100_000), lambda: os.close(3)):
    attempt(step)",
    )
    .await;
    // The standard streams and the root stay.
    assert_eq!(result.output.stdout.len(), 100_001);
    let next = succeed("open('/data/x', 'w').write('fine')").await;
    assert_eq!(next.value, Some(4.into()));
}

#[tokio::test]
async fn sizes_that_make_no_sense() {
    let result = attempts(
        "
fd = os.open('/data/x', os.O_RDWR | os.O_CREAT)
os.write(fd, b'hello')
for size in (0, -1, 1, 10**6, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64):
    os.lseek(fd, 0, 0)
    for step in (lambda: os.read(fd, size), lambda: os.read(0, size), lambda: os.urandom(size),
                 lambda: os.getrandom(size) if hasattr(os, 'getrandom') else None, lambda: os.ftruncate(fd, size),
                 lambda: os.truncate('/data/x', size), lambda: os.posix_fallocate(fd, 0, size), lambda: bytearray(size)[:5],
                 lambda: open('/data/x', 'rb', buffering=size).read(1), lambda: open('/data/x').read(size)[:5],
                 lambda: os.posix_fallocate(fd, size, size), lambda: os.posix_fadvise(fd, size, size, 0),
                 lambda: os.lseek(fd, size, 0), lambda: os.lseek(fd, size, 1), lambda: os.lseek(fd, size, 2),
                 lambda: os.lseek(fd, -size, 2), lambda: os.lseek(fd, 0, size)):
        attempt(step)
        attempt(os.ftruncate, fd, 5)
    attempt(lambda: os.read(fd, 10))
    attempt(lambda: os.write(fd, b'x'))
    attempt(os.ftruncate, fd, 5)",
    )
    .await;
    assert!(strings(&result).len() > 100);
}

#[tokio::test]
async fn offsets_at_the_end_of_the_world() {
    let result = attempts(
        "
fd = os.open('/data/x', os.O_RDWR | os.O_CREAT)
for offset in (2**31, 2**32, 2**40, 2**62, 2**63 - 1):
    attempt(os.lseek, fd, offset, os.SEEK_SET)
    attempt(os.read, fd, 10)
    attempt(os.write, fd, b'x')
    attempt(os.lseek, fd, 2**63 - 1, os.SEEK_CUR)
    attempt(os.lseek, fd, -2**63, os.SEEK_CUR)
    attempt(os.lseek, fd, -1, os.SEEK_SET)
print(os.fstat(fd).st_size)",
    )
    .await;
    // Sparse or refused: either way the quota holds, and no such file takes room.
    let outcomes = strings(&result);
    assert!(
        !outcomes.iter().any(|outcome| outcome == "MemoryError"),
        "{outcomes:?}"
    );
    for seek in [3, 5] {
        assert!(
            ["EINVAL", "EOVERFLOW"].contains(&outcomes[seek].as_str()) || seek == 3,
            "{outcomes:?}"
        );
    }
}

#[tokio::test]
async fn gathered_reads_and_writes() {
    attempts(
        "
fd = os.open('/data/x', os.O_RDWR | os.O_CREAT)
for name in ('readv', 'writev', 'preadv', 'pwritev'):
    call = getattr(os, name, None)
    if call:
        extra = (0,) if name.startswith('p') else ()
        for buffers in ([], [bytearray()], [bytearray(5)] * 1024, [bytearray(5)] * 1025, [bytearray(5)] * 100_000):
            attempt(call, fd, buffers, *extra)
            attempt(call, 1, buffers, *extra)
for name in ('pread', 'pwrite'):
    call = getattr(os, name, None)
    if call:
        for offset in (0, -1, 2**31, 2**62, 2**63 - 1):
            attempt(call, fd, 10 if name == 'pread' else b'x', offset)",
    )
    .await;
}

#[tokio::test]
async fn descriptors_run_out_at_their_cap() {
    let out = printed(
        "
import errno, os
held = []
try:
    while True: held.append(os.open('/data', os.O_RDONLY))
except OSError as error:
    print(errno.errorcode[error.errno], len(held) + 4, max(held))
for fd in held[::2]: os.close(fd)
again = [os.open('/data/new', os.O_CREAT | os.O_RDWR) for _ in held[::2]]
print(sorted(again) == held[::2])
try:
    open('/data/other', 'w')
except OSError as error:
    print(errno.errorcode[error.errno], os.path.exists('/data/other'))
for fd in again: os.close(fd)
print(os.listdir('/data'))",
    )
    .await;
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("EMFILE 1024 1023"));
    assert_eq!(lines.next(), Some("True"));
    // Whether the file that could not be opened exists is not said.
    assert!(lines.next().is_some_and(|line| line.starts_with("EMFILE ")));
}

#[tokio::test]
async fn names_and_paths_that_make_no_sense() {
    let result = attempts(
        "
paths = ['', '.', '..', '/', '//', '///data', '/..', '/../..', '../' * 2000, 'a' * 255, 'a' * 256, 'a' * 4096, 'a/' * 2000,
         'a/' * 5000, '/' * 4095, '/' * 5000, 'a\\0b', '\\0', '\\ud800', '\\udcff', b'\\xff\\xfe', b'\\x80' * 300, 'ä' * 127,
         'ä' * 128, '\\u2024\\u2024/etc', '／etc／passwd', '..%2f..', '..\\\\..', 'C:\\\\', '/proc/self/mem', '/proc/self/fd/3',
         '/dev/null', '/dev/fd/3', '/etc/passwd', '/sys', '~', '/data/./../data', '.\\n', '\\n', '\\x7f', ' ', '. ', '…',
         '/usr/lib/python3.14/os.py/x', '/usr/lib/python3.14/..', '/usr/lib/python3.14/../../..', 5, -1, None, object(), 2**70]
calls = [os.stat, os.lstat, os.listdir, os.mkdir, os.rmdir, os.unlink, os.readlink, lambda p: open(p), lambda p: open(p, 'w'),
         lambda p: open(p, 'x'), lambda p: os.rename(p, '/data/renamed'), lambda p: os.rename('/data', p),
         lambda p: os.symlink(p, '/data/link'), lambda p: os.symlink('/data', p), lambda p: os.link(p, '/data/hard'),
         lambda p: os.link('/usr/lib/python3.14/os.py', p), lambda p: os.utime(p), lambda p: os.truncate(p, 1), os.chdir,
         os.path.realpath, os.path.exists, lambda p: os.makedirs(p), lambda p: os.access(p, 0), lambda p: os.chmod(p, 0),
         lambda p: os.replace('/data/x', p), lambda p: os.scandir(p).close(), lambda p: os.removedirs(p)]
for path in paths:
    for call in calls:
        attempt(call, path)
        attempt(os.chdir, '/')
        attempt(os.unlink, '/data/link')
print(sorted(os.listdir('/usr/lib/python3.14'))[:1], os.path.exists('/etc/passwd'))",
    )
    .await;
    let outcomes = strings(&result);
    assert!(outcomes.iter().all(|outcome| !outcome.contains("root:")));
    assert!(text(&result.output.stdout).ends_with(" False\n"));
}

#[tokio::test]
async fn nothing_of_the_host_is_in_the_tree() {
    let out = printed(
        "
import os
print(sorted(os.listdir('/')))
for link, target in (('/data/a', '/..'), ('/data/b', '../../../../etc'), ('/data/c', '/data/c'), ('/data/d', 'missing')):
    os.symlink(target, link)
print(sorted(os.listdir('/data/a')) == sorted(os.listdir('/')), os.path.exists('/data/b'), os.path.exists('/data/c'))
print(sorted(os.listdir('/data')))
for path in ('/data/c', '/data/c/x', '/data/b/passwd'):
    try: open(path)
    except OSError as error: print(error.strerror)",
    )
    .await;
    assert_eq!(
        out,
        "['data', 'dev', 'home', 'tmp', 'usr']\nTrue False False\n['a', 'b', 'c', 'd']\n\
         Symbolic link loop\nSymbolic link loop\nNo such file or directory\n"
    );
}

#[tokio::test]
async fn the_library_is_read_only() {
    let result = attempts(
        "
base = '/usr/lib/python3.14'
for step in (lambda: open(base + '/os.py', 'w'), lambda: open(base + '/os.py', 'a'), lambda: open(base + '/os.py', 'r+'),
             lambda: open(base + '/new', 'x'), lambda: os.mkdir(base + '/new'), lambda: os.unlink(base + '/os.py'),
             lambda: os.rmdir(base + '/json'), lambda: os.rename(base + '/os.py', base + '/so.py'),
             lambda: os.rename(base + '/os.py', '/data/os.py'), lambda: os.truncate(base + '/os.py', 0),
             lambda: os.symlink('x', base + '/new'), lambda: os.link(base + '/os.py', base + '/new'),
             lambda: os.rename('/data', base + '/data'), lambda: os.rename(base, '/data/lib'), lambda: os.rmdir(base)):
    attempt(step)
print(os.path.getsize(base + '/os.py'))",
    )
    .await;
    for outcome in strings(&result) {
        assert!(
            ["EROFS", "EXDEV", "EBUSY", "EACCES", "EPERM", "ENOTEMPTY"].contains(&outcome.as_str()),
            "{outcome}"
        );
    }
    let size = printed("import os\nprint(os.path.getsize('/usr/lib/python3.14/os.py'))").await;
    assert_eq!(text(&result.output.stdout), size);
}

#[tokio::test]
async fn directories_that_change_while_they_are_listed() {
    let out = printed(
        "
import os
os.mkdir('/data/d')
for i in range(3000): open(f'/data/d/{i}', 'w').close()
seen = set()
for index, entry in enumerate(os.scandir('/data/d')):
    assert entry.name not in seen
    seen.add(entry.name)
    if entry.name.isdigit(): os.unlink(entry.path)
    if index < 500: open(f'/data/d/new{index}', 'w').close()
print({str(i) for i in range(3000)} <= seen, len(seen) < 4000)
print(all(name.startswith('new') for name in os.listdir('/data/d')))
it = os.scandir('/data/d'); next(it)
import shutil; shutil.rmtree('/data/d')
print(len(list(it)) >= 0, os.path.exists('/data/d'))",
    )
    .await;
    assert_eq!(out, "True True\nTrue\nTrue False\n");
}

#[tokio::test]
async fn polling_thousands_of_descriptors() {
    let result = attempts(
        "
import select
for count in (1, 500, 1000, 1023, 1024, 1025, 5000):
    def poll():
        poll = select.poll()
        for fd in range(count): poll.register(fd)
        return len(poll.poll(1))
    attempt(poll)
    attempt(lambda: len(select.select(range(count), range(count), range(count), 0.001)))
    attempt(lambda: len(select.select([0] * count, [1] * count, [], 0)))
for fd in (-1, 2**31, 5000):
    attempt(lambda: select.select([fd], [], [], 0))
for timeout in (-1, -1.0, float('nan'), float('inf'), 1e300, 2**70, 'x'):
    if timeout not in (-1, -1.0, float('inf')): attempt(lambda: select.select([], [], [], timeout))
print('done')",
    )
    .await;
    assert_eq!(text(&result.output.stdout), "done\n");
}

#[tokio::test]
async fn sleeps_that_make_no_sense() {
    let result = attempts(
        "
import time
for seconds in (-1, float('nan'), float('-inf'), float('inf'), 1e18, 1e300, 10**30, -10**30, 'x', None, 0, -0.0, 1e-300):
    attempt(time.sleep, seconds)
for clock in range(4):
    attempt(lambda: time.clock_gettime(clock) >= 0)
    attempt(lambda: time.clock_getres(clock) > 0)
for stamp in (2**31, 2**40, 2**62, -2**62, 1e30, float('nan')):
    attempt(time.gmtime, stamp)
    attempt(time.ctime, stamp)
    attempt(os.utime, '/data', (0, 0) if stamp != stamp else (stamp, stamp))",
    )
    .await;
    assert_eq!(strings(&result)[0], "ValueError");
    for seconds in ["1e9", "4e9", "1e10", "9e9"] {
        let limit = Duration::from_millis(200);
        let started = Instant::now();
        let outcome = sandbox()
            .execute(format!("import time\ntime.sleep({seconds})"), within(limit))
            .await;
        if matches!(&outcome, Err(failure) if matches!(failure.error, eryx::Error::Python(_))) {
            continue;
        }
        assert_timed_out(outcome, started, limit);
    }
}

#[tokio::test]
async fn what_a_sandbox_does_not_have() {
    for (code, class) in [
        ("import subprocess\nsubprocess.run(['true'])", "OSError"),
        ("import os\nos.system('true')", "AttributeError"),
        ("import os\nos.fork()", "AttributeError"),
        ("import os\nos.execv('/bin/sh', [])", "AttributeError"),
        (
            "import threading\nthreading.Thread(target=print).start()",
            "RuntimeError",
        ),
        (
            "import multiprocessing\nmultiprocessing.Process(target=print).start()",
            "",
        ),
        ("import ctypes", "ModuleNotFoundError"),
        ("import mmap\nmmap.mmap(-1, 100)", ""),
        ("import fcntl", ""),
        (
            "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)",
            "OSError",
        ),
        (
            "import socket\nsocket.getaddrinfo('example.com', 80)",
            "socket.gaierror",
        ),
        (
            "import urllib.request\nurllib.request.urlopen('http://example.com')",
            "urllib.error.URLError",
        ),
        (
            "import concurrent.futures\nconcurrent.futures.ThreadPoolExecutor().submit(print).result()",
            "RuntimeError",
        ),
        ("import pty", ""),
        ("import resource", ""),
    ] {
        let outcome = sandbox()
            .execute(code, within(Duration::from_secs(30)))
            .await;
        let error = crate::support::python_error(outcome);
        assert!(!error.interpreter_lost, "{code}: {error:?}");
        assert!(
            error.message.len() > error.python_type.len() + 5,
            "{code}: {}",
            error.message
        );
        if !class.is_empty() && error.python_type != class {
            // A subclass, as PermissionError of OSError, says even more.
            let check = format!(
                "try:\n    exec({code:?})\nexcept BaseException as error:\n    result = '{class}' in [c.__name__ for c in type(error).__mro__]"
            );
            assert_eq!(
                succeed(&check).await.result,
                Some(true.into()),
                "{code}: {}",
                error.message
            );
        }
    }
}

#[tokio::test]
async fn renaming_linking_and_removing_in_circles() {
    let result = attempts(
        "
os.makedirs('/data/a/b/c')
attempt(os.rename, '/data/a', '/data/a/b/c/d')
attempt(os.rename, '/data/a/b', '/data/a')
attempt(os.rename, '/', '/data/x')
attempt(os.rename, '/data', '/')
attempt(os.rmdir, '/')
attempt(os.link, '/data/a', '/data/hard')
attempt(os.rename, '/data/a/.', '/data/z')
attempt(os.rmdir, '/data/a/b/c/..')
os.chdir('/data/a/b/c')
attempt(os.rmdir, '/data/a/b/c')
attempt(os.listdir, '.')
attempt(open, 'x', 'w')
attempt(os.getcwd)
os.chdir('/')
path = '/data/deep'
depth = 0
try:
    os.mkdir(path); os.chdir(path)
    while depth < 5000:
        os.mkdir('d'); os.chdir('d'); depth += 1
except OSError as error:
    outcomes.append(errno.errorcode[error.errno])
os.chdir('/')
import shutil
attempt(shutil.rmtree, '/data/deep')
print('done')",
    )
    .await;
    assert_eq!(text(&result.output.stdout), "done\n");
}

#[tokio::test]
async fn many_small_files_meet_the_limit_of_files() {
    let sandbox = sandbox_with(|limits| limits.max_vfs_bytes = Some(1 << 20));
    let code = "
import errno, os
def fill(step):
    count = 0
    try:
        while True:
            step(count); count += 1
    except OSError as error:
        return errno.errorcode[error.errno], 0 < count < 50_000
result = [fill(lambda i: open(f'/data/{i}', 'w').close()), fill(lambda i: os.mkdir(f'/tmp/{i}'))[:1],
          fill(lambda i: os.symlink('x' * 1000, f'/home/{i}'))[:1], fill(lambda i: os.link('/data/0', f'/home/h{i}'))[:1]]";
    let result = sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("runs");
    let full = |more: Option<bool>| {
        let mut items: Vec<Value> = vec!["ENOSPC".into()];
        items.extend(more.map(Value::from));
        Value::List(items)
    };
    assert_eq!(
        result.result,
        Some(Value::List(vec![
            full(Some(true)),
            full(None),
            full(None),
            full(None)
        ]))
    );
}

#[tokio::test]
async fn random_bytes_are_random() {
    let out = printed("import os\na, b = os.urandom(1000), os.urandom(1000)\nprint(a != b, len(set(a)) > 200, len(os.urandom(10_000_000)))").await;
    assert_eq!(out, "True True 10000000\n");
}

#[tokio::test]
async fn clocks() {
    let out = printed(
        "
import time
a, b = time.monotonic_ns(), time.time_ns()
time.sleep(0.05)
c, d = time.monotonic_ns(), time.time_ns()
print(c - a >= 50_000_000, d - b >= 49_000_000, a % 1000 == 0, 1.7e18 < b, a < 60 * 10**9, time.tzname)",
    )
    .await;
    assert_eq!(out, "True True True True True ('UTC', 'UTC')\n");
}

#[tokio::test]
async fn odd_calls_end_as_on_linux() {
    let out = printed(
        "
import errno, os, select
def of(call):
    try: return call()
    except OSError as error: return errno.errorcode[error.errno]
fd = os.open('a', os.O_CREAT | os.O_RDWR | os.O_APPEND)
os.write(fd, b'12345')
os.pwrite(fd, b'x', 0)
os.mkdir('d')
poll = select.poll()
poll.register(99)
print(os.pread(fd, 9, 0), of(lambda: os.read(1, 1)), poll.poll(0) == [(99, select.POLLNVAL)])
print(of(lambda: os.rename('/', 'e')), of(lambda: os.unlink('d/')), of(lambda: os.unlink('a/')))
print(of(lambda: os.open('e', os.O_CREAT | os.O_DIRECTORY)), of(lambda: os.write(os.open('/', os.O_RDONLY), b'x')))",
    )
    .await;
    assert_eq!(
        out,
        "b'12345x' EBADF True\nEBUSY EISDIR ENOTDIR\nEINVAL EBADF\n"
    );
}
