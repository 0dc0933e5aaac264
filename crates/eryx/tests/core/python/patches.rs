//! Faults of the standard library that the builder mends: the patched library is right, and what it was made from is not.
//! Where that is right as well, the patch is no longer needed.

use std::time::Duration;

use eryx::{Error, ExecutionOptions, Value};

use crate::support::{printed, sandbox};

/// A patch, the module that it changes, and code that is given the module as `m` and fails or does not end where the fault is.
struct Case {
    patch: &'static str,
    module: &'static str,
    code: &'static str,
}

macro_rules! patch {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../eryx-runtime/guest/patches/",
            $name,
            ".patch"
        ))
    };
}

const CASES: [Case; 5] = [
    Case {
        patch: patch!("csv-sniffer"),
        module: "csv",
        code: r#"
text = '"",' * 500 + '"' * 500 + '0' + '"' * 500 + '0'
assert m.Sniffer().sniff(text).delimiter == ','
column = '"abcdefghijklmnopqrstuvwxyz"\n' * 5_000
try: m.Sniffer().sniff(column, delimiters=',:|\t')
except m.Error: pass
for text, expected in [
    ('a,"b ""c""",d\n' * 3, (',', '"', True, False)),
    ("'a';'b''c'\n" * 3, (';', "'", True, False)),
    ('"x", "y"\n' * 3, (',', '"', False, True)),
    ('a|"b"|c\n' * 3, ('|', '"', False, False)),
]:
    found = m.Sniffer().sniff(text)
    assert (found.delimiter, found.quotechar, found.doublequote, found.skipinitialspace) == expected, text"#,
    },
    Case {
        patch: patch!("typing-wrapped"),
        module: "typing",
        code: r"
def f(x: int): pass
def g(x: 'int'): pass
g.__wrapped__ = f
assert m.get_type_hints(g) == {'x': int}
f.__wrapped__ = g
for function in f, g:
    try: m.get_type_hints(function)
    except ValueError as error: assert str(error).startswith('wrapper loop when unwrapping <function'), error
    else: raise AssertionError",
    },
    Case {
        patch: patch!("annotationlib-wrapped"),
        module: "annotationlib",
        code: r"
import functools
def f(x: 'int'): pass
assert m.get_annotations(functools.partial(f), eval_str=True) == {}
assert m.get_annotations(f, eval_str=True) == {'x': int}
f.__wrapped__ = f
try: m.get_annotations(f, eval_str=True)
except ValueError as error: assert str(error).startswith('wrapper loop when unwrapping <function'), error
else: raise AssertionError",
    },
    Case {
        patch: patch!("posixpath-expandvars"),
        module: "posixpath",
        code: r"
import os
os.environ.update(A='a', LONG='$A{}')
for text, expected in [
    ('$A/${A}/$B/${B}', 'a/a/$B/${B}'), ('${A $A} $A', '${A $A} a'), ('${ $A', '${ a'), ('$', '$'),
    ('$LONG$A', '$A{}a'), ('$A}${A', 'a}${A'), ('}$A', '}a'),
]:
    assert m.expandvars(text) == expected, text
    assert m.expandvars(text.encode()) == expected.encode(), text
assert len(m.expandvars('$A' * 300_000)) == 300_000
assert len(m.expandvars('${' * 300_000)) == 600_000",
    },
    Case {
        patch: patch!("tokenize-fstring"),
        module: "tokenize",
        code: r#"
import io
source = '''é = 1\nf"{f(a=lambda: 'à'\n)}"\nf"{x!r:>{ü}}é{{"  # €\n'''
for tokens in (
    list(m.generate_tokens(io.StringIO(source).readline)),
    list(m.tokenize(io.BytesIO(source.encode()).readline))[1:],
):
    assert m.untokenize(tokens) == source, tokens
    assert [token.string for token in tokens if token.type in (m.NAME, m.STRING, m.FSTRING_MIDDLE, m.COMMENT) and token.string] == [
        'é', 'f', 'a', 'lambda', "'à'", 'x', 'r', '>', 'ü', 'é{', '# €'], tokens
    assert tokens[0].line == 'é = 1\n', tokens[0]"#,
    },
];

/// The patched library's source of a module.
async fn source(module: &str) -> String {
    let path = format!("/usr/lib/python3.14/{module}.py");
    printed(&format!("print(open('{path}').read(), end='')")).await
}

/// Runs a case's code with the module made from `source`; without one, with that of the library.
async fn run(case: &Case, source: Option<&str>, limit: Duration) -> Result<(), Error> {
    let make = "import sys, types, importlib
m = importlib.import_module(name)
if source is not None:
    m = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, 'exec'), m.__dict__)
";
    let mut options = ExecutionOptions::default();
    options.timeout = Some(Some(limit));
    options.inputs = vec![
        ("source".into(), source.map_or(Value::Null, Value::from)),
        ("name".into(), Value::from(case.module)),
    ];
    let code = format!("{make}{}", case.code);
    let outcome = sandbox().execute(code, options).await;
    outcome.map(drop).map_err(|failure| failure.error)
}

#[tokio::test]
async fn the_patched_library_is_right() {
    for case in &CASES {
        let outcome = run(case, None, Duration::from_mins(2)).await;
        assert!(outcome.is_ok(), "{}: {outcome:?}", case.module);
    }
}

/// It is in C: guest/union.c changes the operator, and not the method that the class has of it.
#[tokio::test]
async fn a_union_takes_a_string() {
    let code = r"
from typing import ForwardRef, Optional, TypeVar, Union, get_type_hints
T = TypeVar('T')
class Node:
    parent: Union[int, None] | 'Node'
    def f(self, other: 'Node' | Optional[int]) -> Optional[T] | 'list[Node]': pass
print(Union[int, str] | 'X', 'X' | Union[int, str], (int | str) | 'X' | None, sep='; ')
print(get_type_hints(Node) == {'parent': Union[int, None, Node]})
print((int | str) | int == Union[int, str], int | str | T == Union[int, str, T])
for make in (lambda: (int | str) | 5, lambda: 5 | (int | str), lambda: int | 'X', lambda: (int | str) | [1], lambda: b'X' | (int | str)):
    try: print(make())
    except TypeError as error: print(error)
class Other:
    def __ror__(self, left): return 'reflected'
print((int | str) | Other())
assert Union.__or__(int | str, 'X') is NotImplemented, 'guest/union.c may be needed no more'";
    let expected = "\
int | str | ForwardRef('X'); ForwardRef('X') | int | str; int | str | ForwardRef('X') | None
True
True True
unsupported operand type(s) for |: 'typing.Union' and 'int'
unsupported operand type(s) for |: 'int' and 'typing.Union'
unsupported operand type(s) for |: 'type' and 'str'
unsupported operand type(s) for |: 'typing.Union' and 'list'
unsupported operand type(s) for |: 'bytes' and 'typing.Union'
reflected
";
    assert_eq!(printed(code).await, expected);
}

#[tokio::test]
async fn without_its_patch_the_fault_is_there() {
    for case in &CASES {
        let patch = diffy::Patch::from_str(case.patch).expect("a patch");
        let original = diffy::apply(&source(case.module).await, &patch.reverse()).expect("fits");
        let outcome = run(case, Some(&original), Duration::from_secs(2)).await;
        let expected = if case.module == "tokenize" {
            matches!(&outcome, Err(Error::Python(error)) if error.python_type == "UnicodeDecodeError")
        } else {
            matches!(&outcome, Err(Error::Timeout { .. }))
        };
        assert!(
            expected,
            "{} may need no patch any more: {outcome:?}",
            case.module
        );
    }
}
