//! What crosses: inputs, the result variable, the last expression.

mod fuzz;

use eryx::{BigInt, Error, ExecutionOptions, ExecutionResult, Sandbox, SandboxOptions, Value};

use crate::support::{invalid, list, run, runtime, sandbox, succeed};

async fn with_inputs(code: &str, inputs: Vec<(String, Value)>) -> ExecutionResult {
    let mut options = ExecutionOptions::default();
    options.inputs = inputs;
    sandbox().execute(code, options).await.expect("runs")
}

fn every_kind() -> Vec<Value> {
    let big = |exponent: u32| BigInt::from(2).pow(exponent);
    let list = |items: Vec<Value>| -> Value { Value::List(items) };
    vec![
        Value::Null,
        true.into(),
        false.into(),
        0.into(),
        (-1).into(),
        i64::MAX.into(),
        i64::MIN.into(),
        big(63).into(),
        (-big(63) - BigInt::from(1)).into(),
        big(64).into(),
        big(70).into(),
        (-big(70)).into(),
        (big(10_000) - BigInt::from(1)).into(),
        0.0.into(),
        0.1.into(),
        f64::MAX.into(),
        f64::MIN_POSITIVE.into(),
        5e-324.into(),
        f64::INFINITY.into(),
        f64::NEG_INFINITY.into(),
        9_007_199_254_740_993i64.into(),
        "".into(),
        "text with \0, ü, 漢, \u{1F600}, \u{FFFF} and \r\n".into(),
        "x".repeat(1_000_000).into(),
        Value::Bytes(vec![]),
        (0..=255u8).collect::<Vec<_>>().into(),
        vec![0xEEu8; 1_000_000].into(),
        list(vec![]),
        list(vec![Value::Null; 10_000]),
        list(vec![list(vec![list(vec![1.into()])]), "x".into()]),
        Value::Map(vec![]),
        Value::Map(vec![
            ("z".into(), 1.into()),
            ("a".into(), Value::Map(vec![(String::new(), Value::Null)])),
            ("__proto__".into(), 2.into()),
            ("ü \0".into(), list(vec![])),
        ]),
        (0..250).fold(Value::Null, |inner, _| list(vec![inner])),
    ]
}

#[tokio::test]
async fn every_kind_round_trips() {
    for value in every_kind() {
        let result = with_inputs("result = given", vec![("given".into(), value.clone())]).await;
        assert!(
            result.result.as_ref() == Some(&value),
            "{:.200} came back as {:.200}: {:?}",
            format!("{value:?}"),
            format!("{:?}", result.result),
            result.result_error
        );
    }
    let result = with_inputs(
        "result = given",
        vec![("given".into(), every_kind().into())],
    )
    .await;
    assert!(result.result == Some(every_kind().into()));
}

#[tokio::test]
async fn python_sees_what_was_given() {
    let given = vec![
        ("a".into(), BigInt::from(2).pow(70).into()),
        ("b".into(), vec![0u8, 255].into()),
        ("c".into(), Value::Null),
        ("d".into(), f64::NAN.into()),
        ("e".into(), (-0.0).into()),
        ("f".into(), list([1.into(), "x".into()])),
        ("g".into(), Value::Map(vec![("k".into(), true.into())])),
        ("größe".into(), 1.into()),
    ];
    let code = "
import math
assert a == 2**70 and type(a) is int
assert b == bytes([0, 255]) and type(b) is bytes
assert c is None
assert math.isnan(d)
assert math.copysign(1, e) == -1
assert f == [1, 'x'] and type(f) is list
assert g == {'k': True} and type(g) is dict and g['k'] is True
assert größe == 1";
    with_inputs(code, given).await;
}

#[tokio::test]
async fn subtle_floats_come_back() {
    let result = succeed("result = [float('nan'), -0.0, 1e308 * 10]").await;
    let Some(Value::List(items)) = result.result else {
        panic!("no list");
    };
    let [
        Value::Float(nan),
        Value::Float(zero),
        Value::Float(infinity),
    ] = items[..]
    else {
        panic!("{items:?}");
    };
    assert!(nan.is_nan() && zero.is_sign_negative() && infinity.is_infinite());
}

#[tokio::test]
async fn ints_keep_their_kind() {
    let code = "result = [2**53, 2**63 - 1, 2**63, -2**63, -2**63 - 1, 10**400, True, 1]";
    let big = |text: &str| Value::BigInt(text.parse::<BigInt>().expect("digits"));
    let expected = vec![
        9_007_199_254_740_992i64.into(),
        i64::MAX.into(),
        big("9223372036854775808"),
        i64::MIN.into(),
        big("-9223372036854775809"),
        big(&format!("1{}", "0".repeat(400))),
        true.into(),
        1.into(),
    ];
    assert_eq!(succeed(code).await.result, Some(expected.into()));
}

