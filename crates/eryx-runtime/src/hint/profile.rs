//! Which way branches go, as a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

const HEADER: &str = "\
# Which way branches went in training. Made by `eryx-runtime train`: do not edit.
# A line for each function: the hash of its code, then its conditional branches. + is taken, - is not taken; a number stands
# for so many that go both ways or were hardly reached, as do those after the last sign.
";

/// More conditional branches than any function has.
const MANY: usize = 1 << 20;

/// The ways of branches, by function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    functions: BTreeMap<String, Vec<Option<bool>>>,
}

impl Profile {
    /// Reads the text of a profile.
    ///
    /// # Errors
    /// A line is not what the header says, or two are of the same function.
    pub fn parse(text: &str) -> Result<Self> {
        let mut profile = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if !line.starts_with('#') {
                let added = profile.add_line(line);
                added.with_context(|| format!("line {number} of the profile of branches"))?;
            }
        }
        Ok(profile)
    }

    fn add_line(&mut self, line: &str) -> Result<()> {
        let (shape, signs) = line
            .split_once(' ')
            .context("it is no hash and signs with a space between them")?;
        let hexadecimal = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        ensure!(
            !shape.is_empty() && shape.bytes().all(hexadecimal),
            "{shape:?} is no hash"
        );
        let earlier = self.functions.insert(shape.to_owned(), ways(signs)?);
        ensure!(earlier.is_none(), "{shape} has a line already");
        Ok(())
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let functions = self.functions.iter();
        let lines = functions.map(|(shape, ways)| format!("{shape} {}\n", signs(ways)));
        std::iter::once(HEADER.to_owned()).chain(lines).collect()
    }

    /// How many functions have a line.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// The ways of a function's branches: of the first ones.
    pub(super) fn of(&self, shape: &str) -> &[Option<bool>] {
        self.functions.get(shape).map_or(&[], Vec::as_slice)
    }

    /// Notes a function, up to its last branch that goes one way, if any does.
    pub(super) fn insert(&mut self, shape: &str, ways: &[Option<bool>]) {
        if let Some(last) = ways.iter().rposition(Option::is_some) {
            self.functions
                .insert(shape.to_owned(), ways[..=last].to_vec());
        }
    }
}

fn ways(signs: &str) -> Result<Vec<Option<bool>>> {
    let mut ways = Vec::new();
    let mut rest = signs;
    while let Some(sign) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match sign {
            '+' => ways.push(Some(true)),
            '-' => ways.push(Some(false)),
            '0'..='9' => {
                let both = rest[..digits].parse::<usize>().ok();
                let both = both.filter(|&both| both < MANY);
                let both = both.context("a function of too many branches")?;
                ways.resize(ways.len() + both, None);
            }
            other => bail!("{other:?} is no sign"),
        }
        rest = &rest[digits.max(1)..];
    }
    Ok(ways)
}

fn signs(ways: &[Option<bool>]) -> String {
    let mut signs = String::new();
    let mut both = 0;
    for way in ways {
        let Some(taken) = way else {
            both += 1;
            continue;
        };
        if both > 0 {
            write!(signs, "{both}").expect("a String takes any text");
            both = 0;
        }
        signs.push(if *taken { '+' } else { '-' });
    }
    signs
}
