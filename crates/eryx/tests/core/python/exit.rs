//! `sys.exit`, `os._exit`, and a crash of the interpreter.

use eryx::{Error, ExecutionOptions};

use crate::support::{raised, run, sandbox, succeed, text};

#[tokio::test]
async fn success() {
    for code in [
        "import sys\nprint('x')\nsys.exit()\nprint('y')",
        "import sys\nprint('x')\nsys.exit(0)",
        "import sys\nprint('x')\nsys.exit(None)",
        "print('x')\nraise SystemExit",
        "print('x')\nexit(0) if 'exit' in dir(__builtins__) else None",
        "import asyncio, sys\nprint('x')\nawait asyncio.sleep(0)\nsys.exit(0)",
        "import sys\ntry: sys.exit(3)\nexcept SystemExit: print('x')",
    ] {
        let result = succeed(code).await;
        assert_eq!(text(&result.output.stdout), "x\n", "{code}");
    }
}

#[tokio::test]
async fn failure() {
    for (code, exit_code) in [
        ("sys.exit(3)", 3),
        ("sys.exit(-1)", -1),
        ("sys.exit(255)", 255),
        ("sys.exit(256)", 256),
        ("sys.exit(True)", 1),
        ("sys.exit(2**40)", -1),
        ("sys.exit(-2**31)", -2_147_483_648),
        ("raise SystemExit(5)", 5),
        ("asyncio.run(asyncio.sleep(0)); sys.exit(4)", 4),
        ("await asyncio.sleep(0); sys.exit(4)", 4),
        ("async def f(): sys.exit(6)\nawait f()", 6),
        ("async def f(): sys.exit(6)\nawait asyncio.gather(f())", 6),
        (
            "async def f(): sys.exit(6)\nawait asyncio.create_task(f())",
            6,
        ),
        ("async def f(): sys.exit(6)\nasyncio.run(f())", 6),
    ] {
        let failure = run(&format!("import asyncio, sys\nprint('before')\n{code}"))
            .await
            .expect_err("not 0");
        assert_eq!(text(&failure.output.stdout), "before\n");
        let Error::Python(error) = failure.error else {
            panic!("{code}: {:?}", failure.error);
        };
        assert_eq!(error.exit_code, Some(exit_code), "{code}");
        assert_eq!(error.python_type, "SystemExit");
        assert_eq!(error.message, format!("SystemExit: {exit_code}"));
        assert!(!error.interpreter_lost);
    }
}

#[tokio::test]
async fn text_goes_to_stderr() {
    let failure = run("import sys\nsys.exit('it failed')")
        .await
        .expect_err("not 0");
    assert_eq!(text(&failure.output.stderr), "it failed\n");
    assert!(matches!(failure.error, Error::Python(error) if error.exit_code == Some(1)));
}

#[tokio::test]
async fn at_once() {
    for (code, exit_code) in [
        ("os._exit(3)", 3),
        ("os._exit(0)", 0),
        ("os._exit(-1)", -1),
        ("os._exit(255)", 255),
    ] {
        let sandbox = sandbox();
        let code = format!("import os\nos.write(1, b'written')\n{code}\nprint('never')");
        let outcome = sandbox.execute(&code, ExecutionOptions::default()).await;
        if exit_code == 0 && outcome.is_ok() {
            continue;
        }
        let failure = outcome.expect_err("it left");
        assert_eq!(text(&failure.output.stdout), "written", "{code}");
        let Error::Python(error) = failure.error else {
            panic!("{code}: {:?}", failure.error);
        };
        assert_eq!(error.exit_code, Some(exit_code), "{code}");
        assert!(error.interpreter_lost);
        let next = sandbox.execute("1", ExecutionOptions::default()).await;
        assert_eq!(next.expect("runs").value, Some(1.into()));
    }
}

#[tokio::test]
async fn leaving_with_zero_succeeds() {
    let result = succeed("import os\nos.write(1, b'written')\nos._exit(0)").await;
    assert_eq!(result.output.stdout, b"written");
}

#[tokio::test]
async fn a_crash() {
    for code in [
        "import os\nos.abort()",
        "import os, signal\nos.kill(os.getpid(), 9) if hasattr(os, 'kill') else os.abort()",
    ] {
        let sandbox = sandbox();
        let failure = sandbox
            .execute(
                format!("print('before', flush=True)\n{code}"),
                ExecutionOptions::default(),
            )
            .await
            .expect_err("it crashed");
        assert_eq!(text(&failure.output.stdout), "before\n");
        let Error::Python(error) = failure.error else {
            panic!("{code}: {:?}", failure.error);
        };
        assert_eq!(error.python_type, "SystemError");
        assert!(error.interpreter_lost);
        let next = sandbox.execute("1", ExecutionOptions::default()).await;
        assert_eq!(next.expect("runs").value, Some(1.into()));
    }
}

#[tokio::test]
async fn a_crash_after_a_memory_error_is_a_crash() {
    let error =
        raised("import os\ntry: bytearray(10**9)\nexcept MemoryError: pass\nos.abort()").await;
    assert_eq!(error.python_type, "SystemError");
}

#[tokio::test]
async fn what_is_buffered_at_a_crash_is_lost_and_nothing_else() {
    let failure = run("import os\nprint('x' * 100_000)\nos._exit(1)")
        .await
        .expect_err("it left");
    assert!(failure.output.stdout.len() <= 100_001);
    assert!(
        failure
            .output
            .stdout
            .iter()
            .all(|&byte| byte == b'x' || byte == b'\n')
    );
}