#[tokio::test]
async fn other_kinds_cross_as_their_nearest() {
    for (code, expected) in [
        ("(1, 'x')", Value::List(vec![1.into(), "x".into()])),
        ("bytearray(b'x')", vec![b'x'].into()),
        ("{5}", Value::List(vec![5.into()])),
        ("frozenset([5])", Value::List(vec![5.into()])),
        (
            "__import__('collections').OrderedDict(b=1, a=2)",
            Value::Map(vec![("b".into(), 1.into()), ("a".into(), 2.into())]),
        ),
        (
            "__import__('collections').namedtuple('P', 'x y')(1, 2)",
            Value::List(vec![1.into(), 2.into()]),
        ),
        (
            "__import__('collections').Counter('aab')",
            Value::Map(vec![("a".into(), 2.into()), ("b".into(), 1.into())]),
        ),
    ] {
        let result = succeed(&format!("result = {code}")).await;
        assert_eq!(
            result.result,
            Some(expected),
            "{code}: {:?}",
            result.result_error
        );
    }
}

#[tokio::test]
async fn errors_name_type_and_path() {
    for (code, expected) in [
        ("object()", "result: object is not transferable"),
        (
            "datetime.datetime(2026, 1, 1)",
            "result: datetime.datetime is not transferable",
        ),
        (
            "[1, {'a': object()}]",
            "result[1].a: object is not transferable",
        ),
        (
            "{'rows': [0, 1, 2, {'when': datetime.date(2026, 1, 1)}]}",
            "result.rows[3].when: datetime.date is not transferable",
        ),
        (
            "(((1j,),),)",
            "result[0][0][0]: complex is not transferable",
        ),
        (
            "{1: 2}",
            "result: dict with a key that is not a str is not transferable",
        ),
        (
            "[{None: 2}]",
            "result[0]: dict with a key that is not a str is not transferable",
        ),
        (
            "['\\ud800']",
            "result[0]: str with a lone surrogate is not transferable",
        ),
        (
            "{'\\ud800': 1}",
            "result: dict key with a lone surrogate is not transferable",
        ),
        (
            "len",
            "result: builtin_function_or_method is not transferable",
        ),
        ("type('Own', (), {})()", "result: Own is not transferable"),
        (
            "decimal.Decimal(1)",
            "result: decimal.Decimal is not transferable",
        ),
    ] {
        let result = succeed(&format!(
            "import datetime, decimal\nprint('ran')\nresult = {code}"
        ))
        .await;
        assert_eq!(result.result, None, "{code}");
        assert_eq!(result.result_error.as_deref(), Some(expected), "{code}");
        assert_eq!(result.output.stdout, b"ran\n");
    }
}

#[tokio::test]
async fn cyclic_and_deep_values_are_refused() {
    for code in [
        "x = []; x.append(x)",
        "x = {}; x['a'] = [x]",
        "x = None\nfor _ in range(258): x = [x]",
    ] {
        let result = succeed(&format!("{code}\nresult = x")).await;
        let error = result.result_error.expect("a reason");
        assert!(
            error.contains("cyclic") && error.starts_with("result: "),
            "{error}"
        );
    }
    let result = succeed("x = None\nfor _ in range(256): x = [x]\nresult = x").await;
    assert!(result.result.is_some(), "{:?}", result.result_error);
}

#[tokio::test]
async fn too_many_or_too_large_values_are_refused() {
    for (code, expected) in [
        ("[None] * 1_048_577", "1048576 values"),
        ("'x' * (64 << 20)", "67108864 bytes"),
    ] {
        let sandbox =
            crate::support::sandbox_with(|limits| limits.max_memory_bytes = Some(1 << 29));
        let code = format!("result = {code}");
        let result = sandbox
            .execute(code, ExecutionOptions::default())
            .await
            .expect("runs");
        let error = result.result_error.expect("a reason");
        assert!(error.contains(expected), "{error}");
        assert_eq!(result.result, None);
    }
    let result = succeed("result = [None] * 1_000_000").await;
    assert!(matches!(result.result, Some(Value::List(items)) if items.len() == 1_000_000));
    let result = succeed("result = bytes(30 << 20)").await;
    assert!(
        matches!(result.result, Some(Value::Bytes(bytes)) if bytes.len() == 30 << 20),
        "{:?}",
        result.result_error
    );
}

