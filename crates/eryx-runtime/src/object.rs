//! Object files and archives of them: which symbols they define.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use wasmparser::{KnownCustom, Linking, Parser, Payload, SymbolFlags, SymbolInfo};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The symbols of one object file that other files can use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Defined once: a second definition is a link error.
    pub strong: BTreeSet<String>,
    /// Gives way to a definition elsewhere.
    pub weak: BTreeSet<String>,
}

/// The symbols that an object file defines for others. Visibility does not matter: zig compiles all of libc hidden.
///
/// # Errors
/// Not a wasm object file.
pub fn symbols(object: &[u8]) -> Result<Symbols> {
    let mut symbols = Symbols::default();
    for payload in Parser::new(0).parse_all(object) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Linking(parts) = section.as_known() else {
            continue;
        };
        for part in parts.subsections() {
            if let Linking::SymbolTable(table) = part? {
                for symbol in table {
                    symbols.add(&symbol?);
                }
            }
        }
    }
    Ok(symbols)
}

impl Symbols {
    fn add(&mut self, symbol: &SymbolInfo<'_>) {
        let (flags, name) = match symbol {
            SymbolInfo::Func { flags, name, .. } => (*flags, *name),
            SymbolInfo::Data { flags, name, .. } => (*flags, Some(*name)),
            _ => return,
        };
        let unusable = SymbolFlags::UNDEFINED | SymbolFlags::BINDING_LOCAL;
        let (Some(name), false) = (name, flags.intersects(unusable)) else {
            return;
        };
        let set = if flags.contains(SymbolFlags::BINDING_WEAK) {
            &mut self.weak
        } else {
            &mut self.strong
        };
        set.insert(name.to_owned());
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.strong.iter().chain(&self.weak)
    }
}

/// The object files in an archive as `ar` and zig write it.
///
/// # Errors
/// Not an archive, or cut off.
pub fn members(archive: &[u8]) -> Result<Vec<&[u8]>> {
    let mut rest = archive.strip_prefix(MAGIC).context("not an archive")?;
    let mut members = Vec::new();
    while rest.len() > 1 {
        let (header, contents) = rest
            .split_at_checked(HEADER)
            .context("cut off in a header")?;
        let size: usize = std::str::from_utf8(&header[48..58])?.trim_end().parse()?;
        let (member, after) = contents
            .split_at_checked(size)
            .context("cut off in a member")?;
        if member.starts_with(b"\0asm") {
            members.push(member);
        } else if !header.starts_with(b"/") {
            bail!("the archive holds something that is not a wasm object");
        }
        rest = &after[(size % 2).min(after.len())..];
    }
    Ok(members)
}
