//! Recursion, of Python and of C, and what is nested too deep.

use std::time::Duration;

use eryx::{Error, ExecutionOptions};

use crate::support::{python_error, raised, sandbox, sandbox_with, within};

#[tokio::test]
async fn python_recursion_is_a_recursion_error() {
    for code in [
        "def f(): return f()\nf()",
        "class A:\n    def __repr__(self): return repr(self)\nrepr(A())",
        "class A:\n    def __getattr__(self, name): return getattr(self, name)\nA().x",
        "class A:\n    def __eq__(self, other): return self == other\nA() == A()",
        "def g(n):\n    if n: yield from g(n - 1)\n    yield n\nlist(g(100_000))",
        "async def f(n): return await f(n - 1) if n else 0\nawait f(100_000)",
        "f = lambda x: x\nfor i in range(100_000): f = (lambda g: lambda x: g(x))(f)\nf(1)",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return sorted([1, 2], key=lambda _: f(n + 1))\nf(0)",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr([self])\nrepr(A())",
    ] {
        let error = raised(code).await;
        assert_eq!(error.python_type, "RecursionError", "{code}");
        assert!(!error.interpreter_lost);
    }
}

#[tokio::test]
async fn deep_recursion_without_a_limit_is_an_exception() {
    let code = "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)";
    let outcome = sandbox()
        .execute(code, within(Duration::from_secs(90)))
        .await;
    assert_eq!(python_error(outcome).python_type, "MemoryError");
}

/// What each of these does on other platforms: an exception that can be caught, or the right answer.
#[tokio::test]
async fn recursion_in_c_is_an_exception() {
    let nested = "
import ast, copy, json, marshal, operator, pickle, re, sys
x = []
for _ in range(100_000): x = [x]
t = ()
for _ in range(100_000): t = (t,)
d = {}
for _ in range(100_000): d = {'a': d}
";
    let mut crashed = Vec::new();
    for step in [
        "repr(x)",
        "repr(t)",
        "repr(d)",
        "str(d)",
        "json.dumps(x)",
        "json.dumps(d)",
        "json.loads('[' * 100_000)",
        "json.loads('{\"a\":' * 100_000)",
        "json.loads('[' * 100_000 + ']' * 100_000)",
        "copy.deepcopy(x)",
        "pickle.dumps(x)",
        "pickle._dumps(x)",
        "pickle.loads(b'(' * 100_000 + b't' * 100_000 + b'.')",
        "pickle.loads(b']' * 100_000 + b'a' * 99_999 + b'.')",
        "marshal.dumps(x)",
        "hash(t)",
        "x == copy.copy(x)",
        "x == [[y] for y in x][0]",
        "eval('[' * 100_000 + ']' * 100_000)",
        "eval('+'.join(['1'] * 100_000))",
        "eval('-' * 100_000 + '1')",
        "eval('x' + '.a' * 100_000)",
        "eval('x' + '[0]' * 100_000)",
        "eval('1 if 1 else ' * 100_000 + '1')",
        "eval('lambda: ' * 100_000 + '1')",
        "eval('not ' * 100_000 + '1')",
        "exec('if 1:\\n' + ''.join(' ' * i + 'if 1:\\n' for i in range(1, 99)) + ' ' * 99 + 'pass')",
        "exec('x=' * 100_000 + '1')",
        "exec('if x: pass\\n' + 'elif x: pass\\n' * 100_000)",
        "ast.parse('+'.join(['1'] * 100_000))",
        "ast.parse('(' * 100_000)",
        "ast.literal_eval('[' * 5000 + ']' * 5000)",
        "ast.dump(ast.parse('-' * 2000 + '1'))",
        "compile(ast.Expression(__import__('functools').reduce(lambda n, _: ast.UnaryOp(ast.Not(), n, lineno=1, col_offset=0), range(100_000), ast.Constant(1, lineno=1, col_offset=0))), 'x', 'eval')",
        "re.compile('(' * 20_000 + ')' * 20_000)",
        "re.match('(?:(?:a|b)*?c?)*?d', 'ab' * 10_000)",
        "isinstance('', t)",
        "''.startswith(t)",
        "exec('try: raise x\\nexcept t: pass', {'x': ValueError, 't': t})",
        "operator.attrgetter('.'.join(['__class__'] * 100_000))(1)",
        "__import__('functools').reduce(lambda f, _: __import__('functools').partial(f), range(100_000), len)([])",
        "next(__import__('functools').reduce(lambda i, _: map(int, i), range(1000), iter([1])))",
        "next(__import__('functools').reduce(lambda i, _: __import__('itertools').chain(i, [1]), range(100_000), iter([])))",
        "list(zip(__import__('functools').reduce(lambda i, _: zip(i), range(100_000), [1])))",
        "memoryview(b'x')[__import__('functools').reduce(lambda i, _: (i,), range(100_000), ())]",
        "type('A', (), {'__class_getitem__': classmethod(lambda c, k: c)})[t]",
        "__import__('functools').reduce(lambda a, _: list[a], range(100_000), int)[int]",
        "repr(__import__('functools').reduce(lambda a, _: list[a], range(100_000), int))",
        "repr(__import__('functools').reduce(lambda a, i: a | list[i], range(2000), int | str))",
        "__import__('functools').reduce(lambda e, _: ExceptionGroup('e', [e]), range(100_000), ValueError()).split(ValueError)",
        "__import__('xml.etree.ElementTree').etree.ElementTree.tostring(__import__('xml.etree.ElementTree').etree.ElementTree.fromstring('<a>' * 50_000 + '</a>' * 50_000))",
        "__import__('collections').OrderedDict(a=d) == __import__('collections').OrderedDict(a=copy.copy(d))",
        "__import__('functools').reduce(lambda c, i: type('C', (c,), {}), range(20_000), object)",
        "format(1, '{' * 100)",
        "f'{x!r}'",
        "'%r' % (x,)",
        "print(x)",
        "x.__reduce_ex__(4)",
        "__import__('sqlite3').connect(':memory:').execute('select ' + '(' * 50_000 + '1' + ')' * 50_000)",
        "__import__('sqlite3').connect(':memory:').execute('select ' + '-' * 50_000 + '1')",
        "__import__('sqlite3').connect(':memory:').execute('select json(?)', ['[' * 100_000 + ']' * 100_000])",
    ] {
        let code = format!(
            "{nested}\ntry:\n    {step}\nexcept Exception as error:\n    print(type(error).__name__)\n'survived'"
        );
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(512 << 20));
        match sandbox.execute(code, within(Duration::from_secs(20))).await {
            Ok(result) if result.value == Some("survived".into()) => {}
            // Long, but in hand.
            Err(failure) if matches!(failure.error, Error::Timeout { .. }) => {}
            Ok(result) => crashed.push(format!("{step}: {:?}", result.value)),
            Err(failure) => crashed.push(format!("{step}: {}", failure.error)),
        }
    }
    assert!(crashed.is_empty(), "{}", crashed.join("\n"));
}

