//! Where polls are put.

use eryx_runtime::poll::add;
use wasmparser::{Operator, Parser, Payload, Validator};

/// The functions of a module as the names of their operators; a poll is one word.
fn functions(text: &str) -> Vec<String> {
    let wasm = add(&wat::parse_str(text).expect("a module")).expect("it gets polls");
    Validator::new().validate_all(&wasm).expect("it is valid");
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        if let Payload::CodeSectionEntry(body) = payload.expect("a module") {
            let operators = body.get_operators_reader().expect("operators").into_iter();
            let names: Vec<_> = operators
                .map(|operator| name(&operator.expect("valid")))
                .collect();
            functions.push(names.join(" ").replace("zero load drop", "poll"));
        }
    }
    functions
}

fn name(operator: &Operator<'_>) -> String {
    match operator {
        Operator::I32Const { value: 0 } => "zero".into(),
        Operator::I32Load { memarg } if memarg.memory == 1 => "load".into(),
        Operator::Drop => "drop".into(),
        other => {
            let text = format!("{other:?}");
            let end = text.find([' ', '{']).unwrap_or(text.len());
            text[..end].to_lowercase()
        }
    }
}

#[test]
fn every_loop_begins_with_one() {
    let text = r"(module (memory 1)
        (func)
        (func (loop (loop (br 1))))
        (func (loop (br_if 0 (i32.const 1)) (loop (br 1))))
        (func (loop (block (loop (br 0)) (br 0)) (loop (br 0))))
        (func (block (loop nop (br_if 0 (i32.const 1))))))";
    let expected = [
        "end",
        "loop loop poll br end end end",
        "loop poll i32const brif loop poll br end end end",
        "loop block loop poll br end br end loop poll br end end end",
        "block loop poll nop i32const brif end end end",
    ];
    assert_eq!(functions(text), expected);
}

/// Loads from an address that was loaded from before would not stay.
#[test]
fn each_poll_of_a_function_has_an_address_of_its_own() {
    let text = "(module (memory 1)
        (func (loop (br_if 0 (i32.const 1))) (loop (loop (br 0)) (loop (br 0))))
        (func (loop (br 0))))";
    let wasm = add(&wat::parse_str(text).expect("a module")).expect("it gets polls");
    let mut offsets = Vec::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        if let Payload::CodeSectionEntry(body) = payload.expect("a module") {
            let operators = body.get_operators_reader().expect("operators").into_iter();
            let loads = operators.filter_map(|operator| match operator.expect("valid") {
                Operator::I32Load { memarg } => Some(memarg.offset),
                _ => None,
            });
            offsets.push(loads.collect::<Vec<_>>());
        }
    }
    assert_eq!(offsets, [vec![0, 4, 8], vec![0]]);
}

#[test]
fn functions_that_call_themselves_begin_with_one() {
    let text = r#"(module (import "a" "b" (func $imported)) (memory 1)
        (func $itself (call $itself))
        (func $one (call $imported) (call $other))
        (func $other (return_call $one))
        (func $caller (call $one)))"#;
    let expected = [
        "poll call end",
        "poll call call end",
        "poll returncall end",
        "call end",
    ];
    assert_eq!(functions(text), expected);
}

#[test]
fn locals_stay_in_front() {
    let text =
        "(module (memory 1) (func $f (param i64) (local f64 i32) (loop (call $f (local.get 0)))))";
    assert_eq!(functions(text), ["poll loop poll localget call end end"]);
}

#[test]
fn modules_without_one_memory_are_refused() {
    for (text, said) in [
        ("(module)", "0 memories"),
        ("(module (memory 1) (memory 1))", "2 memories"),
        (
            r#"(module (import "a" "b" (memory 1)))"#,
            "imports a memory",
        ),
    ] {
        let error = add(&wat::parse_str(text).expect("a module")).expect_err("refused");
        assert!(error.to_string().contains(said), "{error}");
    }
}