#[tokio::test]
async fn unset_and_none_differ() {
    let unset = succeed("x = 1").await;
    assert_eq!((unset.result, unset.result_error), (None, None));
    let none = succeed("result = None").await;
    assert_eq!((none.result, none.result_error), (Some(Value::Null), None));
    let deleted = succeed("result = 1\ndel result").await;
    assert_eq!(deleted.result, None);
    let local = succeed("def f():\n    result = 1\nf()").await;
    assert_eq!(local.result, None);
}

#[tokio::test]
async fn the_result_of_a_failed_run_is_not_returned() {
    assert!(run("result = 1\nraise ValueError").await.is_err());
    let result = succeed("import sys\nresult = 1\nsys.exit()").await;
    assert_eq!(result.result, Some(1.into()));
}

#[tokio::test]
async fn the_result_variable_has_any_name() {
    let named = |name: &str| {
        let mut options = SandboxOptions::default();
        options.result_variable = Some(name.into());
        Sandbox::new(runtime(), options)
    };
    for name in ["output", "_", "größe", "_eryx"] {
        let sandbox = named(name).expect("an identifier");
        let result = sandbox
            .execute(
                format!("{name} = 5\nresult = 6"),
                ExecutionOptions::default(),
            )
            .await
            .expect("runs");
        assert_eq!(result.result, Some(5.into()), "{name}");
    }
    for name in ["", "a b", "1a", "a.b", "a-b", "a\0", "é\u{301}\u{2028}"] {
        let error = named(name).expect_err("no identifier");
        let message = format!("result_variable: {name:?} is not a Python identifier");
        assert_eq!(invalid(&error), message);
    }
    let error = named("class").expect_err("a keyword");
    let message = r#"result_variable: "class" is a keyword of Python"#;
    assert_eq!(invalid(&error), message);
}

#[tokio::test]
async fn names_of_inputs_are_checked() {
    for name in ["", "a b", "1a", "a.b", "a\n", "a=1"] {
        let mut options = ExecutionOptions::default();
        options.inputs = vec![("good".into(), 1.into()), (name.into(), 1.into())];
        let failure = sandbox().execute("1", options).await.expect_err("refused");
        let message = format!("inputs: {name:?} is not a Python identifier");
        assert_eq!(invalid(&failure.error), message);
    }
    for (name, why) in [
        ("lambda", "is a keyword of Python"),
        ("__builtins__", "is a variable of Python's own"),
    ] {
        let mut options = ExecutionOptions::default();
        options.inputs = vec![(name.into(), Value::Map(Vec::new()))];
        let failure = sandbox().execute("1", options).await.expect_err("refused");
        let message = format!("inputs: {name:?} {why}");
        assert_eq!(invalid(&failure.error), message);
    }
}

/// Python compares identifiers in their normal form.
#[tokio::test]
async fn names_of_inputs_are_normalised_as_pythons() {
    let inputs = vec![
        ("ﬁne".to_owned(), Value::from(1)),
        ("a\u{30a}".into(), 2.into()),
    ];
    let result = with_inputs("[ﬁne, fine, å]", inputs).await;
    assert_eq!(result.value, Some(list([1.into(), 1.into(), 2.into()])));
}

#[tokio::test]
async fn inputs_that_are_too_large_are_refused_before_the_run() {
    let deep = (0..300).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    for value in [deep, Value::Bytes(vec![0; 65 << 20])] {
        let mut options = ExecutionOptions::default();
        options.inputs = vec![("given".into(), value)];
        let failure = sandbox().execute("1", options).await.expect_err("refused");
        let message = invalid(&failure.error);
        assert!(message.starts_with("inputs: "), "{message}");
    }
}

#[tokio::test]
async fn inputs_that_do_not_fit_the_memory() {
    let sandbox = crate::support::sandbox_with(|limits| {
        limits.max_memory_bytes = Some(runtime().memory_floor() + (1 << 20));
    });
    let mut options = ExecutionOptions::default();
    options.inputs = vec![("given".into(), Value::Bytes(vec![0; 30 << 20]))];
    let failure = sandbox.execute("1", options).await.expect_err("too large");
    assert_eq!(failure.error, Error::ResourceLimit(eryx::Limit::Memory));
    let next = sandbox.execute("1", ExecutionOptions::default()).await;
    assert_eq!(next.expect("runs").value, Some(1.into()));
}

#[tokio::test]
async fn a_megabyte_of_code_and_inputs() {
    let code = format!(
        "{}\nresult = len(given)",
        "x = 1  # padding\n".repeat(50_000)
    );
    assert!(code.len() > 800_000);
    let result = with_inputs(&code, vec![("given".into(), "x".repeat(5_000_000).into())]).await;
    assert_eq!(result.result, Some(5_000_000.into()));
}