#[tokio::test]
async fn deep_values_are_dropped() {
    for code in [
        "x = []\nfor _ in range(200_000): x = [x]\ndel x",
        "x = ()\nfor _ in range(200_000): x = (x,)\ndel x",
        "x = {}\nfor _ in range(200_000): x = {0: x}\ndel x",
        "x = None\nfor _ in range(200_000):\n    e = ValueError(); e.__context__ = x; x = e\ndel x, e",
        "class A: pass\nx = None\nfor _ in range(200_000):\n    a = A(); a.x = x; x = a\ndel x, a",
        "x = iter([])\nfor _ in range(200_000): x = map(int, x)\ndel x",
        "import collections\nx = None\nfor _ in range(200_000): x = collections.deque([x])\ndel x",
        "x = None\nfor _ in range(100_000):\n    f = lambda: x\n    x = (lambda y: lambda: y)(x)\ndel x, f",
        "x = None\nfor _ in range(100_000): x = (i for i in [x])\ndel x",
    ] {
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(512 << 20));
        let code = format!("{code}\nimport gc; gc.collect()\n'dropped'");
        match sandbox.execute(&code, ExecutionOptions::default()).await {
            Ok(result) => assert_eq!(result.value, Some("dropped".into()), "{code}"),
            Err(failure) => panic!("{code}: {}", failure.error),
        }
    }
}

#[tokio::test]
async fn a_long_chain_of_exceptions_is_reported() {
    let code = "
e = None
for _ in range(100_000):
    n = ValueError('link')
    n.__cause__ = e
    e = n
raise e";
    assert_eq!(raised(code).await.message, "ValueError: link");
}
