//! The module between `main.wasm` and libpython: it does at link time what a dynamic linker does at run time.
//!
//! It defines the table and one constant for each address that libpython asks for: `GOT.mem:NAME`, `GOT.func:NAME`. For
//! later linking it also exports `abs:NAME`, the absolute address of each data symbol.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, GlobalSection,
    GlobalType, ImportSection, Module as Encoder, RefType, TableSection, TableType, TypeSection,
    ValType,
};
use wasmparser::ExternalKind;

use crate::module::Module;

/// The array in `main.wasm` that holds libpython's static data.
pub(crate) const DATA: &str = "libpython_data";
/// The most slots the table can grow to: room for native extensions.
const TABLE_LIMIT: u64 = 65536;
const STACK_POINTER: &str = "__stack_pointer";

/// Where things are in the linked module: what linking native extensions at run time needs. Written to `slots.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The table slot of each exported function that has one. A function must never get a second one: C compares
    /// function pointers.
    pub slots: BTreeMap<String, u32>,
    /// libpython's own functions begin at this slot.
    pub table_base: u32,
    /// Functions that only libpython's `GOT.func` imports name begin at this slot.
    pub got_base: u32,
    /// Slots in the table: the next one is free.
    pub size: u32,
    /// The address of libpython's static data.
    pub libdata: u32,
}

/// Makes the glue module for a pair of modules.
///
/// # Errors
/// libpython asks for a name that neither module defines, or one of them is not what the build expects.
pub fn make(main: &Module, libpython: &Module) -> Result<(Vec<u8>, Slots)> {
    let mut glue = Glue::new(main, libpython)?;
    for import in libpython.imported_from("GOT.func") {
        glue.add_function(&import.name)?;
    }
    for import in libpython.imported_from("GOT.mem") {
        glue.add_data(&import.name)?;
    }
    glue.add_absolute()?;
    glue.add_known_slots();
    Ok((glue.encode(), glue.slots))
}

struct Glue<'a> {
    main: &'a Module,
    libpython: &'a Module,
    main_slots: BTreeMap<u32, u32>,
    libpython_slots: BTreeMap<u32, u32>,
    types: TypeSection,
    imports: ImportSection,
    /// Functions that get a new slot, which is their position after `got_base`.
    functions: Vec<u32>,
    globals: GlobalSection,
    exports: ExportSection,
    slots: Slots,
}

impl<'a> Glue<'a> {
    fn new(main: &'a Module, libpython: &'a Module) -> Result<Self> {
        let libdata = address(main, DATA)?;
        let info = libpython
            .dylink
            .as_ref()
            .context("libpython has no dylink.0 section")?;
        if !libdata.is_multiple_of(1 << info.memory_alignment) {
            bail!("{DATA} is not aligned to 2^{} bytes", info.memory_alignment);
        }
        let table_base = main
            .imported_table_size()
            .context("main.wasm imports no table")?;
        let got_base = table_base + info.table_size;
        let mut glue = Self {
            main,
            libpython,
            main_slots: main.slot_of_function(),
            libpython_slots: libpython.slot_of_function(),
            types: TypeSection::new(),
            imports: ImportSection::new(),
            functions: Vec::new(),
            globals: GlobalSection::new(),
            exports: ExportSection::new(),
            slots: Slots {
                table_base,
                got_base,
                libdata,
                size: got_base,
                ..Slots::default()
            },
        };
        glue.add_global("__memory_base", libdata, false);
        glue.add_global("__table_base", table_base, false);
        Ok(glue)
    }

    /// libpython imports its GOT entries as mutable globals; nobody writes them.
    fn add_global(&mut self, name: &str, value: u32, mutable: bool) {
        self.exports
            .export(name, ExportKind::Global, self.globals.len());
        self.globals.global(
            GlobalType {
                val_type: ValType::I32,
                mutable,
                shared: false,
            },
            &ConstExpr::i32_const(value.cast_signed()),
        );
    }

    fn add_function(&mut self, name: &str) -> Result<()> {
        let slot = match self.known_slot(name) {
            Some(slot) => slot,
            None => self.new_slot(name)?,
        };
        self.slots.slots.insert(name.to_owned(), slot);
        self.add_global(&format!("GOT.func:{name}"), slot, true);
        Ok(())
    }

    /// The slot of a function whose address its own module takes already.
    fn known_slot(&self, name: &str) -> Option<u32> {
        if let Some(function) = self.libpython.exported_function(name) {
            let slot = self.libpython_slots.get(&function)?;
            return Some(self.slots.table_base + slot);
        }
        let function = self.main.exported_function(name)?;
        self.main_slots.get(&function).copied()
    }

    fn new_slot(&mut self, name: &str) -> Result<u32> {
        let (from, module, function) = match self.libpython.exported_function(name) {
            Some(function) => ("py", self.libpython, function),
            None => (
                "main",
                self.main,
                self.main.exported_function(name).with_context(|| {
                    format!("libpython takes the address of {name}, which nobody defines")
                })?,
            ),
        };
        let ty = RoundtripReencoder.func_type(module.function_type(function)?.clone())?;
        let index = self.imports.len();
        self.imports
            .import(from, name, EntityType::Function(self.types.len()));
        self.types.ty().func_type(&ty);
        self.functions.push(index);
        self.slots.size += 1;
        Ok(self.slots.size - 1)
    }

    fn add_data(&mut self, name: &str) -> Result<()> {
        let address = match self.libpython.exported_global(name) {
            Some(offset) => self.slots.libdata + offset.address()?,
            None => address(self.main, name)?,
        };
        self.add_global(&format!("GOT.mem:{name}"), address, true);
        Ok(())
    }

    /// libpython's exported globals are offsets, those of `main.wasm` addresses; here they become the same thing.
    fn add_absolute(&mut self) -> Result<()> {
        let mut all = BTreeMap::new();
        for name in data_exports(self.main) {
            all.insert(name, address(self.main, name)?);
        }
        for name in data_exports(self.libpython) {
            let offset = self.libpython.exported_global(name);
            let offset = offset.with_context(|| format!("{name} in libpython is no constant"))?;
            all.insert(name, self.slots.libdata + offset.address()?);
        }
        for (name, address) in all {
            self.add_global(&format!("abs:{name}"), address, false);
        }
        Ok(())
    }

    /// Exported functions that have a slot without libpython asking for it.
    fn add_known_slots(&mut self) {
        let names = self
            .main
            .exports
            .keys()
            .chain(self.libpython.exports.keys());
        for name in names {
            if let Some(slot) = self.known_slot(name) {
                self.slots.slots.entry(name.clone()).or_insert(slot);
            }
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: self.slots.size.into(),
            maximum: Some(TABLE_LIMIT),
            shared: false,
        });
        self.exports
            .export("__indirect_function_table", ExportKind::Table, 0);
        let mut elements = ElementSection::new();
        elements.active(
            None,
            &ConstExpr::i32_const(self.slots.got_base.cast_signed()),
            Elements::Functions(self.functions.as_slice().into()),
        );
        let mut module = Encoder::new();
        module
            .section(&self.types)
            .section(&self.imports)
            .section(&tables)
            .section(&self.globals)
            .section(&self.exports)
            .section(&elements);
        module.finish()
    }
}

fn data_exports(module: &Module) -> impl Iterator<Item = &String> {
    module
        .exports
        .iter()
        .filter(|(name, export)| export.kind == ExternalKind::Global && *name != STACK_POINTER)
        .map(|(name, _)| name)
}

fn address(main: &Module, name: &str) -> Result<u32> {
    main.exported_global(name)
        .with_context(|| format!("main.wasm does not define {name}"))?
        .address()
}
