//! Puts polls into code: what ends a guest that does not listen.
//!
//! A poll is a load from a page that the host protects when it wants the guest to stop; its value is dropped. The page is a
//! memory of its own, so that nothing else in the module can touch it. Each loop begins with a poll, and so does each
//! function that calls itself by way of others: code cannot run for long without one.
//!
//! Whether a value is loaded that nobody needs costs little: ten kernels take as long with polls as without.
//!
//! Each poll of a function loads from an address of its own. Cranelift drops a load from an address that was loaded from before, also
//! one that may trap, if nothing came in between that may write to that memory (`alias_analysis.rs`: of the loads in two loops one
//! after the other only the first is left). A load that is the first of its address it keeps, because it may trap; out of a loop it
//! moves none that may. `slot::tests::brake` of eryx-memory tries both, and core/limits/time.rs loops of C code.

use anyhow::{Context as _, Result, bail};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, Encode as _, Instruction, MemArg, MemorySection, MemoryType, Module as Encoder,
    RawSection,
};
use wasmparser::{FunctionBody, MemorySectionReader, Operator, Parser, Payload, TypeRef};

/// The memory that polls load from: the module's second one, of one page.
const MEMORY: u32 = 1;
/// Bytes of it.
const PAGE: u64 = 1 << 16;

/// Adds the memory and the polls.
///
/// # Errors
/// The module has not exactly one memory, or imports one.
pub fn add(wasm: &[u8]) -> Result<Vec<u8>> {
    let code = Code::read(wasm)?;
    let entries = code.recursive()?;
    let mut encoder = Encoder::new();
    let mut memories = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::MemorySection(section) => {
                memories += section.count();
                encoder.section(&with_page(section)?);
            }
            Payload::CodeSectionStart { .. } => {
                encoder.section(&code.with_polls(wasm, &entries)?);
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    encoder.section(&RawSection { id, data });
                }
            }
        }
    }
    if memories != 1 {
        bail!("a module with {memories} memories of its own; polls need one");
    }
    Ok(encoder.finish())
}

fn with_page(section: MemorySectionReader<'_>) -> Result<MemorySection> {
    let mut memories = MemorySection::new();
    RoundtripReencoder.parse_memory_section(&mut memories, section)?;
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    Ok(memories)
}

/// The functions of a module that have a body.
struct Code<'a> {
    /// How many functions are imported.
    imported: u32,
    bodies: Vec<FunctionBody<'a>>,
}

impl<'a> Code<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self> {
        let mut code = Self {
            imported: 0,
            bodies: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) => code.imported += 1,
                            TypeRef::Memory(_) => bail!("the module imports a memory"),
                            _ => {}
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => code.bodies.push(body),
                _ => {}
            }
        }
        Ok(code)
    }

    /// Whether each function calls itself, directly or by way of others. What calls through a table is not followed: such a
    /// circle has a loop in it, or goes through the evaluation loop.
    fn recursive(&self) -> Result<Vec<bool>> {
        let mut calls = DiGraph::<(), (), u32>::default();
        let nodes: Vec<_> = self.bodies.iter().map(|_| calls.add_node(())).collect();
        for (body, &caller) in self.bodies.iter().zip(&nodes) {
            for operator in body.get_operators_reader()? {
                if let Operator::Call { function_index } | Operator::ReturnCall { function_index } =
                    operator?
                    && let Some(callee) = function_index.checked_sub(self.imported)
                {
                    let callee = nodes.get(callee as usize);
                    calls.update_edge(caller, *callee.context("a call of no function")?, ());
                }
            }
        }
        let mut recursive = vec![false; self.bodies.len()];
        for component in kosaraju_scc(&calls) {
            let circle = component.len() > 1 || calls.contains_edge(component[0], component[0]);
            for node in component {
                recursive[node.index()] = circle;
            }
        }
        Ok(recursive)
    }

    fn with_polls(&self, wasm: &[u8], entries: &[bool]) -> Result<CodeSection> {
        let mut section = CodeSection::new();
        for (body, &at_entry) in self.bodies.iter().zip(entries) {
            section.raw(&polled(wasm, body, at_entry)?);
        }
        Ok(section)
    }
}

/// The bytes of a function's poll of this number.
fn poll(number: usize) -> Result<Vec<u8>> {
    let offset = 4 * number as u64;
    if offset >= PAGE {
        bail!("a function with more than {number} polls");
    }
    let page = MemArg {
        offset,
        align: 2,
        memory_index: MEMORY,
    };
    let mut bytes = Vec::new();
    for instruction in [
        Instruction::I32Const(0),
        Instruction::I32Load(page),
        Instruction::Drop,
    ] {
        instruction.encode(&mut bytes);
    }
    Ok(bytes)
}

/// A function's bytes with polls at the beginning of its loops. A loop that begins with another one needs none of its own: in the
/// evaluation loop that is a third of the cost.
fn polled(wasm: &[u8], body: &FunctionBody<'_>, at_entry: bool) -> Result<Vec<u8>> {
    let operators = body.get_operators_reader()?;
    let mut places = Vec::new();
    if at_entry {
        places.push(operators.original_position());
    }
    // The place behind the beginning of a loop, as long as only code without a branch came after it.
    let mut owed = None;
    let mut begins = false;
    for operator in operators.into_iter_with_offsets() {
        let (operator, at) = operator?;
        if begins {
            owed = Some(at);
        }
        begins = matches!(operator, Operator::Loop { .. });
        if begins {
            // Whoever begins the outer loop begins this one, which has a poll.
            owed = None;
        } else if may_leave(&operator) {
            places.extend(owed.take());
        }
    }
    let range = body.range();
    let mut bytes = Vec::with_capacity(range.len() + places.len() * 8);
    let mut from = range.start;
    for (number, place) in places.into_iter().enumerate() {
        bytes.extend(&wasm[from..place]);
        bytes.extend(poll(number)?);
        from = place;
    }
    bytes.extend(&wasm[from..range.end]);
    Ok(bytes)
}

/// Whether code may go on elsewhere than at the next operator.
fn may_leave(operator: &Operator<'_>) -> bool {
    use Operator as O;

    !matches!(
        operator,
        O::Block { .. }
            | O::Nop
            | O::Drop
            | O::Select
            | O::LocalGet { .. }
            | O::LocalSet { .. }
            | O::LocalTee { .. }
            | O::GlobalGet { .. }
            | O::I32Const { .. }
            | O::I64Const { .. }
            | O::F64Const { .. }
            | O::I32Load { .. }
            | O::I32Load8U { .. }
            | O::I32Load16U { .. }
            | O::I32Store { .. }
            | O::I32Add
            | O::I32Sub
            | O::I32And
            | O::I32Or
            | O::I32Shl
            | O::I32ShrU
            | O::I32ShrS
            | O::I32Eqz
    )
}
