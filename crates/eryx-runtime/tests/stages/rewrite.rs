//! Renamed imports and exports.

use eryx_runtime::module::Module;
use eryx_runtime::rewrite;
use wasm_encoder::Instruction;

use crate::modules::{self, CLEAR};

fn imports(wasm: &[u8]) -> Vec<String> {
    let module = Module::parse(wasm).expect("a module");
    let imports = module.imports.iter();
    imports
        .map(|import| format!("{}/{}", import.module, import.name))
        .collect()
}

#[test]
fn main_meets_libpython_and_the_glue() {
    let wasm = rewrite::main(&modules::main()).expect("it has no start function");
    assert_eq!(
        imports(&wasm),
        [
            "py/PyRun",
            "glue/__indirect_function_table",
            "py/libpython:_initialize"
        ]
    );
}

#[test]
fn libpython_meets_main_and_the_glue() {
    let wasm = rewrite::libpython(&modules::libpython(&CLEAR)).expect("its start only clears");
    assert_eq!(
        imports(&wasm),
        [
            "main/memory",
            "glue/__indirect_function_table",
            "glue/__memory_base",
            "glue/__table_base",
            "glue/GOT.func:PyRun",
            "glue/GOT.func:ignore",
            "glue/GOT.func:free",
            "glue/GOT.mem:PyType",
            "glue/GOT.mem:environ",
            "main/free",
        ]
    );
    let module = Module::parse(&wasm).expect("a module");
    let exports: Vec<_> = module.exports.keys().collect();
    assert_eq!(exports, ["PyRun", "PyType", "libpython:_initialize"]);
    assert!(module.start.is_none() && module.dylink.is_none());
}

#[test]
fn a_start_function_that_does_more_is_not_dropped() {
    for start in [
        vec![Instruction::I32Const(1), Instruction::Drop],
        vec![
            Instruction::I32Const(0),
            Instruction::I32Const(7),
            Instruction::I32Const(8),
            Instruction::MemoryFill(0),
        ],
    ] {
        let error = rewrite::libpython(&modules::libpython(&start)).expect_err("not a clear");
        let text = error.to_string();
        assert!(
            text.starts_with("libpython's start function does more than clear memory"),
            "{text}"
        );
    }
}

#[test]
fn only_the_stack_pointer_and_absolute_addresses_stay_exported_globals() {
    let wasm = rewrite::merged(&modules::main()).expect("a module");
    let module = Module::parse(&wasm).expect("a module");
    let exports: Vec<_> = module.exports.keys().collect();
    assert_eq!(exports, ["__stack_pointer", "free", "ignore", "memory"]);
}
