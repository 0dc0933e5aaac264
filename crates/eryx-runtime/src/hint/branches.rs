//! The conditional branches of a module, function by function.

use anyhow::{Context as _, Result, bail};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::digest;
use crate::module::Module;

/// Hexadecimal digits of a shape: those of ten thousand functions hardly ever collide.
const DIGITS: usize = 12;

/// Opcodes from this one on are prefixes: a number follows, in LEB128.
const FIRST_PREFIX: u8 = 0xfb;

/// A function that has a body.
pub(super) struct Function<'a> {
    pub(super) index: u32,
    pub(super) body: FunctionBody<'a>,
    /// A hash of its operators, locals and labels, by which it is found under any index. What depends on other functions is left
    /// out: their indices, constants, the addresses of data. Functions that differ in nothing else share a shape, and their counts
    /// are added.
    pub(super) shape: String,
    pub(super) branches: Vec<Branch>,
    /// How many labels it has, its own among them.
    pub(super) labels: usize,
}

impl Function<'_> {
    /// How many counters it has: one for each label, then two for each branch, how often it was reached and taken.
    pub(super) fn counters(&self) -> usize {
        self.labels + 2 * self.branches.len()
    }
}

/// An `if` or a `br_if`.
pub(super) struct Branch {
    /// From the beginning of the function's body, as hints count.
    pub(super) offset: u32,
    pub(super) target: Target,
}

/// Where a branch goes when its condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into the body of an `if`, where nothing else leads.
    Inside,
    /// Behind the end of what has this label. Other code may lead there too.
    Behind(usize),
    /// Back to the beginning of a loop.
    Back,
}

/// What a branch can name.
struct Label {
    /// Counted from the beginning of the function, whose own label is number 0.
    number: usize,
    is_loop: bool,
}

/// The labels that are open at some place of a function.
pub(super) struct Labels {
    open: Vec<Label>,
    begun: usize,
}

impl Labels {
    pub(super) fn new() -> Self {
        let (open, begun) = (Vec::new(), 0);
        let mut labels = Self { open, begun };
        labels.begin(false);
        labels
    }

    fn begin(&mut self, is_loop: bool) {
        let number = self.begun;
        self.open.push(Label { number, is_loop });
        self.begun += 1;
    }

    /// Goes on behind `operator`. Returns the number of the label whose branches lead there, if any do.
    ///
    /// # Errors
    /// The operator opens a label of a kind that nothing here knows.
    pub(super) fn pass(&mut self, operator: &Operator<'_>) -> Result<Option<usize>> {
        match operator {
            Operator::Block { .. } | Operator::If { .. } => self.begin(false),
            Operator::Loop { .. } => self.begin(true),
            Operator::Try { .. } | Operator::TryTable { .. } => bail!("code with exceptions"),
            Operator::End => {
                let label = self.open.pop().filter(|label| !label.is_loop);
                return Ok(label.map(|label| label.number));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Where a conditional branch leads. `None`: `operator` is not one.
    pub(super) fn target(&self, operator: &Operator<'_>) -> Option<Target> {
        match operator {
            Operator::If { .. } => Some(Target::Inside),
            Operator::BrIf { relative_depth } => {
                let label = self.open.iter().nth_back(*relative_depth as usize)?;
                let behind = Target::Behind(label.number);
                Some(if label.is_loop { Target::Back } else { behind })
            }
            _ => None,
        }
    }
}

/// All functions with a body, in their order.
pub(super) fn functions(wasm: &[u8]) -> Result<Vec<Function<'_>>> {
    let mut functions = Vec::new();
    let mut index = Module::parse(wasm)?.imported_functions();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            functions.push(function(wasm, index, body)?);
            index += 1;
        }
    }
    Ok(functions)
}

fn function<'a>(wasm: &[u8], index: u32, body: FunctionBody<'a>) -> Result<Function<'a>> {
    let mut labels = Labels::new();
    let (mut branches, mut code) = (Vec::new(), Vec::new());
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let bytes = &wasm[start..operators.original_position()];
        code.extend(lasting(&operator, bytes));
        if let Some(target) = labels.target(&operator) {
            let offset = u32::try_from(start - body.range().start)?;
            branches.push(Branch { offset, target });
        }
        labels.pass(&operator)?;
    }
    let shape = digest::of_bytes(&code);
    Ok(Function {
        index,
        shape: shape.get(..DIGITS).context("a short digest")?.to_owned(),
        branches,
        labels: labels.begun,
        body,
    })
}

/// The bytes of an operator that stay if other functions change. Constants may be addresses, and so may the offsets of loads and
/// stores: of most operators it is the opcode, which has a second part behind a prefix.
fn lasting<'b>(operator: &Operator<'_>, bytes: &'b [u8]) -> &'b [u8] {
    match operator {
        Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::LocalTee { .. }
        | Operator::Br { .. }
        | Operator::BrIf { .. }
        | Operator::BrTable { .. } => bytes,
        _ if bytes[0] >= FIRST_PREFIX => {
            let last = bytes[1..].iter().position(|byte| byte & 0x80 == 0);
            &bytes[..2 + last.unwrap_or(0)]
        }
        _ => &bytes[..1],
    }
}
