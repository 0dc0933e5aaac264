//! Splits a module into code and initial memory.
//!
//! The stripped module has no data segments, no start function and no custom sections: memory comes from an image
//! instead. It has polls, with which the host stops it ([`poll`]). Every mutable global is exported, because memory and mutable globals together are the whole state.

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ExportKind, ExportSection, Module as Encoder, RawSection};
use wasmparser::{
    DataKind, DataSectionReader, ExternalKind, GlobalSectionReader, MemorySectionReader, Parser,
    Payload, TypeRef,
};

use crate::constant::{self, Constant};
use crate::{poll, rewrite};

const PAGE: u64 = 65536;
/// More than any runtime needs before it has run.
const MEMORY_LIMIT: u64 = 1 << 30;

/// A module without its state, and the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// The module.
    pub wasm: Vec<u8>,
    /// The whole initial memory, as long as the module's declared minimum.
    pub image: Vec<u8>,
    /// Every mutable global, in the order of their indices.
    pub globals: Vec<MutableGlobal>,
}

/// A mutable global of the stripped module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MutableGlobal {
    /// The name it is exported by: `__mg` and its index.
    pub export: String,
    /// The name it was exported by before, if any. It still is.
    pub name: Option<String>,
    /// Its initial value.
    #[serde(flatten)]
    pub initial: Constant,
}

impl Stripped {
    /// Names and initial values of the mutable globals.
    ///
    /// # Errors
    /// One of them is not an i32.
    pub fn values(&self) -> Result<Vec<(String, i32)>> {
        self.globals
            .iter()
            .map(|global| match global.initial {
                Constant::I32(value) => Ok((global.export.clone(), value)),
                other => bail!(
                    "the mutable global {} is {other:?}, not an i32",
                    global.export
                ),
            })
            .collect()
    }
}

/// Splits `wasm`.
///
/// # Errors
/// The module imports or lacks a memory, has a start function, passive segments, or a global of unknown initial value.
pub fn strip(wasm: &[u8]) -> Result<Stripped> {
    let mut state = State::default();
    let mut module = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ExportSection(section) => {
                module.section(&state.exports(section)?);
            }
            Payload::StartSection { .. } => bail!("the module has a start function"),
            Payload::DataSection(section) => state.fill(section)?,
            Payload::DataCountSection { .. } | Payload::CustomSection(_) => {}
            payload => {
                state.see(&payload)?;
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    let image = state.image.context("the module has no memory")?;
    Ok(Stripped {
        wasm: poll::add(&module.finish())?,
        image,
        globals: state.mutable,
    })
}

/// The same for `python.wasm`, of whose exports only those of the host's stay.
///
/// # Errors
/// As [`strip`].
pub fn strip_python(python: &[u8]) -> Result<Stripped> {
    let stripped = strip(python)?;
    let wasm = rewrite::published(&stripped.wasm)?;
    Ok(Stripped { wasm, ..stripped })
}

#[derive(Default)]
struct State {
    image: Option<Vec<u8>>,
    /// The initial value of each global, if known.
    globals: Vec<Option<Constant>>,
    mutable: Vec<MutableGlobal>,
}

impl State {
    fn see(&mut self, payload: &Payload<'_>) -> Result<()> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    if !matches!(import?.ty, TypeRef::Func(_)) {
                        bail!("the module imports something other than functions");
                    }
                }
                Ok(())
            }
            Payload::MemorySection(section) => self.reserve(section.clone()),
            Payload::GlobalSection(section) => self.add_globals(section.clone()),
            _ => Ok(()),
        }
    }

    fn reserve(&mut self, section: MemorySectionReader<'_>) -> Result<()> {
        for memory in section {
            let size = memory?.initial.checked_mul(PAGE);
            let size = size.filter(|size| *size <= MEMORY_LIMIT);
            let size = usize::try_from(size.context("the initial memory is too large")?)?;
            if self.image.replace(vec![0; size]).is_some() {
                bail!("the module has two memories");
            }
        }
        Ok(())
    }

    fn add_globals(&mut self, section: GlobalSectionReader<'_>) -> Result<()> {
        for global in section {
            let global = global?;
            let index = self.globals.len();
            let initial = constant::evaluate(&global.init_expr, &self.globals);
            if global.ty.mutable {
                self.mutable.push(MutableGlobal {
                    export: format!("__mg{index}"),
                    name: None,
                    initial: *initial
                        .as_ref()
                        .map_err(|error| anyhow::anyhow!("global {index}: {error}"))?,
                });
            }
            self.globals.push(initial.ok());
        }
        Ok(())
    }

    /// The module's own exports, then one for each mutable global.
    fn exports(&mut self, section: wasmparser::ExportSectionReader<'_>) -> Result<ExportSection> {
        let mut exports = ExportSection::new();
        for export in section {
            let export = export?;
            if export.kind == ExternalKind::Global {
                self.name(export.index, export.name);
            }
            let kind = RoundtripReencoder.export_kind(export.kind)?;
            exports.export(export.name, kind, export.index);
        }
        for global in &self.mutable {
            let index = global.export["__mg".len()..].parse()?;
            exports.export(&global.export, ExportKind::Global, index);
        }
        Ok(exports)
    }

    fn name(&mut self, index: u32, name: &str) {
        let export = format!("__mg{index}");
        if let Some(global) = self
            .mutable
            .iter_mut()
            .find(|global| global.export == export)
        {
            global.name.get_or_insert(name.to_owned());
        }
    }

    fn fill(&mut self, section: DataSectionReader<'_>) -> Result<()> {
        let image = self.image.as_mut().context("data without a memory")?;
        for segment in section {
            let segment = segment?;
            let DataKind::Active { offset_expr, .. } = segment.kind else {
                bail!("the module has a passive data segment");
            };
            let start = constant::evaluate(&offset_expr, &self.globals)?.address()? as usize;
            image
                .get_mut(start..)
                .and_then(|rest| rest.get_mut(..segment.data.len()))
                .with_context(|| format!("a data segment at {start} is outside the memory"))?
                .copy_from_slice(segment.data);
        }
        Ok(())
    }
}
