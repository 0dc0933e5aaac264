//! Files that stay: from the host, from Python, and both at once.

use eryx::{Error, ExecutionOptions, Storage, StorageKind};

use crate::support::{invalid, printed_by, refused, sandbox_of};

fn storage() -> Storage {
    Storage::new(1 << 20)
}

/// The message of a refusal.
fn message<T: std::fmt::Debug>(result: Result<T, eryx::StorageError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn absolute_and_relative_paths_are_the_same() {
    let files = storage();
    files.create_dir_all("/a/b").expect("room");
    for path in [
        "/a/b/f",
        "a/b/f",
        "../a/b/f",
        "/../../a/./b//f",
        "a/b/../b/f",
    ] {
        files.write_file(path, path.as_bytes()).expect("room");
        assert_eq!(files.read_file("a/b/f").expect("there"), path.as_bytes());
    }
    assert_eq!(files.read_dir("/").expect("there").len(), 1);
}

#[test]
fn errors_name_the_path_as_it_was_given() {
    let files = storage();
    files.create_dir("d").expect("room");
    files.write_file("f", b"x").expect("room");
    files.write_file("d/f", b"x").expect("room");
    let cases = [
        (
            message(files.read_file("/a/b")),
            "no such file or directory: \"/a/b\"",
        ),
        (message(files.read_file("d")), "is a directory: \"d\""),
        (message(files.read_file("f/x")), "not a directory: \"f/x\""),
        (
            message(files.read_file("")),
            "no such file or directory: \"\"",
        ),
        (
            message(files.read_file("a\0b")),
            "invalid argument: \"a\\0b\"",
        ),
        (
            message(files.write_file("no/f", b"")),
            "no such file or directory: \"no/f\"",
        ),
        (message(files.write_file("d", b"")), "is a directory: \"d\""),
        (message(files.write_file("/", b"")), "is a directory: \"/\""),
        (message(files.create_dir("d")), "file exists: \"d\""),
        (
            message(files.create_dir("no/d")),
            "no such file or directory: \"no/d\"",
        ),
        (
            message(files.create_dir_all("f/d")),
            "not a directory: \"f/d\"",
        ),
        (message(files.create_dir_all("f")), "file exists: \"f\""),
        (message(files.read_dir("f")), "not a directory: \"f\""),
        (
            message(files.metadata("no")),
            "no such file or directory: \"no\"",
        ),
        (message(files.remove("d")), "directory not empty: \"d\""),
        (
            message(files.remove("no")),
            "no such file or directory: \"no\"",
        ),
        (
            message(files.remove_all("no")),
            "no such file or directory: \"no\"",
        ),
        (
            message(files.rename("no", "x")),
            "no such file or directory: \"no\"",
        ),
        (message(files.rename("d", "d/e")), "invalid argument: \"d\""),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    for top in ["/", ".", "..", "d/.."] {
        assert!(
            files.remove(top).is_err() && files.remove_all(top).is_err(),
            "{top}"
        );
    }
    assert_eq!(files.read_dir("/").expect("there").len(), 2);
    let long = message(files.read_file(&"x/".repeat(2100)));
    assert!(long.starts_with("file name too long: \"x/x/"), "{long}");
    let error = files.read_file("no").expect_err("nothing there");
    assert_eq!(error.posix_name(), Some("ENOENT"));
}

#[test]
fn directories_list_what_is_in_them() {
    let files = storage();
    files.create_dir_all("a/b").expect("room");
    files.create_dir_all("a/b").expect("there already");
    files.write_file("f", b"12345").expect("room");
    let list = files.read_dir("").map_err(|error| error.to_string());
    assert_eq!(list, Err("no such file or directory: \"\"".into()));
    let entries = files.read_dir("/").expect("there");
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.name, entry.metadata.kind, entry.metadata.size))
        .collect();
    assert_eq!(
        found,
        [
            ("a", StorageKind::Directory, 1),
            ("f", StorageKind::File, 5)
        ]
    );
    assert!(files.exists("/a/b/") && !files.exists("/a/c") && !files.exists("f/"));
}

#[test]
fn whole_trees_are_removed() {
    let files = Storage::new(64 << 20);
    let mut deep = String::from("top");
    files.create_dir("top").expect("room");
    for name in 0..2000 {
        files
            .write_file(&format!("top/{name}"), b"x")
            .expect("room");
    }
    while files.create_dir(&format!("{deep}/d")).is_ok() {
        deep.push_str("/d");
        files.write_file(&format!("{deep}/f"), b"x").ok();
    }
    files.remove_all("top").expect("there");
    assert_eq!(files.used_bytes(), 0);
    files.write_file("f", b"x").expect("room");
    files.remove_all("f").expect("a file too");
    assert_eq!(files.used_bytes(), 0);
}

