//! What callbacks are called, and how arguments are bound to their parameters.

use eryx::{
    Arguments, CallbackDefinition, CallbackFunctions, ExecutionOptions, Parameter, Sandbox,
    SandboxOptions, Signature, Value,
};

use crate::support::callbacks::{options_with, printed_with_tools, sandbox_of, succeed_in};
use crate::support::{invalid, runtime, text};

fn parameter(name: &str, change: impl FnOnce(&mut Parameter)) -> Parameter {
    let mut parameter = Parameter::new(name);
    change(&mut parameter);
    parameter
}

fn defined(name: &str, open: bool, parameters: Vec<Parameter>) -> CallbackDefinition {
    let mut definition = CallbackDefinition::from(name);
    definition.signature = Some(Signature { parameters, open });
    definition
}

/// Adds a function that answers with what it was given.
fn seeing(functions: CallbackFunctions, definition: CallbackDefinition) -> CallbackFunctions {
    functions.with(definition, |arguments: Arguments| async move {
        assert!(arguments.positional.is_empty());
        Ok(arguments.named.into())
    })
}

/// Adds functions that answer with their own names.
fn named(names: &[&str]) -> CallbackFunctions {
    names
        .iter()
        .fold(CallbackFunctions::new(), |functions, name| {
            let answer = (*name).to_owned();
            functions.with(*name, move |_: Arguments| {
                let answer = answer.clone();
                async { Ok(answer.into()) }
            })
        })
}

