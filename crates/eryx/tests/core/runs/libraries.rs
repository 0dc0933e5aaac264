//! Python source that runs before the code.

use eryx::{Error, ExecutionOptions, Sandbox, SandboxOptions};

use crate::support::callbacks::{options_with, succeed_in, succeeded, tools};
use crate::support::{invalid, python_error, runtime, text};

fn options(sources: &[&str]) -> SandboxOptions {
    let mut options = SandboxOptions::default();
    options.libraries = sources.iter().map(|source| (*source).to_owned()).collect();
    options
}

fn with_libraries(sources: &[&str]) -> Sandbox {
    Sandbox::new(runtime(), options(sources)).expect("the options are good")
}

async fn printed(sources: &[&str], code: &str) -> String {
    text(
        &succeed_in(&with_libraries(sources), code)
            .await
            .output
            .stdout,
    )
}

#[tokio::test]
async fn they_run_before_the_code_in_the_same_namespace() {
    assert_eq!(
        printed(
            &[
                "import math\nx = 1\ndef f(): return x, math.pi\n",
                "y = f()[0] + 1\nprint('second')"
            ],
            "x = 5\nprint(f()[0], y, __name__, math is __import__('math'))",
        )
        .await,
        "second\n5 2 __main__ True\n"
    );
    assert_eq!(
        printed(&["", "\n", "# nothing", "\u{feff}z = 1"], "print(z)").await,
        "1\n"
    );
}

#[tokio::test]
async fn the_value_is_that_of_the_code_only() {
    let sandbox = with_libraries(&["1 + 1\nresult = 'library'"]);
    let result = succeed_in(&sandbox, "x = 1").await;
    assert_eq!(
        (result.value, result.result),
        (None, Some("library".into()))
    );
    let result = succeed_in(&sandbox, "result = 2\n5").await;
    assert_eq!(
        (result.value, result.result),
        (Some(5.into()), Some(2.into()))
    );
}

#[tokio::test]
async fn tracebacks_show_their_own_lines() {
    let library = "def check(x):\n    if x:\n        raise ValueError('bad x')  # of the library\n";
    let sandbox = with_libraries(&["pass", library]);
    for code in [
        "\n\ncheck(1)",
        "\n\nimport asyncio; await asyncio.sleep(0); check(1)",
    ] {
        let error = python_error(sandbox.execute(code, ExecutionOptions::default()).await);
        let frames: Vec<_> = error
            .frames
            .iter()
            .map(|frame| (frame.filename.as_str(), frame.line, frame.function.as_str()))
            .collect();
        assert_eq!(
            frames,
            [("<sandbox>", 3, "<module>"), ("<library 2>", 3, "check")]
        );
        assert!(
            error
                .traceback
                .contains("    raise ValueError('bad x')  # of the library\n"),
            "{}",
            error.traceback
        );
        assert!(
            error.traceback.contains("    check(1)\n") || code.contains("asyncio"),
            "{}",
            error.traceback
        );
    }
    let out = printed(
        &[library],
        "import inspect\nprint(inspect.getsource(check), check.__code__.co_filename)",
    )
    .await;
    assert_eq!(out, format!("{library} <library>\n"));
}

#[tokio::test]
async fn a_syntax_error_names_the_file_and_the_line() {
    let sandbox = with_libraries(&["x = 1", "y = 2\ndef f(:\n    pass"]);
    for _ in 0..2 {
        let failure = sandbox
            .execute("print('never')", ExecutionOptions::default())
            .await
            .expect_err("it cannot start");
        let Error::Initialization(message) = failure.error else {
            panic!("{:?}", failure.error);
        };
        assert!(message.starts_with("libraries: "), "{message}");
        assert!(
            message.contains("File \"<library 2>\", line 2\n    def f(:\n"),
            "{message}"
        );
        assert!(
            message.ends_with("SyntaxError: invalid syntax"),
            "{message}"
        );
        assert!(failure.output.stdout.is_empty());
    }
    for source in ["return 1", "x = '\u{0}'", "  x = 1", "await = 1"] {
        let failure = with_libraries(&[source])
            .execute("1", ExecutionOptions::default())
            .await
            .expect_err(source);
        assert!(
            matches!(failure.error, Error::Initialization(_)),
            "{source:?}: {:?}",
            failure.error
        );
    }
}

#[tokio::test]
async fn an_error_while_one_runs_is_an_error_of_the_run() {
    let sandbox = with_libraries(&["print('library')\n\n1/0"]);
    for _ in 0..2 {
        let failure = sandbox
            .execute("print('never')", ExecutionOptions::default())
            .await
            .expect_err("it fails");
        assert_eq!(text(&failure.output.stdout), "library\n");
        let error = python_error(Err(failure));
        assert_eq!(error.message, "ZeroDivisionError: division by zero");
        assert_eq!(
            (error.frames[0].filename.as_str(), error.frames[0].line),
            ("<library>", 3)
        );
    }
}

#[tokio::test]
async fn a_syntax_error_of_the_code_comes_first() {
    let sandbox = with_libraries(&["print('library')"]);
    let failure = sandbox
        .execute("x = (", ExecutionOptions::default())
        .await
        .expect_err("it cannot run");
    assert!(failure.output.stdout.is_empty());
    let error = python_error(Err(failure));
    assert_eq!(
        (error.python_type.as_str(), error.frames[0].line),
        ("SyntaxError", 1)
    );
}