#[test]
fn the_quota_holds_for_the_host_too() {
    let files = Storage::new(10_000);
    assert_eq!(
        message(files.write_file("f", &vec![1; 20_000])),
        "no space left in the file system: \"f\""
    );
    let held = files.read_file("f").expect("what fits").len();
    assert!((8000..10_000).contains(&held), "{held}");
    assert!(files.used_bytes() <= files.max_bytes());
    files.write_file("f", b"").expect("gives room back");
    for n in 0.. {
        if files.create_dir(&n.to_string()).is_err() {
            assert!((5..12).contains(&n), "{n} directories in 10,000 bytes");
            break;
        }
    }
}

#[tokio::test]
async fn a_file_with_holes_does_not_exhaust_the_host() {
    let files = storage();
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    printed_by(&sandbox, "open('f', 'w').truncate(1 << 40)").await;
    assert_eq!(message(files.read_file("f")), "file too large: \"f\"");
    assert_eq!(files.metadata("f").expect("there").size, 1 << 40);
    files.write_file("f", b"short").expect("replaced");
    assert_eq!(files.read_file("f").expect("there"), b"short");
}

#[tokio::test]
async fn python_and_the_host_see_the_same_files() {
    let files = storage();
    files.write_file("in", "größe".as_bytes()).expect("room");
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    let code = "import os\nos.mkdir('d')\nopen('/data/d/out', 'w').write(open('in').read() * 2)\nos.symlink('d/out', 'l')\nos.symlink('/data/d/out', 'abs')\nprint(os.getcwd())";
    assert_eq!(printed_by(&sandbox, code).await, "/data");
    for path in ["d/out", "l"] {
        assert_eq!(
            files.read_file(path).expect("there"),
            "größegröße".as_bytes()
        );
    }
    assert_eq!(
        files.metadata("l").expect("there").kind,
        StorageKind::Symlink
    );
    // The storage's own top is not where the guest mounts it.
    assert!(!files.exists("abs"));
    assert_eq!(files.read_dir("/").expect("there").len(), 4);
    files.remove_all("d").expect("there");
    assert_eq!(
        printed_by(&sandbox, "import os\nprint(os.listdir())").await,
        "['in', 'l', 'abs']"
    );
}

#[tokio::test]
async fn everything_else_is_private_and_new() {
    let files = storage();
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    let code = "import os\nprint([os.listdir(p) for p in ('/tmp', os.path.expanduser('~'))])\nopen('/tmp/x', 'w')\nopen(os.path.expanduser('~/x'), 'w')";
    for _ in 0..2 {
        assert_eq!(printed_by(&sandbox, code).await, "[[], []]");
    }
    assert_eq!(files.used_bytes(), 0);
}

#[tokio::test]
async fn it_is_mounted_where_the_options_say() {
    let files = storage();
    for path in [
        "/data",
        "/work",
        "/a/b/c d/größe'\\",
        "/tmp/x",
        "/home/sandbox",
        "/usrs",
    ] {
        let sandbox = sandbox_of(|options| {
            options.files = Some(files.clone());
            options.mount_path = Some(path.to_owned());
        });
        let code = "import os, sys\nopen('f', 'a').write('x')\nopen('m.py', 'w').write('y = 1')\nimport m\nprint(os.getcwd(), m.y, sorted(globals().keys() & {'os', 'sys', 'bytes'}))";
        assert_eq!(
            printed_by(&sandbox, code).await,
            format!("{path} 1 ['os', 'sys']")
        );
        assert_eq!(
            printed_by(&sandbox, "import os\nprint(os.path.exists('/data'))").await,
            if path == "/data" { "True" } else { "False" }
        );
    }
    assert_eq!(files.read_file("f").expect("there"), b"xxxxxx");
}

#[tokio::test]
async fn without_a_storage_the_path_is_private() {
    let sandbox = sandbox_of(|options| options.mount_path = Some("/work".into()));
    let code = "import os\nprint(os.getcwd(), os.listdir('.'), sorted(os.listdir('/')))\nopen('f', 'w')\nos.rename('f', '/tmp/f')";
    for _ in 0..2 {
        assert_eq!(
            printed_by(&sandbox, code).await,
            "/work [] ['dev', 'home', 'tmp', 'usr', 'work']"
        );
    }
}

