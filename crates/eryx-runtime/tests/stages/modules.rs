//! Small modules shaped like the real ones.

use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, Elements, EntityType,
    ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    Instruction, MemorySection, MemoryType, Module, RefType, StartSection, TableType, TypeSection,
    ValType,
};

/// Where `main` puts libpython's data.
pub(crate) const LIBDATA: i32 = 1024;

/// Exports two functions, of which slot 1 holds `ignore`, the data array, `environ` at 16 and the stack pointer.
pub(crate) fn main() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], []);
    let mut imports = ImportSection::new();
    imports.import("env", "PyRun", EntityType::Function(0));
    imports.import("env", "__indirect_function_table", table(2));
    imports.import("py2", "_initialize", EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(0).function(0);
    let mut globals = GlobalSection::new();
    globals.global(i32_global(true), &ConstExpr::i32_const(512));
    globals.global(i32_global(false), &ConstExpr::i32_const(LIBDATA));
    globals.global(i32_global(false), &ConstExpr::i32_const(16));
    let mut exports = ExportSection::new();
    exports
        .export("memory", ExportKind::Memory, 0)
        .export("ignore", ExportKind::Func, 2)
        .export("free", ExportKind::Func, 3)
        .export("__stack_pointer", ExportKind::Global, 0)
        .export("libpython_data", ExportKind::Global, 1)
        .export("environ", ExportKind::Global, 2);
    let mut elements = ElementSection::new();
    elements.active(
        None,
        &ConstExpr::i32_const(1),
        Elements::Functions([2].as_slice().into()),
    );
    let mut data = DataSection::new();
    data.active(
        0,
        &ConstExpr::i32_const(2000).with_i32_const(48).with_i32_add(),
        *b"data",
    );
    Module::new()
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&one_page())
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&bodies(&[&[], &[]]))
        .section(&data)
        .clone()
        .finish()
}

/// A position-independent module with one own function in slot 0, data at offset 4 and a start function `start`.
pub(crate) fn libpython(start: &[Instruction<'_>]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import("env", "memory", EntityType::Memory(memory()));
    imports.import("env", "__indirect_function_table", table(1));
    imports.import("env", "__memory_base", i32_global(false));
    imports.import("env", "__table_base", i32_global(false));
    for name in ["PyRun", "ignore", "free"] {
        imports.import("GOT.func", name, i32_global(true));
    }
    for name in ["PyType", "environ"] {
        imports.import("GOT.mem", name, i32_global(true));
    }
    imports.import("env", "free", EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(0).function(1);
    let mut globals = GlobalSection::new();
    globals.global(i32_global(false), &ConstExpr::i32_const(4));
    let mut exports = ExportSection::new();
    exports
        .export("PyRun", ExportKind::Func, 1)
        .export("_initialize", ExportKind::Func, 1)
        .export("PyType", ExportKind::Global, 7);
    let mut elements = ElementSection::new();
    elements.active(
        None,
        &ConstExpr::global_get(1),
        Elements::Functions([1].as_slice().into()),
    );
    Module::new()
        .section(&dylink(100, 4, 1))
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&globals)
        .section(&exports)
        .section(&StartSection { function_index: 2 })
        .section(&elements)
        .section(&bodies(&[&[], start]))
        .clone()
        .finish()
}

/// What the real start function is: `memory.fill` with zero.
pub(crate) const CLEAR: [Instruction<'static>; 4] = [
    Instruction::GlobalGet(0),
    Instruction::I32Const(0),
    Instruction::I32Const(8),
    Instruction::MemoryFill(0),
];

/// A `dylink.0` section: memory size, log2 of its alignment, table slots.
fn dylink(size: u8, align: u8, slots: u8) -> CustomSection<'static> {
    CustomSection {
        name: "dylink.0".into(),
        data: vec![1, 4, size, align, slots, 0].into(),
    }
}

pub(crate) fn i32_global(mutable: bool) -> GlobalType {
    GlobalType {
        val_type: ValType::I32,
        mutable,
        shared: false,
    }
}

pub(crate) fn one_page() -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(memory());
    memories
}

fn memory() -> MemoryType {
    MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

fn table(minimum: u64) -> TableType {
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum,
        maximum: None,
        shared: false,
    }
}

fn bodies(functions: &[&[Instruction<'_>]]) -> CodeSection {
    let mut code = CodeSection::new();
    for instructions in functions {
        let mut function = Function::new([]);
        for instruction in *instructions {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    code
}
