//! Runs the tools of the host: python3, npm, node, zig.

use std::io;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// A program the build needs but does not download.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    Python,
    Npm,
    Node,
}

impl Tool {
    pub(crate) fn command(self) -> Command {
        Command::new(self.program())
    }

    fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Npm => "npm",
            Self::Node => "node",
        }
    }

    /// The one sentence for somebody who does not have it.
    fn missing(self) -> &'static str {
        match self {
            Self::Python => {
                "building the runtime needs `python3` with pip: install Python 3 (on Debian: apt install python3 python3-pip)"
            }
            Self::Npm => "building the runtime needs `npm`: install Node.js 20 or newer with npm",
            Self::Node => "building the runtime needs `node`: install Node.js 20 or newer",
        }
    }

    /// Runs a command made by [`Tool::command`] to its end.
    pub(crate) fn run(self, command: &mut Command) -> Result<Output> {
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(self.missing()),
            Err(error) => Err(error).with_context(|| format!("cannot run {}", self.program())),
            Ok(output) if output.status.success() => Ok(output),
            Ok(output) if says_no_pip(&output) => bail!(Self::Python.missing()),
            Ok(output) => bail!(failure(command, &output)),
        }
    }
}

/// Runs a program of our own cache to its end.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(failure(command, &output));
    }
    Ok(output)
}

fn says_no_pip(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("No module named pip")
}

/// Enough of a failed command to act on: its name, its first arguments and the end of what it said.
fn failure(command: &Command, output: &Output) -> String {
    let arguments: Vec<_> = command
        .get_args()
        .take(8)
        .map(|argument| argument.to_string_lossy())
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let end = lines[lines.len().saturating_sub(30)..].join("\n");
    format!(
        "{} {} failed ({}):\n{end}",
        command.get_program().display(),
        arguments.join(" "),
        output.status
    )
}
