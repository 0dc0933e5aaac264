//! Functions of ours in the place of libpython's.

use eryx_runtime::hook;
use eryx_runtime::module::Module;
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, NameMap,
    NameSection, TypeSection, ValType,
};
use wasmparser::{Operator, Parser, Payload};

/// Functions with these names, of `parameters` parameters, that drop as many constants as their index says.
fn module(names: &[&str], parameters: &[usize], exported: bool) -> Vec<u8> {
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code, mut map) =
        (ExportSection::new(), CodeSection::new(), NameMap::new());
    for (index, (name, &parameters)) in (0u32..).zip(names.iter().zip(parameters)) {
        types
            .ty()
            .function(std::iter::repeat_n(ValType::I32, parameters), []);
        functions.function(index);
        let mut body = Function::new([]);
        for _ in 0..index {
            body.instruction(&Instruction::I32Const(7));
            body.instruction(&Instruction::Drop);
        }
        body.instruction(&Instruction::End);
        code.function(&body);
        map.append(index, name);
        if exported {
            exports.export(name, ExportKind::Func, index);
        }
    }
    let mut names = NameSection::new();
    names.functions(&map);
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&functions).section(&exports);
    module.section(&code).section(&names);
    module.finish()
}

/// The functions' bodies, as text.
fn bodies(wasm: &[u8]) -> Vec<String> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.expect("well formed") {
            let operators = body.get_operators_reader().expect("a body").into_iter();
            let operators: Vec<Operator<'_>> =
                operators.collect::<Result<_, _>>().expect("operators");
            bodies.push(format!("{operators:?}"));
        }
    }
    bodies
}

#[test]
fn what_libpython_hides_is_exported() {
    let names = ["other", "_PyGC_Collect", "_Py_RunGC"];
    let wasm = hook::expose(&module(&names, &[0, 3, 1], false)).expect("all are there");
    let exposed = Module::parse(&wasm).expect("a module");
    assert_eq!(exposed.exported_function("_PyGC_Collect"), Some(1));
    assert_eq!(exposed.exported_function("_Py_RunGC"), Some(2));
    assert_eq!(exposed.exported_function("other"), None);
}

#[test]
fn a_libpython_without_them_is_refused() {
    for (names, message) in [
        (
            ["other", "_PyGC_Collect"],
            "libpython has no function _Py_RunGC",
        ),
        (
            ["_Py_RunGC", "_Py_RunGC"],
            "libpython has several functions _Py_RunGC",
        ),
    ] {
        let error = hook::expose(&module(&names, &[0, 0], false)).expect_err("refused");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn theirs_calls_ours_and_nothing_else() {
    let names = ["eryx_run_gc", "other", "_Py_RunGC"];
    let before = module(&names, &[1, 0, 1], true);
    let after = bodies(&hook::replace(&before).expect("replaced"));
    assert_eq!(
        after[2],
        "[LocalGet { local_index: 0 }, Call { function_index: 0 }, End]"
    );
    assert_eq!(after[..2], bodies(&before)[..2]);
}

#[test]
fn ours_must_have_the_same_type() {
    let names = ["eryx_run_gc", "_Py_RunGC"];
    let error = hook::replace(&module(&names, &[2, 1], true)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "functions _Py_RunGC and eryx_run_gc have different types"
    );
}
