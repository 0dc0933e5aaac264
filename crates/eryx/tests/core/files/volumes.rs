//! Host directories and files in a run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use eryx::{Error, Sandbox, Storage, Volume};
use eryx_test::new_directory;

use crate::support::{invalid, printed_by, refused, sandbox_of};

fn writable(host: &Path, guest: &str) -> Volume {
    let mut volume = Volume::new(host, guest);
    volume.read_only = false;
    volume
}

fn with(volumes: Vec<Volume>) -> Sandbox {
    sandbox_of(|options| options.volumes = volumes)
}

/// A directory with a file, a directory with a file, and a secret beside it.
fn host(name: &str) -> PathBuf {
    let path = new_directory(name);
    fs::create_dir_all(path.join("v/d")).expect("ours");
    fs::write(path.join("v/f"), "one").expect("ours");
    fs::write(path.join("v/d/g"), "two").expect("ours");
    fs::write(path.join("secret"), "secret").expect("ours");
    path.join("v")
}

/// Prints the errno of each expression's `OSError`, or its value.
fn each(expressions: &[&str]) -> String {
    format!(
        "import errno, os, shutil\nfor e in {expressions:?}:\n    try: print(eval(e))\n    except OSError as x: print(errno.errorcode[x.errno])"
    )
}

#[tokio::test]
async fn python_reads_a_volume() {
    let host = host("python_reads");
    let sandbox = with(vec![
        Volume::new(&host, "/mnt/deep/v"),
        Volume::new(host.join("f"), "/etc/one"),
    ]);
    let code = "import os\nprint(open('/mnt/deep/v/f').read(), open('/etc/one').read(), [(p, sorted(d), sorted(f)) for p, d, f in os.walk('/mnt')], os.getcwd(), sorted(os.listdir('/')), os.listdir('/etc'))";
    assert_eq!(
        printed_by(&sandbox, code).await,
        "one one [('/mnt', ['deep'], []), ('/mnt/deep', ['v'], []), ('/mnt/deep/v', ['d'], ['f']), ('/mnt/deep/v/d', [], ['g'])] /data ['data', 'dev', 'etc', 'home', 'mnt', 'tmp', 'usr'] ['one']"
    );
    fs::write(host.join("f"), "changed").expect("ours");
    assert_eq!(
        printed_by(&sandbox, "print(open('/mnt/deep/v/f').read())").await,
        "changed"
    );
}

