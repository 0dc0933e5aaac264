//! The wrapper around the function that stores to dicts.

use eryx_runtime::announce::announce;
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Instruction, Module, NameMap, NameSection, TypeSection, ValType,
};
use wasmparser::{Operator, Parser, Payload};

const SETTER: u32 = 1;
const TELL: u32 = 2;

/// Imports one function, defines `insertdict` with `parameters` and the one that is to be told.
fn libpython(parameters: usize, names: &[(u32, &str)]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types
        .ty()
        .function(vec![ValType::I32; parameters], [ValType::I32]);
    types.ty().function(vec![ValType::I32; 5], []);
    let mut imports = ImportSection::new();
    imports.import("env", "f", EntityType::Function(1));
    let mut functions = FunctionSection::new();
    functions.function(0).function(1);
    let mut exports = ExportSection::new();
    exports.export("_PyDict_SendEvent", ExportKind::Func, TELL);
    let mut code = CodeSection::new();
    for instructions in [&[Instruction::I32Const(42)][..], &[]] {
        let mut function = Function::new([]);
        for instruction in instructions {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    let mut functions_named = NameMap::new();
    for (index, name) in names {
        functions_named.append(*index, name);
    }
    let mut section = NameSection::new();
    section.functions(&functions_named);
    Module::new()
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&exports)
        .section(&code)
        .section(&section)
        .clone()
        .finish()
}

/// What each body calls, and the constants in it.
fn bodies(wasm: &[u8]) -> Vec<(Vec<u32>, Vec<i32>)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.expect("a module") {
            let (mut calls, mut constants) = (Vec::new(), Vec::new());
            for operator in body.get_operators_reader().expect("code") {
                match operator.expect("code") {
                    Operator::Call { function_index } => calls.push(function_index),
                    Operator::I32Const { value } => constants.push(value),
                    _ => {}
                }
            }
            found.push((calls, constants));
        }
    }
    found
}

#[test]
fn watchers_are_told_before_each_store() {
    let wasm = announce(&libpython(4, &[(SETTER, "insertdict")])).expect("it is as expected");
    let moved = 3;
    assert_eq!(
        bodies(&wasm),
        [
            (vec![TELL, moved], vec![1]),
            (vec![], vec![]),
            (vec![], vec![42]),
        ]
    );
}

#[test]
fn what_is_not_known_is_refused() {
    for (wasm, message) in [
        (
            libpython(5, &[(SETTER, "insertdict")]),
            "insertdict in libpython has other parameters than expected",
        ),
        (
            libpython(4, &[]),
            "libpython has 0 functions insertdict, not one",
        ),
        (
            libpython(4, &[(SETTER, "insertdict"), (TELL, "insertdict")]),
            "libpython has 2 functions insertdict, not one",
        ),
    ] {
        let error = announce(&wasm).expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}
