//! How much files may hold.

use eryx::ExecutionOptions;

use crate::support::{list, python_error, sandbox_with, succeed};

#[tokio::test]
async fn files_are_limited() {
    let code = "
import errno
caught = []
def attempt(step):
    try:
        step()
    except OSError as error:
        caught.append(errno.errorcode[error.errno])
def fill():
    with open('/data/big', 'wb', buffering=0) as file:
        while True: file.write(bytes(range(256)) * 4096)
def directories():
    import os
    for i in range(10**7): os.mkdir(f'/data/{i}')
attempt(fill)
attempt(directories)
attempt(lambda: open('/data/big', 'r+b').truncate(2**62))
import os
os.unlink('/data/big')
open('/data/small', 'wb').write(b'x' * 1000)
result = caught";
    let result = succeed(code).await.result;
    assert_eq!(
        result,
        Some(list(["ENOSPC".into(), "ENOSPC".into(), "EFBIG".into()]))
    );
}

#[tokio::test]
async fn the_limit_of_files_can_be_zero() {
    let sandbox = sandbox_with(|limits| limits.max_vfs_bytes = Some(0));
    let error = python_error(
        sandbox
            .execute("open('/data/x', 'w')", ExecutionOptions::default())
            .await,
    );
    assert!(
        error.message.contains("No space left on device"),
        "{}",
        error.message
    );
}