#[tokio::test]
async fn last_expressions() {
    for (code, value, repr) in [
        ("1 + 1", Some(2.into()), Some("2")),
        ("x = 1", None, None),
        ("None", None, None),
        ("'text'", Some("text".into()), Some("'text'")),
        (
            "[1, {'a': (2,)}]",
            Some(vec![1.into(), Value::Map(vec![("a".into(), list([2.into()]))])].into()),
            Some("[1, {'a': (2,)}]"),
        ),
        ("1j", None, Some("1j")),
        ("x = 1\nx;", Some(1.into()), Some("1")),
        ("if 1: 5", None, None),
        ("for i in range(3): i", None, None),
        ("print('x')", None, None),
        (
            "'''docstring'''",
            Some("docstring".into()),
            Some("'docstring'"),
        ),
        ("(y := 7)", Some(7.into()), Some("7")),
        ("lambda: 0", None, Some("<function <lambda>")),
        (
            "import asyncio\nawait asyncio.sleep(0, 'slept')",
            Some("slept".into()),
            Some("'slept'"),
        ),
        ("5 # comment", Some(5.into()), Some("5")),
        ("5\n\n# comment\n", Some(5.into()), Some("5")),
        ("def f(): pass", None, None),
        ("x = [3]\n*x,", Some(list([3.into()])), Some("(3,)")),
    ] {
        let result = succeed(code).await;
        assert_eq!(result.value, value, "{code}");
        match repr {
            Some(text) => assert!(
                result
                    .value_repr
                    .as_deref()
                    .is_some_and(|shown| shown.starts_with(text)),
                "{code}: {:?}",
                result.value_repr
            ),
            None => assert_eq!(result.value_repr, None, "{code}"),
        }
    }
}

#[tokio::test]
async fn a_long_repr_is_cut() {
    let shown = succeed("'x' * 20_000").await.value_repr.expect("a text");
    assert_eq!(shown.len(), 10_003);
    assert!(shown.ends_with("..."));
    // What comes late decides about the quotes.
    for end in ["'", "\"", "'\""] {
        let code =
            format!("x = 'x' * 20_000 + {end:?}\n[repr(x)[:10_000], repr(x.encode())[:10_000]]");
        let Some(Value::List(expected)) = succeed(&code).await.value else {
            panic!("no list");
        };
        for (last, expected) in ["x", "x.encode()"].into_iter().zip(expected) {
            let shown = succeed(&format!("{code}\n{last}")).await.value_repr;
            let shown = shown.map(|shown| shown.trim_end_matches("...").into());
            assert_eq!(shown, Some(expected), "{end} {last}");
        }
    }
    // The repr of the whole would not fit.
    for code in [
        "bytes(range(256)) * 160_000",
        "bytearray(range(256)) * 160_000",
        "'\\0' * 40_960_000",
    ] {
        let head = code.replace("160_000", "40").replace("40_960_000", "9999");
        let expected = succeed(&format!("repr({head})[:10_000] + '...'")).await;
        let shown = succeed(code).await.value_repr.map(Value::from);
        assert_eq!(shown, expected.value, "{code}");
    }
}

#[tokio::test]
async fn nothing_to_run_succeeds() {
    for code in [
        "",
        " ",
        "\n\n",
        "\t\n",
        "# comment",
        "\u{feff}",
        "\u{feff}\n",
        "pass",
        "'';",
    ] {
        if let Err(failure) = run(code).await {
            panic!("{code:?}: {}", failure.error);
        }
    }
    let result = succeed("\u{feff}x = 1\r\nif x:\r\n    y = 2\r\ny").await;
    assert_eq!(result.value, Some(2.into()));
}

#[tokio::test]
async fn code_that_is_too_large_is_refused() {
    let failure = run(&" ".repeat(eryx::MAX_CODE_BYTES + 1))
        .await
        .expect_err("refused");
    assert!(matches!(failure.error, Error::InvalidArgument { .. }));
    assert!(run(&"#".repeat(4 << 20)).await.is_ok());
}

#[test]
fn wire_format_refuses_garbage() {
    for value in every_kind() {
        let bytes = value.to_bytes().expect("encodes");
        assert!(Value::from_bytes(&bytes) == Ok(value.clone()));
        if bytes.len() < 10_000 {
            for cut in 0..bytes.len() {
                assert!(Value::from_bytes(&bytes[..cut]).is_err());
            }
            // Any single byte may be wrong: an error or another value, never a panic.
            for at in 0..bytes.len() {
                for flip in [1, 0x80, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    let _ = Value::from_bytes(&damaged);
                }
            }
        }
    }
}
