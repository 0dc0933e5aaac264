//! Uncaught exceptions: type, message, traceback, frames.

use eryx::{Error, ExecutionOptions, PythonFrame};

use crate::support::{raised, run, sandbox, text};

fn frame(line: u32, function: &str) -> PythonFrame {
    PythonFrame {
        filename: "<sandbox>".into(),
        line,
        function: function.into(),
    }
}

#[tokio::test]
async fn a_plain_one() {
    let error = raised("x = 1\ndef f():\n    raise ValueError('oops')\n\nf()").await;
    assert_eq!(error.python_type, "ValueError");
    assert_eq!(error.message, "ValueError: oops");
    assert_eq!(error.frames, [frame(5, "<module>"), frame(3, "f")]);
    assert_eq!(
        &*error.traceback,
        "Traceback (most recent call last):\n  File \"<sandbox>\", line 5, in <module>\n    f()\n    ~^^\n  \
         File \"<sandbox>\", line 3, in f\n    raise ValueError('oops')\nValueError: oops"
    );
    assert_eq!((error.exit_code, error.interpreter_lost), (None, false));
}

#[tokio::test]
async fn types_are_qualified() {
    for (code, name) in [
        ("1/0", "ZeroDivisionError"),
        ("class Own(Exception): pass\nraise Own", "Own"),
        (
            "class A:\n    class Own(Exception): pass\nraise A.Own",
            "A.Own",
        ),
        (
            "import json\njson.loads('x')",
            "json.decoder.JSONDecodeError",
        ),
        (
            "import decimal\ndecimal.Decimal('x')",
            "decimal.InvalidOperation",
        ),
        ("open('/nowhere')", "FileNotFoundError"),
        ("import missing_module", "ModuleNotFoundError"),
        ("undefined_name", "NameError"),
    ] {
        assert_eq!(raised(code).await.python_type, name, "{code}");
    }
}

#[tokio::test]
async fn output_before_it_is_kept() {
    let failure = run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1/0")
        .await
        .expect_err("it raised");
    assert_eq!(text(&failure.output.stdout), "out\n");
    assert_eq!(text(&failure.output.stderr), "err\n");
    assert_eq!(failure.to_string(), "ZeroDivisionError: division by zero");
}

#[tokio::test]
async fn in_async_code() {
    let code = "
import asyncio
async def inner():
    await asyncio.sleep(0.001)
    raise ValueError('late')

async def outer():
    await inner()

await outer()";
    let error = raised(code).await;
    assert_eq!(
        error.frames,
        [frame(10, "<module>"), frame(8, "outer"), frame(5, "inner")]
    );
    assert_eq!(error.message, "ValueError: late");
    assert!(!error.traceback.contains("_eryx"), "{}", error.traceback);
    let code = "import asyncio\nasync def f(): raise ValueError('task')\nasyncio.run(f())";
    let error = raised(code).await;
    assert_eq!(error.frames.first(), Some(&frame(3, "<module>")));
    assert_eq!(error.frames.last(), Some(&frame(2, "f")));
    for hidden in ["_eryx", "/eryx/"] {
        assert!(!error.traceback.contains(hidden), "{}", error.traceback);
    }
}

#[tokio::test]
async fn chains_are_shown_whole() {
    let code = "
def f():
    try:
        1/0
    except ZeroDivisionError as error:
        raise KeyError('k') from error
try:
    f()
except KeyError:
    raise ValueError('last')";
    let error = raised(code).await;
    for part in [
        "ZeroDivisionError: division by zero",
        "The above exception was the direct cause of the following exception:",
        "KeyError: 'k'",
        "During handling of the above exception, another exception occurred:",
        "ValueError: last",
    ] {
        assert!(
            error.traceback.contains(part),
            "{part}\n{}",
            error.traceback
        );
    }
    assert_eq!(error.frames, [frame(10, "<module>")]);
    let quiet = raised("try: 1/0\nexcept Exception: raise ValueError('x') from None").await;
    assert!(!quiet.traceback.contains("ZeroDivisionError"));
}

#[tokio::test]
async fn groups_are_shown_whole() {
    let code = "
import asyncio
async def fail(error): raise error
async with asyncio.TaskGroup() as group:
    group.create_task(fail(ValueError('one')))
    group.create_task(fail(TypeError('two')))";
    let error = raised(code).await;
    assert_eq!(error.python_type, "ExceptionGroup");
    for part in ["ValueError: one", "TypeError: two", "(2 sub-exceptions)"] {
        assert!(
            error.traceback.contains(part),
            "{part}\n{}",
            error.traceback
        );
    }
    assert!(!error.traceback.contains("/eryx/"));
}

#[tokio::test]
async fn notes_are_shown() {
    let error = raised("e = ValueError('x')\ne.add_note('a note')\nraise e").await;
    assert!(
        error.traceback.ends_with("ValueError: x\na note"),
        "{}",
        error.traceback
    );
}

