//! Imports that nobody provides, and state that nobody puts back.

use eryx_runtime::module::Module;
use eryx_runtime::{check, strip};

use crate::modules::{self, CLEAR};

#[test]
fn main_may_import_what_libpython_exports() {
    let main = Module::parse(&modules::main()).expect("main parses");
    let mut libpython = Module::parse(&modules::libpython(&CLEAR)).expect("libpython parses");
    check::main(&main, &libpython).expect("all is there");
    libpython.exports.remove("PyRun");
    let error = check::main(&main, &libpython).expect_err("PyRun is gone");
    assert_eq!(
        error.to_string(),
        "main.wasm imports what nobody provides: env.PyRun"
    );
}

#[test]
fn the_linked_module_imports_functions_of_the_host_only() {
    let mut python = Module::parse(&modules::main()).expect("main parses");
    let error = check::linked(&python).expect_err("it imports a table");
    assert_eq!(
        error.to_string(),
        "python.wasm imports something other than functions"
    );
    python.imports.remove(1);
    let error = check::linked(&python).expect_err("env is not the host");
    assert_eq!(
        error.to_string(),
        "python.wasm imports what nobody provides: env.PyRun, py2._initialize"
    );
    for import in &mut python.imports {
        "eryx".clone_into(&mut import.module);
    }
    check::linked(&python).expect("eryx is the host");
}

/// Checks a module with a table, segments and two mutable globals whose only function does this.
fn keeps(code: &str) -> Result<(), String> {
    let text = format!(
        r#"(module
            (import "eryx" "wait" (func $wait))
            (memory (export "memory") 1)
            (table $t 4 funcref)
            (global $sp (mut i32) (i32.const 1024))
            (global $constant i32 (i32.const 7))
            (global $other (mut i32) (i32.const 0))
            (elem $e func $f)
            (func $f (export "f") {code}))"#
    );
    check_state(&wat::parse_str(text).expect("a module"), 2)
}

/// With so many of its mutable globals known.
fn check_state(module: &[u8], known: usize) -> Result<(), String> {
    let globals = strip::strip(module).expect("it can be split").globals;
    check::state(module, &globals[..known]).map_err(|error| format!("{error:#}"))
}

#[test]
fn code_may_change_memory_and_known_globals() {
    for code in [
        "",
        "(global.set $sp (global.get $constant))",
        "(global.set $other (i32.const 1))",
        "(i32.store (i32.const 0) (i32.const 1))",
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 2))",
        "(drop (memory.grow (i32.const 1)))",
        "(call_indirect $t (i32.const 0))",
        "(drop (table.get $t (i32.const 0)))",
        "(drop (table.size $t))",
    ] {
        assert_eq!(keeps(code), Ok(()), "{code}");
    }
}

#[test]
fn code_that_changes_anything_else_is_named() {
    let table = "changes table 0";
    for (code, what) in [
        ("(table.set $t (i32.const 0) (ref.null func))", table),
        (
            "(drop (table.grow $t (ref.null func) (i32.const 1)))",
            table,
        ),
        (
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1))",
            table,
        ),
        (
            "(table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 1))",
            table,
        ),
        (
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))",
            table,
        ),
        ("(elem.drop $e)", "drops element segment 0"),
        (
            "(block (if (i32.const 1) (then (elem.drop $e))))",
            "drops element segment 0",
        ),
    ] {
        let error =
            format!("python.wasm: function 1 (f) {what}, which is not put back between runs");
        assert_eq!(keeps(code), Err(error), "{code}");
    }
}

#[test]
fn a_global_that_the_manifest_does_not_name_stays_as_it_is() {
    let text = r#"(module
        (memory 1)
        (global $sp (mut i32) (i32.const 1024))
        (global $hidden (mut i32) (i32.const 0))
        (func (export "first") (global.set $sp (i32.const 1)))
        (func $second (global.set $hidden (i32.const 1))))"#;
    let module = wat::parse_str(text).expect("a module");
    assert_eq!(check_state(&module, 2), Ok(()));
    let error =
        "python.wasm: function 1 (second) sets global 1, which is not put back between runs";
    assert_eq!(check_state(&module, 1), Err(error.to_owned()));
}

#[test]
fn state_of_kinds_that_nobody_knows_of_is_refused() {
    for text in [
        // A structure that a global holds can change, though the global does not.
        "(module (memory 1) (type $s (struct (field (mut i32)))))",
        "(module (memory 1) (memory 1))",
        "(module (memory 1 1 shared))",
    ] {
        let module = wat::parse_str(text).expect("a module");
        assert!(check::state(&module, &[]).is_err(), "{text}");
    }
}