#[tokio::test]
async fn read_only_refuses_every_kind_of_write() {
    let host = host("read_only_volume");
    let sandbox = with(vec![
        Volume::new(&host, "/v"),
        Volume::new(host.join("f"), "/f"),
    ]);
    let code = each(&[
        "open('/v/f', 'w')",
        "open('/v/f', 'a')",
        "open('/v/f', 'r+')",
        "open('/v/new', 'x')",
        "open('/f', 'w')",
        "os.truncate('/v/f', 0)",
        "os.mkdir('/v/new')",
        "os.remove('/v/f')",
        "os.rmdir('/v/d')",
        "os.rename('/v/f', '/v/new')",
        "os.replace('/v/f', '/v/d/g')",
        "os.symlink('f', '/v/new')",
        "os.link('/v/f', '/v/new')",
        "os.utime('/v/f', (1, 1))",
        "os.utime('/f', (1, 1))",
        "os.ftruncate(os.open('/v/f', os.O_RDONLY), 0)",
        "os.write(os.open('/v/f', os.O_RDONLY), b'x')",
        "os.open('/v/f', os.O_RDONLY | os.O_TRUNC)",
        "shutil.rmtree('/v/d')",
        "shutil.copy('/v/f', '/v/d/h')",
    ]);
    let mut expected = vec!["EROFS"; 20];
    expected[15] = "EINVAL";
    expected[16] = "EBADF";
    assert_eq!(
        printed_by(&sandbox, &code)
            .await
            .lines()
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(fs::read_to_string(host.join("f")).expect("there"), "one");
    assert_eq!(fs::read_dir(&host).expect("there").count(), 2);
}

#[tokio::test]
async fn python_writes_a_writable_volume() {
    let host = host("python_writes");
    let sandbox = with(vec![
        writable(&host, "/v"),
        writable(&host.join("d/g"), "/g"),
    ]);
    let code = "
import os, pathlib, shutil, sqlite3, tempfile
open('/v/f', 'a').write('+')
with open('/v/new', 'w+') as f:
    f.write('12345')
    f.seek(8)
    f.write('9')
    f.truncate(10)
os.makedirs('/v/a/b')
os.rename('/v/new', '/v/a/b/moved')
shutil.copytree('/v/a', '/v/copy')
shutil.rmtree('/v/a')
f = open('/v/gone', 'w+')
os.remove('/v/gone')
f.write('x')
f.seek(0)
open('/g', 'r+').write('2')
db = sqlite3.connect('/v/a.db')
db.execute('create table t (x)')
db.execute('insert into t values (5)')
db.commit()
with tempfile.TemporaryDirectory(dir='/v') as d: pathlib.Path(d, 'x').write_text('y')
print(f.read(), sorted(os.listdir('/v')), db.execute('select * from t').fetchall(), os.stat('/v/f').st_mode & 0o777)";
    assert_eq!(
        printed_by(&sandbox, code).await,
        "x ['a.db', 'copy', 'd', 'f'] [(5,)] 0"
    );
    let text = |path: &str| fs::read(host.join(path)).expect("there");
    assert_eq!(text("f"), b"one+");
    assert_eq!(text("copy/b/moved"), b"12345\0\0\09\0");
    assert_eq!(text("d/g"), b"2wo");
}

#[tokio::test]
async fn links_that_leave_do_not_resolve() {
    let host = host("links_that_leave");
    let secret = host.join("../secret").canonicalize().expect("there");
    symlink(&secret, host.join("abs")).expect("ours");
    symlink("../secret", host.join("up")).expect("ours");
    symlink("../data", host.join("guest")).expect("ours");
    symlink("/data", host.join("guest2")).expect("ours");
    symlink("d/g", host.join("good")).expect("ours");
    symlink("nowhere", host.join("dangling")).expect("ours");
    let sandbox = with(vec![writable(&host, "/v")]);
    let code = each(&[
        "open('/v/abs').read()",
        "open('/v/up').read()",
        "os.listdir('/v/guest')",
        "os.listdir('/v/guest2')",
        "os.readlink('/v/abs')",
        "os.readlink('/v/up')",
        "open('/v/up', 'w')",
        "os.path.exists('/v/abs')",
        "open('/v/good').read()",
        "os.readlink('/v/good')",
        "open('/v/dangling').read()",
        "sorted(os.listdir('/v'))",
        "os.symlink('/etc/passwd', '/v/made')",
        "os.symlink('../secret', '/v/made')",
        "open('/v/../../secret')",
        "open('/v/../secret')",
        "os.rename('/v/f', '/data/f')",
        "os.link('/v/f', '/data/f')",
        "os.rmdir('/v')",
        "os.rename('/v', '/w')",
    ]);
    let expected = [
        "EPERM",
        "EPERM",
        "EPERM",
        "EPERM",
        "EPERM",
        "EPERM",
        "EPERM",
        "False",
        "two",
        "d/g",
        "ENOENT",
        "['abs', 'd', 'dangling', 'f', 'good', 'guest', 'guest2', 'up']",
        "EPERM",
        "EPERM",
        "ENOENT",
        "ENOENT",
        "EXDEV",
        "EXDEV",
        "EPERM",
        "EXDEV",
    ];
    let printed = printed_by(&sandbox, &code).await;
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[..19], expected[..19]);
    assert!(matches!(lines[19], "EXDEV" | "EPERM"));
    assert_eq!(fs::read_to_string(secret).expect("there"), "secret");
}