#[tokio::test]
async fn syntax_errors_have_line_and_caret() {
    let error = raised("x = 1\ny = (2 +\nz = ").await;
    assert_eq!(error.python_type, "SyntaxError");
    assert!(error.traceback.contains('^'), "{}", error.traceback);
    let error = raised("x = 1\nif x\n    pass").await;
    assert_eq!(
        error.message,
        "SyntaxError: expected ':' (<sandbox>, line 2)"
    );
    assert_eq!(error.frames, [frame(2, "<module>")]);
    assert!(
        error.traceback.contains("    if x\n        ^"),
        "{}",
        error.traceback
    );
    assert_eq!(raised("  x = 1").await.python_type, "IndentationError");
    assert_eq!(
        raised("if 1:\n\tx\n        y").await.python_type,
        "TabError"
    );
    assert_eq!(raised("x = '\0'").await.python_type, "SyntaxError");
    assert_eq!(raised("\0").await.python_type, "SyntaxError");
    assert_eq!(raised("return 5").await.python_type, "SyntaxError");
    assert_eq!(
        raised("x = 5 5\nprint('never')").await.python_type,
        "SyntaxError"
    );
}

/// Code comes as text: what it says of its encoding, or a byte order mark, changes nothing.
#[tokio::test]
async fn encodings_that_code_declares() {
    let long = format!("# {}\n", "x".repeat(70_000));
    for code in [
        "# -*- coding: latin-1 -*-\nresult = 'é€'",
        "# coding: nonsense\nresult = 'é€'",
        "\u{feff}# coding: utf-16\nresult = 'é€'",
        &format!("# coding: latin-1\n{long}x = 1\n{long}result = 'é€'"),
    ] {
        let result = crate::support::succeed(code).await;
        assert_eq!(result.result, Some("é€".into()), "{code:.30}");
    }
    let error = raised("# coding: latin-1\n1 / 0  # é").await;
    assert!(
        error.traceback.contains("1 / 0  # é"),
        "{}",
        error.traceback
    );
}

#[tokio::test]
async fn warnings_for_code_go_to_stderr() {
    let result = crate::support::succeed("x = 5\nx is 5").await;
    assert!(
        text(&result.output.stderr).contains("SyntaxWarning"),
        "{:?}",
        text(&result.output.stderr)
    );
}

#[tokio::test]
async fn library_frames_are_part_of_it() {
    let error = raised("import json\njson.loads('{')").await;
    assert_eq!(error.frames[0], frame(2, "<module>"));
    assert!(error.frames.len() >= 3);
    assert!(
        error.frames[1]
            .filename
            .starts_with("/usr/lib/python3.14/json/")
    );
    assert!(
        error
            .traceback
            .contains("/usr/lib/python3.14/json/__init__.py\", line "),
        "{}",
        error.traceback
    );
}

#[tokio::test]
async fn the_file_name_is_the_callers() {
    let mut options = ExecutionOptions::default();
    options.filename = Some("my script.py".into());
    let code =
        "import inspect\ndef f():\n    return 1 / 0\nprint(__file__, inspect.getsource(f))\nf()";
    let failure = sandbox()
        .execute(code, options)
        .await
        .expect_err("it raised");
    assert_eq!(
        text(&failure.output.stdout),
        "my script.py def f():\n    return 1 / 0\n\n"
    );
    let Error::Python(error) = failure.error else {
        panic!("{:?}", failure.error);
    };
    assert_eq!(error.frames[1].filename, "my script.py");
    assert!(
        error
            .traceback
            .contains("File \"my script.py\", line 3, in f\n    return 1 / 0\n"),
        "{}",
        error.traceback
    );
    for name in ["a\0b".to_owned(), "x".repeat(5000)] {
        let mut options = ExecutionOptions::default();
        options.filename = Some(name);
        let failure = sandbox().execute("1", options).await.expect_err("refused");
        assert!(
            matches!(failure.error, Error::InvalidArgument { argument, .. } if argument == "filename")
        );
    }
    for name in [
        "",
        "/eryx/mine.py",
        "/usr/lib/python3.14/os.py",
        "<string>",
        "../x",
        "ü",
    ] {
        let mut options = ExecutionOptions::default();
        options.filename = Some(name.into());
        let failure = sandbox()
            .execute("def f(): 1/0\nf()", options)
            .await
            .expect_err("it raised");
        let Error::Python(error) = failure.error else {
            panic!("{name}: {:?}", failure.error);
        };
        assert_eq!(
            error.frames.len(),
            2,
            "{name}: the user's own frames are missing"
        );
    }
}

#[tokio::test]
async fn unraisable_exceptions_go_to_stderr() {
    let result = crate::support::succeed("class A:\n    def __del__(self): 1/0\nA()\nNone").await;
    assert!(
        text(&result.output.stderr).contains("ZeroDivisionError"),
        "{:?}",
        result.output
    );
    let code = "import asyncio\nasync def f(): raise ValueError('unseen')\nt = asyncio.create_task(f())\nawait asyncio.sleep(0)\ndel t\nimport gc; gc.collect()\nNone";
    let result = crate::support::succeed(code).await;
    let shown = text(&result.output.stderr);
    assert!(
        shown.contains("Task exception was never retrieved") && shown.contains("unseen"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_deadlock_is_named() {
    let error = raised("import asyncio\nawait asyncio.Event().wait()").await;
    assert!(
        error.message.starts_with("RuntimeError: deadlock"),
        "{}",
        error.message
    );
}