#[tokio::test]
async fn tracebacks_and_awaits_are_as_without_a_mount_path() {
    let sandbox = sandbox_of(|options| options.mount_path = Some("/work".into()));
    let code = "import asyncio\nawait asyncio.sleep(0)\nprint('a')";
    assert_eq!(printed_by(&sandbox, code).await, "a");
    let failure = sandbox
        .execute("\n1 / 0", ExecutionOptions::default())
        .await;
    let Err(Error::Python(error)) = failure.map_err(|failure| failure.error) else {
        panic!("not a Python error");
    };
    assert_eq!(
        &*error.traceback,
        "Traceback (most recent call last):\n  File \"<sandbox>\", line 2, in <module>\n    1 / 0\n    ~~^~~\nZeroDivisionError: division by zero"
    );
    let value = sandbox.execute("1 + 1", ExecutionOptions::default()).await;
    assert_eq!(value.expect("runs").value, Some(2.into()));
}

#[test]
fn mount_paths_are_checked() {
    for path in [
        "", "/", "data", "/data/", "/a/../b", "/./a", "//a", "/a\0", "/usr", "/usr/x",
    ] {
        let error = refused(|options| options.mount_path = Some(path.to_owned()));
        let message = invalid(&error);
        assert!(message.starts_with("mount_path: "), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sandboxes_share_it_at_once() {
    let files = Storage::new(8 << 20);
    files.write_file("log", b"").expect("room");
    let code = "import os\nfor i in range(200):\n    with open('log', 'a') as f: f.write(f'{who}\\n')\n    open(f'{who}-{i}', 'w').write('x')\n    os.rename(f'{who}-{i}', f'{who}')\nprint('done')";
    let mut runs = tokio::task::JoinSet::new();
    for (who, path) in [("a", "/data"), ("b", "/work"), ("c", "/x/y")] {
        let sandbox = sandbox_of(|options| {
            options.files = Some(files.clone());
            options.mount_path = Some(path.to_owned());
        });
        let mut options = ExecutionOptions::default();
        options.inputs = vec![("who".to_owned(), who.into())];
        runs.spawn(async move { sandbox.execute(code, options).await.expect("runs") });
    }
    while runs.join_next().await.is_some() {}
    let log = files.read_file("log").expect("there");
    for who in [b'a', b'b', b'c'] {
        assert_eq!(log.split(|&byte| byte == who).count() - 1, 200);
    }
    assert_eq!(files.read_dir("/").expect("there").len(), 4);
}

#[tokio::test]
async fn what_a_run_leaves_open_is_closed() {
    let files = storage();
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    printed_by(&sandbox, "import os\nf = os.open('f', os.O_CREAT | os.O_RDWR)\nos.write(f, b'x' * 1000)\nos.remove('f')").await;
    assert_eq!(files.used_bytes(), 0);
}

#[tokio::test]
async fn sqlite_keeps_its_data_between_runs() {
    let files = Storage::new(16 << 20);
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    let make = "import sqlite3\ndb = sqlite3.connect('a.db')\ndb.execute('create table t (x)')\ndb.executemany('insert into t values (?)', [(i,) for i in range(1000)])\ndb.commit()\ndb.execute('delete from t')\ndb.rollback()\ndb.close()";
    printed_by(&sandbox, make).await;
    // Left in the middle of a transaction: the journal is rolled back by the next run.
    let abandon = "import os, sqlite3\ndb = sqlite3.connect('a.db')\ndb.execute('pragma cache_size = 1')\ndb.execute('delete from t')\nprint(os.path.exists('a.db-journal'))\nos._exit(0)";
    let sum = "import sqlite3\ndb = sqlite3.connect('a.db')\nprint(db.execute('select count(*), sum(x) from t').fetchone(), db.execute('pragma integrity_check').fetchone()[0])";
    let _ = sandbox.execute(abandon, ExecutionOptions::default()).await;
    let names: Vec<_> = files
        .read_dir("/")
        .expect("there")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["a.db", "a.db-journal"]);
    assert_eq!(printed_by(&sandbox, sum).await, "(1000, 499500) ok");
    let copy = Storage::from_snapshot(&files.snapshot().expect("memory"), None).expect("ours");
    let sandbox = sandbox_of(|options| {
        options.files = Some(copy);
        options.mount_path = Some("/copy".into());
    });
    assert_eq!(printed_by(&sandbox, sum).await, "(1000, 499500) ok");
}
