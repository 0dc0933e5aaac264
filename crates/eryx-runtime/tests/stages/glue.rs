//! The glue between a `main.wasm` and a libpython.

use eryx_runtime::constant::Constant;
use eryx_runtime::glue::{Slots, make};
use eryx_runtime::module::Module;

use crate::modules::{self, CLEAR, LIBDATA};

fn glue() -> (Module, Slots) {
    let main = Module::parse(&modules::main()).expect("main parses");
    let libpython = Module::parse(&modules::libpython(&CLEAR)).expect("libpython parses");
    let (wasm, slots) = make(&main, &libpython).expect("they fit together");
    (Module::parse(&wasm).expect("the glue is a module"), slots)
}

#[test]
fn addresses_are_absolute() {
    let (glue, slots) = glue();
    for (name, address) in [
        ("__memory_base", LIBDATA),
        ("GOT.mem:PyType", LIBDATA + 4),
        ("GOT.mem:environ", 16),
        ("abs:PyType", LIBDATA + 4),
        ("abs:environ", 16),
        ("abs:libpython_data", LIBDATA),
    ] {
        assert_eq!(
            glue.exported_global(name),
            Some(Constant::I32(address)),
            "{name}"
        );
    }
    assert_eq!(glue.exported_global("abs:__stack_pointer"), None);
    assert_eq!(slots.libdata, LIBDATA.cast_unsigned());
}

/// C compares function pointers: `handler == SIG_IGN` must hold on both sides.
#[test]
fn a_function_with_a_slot_keeps_it() {
    let (glue, slots) = glue();
    assert_eq!((slots.table_base, slots.got_base, slots.size), (2, 3, 4));
    for (name, slot) in [("ignore", 1), ("PyRun", 2), ("_initialize", 2), ("free", 3)] {
        assert_eq!(slots.slots.get(name), Some(&slot), "{name}");
    }
    assert_eq!(
        glue.exported_global("GOT.func:ignore"),
        Some(Constant::I32(1))
    );
    let imported: Vec<_> = glue
        .imports
        .iter()
        .map(|import| import.name.as_str())
        .collect();
    assert_eq!(imported, ["free"]);
    assert_eq!(glue.slots.into_iter().collect::<Vec<_>>(), [(3, 0)]);
}

#[test]
fn a_name_nobody_defines_is_an_error() {
    let libpython = Module::parse(&modules::libpython(&CLEAR)).expect("libpython parses");
    let mut main = Module::parse(&modules::main()).expect("main parses");
    main.exports.remove("free");
    let error = make(&main, &libpython)
        .expect_err("free is gone")
        .to_string();
    assert_eq!(
        error,
        "libpython takes the address of free, which nobody defines"
    );
}

#[test]
fn data_must_be_aligned() {
    let mut libpython = Module::parse(&modules::libpython(&CLEAR)).expect("libpython parses");
    if let Some(info) = &mut libpython.dylink {
        info.memory_alignment = 16;
    }
    let main = Module::parse(&modules::main()).expect("main parses");
    let error = make(&main, &libpython).expect_err("1024 is no multiple of 65536");
    assert_eq!(
        error.to_string(),
        "libpython_data is not aligned to 2^16 bytes"
    );
}
