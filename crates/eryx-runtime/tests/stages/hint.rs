//! Branch hints: where they are put, which are stale, and how they are counted.

use std::collections::BTreeMap;

use eryx_runtime::hint::{Counters, Hinted, Profile, add, counting};
use wasmparser::{CustomSectionReader, KnownCustom, Operator, Parser, Payload, Validator};
use wasmtime::{Engine, Export, Func, Instance, Module, Store, Val};

/// A function with two `if` that its argument decides, one with `br_if` out of a block, back in a loop and to its end, and one
/// without branches.
const TEXT: &str = r#"(module
    (import "host" "tell" (func $tell (param i32)))
    (memory 1)
    (global $g (mut i32) (i32.const 0))
    (func (export "sides") (param i32) (local f64)
        (if (local.get 0) (then (call $tell (i32.const 1))) (else (call $tell (i32.const 2))))
        (if (i32.eqz (local.get 0)) (then (global.set $g (i32.const 3)))))
    (func (export "leave") (param i32) (result i32)
        (block
            (br_if 0 (i32.eq (local.get 0) (i32.const 7)))
            (br_if 0 (i32.ne (local.get 0) (i32.const 7))))
        (loop (br_if 0 (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0))))
        (br_if 0 (i32.const 1) (i32.lt_s (local.get 0) (i32.const -1)))
        (drop)
        (i32.const 2))
    (func $plain (nop)))"#;

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module")
}

/// The profile of [`TEXT`] after each of its exports was called with `arguments`.
fn trained(arguments: &[i32]) -> Profile {
    let wasm = module(TEXT);
    let counting = counting(&wasm).expect("it counts");
    let validated = Validator::new().validate_all(&counting);
    validated.expect("it is valid");
    let (mut store, instance) = start(&counting);
    let exports: Vec<_> = instance.exports(&mut store).collect();
    let functions: Vec<_> = exports.into_iter().filter_map(Export::into_func).collect();
    for function in functions {
        let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
        for &argument in arguments {
            let called = function.call(&mut store, &[Val::I32(argument)], &mut results);
            called.expect("no trap");
        }
    }
    let counters = Counters::of(&wasm).expect("a module");
    let count = |name: String| {
        let global = instance.get_global(&mut store, &name).expect("exported");
        global.get(&mut store).unwrap_i64().cast_unsigned()
    };
    let counts: Vec<u64> = counters.names().map(count).collect();
    counters
        .profile(&counts)
        .expect("as many as there are counters")
}

fn start(wasm: &[u8]) -> (Store<()>, Instance) {
    let mut store = Store::new(&Engine::default(), ());
    let module = Module::new(store.engine(), wasm).expect("it compiles");
    let tell = Func::wrap(&mut store, |_: i32| {});
    let instance = Instance::new(&mut store, &module, &[tell.into()]);
    let instance = instance.expect("it starts");
    (store, instance)
}

/// The hinted branches as function, operator and way.
fn hints(wasm: &[u8]) -> Vec<(u32, String, bool)> {
    let mut places = BTreeMap::new();
    let mut found = Vec::new();
    let mut index = 1;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("a module") {
            Payload::CustomSection(section) if section.name() == "metadata.code.branch_hint" => {
                assert_eq!(index, 1, "the section is before the code");
                places = section_places(&section);
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().expect("code");
                for operator in operators.into_iter_with_offsets() {
                    let (operator, at) = operator.expect("code");
                    let place = (index, at - body.range().start);
                    let taken = places.remove(&place);
                    found.extend(taken.map(|taken| (index, name(&operator), taken)));
                }
                index += 1;
            }
            _ => {}
        }
    }
    assert_eq!(places.len(), 0, "each hint is at an operator");
    found
}

/// What the section says, by function and offset.
fn section_places(section: &CustomSectionReader<'_>) -> BTreeMap<(u32, usize), bool> {
    let KnownCustom::BranchHints(functions) = section.as_known() else {
        panic!("another custom section: {}", section.name());
    };
    let mut places = BTreeMap::new();
    for function in functions {
        let function = function.expect("it is well-formed");
        for hint in function.hints {
            let hint = hint.expect("it is well-formed");
            places.insert((function.func, hint.func_offset as usize), hint.taken);
        }
    }
    places
}

