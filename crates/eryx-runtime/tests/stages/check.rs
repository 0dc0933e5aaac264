//! Imports that nobody provides.

use eryx_runtime::check;
use eryx_runtime::module::Module;

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