#[tokio::test]
async fn they_may_await_at_their_top_level() {
    let mut options = options_with(tools());
    options.libraries = vec![
        "import asyncio\nx = await echo(1)".into(),
        "y = x + 1".into(),
        "await asyncio.sleep(0.001)\nz = [await echo(y)]".into(),
    ];
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    for code in [
        "print(x, y, z)",
        "print(x, y, z, await echo('').__class__() if 0 else '', end='\\n')",
    ] {
        let result = succeed_in(&sandbox, code).await;
        assert_eq!(text(&result.output.stdout).trim_end(), "1 2 [2]");
        assert_eq!(result.output.usage.callback_invocations, 2);
    }
    let result = succeed_in(&sandbox, "x + 5").await;
    assert_eq!(result.value, Some(6.into()));
}

#[tokio::test]
async fn future_statements_stay_where_they_are() {
    let sandbox = with_libraries(&[
        "from __future__ import annotations\ndef f(x: nowhere): pass",
        "def g(x: int): pass",
    ]);
    let code = "
print(f.__annotations__, g.__annotations__)
def h(x: int): pass
print(h.__annotations__)
try:
    def k(x: nowhere): pass
    k.__annotations__
except NameError: print('evaluated')";
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(
        text(&result.output.stdout),
        "{'x': 'nowhere'} {'x': <class 'int'>}\n{'x': <class 'int'>}\nevaluated\n"
    );
    assert_eq!(
        printed(&["def f(x: int): pass"], "from __future__ import annotations\ndef g(x: int): pass\nprint(f.__annotations__, g.__annotations__)").await,
        "{'x': <class 'int'>} {'x': 'int'}\n"
    );
}

#[tokio::test]
async fn many_runs_at_once_share_what_was_compiled() {
    let sandbox =
        with_libraries(&["state = []\ndef add(x):\n    state.append(x)\n    return len(state)\n"]);
    let runs: Vec<_> = (0..40i64)
        .map(|index| {
            let sandbox = sandbox.clone();
            tokio::spawn(async move {
                let code = format!("add({index})\nprint(state)\nadd(0)");
                let result = succeed_in(&sandbox, &code).await;
                assert_eq!(text(&result.output.stdout), format!("[{index}]\n"));
                assert_eq!(result.value, Some(2.into()));
            })
        })
        .collect();
    for run in runs {
        run.await.expect("checked");
    }
}

#[tokio::test]
async fn a_later_run_costs_no_compiling() {
    let source: Vec<_> = (0..2000)
        .map(|index| format!("def f{index}(x):\n    return x + {index}\n"))
        .collect();
    let source = source.concat();
    let sandbox = with_libraries(&[&source]);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let result = succeed_in(&sandbox, "f1999(1)").await;
        assert_eq!(result.value, Some(2000.into()));
        taken.push(result.output.usage.duration);
    }
    let start = std::time::Instant::now();
    succeed_in(&crate::support::sandbox(), &format!("{source}\nf1999(1)")).await;
    let compiled = start.elapsed();
    assert!(
        taken.iter().min() < Some(&compiled),
        "{taken:?} {compiled:?}"
    );
}

#[tokio::test]
async fn the_code_sees_no_trace_of_how_they_were_compiled() {
    let code =
        "import sys\nprint(sorted(n for n in globals() if not n.startswith('__')), sys.argv)";
    assert_eq!(
        printed(&["x = 1"], code).await,
        "['sys', 'x'] ['<sandbox>']\n"
    );
}

#[tokio::test]
async fn inputs_come_before_them() {
    let sandbox = with_libraries(&["doubled = given * 2"]);
    let mut options = ExecutionOptions::default();
    options.inputs = vec![("given".into(), 21.into())];
    let result = succeeded(sandbox.execute("doubled", options).await);
    assert_eq!(result.value, Some(42.into()));
}

#[tokio::test]
async fn a_library_that_never_ends_meets_the_deadline() {
    let sandbox = with_libraries(&["while True: pass"]);
    let limit = std::time::Duration::from_millis(300);
    let started = std::time::Instant::now();
    let outcome = sandbox.execute("1", crate::support::within(limit)).await;
    // Compiling it is not the run's time.
    let error = outcome.map_err(|failure| failure.error);
    assert!(matches!(error, Err(Error::Timeout { .. })), "{error:?}");
    assert!(started.elapsed() >= limit);
}

#[tokio::test]
async fn their_size_is_capped() {
    let large = "#".repeat(4 << 20);
    assert!(Sandbox::new(runtime(), options(&[&large])).is_ok());
    let error = Sandbox::new(runtime(), options(&[&large, "#"])).expect_err("must be refused");
    assert_eq!(
        invalid(&error),
        "libraries: 4194305 bytes of Python are more than the 4194304 allowed"
    );
}

#[tokio::test]
async fn one_too_large_to_compile_is_an_error_that_says_so() {
    let source = "x = [1, 2, 3]\n".repeat(200_000);
    let failure = with_libraries(&[&source])
        .execute("1", ExecutionOptions::default())
        .await
        .expect_err("128 MiB are too few");
    let Error::Initialization(message) = failure.error else {
        panic!("{:?}", failure.error);
    };
    assert!(
        message.starts_with("libraries: ") && message.contains("MemoryError"),
        "{message}"
    );
}