fn name(operator: &Operator<'_>) -> String {
    match operator {
        Operator::If { .. } => "if".into(),
        Operator::BrIf { relative_depth } => format!("br_if {relative_depth}"),
        other => format!("{other:?}"),
    }
}

fn hinted(text: &str, profile: &Profile) -> Hinted {
    let hinted = add(&module(text), profile).expect("a module");
    Validator::new()
        .validate_all(&hinted.wasm)
        .expect("it is valid");
    hinted
}

#[test]
fn branches_that_go_one_way_are_hinted() {
    let hinted = hinted(TEXT, &trained(&[5; 100]));
    let expected = [
        (1, "if".to_owned(), true),
        (1, "if".to_owned(), false),
        // Not the first: the second leads to the same place. Not that of the loop, nor the last, behind which the function ends.
        (2, "br_if 0".to_owned(), true),
    ];
    assert_eq!(hints(&hinted.wasm), expected);
    assert_eq!((hinted.functions, hinted.branches), (2, 3));
}

/// As long as the compiler is told to look at them.
#[test]
fn hints_change_what_is_compiled() {
    let profile = trained(&[5; 100]);
    let other = profile
        .text()
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((shape, signs)) if !line.starts_with('#') => {
                let turned = signs.chars().map(|sign| match sign {
                    '+' => '-',
                    '-' => '+',
                    other => other,
                });
                format!("{shape} {}\n", turned.collect::<String>())
            }
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    let other = Profile::parse(&other).expect("a profile");
    let compiled = |profile| {
        let hinted = hinted(TEXT, profile);
        eryx::internals::builder::compile(&hinted.wasm).expect("it compiles")
    };
    let (one, two) = (compiled(&profile), compiled(&other));
    assert_eq!(one, compiled(&profile));
    assert_ne!(one, two);
}

#[test]
fn two_times_in_a_hundred_are_rare_and_three_are_not() {
    let mut arguments = [5; 100];
    for (zeros, expected) in [(1, 2), (2, 2), (3, 0)] {
        arguments[..zeros].fill(0);
        let found = hints(&hinted(TEXT, &trained(&arguments)).wasm);
        let sides = found.iter().filter(|hint| hint.0 == 1);
        assert_eq!(sides.count(), expected, "{zeros} times");
    }
}

#[test]
fn what_was_hardly_reached_is_not_hinted() {
    assert_eq!(trained(&[5; 49]), Profile::default());
}

#[test]
fn a_function_is_known_by_its_own_code() {
    let profile = trained(&[5; 100]);
    let elsewhere = TEXT
        .replace("(memory 1)", "(memory 1) (func) (global f64 (f64.const 1))")
        .replace("(i32.const 2)", "(i32.const 4096)");
    let moved: Vec<_> = hints(&hinted(&elsewhere, &profile).wasm);
    let functions: Vec<_> = moved.iter().map(|hint| hint.0).collect();
    assert_eq!(functions, [2, 2, 3]);
    let changed = TEXT.replace("(if (i32.eqz (local.get 0))", "(if (local.get 0)");
    let stale = hinted(&changed, &profile);
    assert_eq!((stale.functions, stale.branches), (1, 1));
    let without = hinted("(module (func))", &profile);
    assert_eq!(without.wasm, module("(module (func))"));
}

#[test]
fn a_profile_is_read_as_it_was_written() {
    let profile = trained(&[5; 100]);
    assert_eq!(profile.functions(), 2);
    assert_eq!(Profile::parse(&profile.text()).expect("it is one"), profile);
}

#[test]
fn what_is_no_profile_is_refused() {
    for (text, reason) in [
        (
            "# one\n12ab",
            "it is no hash and signs with a space between them",
        ),
        ("# one\nxy +", r#""xy" is no hash"#),
        ("# one\n12ab +?", "'?' is no sign"),
        (
            "# one\n12ab 99999999999+",
            "a function of too many branches",
        ),
        ("12ab +\n12ab -", "12ab has a line already"),
    ] {
        let error = Profile::parse(text).expect_err(reason);
        let text = format!("{error:#}");
        assert_eq!(text, format!("line 2 of the profile of branches: {reason}"));
    }
}
