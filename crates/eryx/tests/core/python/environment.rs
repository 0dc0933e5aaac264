//! What code finds around it: environment variables, standard input, files, modules.

use eryx::{Error, ExecutionOptions, Sandbox, SandboxOptions};

use crate::support::{invalid, list, printed, runtime, sandbox, succeed, text};

fn with_env(env: &[(&str, &str)]) -> Result<Sandbox, Error> {
    let mut options = SandboxOptions::default();
    options.env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Sandbox::new(runtime(), options)
}

#[tokio::test]
async fn variables() {
    let sandbox = with_env(&[
        ("KEY", "value"),
        ("EMPTY", ""),
        ("größe", "ü = 漢\n"),
        ("HOME", "/data"),
    ])
    .expect("good");
    let code =
        "import os\nprint(sorted(os.environ.items()), os.getenv('KEY'), os.path.expanduser('~'))";
    let result = sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(
        text(&result.output.stdout),
        "[('EMPTY', ''), ('HOME', '/data'), ('KEY', 'value'), ('größe', 'ü = 漢\\n')] value /data\n"
    );
}

#[tokio::test]
async fn nothing_of_the_hosts_environment() {
    let out = printed("import os\nprint(dict(os.environ))").await;
    assert_eq!(out, "{'HOME': '/home/sandbox'}\n");
}

#[tokio::test]
async fn changes_of_variables_end_with_the_run() {
    let sandbox = with_env(&[("KEY", "value")]).expect("good");
    let change = "import os\nos.environ['KEY'] = 'changed'\nos.environ['NEW'] = '1'\nos.putenv('X', '1')\ndel os.environ['HOME']";
    sandbox
        .execute(change, ExecutionOptions::default())
        .await
        .expect("runs");
    let look = "import os\nsorted(os.environ.items())";
    let result = sandbox
        .execute(look, ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(
        result.value_repr.as_deref(),
        Some("[('HOME', '/home/sandbox'), ('KEY', 'value')]")
    );
}

#[test]
fn variables_that_cannot_be() {
    for (name, value, message) in [
        (
            "",
            "x",
            "env: \"\" is not a name of an environment variable",
        ),
        (
            "a=b",
            "x",
            "env: \"a=b\" is not a name of an environment variable",
        ),
        (
            "a\0",
            "x",
            "env: \"a\\0\" is not a name of an environment variable",
        ),
        (
            "a",
            "x\0",
            "env: the value of \"a\" contains a NUL character",
        ),
    ] {
        let error = with_env(&[(name, value)]).expect_err("refused");
        assert_eq!(invalid(&error), message);
    }
}

async fn with_stdin(stdin: &[u8], code: &str) -> String {
    let mut options = ExecutionOptions::default();
    options.stdin = stdin.to_vec();
    match sandbox().execute(code, options).await {
        Ok(result) => text(&result.output.stdout),
        Err(failure) => panic!("{code}: {}", failure.error),
    }
}

#[tokio::test]
async fn standard_input() {
    assert_eq!(
        with_stdin(b"Ada\n", "print('hello', input())").await,
        "hello Ada\n"
    );
    assert_eq!(
        with_stdin(b"Ada\nB", "print(input('name? '), input())").await,
        "name? Ada B\n"
    );
    assert_eq!(
        with_stdin("ü\n漢".as_bytes(), "import sys\nprint(sys.stdin.read())").await,
        "ü\n漢\n"
    );
    assert_eq!(
        with_stdin(b"a\nb\n", "import sys\nprint([*sys.stdin])").await,
        "['a\\n', 'b\\n']\n"
    );
    assert_eq!(
        with_stdin(b"\x00\xff\n", "import sys\nprint(sys.stdin.buffer.read())").await,
        "b'\\x00\\xff\\n'\n"
    );
    assert_eq!(
        with_stdin(
            b"abc",
            "import os\nprint(os.read(0, 2), os.read(0, 9), os.read(0, 9))"
        )
        .await,
        "b'ab' b'c' b''\n"
    );
    assert_eq!(
        with_stdin(
            b"x",
            "import sys\nprint(sys.stdin.isatty(), sys.stdin.fileno())"
        )
        .await,
        "False 0\n"
    );
    assert_eq!(
        with_stdin(b"\xff", "import sys\nprint(ascii(sys.stdin.read()))").await,
        "'\\udcff'\n"
    );
    let long = "line of text\n".repeat(200_000);
    assert_eq!(
        with_stdin(
            long.as_bytes(),
            "import sys\nprint(len(sys.stdin.readlines()))"
        )
        .await,
        "200000\n"
    );
}

#[tokio::test]
async fn no_standard_input() {
    let error = crate::support::raised("input('? ')").await;
    assert_eq!(error.message, "EOFError: EOF when reading a line");
    assert_eq!(
        printed("import sys\nprint(repr(sys.stdin.read()))").await,
        "''\n"
    );
}

#[tokio::test]
async fn a_script_is_main() {
    let out = printed(
        "
import __main__, dataclasses, inspect, pickle, sys, typing
class A:
    x: 'A'
    def __eq__(self, other): return True
@dataclasses.dataclass
class D:
    y: int
def f(): return 1
print(__name__, __main__.A is A, pickle.loads(pickle.dumps(A())) == A(), pickle.loads(pickle.dumps(D(1))))
print(typing.get_type_hints(A)['x'] is A, inspect.getsource(f).strip(), sys.argv, __file__)
print(sys.modules['__main__'] is __main__)",
    )
    .await;
    assert_eq!(
        out,
        "__main__ True True D(y=1)\nTrue def f(): return 1 ['<sandbox>'] <sandbox>\nTrue\n"
    );
}

#[tokio::test]
async fn files() {
    let out = printed(
        "
import os, pathlib, tempfile
print(os.getcwd(), sorted(os.listdir('/')), os.listdir('.'))
pathlib.Path('a.txt').write_text('hello')
print(open('/data/a.txt').read(), os.path.abspath('a.txt'), pathlib.Path.home())
with tempfile.NamedTemporaryFile('w+') as file:
    file.write('x'); file.seek(0); print(file.read(), os.path.dirname(file.name))
with tempfile.TemporaryDirectory() as name:
    print(os.path.isdir(name))
with open('b.bin', 'w+b') as file:
    file.write(b'12345'); file.seek(2); file.truncate(); file.seek(0); print(file.read())
with open('b.bin', 'ab') as file: file.write(b'6')
print(os.path.getsize('b.bin'), sorted(os.listdir()))
os.rename('b.bin', 'c.bin'); os.remove('a.txt')
print([p.name for p in pathlib.Path().iterdir()])",
    )
    .await;
    assert_eq!(
        out,
        "/data ['data', 'dev', 'home', 'tmp', 'usr'] []\nhello /data/a.txt /home/sandbox\nx /tmp\nTrue\nb'12'\n3 ['a.txt', 'b.bin']\n['c.bin']\n"
    );
}

#[tokio::test]
async fn the_library() {
    succeed(
        "import asyncio, csv, decimal, email, http.client, json, sqlite3, tomllib, unittest, urllib.request, xml, zlib, zoneinfo",
    )
    .await;
    let result = succeed(
        "
import datetime, sqlite3, zoneinfo
noon = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo('Europe/London'))
db = sqlite3.connect(':memory:')
[noon.utcoffset().seconds, db.execute('select 1 + 1').fetchone()[0], sqlite3.connect('/data/x.db').execute('select 3').fetchone()[0]]",
    )
    .await;
    assert_eq!(result.value, Some(list([3600.into(), 2.into(), 3.into()])));
}