/// What the sandbox prints for each call: the arguments as bound, or the error.
async fn bound(definition: CallbackDefinition, calls: &[&str]) -> Vec<String> {
    let sandbox = sandbox_of(seeing(CallbackFunctions::new(), definition));
    let steps: Vec<_> = calls
        .iter()
        .map(|call| {
            format!("try: print(await f({call}))\nexcept TypeError as error: print(error)\n")
        })
        .collect();
    let out = text(&succeed_in(&sandbox, &steps.concat()).await.output.stdout);
    out.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn arguments_are_bound_as_python_binds_them() {
    let optional = |name: &str| {
        parameter(name, |parameter| {
            parameter.required = false;
            parameter.default = Some(list_of_one());
        })
    };
    let without_default = parameter("d", |parameter| parameter.required = false);
    let parameters = vec![
        Parameter::new("a"),
        Parameter::new("b"),
        optional("c"),
        without_default,
    ];
    let lines = bound(
        defined("f", false, parameters),
        &[
            "1, 2",
            "1, b=2",
            "b=2, a=1",
            "1, 2, 3, 4",
            "1, 2, d=4",
            "1, 2, None",
            "**{'a': 1, 'b': 2}",
            "1, 2, 3, 4, 5",
            "1, 2, 3, 4, 5, 6",
            "",
            "1",
            "b=1",
            "1, 2, b=3",
            "1, 2, a=3, b=4",
            "1, 2, e=3",
            "1, 2, **{'': 3}",
            "1, 2, callback=3",
        ],
    )
    .await;
    assert_eq!(
        lines,
        [
            "{'a': 1, 'b': 2, 'c': [1]}",
            "{'a': 1, 'b': 2, 'c': [1]}",
            "{'b': 2, 'a': 1, 'c': [1]}",
            "{'a': 1, 'b': 2, 'c': 3, 'd': 4}",
            "{'a': 1, 'b': 2, 'd': 4, 'c': [1]}",
            "{'a': 1, 'b': 2, 'c': None}",
            "{'a': 1, 'b': 2, 'c': [1]}",
            "f() takes 4 positional arguments but 5 were given",
            "f() takes 4 positional arguments but 6 were given",
            "f() missing 2 required arguments: 'a' and 'b'",
            "f() missing 1 required argument: 'b'",
            "f() missing 1 required argument: 'a'",
            "f() got multiple values for argument 'b'",
            "f() got multiple values for argument 'a'",
            "f() got an unexpected keyword argument 'e'",
            "f() got an unexpected keyword argument ''",
            "f() got an unexpected keyword argument 'callback'",
        ]
    );
}

fn list_of_one() -> Value {
    Value::List(vec![1.into()])
}

#[tokio::test]
async fn no_parameters_at_all() {
    let lines = bound(defined("f", false, vec![]), &["", "1", "1, 2", "a=1"]).await;
    assert_eq!(
        lines,
        [
            "{}",
            "f() takes 0 positional arguments but 1 was given",
            "f() takes 0 positional arguments but 2 were given",
            "f() got an unexpected keyword argument 'a'",
        ]
    );
    let three = ["x", "y", "z"].map(Parameter::new).into();
    let lines = bound(defined("f", false, three), &["", "1, 2, 3, 4"]).await;
    assert_eq!(
        lines,
        [
            "f() missing 3 required arguments: 'x', 'y', and 'z'",
            "f() takes 3 positional arguments but 4 were given",
        ]
    );
}

#[tokio::test]
async fn open_and_keyword_only_parameters() {
    let only = parameter("k", |parameter| parameter.keyword_only = true);
    let parameters = vec![Parameter::new("a"), only, Parameter::new("b")];
    let lines = bound(
        defined("f", true, parameters),
        &[
            "1, 2, k=3",
            "1, 2, 3",
            "1, 2",
            "1, 2, k=3, more=4, **{'odd name': 5}",
            "1, 2, k=3, a=4",
        ],
    )
    .await;
    assert_eq!(
        lines,
        [
            "{'a': 1, 'b': 2, 'k': 3}",
            "f() takes 2 positional arguments but 3 were given",
            "f() missing 1 required argument: 'k'",
            "{'a': 1, 'b': 2, 'k': 3, 'more': 4, 'odd name': 5}",
            "f() got multiple values for argument 'a'",
        ]
    );
}

#[tokio::test]
async fn parameters_with_odd_names() {
    let names = [
        "class", "odd-name", "self", "args", "name", "", "größe", "__x__",
    ];
    let parameters = names.map(Parameter::new).into();
    let lines = bound(
        defined("f", false, parameters),
        &[
            "1, 2, 3, 4, 5, 6, 7, 8",
            "1, 2, 3, 4, **{'': 6, 'größe': 7, 'name': 5, '__x__': 8}",
            "1",
        ],
    )
    .await;
    assert_eq!(
        lines[0],
        "{'class': 1, 'odd-name': 2, 'self': 3, 'args': 4, 'name': 5, '': 6, 'größe': 7, '__x__': 8}"
    );
    assert_eq!(
        lines[1],
        "{'class': 1, 'odd-name': 2, 'self': 3, 'args': 4, '': 6, 'größe': 7, 'name': 5, '__x__': 8}"
    );
    assert_eq!(
        lines[2],
        "f() missing 7 required arguments: 'odd-name', 'self', 'args', 'name', '', 'größe', and '__x__'"
    );
}

#[tokio::test]
async fn binding_fails_when_the_function_is_called_and_not_when_it_is_awaited() {
    let functions = seeing(CallbackFunctions::new(), defined("f", false, vec![]));
    let code = "
try: f(1)
except TypeError as error: print(error)";
    let result = succeed_in(&sandbox_of(functions), code).await;
    assert_eq!(
        text(&result.output.stdout),
        "f() takes 0 positional arguments but 1 was given\n"
    );
    assert_eq!(result.output.usage.callback_invocations, 0);
}

#[tokio::test]
async fn what_python_can_ask_of_a_callback() {
    let parameters = vec![
        parameter("a", |parameter| parameter.annotation = Some("int".into())),
        parameter("b", |parameter| {
            parameter.required = false;
            parameter.default = Some("x".into());
        }),
        parameter("c", |parameter| parameter.required = false),
        parameter("d", |parameter| parameter.keyword_only = true),
        Parameter::new("odd-name"),
    ];
    let mut definition = defined("tools.f", false, parameters);
    definition.description = Some("Does it.".into());
    definition.schema = Some(Value::Map(vec![("type".into(), "object".into())]));
    let functions = seeing(CallbackFunctions::new(), definition)
        .with("bare", |_: Arguments| async { Ok(Value::Null) });
    let code = "
import asyncio, inspect, pydoc
f = tools.f
print(f, f.__name__, f.__qualname__, f.__doc__, inspect.iscoroutinefunction(f), asyncio.iscoroutinefunction(f) if hasattr(asyncio, 'iscoroutinefunction') else True, callable(f))
print(inspect.signature(f))
print(inspect.signature(bare), bare.__doc__)
for item in list_callbacks(): print(item)
assert 'Does it.' in pydoc.render_doc(f), pydoc.render_doc(f)
help(bare)
c = bare(); print(c.__name__, inspect.iscoroutine(c)); await c
try: __import__('pickle').dumps(f)
except TypeError as error: print(error)
print({f: 1}[tools.f], tools, dir(tools)[-1])";
    let out = text(&succeed_in(&sandbox_of(functions), code).await.output.stdout);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[0],
        "<callback tools.f> tools.f tools.f Does it. True True True"
    );
    assert_eq!(lines[1], "(a: 'int', b='x', c=Ellipsis, *, d, **kwargs)");
    assert_eq!(lines[2], "(*args, **kwargs) None");
    assert_eq!(
        lines[3],
        "{'name': 'tools.f', 'description': 'Does it.', 'signature': \"(a: int, b='x', c=Ellipsis, *, d, **kwargs)\", 'schema': {'type': 'object'}, 'sync': False}"
    );
    assert_eq!(
        lines[4],
        "{'name': 'bare', 'description': None, 'signature': '(*args, **kwargs)', 'schema': None, 'sync': False}"
    );
    let last = &lines[lines.len() - 3..];
    assert_eq!(
        last,
        [
            "bare True",
            "cannot pickle <callback tools.f>",
            "1 <namespace tools> f"
        ]
    );
}

