//! What the stages need to know about a core module: names, types, addresses.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use wasmparser::{
    Dylink0Subsection, ElementItems, ElementKind, ExternalKind, FuncType, KnownCustom, MemInfo,
    Name, Parser, Payload, TypeRef,
};

use crate::constant::{self, Constant};

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module it comes from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub ty: TypeRef,
}

/// An export: what it is and its index among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// Function, global, table or memory.
    pub kind: ExternalKind,
    /// The index in the index space of its kind.
    pub index: u32,
}

/// The parts of a core module that linking looks at.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Imports in order.
    pub imports: Vec<Import>,
    /// Exports by name.
    pub exports: BTreeMap<String, Export>,
    /// Table slot to function index, from the active element segments. In a position-independent module slots count
    /// from `__table_base`.
    pub slots: BTreeMap<u32, u32>,
    /// The `dylink.0` section's memory and table sizes.
    pub dylink: Option<MemInfo>,
    /// The start function's index.
    pub start: Option<u32>,
    types: Vec<FuncType>,
    functions: Vec<u32>,
    globals: Vec<Option<Constant>>,
}

impl Module {
    /// Reads a core module.
    ///
    /// # Errors
    /// Not a module, or one with something other than functions among its types.
    pub fn parse(wasm: &[u8]) -> Result<Self> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            module.add(payload?)?;
        }
        Ok(module)
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.add_import(import?);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let value = constant::evaluate(&global?.init_expr, &self.globals);
                    self.globals.push(value.ok());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let (kind, index) = (export.kind, export.index);
                    self.exports
                        .insert(export.name.to_owned(), Export { kind, index });
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    self.add_element(element?)?;
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::CustomSection(section) => self.add_custom(section.as_known())?,
            _ => {}
        }
        Ok(())
    }

    /// `__memory_base` and `__table_base` count as 0: addresses of a position-independent module are relative to them.
    fn add_import(&mut self, import: wasmparser::Import<'_>) {
        match import.ty {
            TypeRef::Func(ty) => self.functions.push(ty),
            TypeRef::Global(_) => self.globals.push(
                matches!(import.name, "__memory_base" | "__table_base").then_some(Constant::I32(0)),
            ),
            _ => {}
        }
        self.imports.push(Import {
            module: import.module.to_owned(),
            name: import.name.to_owned(),
            ty: import.ty,
        });
    }

    fn add_element(&mut self, element: wasmparser::Element<'_>) -> Result<()> {
        let (ElementKind::Active { offset_expr, .. }, ElementItems::Functions(functions)) =
            (element.kind, element.items)
        else {
            return Ok(());
        };
        let base = constant::evaluate(&offset_expr, &self.globals)?.address()?;
        for (slot, function) in (base..).zip(functions) {
            self.slots.insert(slot, function?);
        }
        Ok(())
    }

    fn add_custom(&mut self, section: KnownCustom<'_>) -> Result<()> {
        if let KnownCustom::Dylink0(parts) = section {
            for part in parts {
                if let Dylink0Subsection::MemInfo(info) = part? {
                    self.dylink = Some(info);
                }
            }
        }
        Ok(())
    }

    /// The type of the function with this index.
    ///
    /// # Errors
    /// There is none.
    pub fn function_type(&self, index: u32) -> Result<&FuncType> {
        self.functions
            .get(index as usize)
            .and_then(|ty| self.types.get(*ty as usize))
            .with_context(|| format!("no function has index {index}"))
    }

    /// How many functions are imported: the first with a body has this index.
    #[must_use]
    pub fn imported_functions(&self) -> u32 {
        let imports = self.imports.iter();
        let functions = imports.filter(|import| matches!(import.ty, TypeRef::Func(_)));
        functions.map(|_| 1).sum()
    }

    /// The index of an exported function.
    #[must_use]
    pub fn exported_function(&self, name: &str) -> Option<u32> {
        let export = self.exports.get(name)?;
        (export.kind == ExternalKind::Func).then_some(export.index)
    }

    /// The value of an exported global, if it is a known constant.
    #[must_use]
    pub fn exported_global(&self, name: &str) -> Option<Constant> {
        let export = self.exports.get(name)?;
        let value = *self.globals.get(export.index as usize)?;
        value.filter(|_| export.kind == ExternalKind::Global)
    }

    /// The first slot of each function that has one.
    #[must_use]
    pub fn slot_of_function(&self) -> BTreeMap<u32, u32> {
        let mut first = BTreeMap::new();
        for (slot, function) in &self.slots {
            first.entry(*function).or_insert(*slot);
        }
        first
    }

    /// The least number of slots that the imported table must have.
    #[must_use]
    pub fn imported_table_size(&self) -> Option<u32> {
        self.imports.iter().find_map(|import| match import.ty {
            TypeRef::Table(table) => u32::try_from(table.initial).ok(),
            _ => None,
        })
    }

    /// The names imported from `module`.
    pub fn imported_from<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a Import> {
        self.imports
            .iter()
            .filter(move |import| import.module == module)
    }
}

/// The module's name from its `name` section, or nothing if `wasm` is not a core module or has none.
#[must_use]
pub fn name(wasm: &[u8]) -> Option<String> {
    Parser::new(0)
        .parse_all(wasm)
        .find_map(|payload| match payload.ok()? {
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(mut names) => names.find_map(|part| match part.ok()? {
                    Name::Module { name, .. } => Some(name.to_owned()),
                    _ => None,
                }),
                _ => None,
            },
            _ => None,
        })
}

/// Indices and names of functions, as the `name` section has them.
///
/// # Errors
/// Not a module.
pub fn function_names(wasm: &[u8]) -> Result<Vec<(u32, String)>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Name(parts) = section.as_known() else {
            continue;
        };
        for part in parts {
            let Name::Function(functions) = part? else {
                continue;
            };
            for naming in functions {
                let naming = naming?;
                names.push((naming.index, naming.name.to_owned()));
            }
        }
    }
    Ok(names)
}