#[tokio::test]
async fn volumes_and_a_storage_are_side_by_side() {
    let host = host("side_by_side");
    let files = Storage::new(1 << 20);
    let sandbox = sandbox_of(|options| {
        options.files = Some(files.clone());
        options.mount_path = Some("/job/here".into());
        options.volumes = vec![
            Volume::new(&host, "/job/there"),
            Volume::new(&host, "/tmp/v"),
        ];
    });
    let code =
        "import shutil\nshutil.copytree('../there', 'copy')\nprint(open('/tmp/v/d/g').read())";
    assert_eq!(printed_by(&sandbox, code).await, "two");
    assert_eq!(files.read_file("copy/d/g").expect("there"), b"two");
}

#[test]
fn paths_are_checked() {
    let host = host("volume_paths");
    let invalid = |volumes: &[(&Path, &str)]| {
        let volumes = volumes
            .iter()
            .map(|(host, guest)| Volume::new(*host, *guest));
        invalid(&refused(|options| options.volumes = volumes.collect()))
    };
    assert_eq!(
        invalid(&[(&host, "v")]),
        "volumes[0].guest_path: expected an absolute path other than \"/\", got \"v\""
    );
    assert_eq!(
        invalid(&[(&host, "/a"), (&host, "/a/b")]),
        "volumes[1].guest_path: \"/a/b\" overlaps \"/a\", which is the place of volumes[0]"
    );
    assert_eq!(
        invalid(&[(&host, "/data/x")]),
        "volumes[0].guest_path: \"/data/x\" overlaps \"/data\", which is the place of the working directory"
    );
    assert_eq!(
        invalid(&[(&host, "/usr/local")]),
        "volumes[0].guest_path: \"/usr/local\" overlaps \"/usr\", which is the place of the standard library"
    );
    assert_eq!(
        invalid(&[(&host.join("f"), "/tmp")]),
        "volumes: a file cannot be mounted at \"/tmp\", which is a directory"
    );
    let many: Vec<_> = (0..65).map(|n| format!("/v{n}")).collect();
    let many: Vec<_> = many.iter().map(|path| (&*host, &**path)).collect();
    assert_eq!(invalid(&many), "volumes: 65 are more than the 64 allowed");
}

#[test]
fn a_host_path_that_is_not_there_is_named() {
    let missing = host("missing").join("nope");
    let error = refused(|options| options.volumes = vec![Volume::new(&missing, "/v")]);
    let Error::Initialization(message) = error else {
        panic!("{error:?}");
    };
    assert!(message.starts_with("volumes: \""), "{message}");
    assert!(
        message.ends_with(" cannot be mounted at \"/v\": no such file or directory"),
        "{message}"
    );
}

#[tokio::test]
async fn links_of_the_host_are_not_moved_to_where_they_would_lead_out() {
    let host = host("moved_links");
    fs::create_dir_all(host.join("d/e")).expect("ours");
    fs::create_dir_all(host.join("x/y/z")).expect("ours");
    symlink("../../f", host.join("d/e/up")).expect("ours");
    symlink("/etc", host.join("d/absolute")).expect("ours");
    let sandbox = with(vec![writable(&host, "/v")]);
    let code = each(&[
        "os.rename('/v/d/e/up', '/v/up')",
        "os.replace('/v/d/e/up', '/v/d/up')",
        "os.link('/v/d/e/up', '/v/up')",
        "os.rename('/v/d/e', '/v/e')",
        "os.rename('/v/d/absolute', '/v/absolute')",
        "os.link('/v/d/absolute', '/v/d/other')",
        "os.rename('/v/d', '/v/x/d')",
        "os.rename('/v/d/e', '/v/x/y/e')",
        "os.rename('/v/x/y/e', '/v/x/y/z/e')",
        "os.rename('/v/x/y/z/e/up', '/v/x/y/z/up')",
        "os.rename('/v/x/y/z/up', '/v/x/up')",
    ]);
    assert_eq!(
        printed_by(&sandbox, &code).await,
        "EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nNone\nNone\nNone\nEPERM"
    );
    assert_eq!(
        fs::read_link(host.join("x/y/z/up")).expect("moved"),
        Path::new("../../f")
    );
}