#[tokio::test]
async fn dots_make_namespaces() {
    let names = [
        "http.get",
        "a.b.c.d",
        "a.b",
        "a",
        "x",
        "x.y",
        "ns.odd-name",
        "ns.class",
        "ns.größe",
    ];
    for order in [names.to_vec(), names.iter().rev().copied().collect()] {
        let sandbox = sandbox_of(named(&order));
        let code = "
print(await http.get(), await a.b.c.d(), await a.b(), await a(), await x(), await x.y())
print(await ns['odd-name'](), await ns['class'](), await getattr(ns, 'odd-name')(), await ns.größe(), await a['b']['c']['d']())
print(a, a.b, a.b.c, a.b.c.d, x, ns)
for step in ('http.post', 'http.get.x', 'a.b.c.x', 'ns[\"x\"]', 'ns[5]', 'x.x', 'http()'):
    try: eval(step)
    except (AttributeError, KeyError, TypeError) as error: print(type(error).__name__, error)
try: http.post = 5
except AttributeError as error: print('AttributeError')
print(sorted(item['name'] for item in list_callbacks()))";
        let out = text(&succeed_in(&sandbox, code).await.output.stdout);
        assert_eq!(
            out.lines().collect::<Vec<_>>(),
            [
                "http.get a.b.c.d a.b a x x.y",
                "ns.odd-name ns.class ns.odd-name ns.größe a.b.c.d",
                "<callback a> <callback a.b> <namespace a.b.c> <callback a.b.c.d> <callback x> <namespace ns>",
                "AttributeError <namespace http> has no member 'post'",
                "AttributeError <callback http.get> has no member 'x'",
                "AttributeError <namespace a.b.c> has no member 'x'",
                "KeyError 'x'",
                "TypeError <namespace ns> members are named by str, not int",
                "AttributeError <callback x> has no member 'x'",
                "TypeError 'Namespace' object is not callable",
                "AttributeError",
                "['a', 'a.b', 'a.b.c.d', 'http.get', 'ns.class', 'ns.größe', 'ns.odd-name', 'x', 'x.y']",
            ],
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn names_of_members_hide_nothing_of_pythons() {
    let sandbox = sandbox_of(named(&[
        "ns.get",
        "ns._members",
        "ns._details",
        "f",
        "f._index",
        "f.close",
    ]));
    let code = "
print(await ns.get(), await ns['_members'](), await ns['_details']())
print(await f(), await f['_index'](), await f.close())";
    assert_eq!(
        text(&succeed_in(&sandbox, code).await.output.stdout),
        "ns.get ns._members ns._details\nf f._index f.close\n"
    );
}

#[tokio::test]
async fn names_are_normalized_as_python_does() {
    // The compiler makes "file" of a name that begins with a ligature.
    let sandbox = sandbox_of(named(&["\u{fb01}le", "\u{fb01}les.read"]));
    let code = "print(await \u{fb01}le(), await file(), await files.read())";
    assert_eq!(
        text(&succeed_in(&sandbox, code).await.output.stdout),
        "\u{fb01}le \u{fb01}le \u{fb01}les.read\n"
    );
}

fn refused(names: &[&str], result_variable: Option<&str>) -> String {
    let mut options = SandboxOptions::default();
    options.callbacks = names.iter().map(|name| (*name).into()).collect();
    options.result_variable = result_variable.map(str::to_owned);
    match Sandbox::new(runtime(), options) {
        Err(eryx::Error::Initialization(message)) => message,
        other => panic!("{names:?}: {other:?}"),
    }
}

#[test]
fn clashes_are_refused() {
    for (names, message) in [
        (
            &["print"][..],
            r#"callbacks: "print" would hide Python's own print"#,
        ),
        (
            &["len.x"],
            r#"callbacks: "len.x" would hide Python's own len"#,
        ),
        (
            &["list_callbacks"],
            r#"callbacks: "list_callbacks" would hide Python's own list_callbacks"#,
        ),
        (
            &["CallbackError"],
            r#"callbacks: "CallbackError" would hide Python's own CallbackError"#,
        ),
        (
            &["result"],
            r#"callbacks: "result" has the name of the result variable"#,
        ),
        (
            &["result.x"],
            r#"callbacks: "result.x" has the name of the result variable"#,
        ),
        (&["a", "a"], r#"callbacks: "a" is defined twice"#),
        (&["a.b", "a", "a.b"], r#"callbacks: "a.b" is defined twice"#),
        (&["a b"], r#"callbacks: "a b" is not a Python identifier"#),
        (
            &["__name__"],
            r#"callbacks: "__name__" has a part with two underscores at both ends, which are Python's own"#,
        ),
        (
            &["if"],
            r#"callbacks: "if" begins with a keyword of Python"#,
        ),
        (&[".a"], r#"callbacks: ".a" has an empty part"#),
        (&["a."], r#"callbacks: "a." has an empty part"#),
    ] {
        assert_eq!(refused(names, None), message);
    }
    assert_eq!(
        refused(&["answer"], Some("answer")),
        r#"callbacks: "answer" has the name of the result variable"#
    );
}

#[tokio::test]
async fn inputs_may_not_have_a_callbacks_name() {
    let sandbox = sandbox_of(named(&["f", "ns.g"]));
    for name in ["f", "ns"] {
        let mut options = ExecutionOptions::default();
        options.inputs = vec![(name.into(), 1.into())];
        let failure = sandbox.execute("1", options).await.expect_err("refused");
        let message = format!(r#"inputs: "{name}" is the name of a callback"#);
        assert_eq!(invalid(&failure.error), message);
    }
}

#[tokio::test]
async fn user_code_may_use_the_names_for_itself() {
    let code = "
echo = 5
def seen(): return 6
print(echo, seen())";
    assert_eq!(printed_with_tools(code).await, "5 6\n");
    let code = "
class A:
    call = echo
    async def f(self): return await self.call(1)
print(await A().f(), await A.call(2))";
    assert_eq!(printed_with_tools(code).await, "1 2\n");
}

#[tokio::test]
async fn a_schema_that_is_too_deep_to_be_shown_leaves_the_signature() {
    let deep = (0..300).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let mut definition = defined("f", false, vec![Parameter::new("a")]);
    definition.schema = Some(deep);
    assert_eq!(bound(definition, &["1"]).await, ["{'a': 1}"]);
}

#[tokio::test]
async fn a_parameter_that_occurs_twice_is_refused() {
    let twice = ["a", "b", "a"].map(Parameter::new).into();
    let functions = seeing(CallbackFunctions::new(), defined("f", false, twice));
    let error = Sandbox::new(runtime(), options_with(functions)).expect_err("must be refused");
    assert_eq!(
        error.to_string(),
        r#"callbacks: "f" has two parameters "a""#
    );
}
