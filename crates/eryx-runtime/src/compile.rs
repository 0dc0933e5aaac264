//! Our C code and the C library, compiled to `main.wasm`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::inputs::Inputs;
use crate::module::Module;
use crate::names::{self, Available};
use crate::object::{self, Symbols};
use crate::{command, musl, stamp};

/// Bytes of the shadow stack at the bottom of linear memory: `ERYX_STACK_SIZE` in C.
pub const STACK_SIZE: u32 = 3 << 20;
/// What `CPython` is told of it: `ERYX_STACK_TOLD` in C. Less than there is, so that `RecursionError` comes before the
/// native stack of the host runs out.
pub const STACK_TOLD: u32 = 2 << 20;

const TARGET: [&str; 2] = ["-target", "wasm32-wasi"];
const MODE: [&str; 2] = ["-mexec-model=reactor", "-O3"];
/// For functions of the C library: a loop that copies must not become a call of the function that it is in.
const LIBRARY: [&str; 2] = ["-msimd128", "-fno-builtin"];
/// The headers refuse `<signal.h>`, `<sys/times.h>` and `getpid` without these; zig's libc has all three built in.
const EMULATED: [&str; 3] = [
    "-D_WASI_EMULATED_SIGNAL",
    "-D_WASI_EMULATED_PROCESS_CLOCKS",
    "-D_WASI_EMULATED_GETPID",
];

/// Compiles every `.c` file of `guest` and `guest/libc`, and links them with the C library. Returns the path of `main.wasm` in `work`.
///
/// # Errors
/// The compiler or the linker fails.
pub fn compile(inputs: &Inputs, guest: &Path, libpython: &Module, work: &Path) -> Result<PathBuf> {
    let zig = Zig { inputs };
    let guest_objects = zig.objects(guest, &defines(libpython)?, &work.join("objects"))?;
    let library = zig.library(guest, &work.join("library"))?;
    let available = zig.available(&guest_objects, &library, work)?;
    let wasm = work.join("main.wasm");
    let names = names::exported(libpython, &available);
    let exports: Vec<String> = names
        .iter()
        .map(|name| format!("-Wl,--export={name}"))
        .collect();
    let arguments = work.join("exports.rsp");
    fs::write(&arguments, exports.join("\n"))?;
    let mut link = zig.cc();
    // Definitions first: the linker takes a function from zig's archives as soon as one object needs it.
    link.args(library)
        .args(guest_objects)
        .arg(format!("@{}", arguments.display()))
        .args(["-Wl,--import-table", "-Wl,--import-symbols"])
        .args(["-Wl,--export=__stack_pointer", "-Wl,--export=__heap_base"])
        .arg(format!("-Wl,-z,stack-size={STACK_SIZE}"))
        .arg("-o")
        .arg(&wasm);
    command::run(&mut link)?;
    Ok(wasm)
}

/// Which definitions of the C library's functions a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Those that Python gets.
    Ours,
    /// Only what zig brings.
    Zig,
}

/// Compiles one C file to a module of its own, with what it marks as exports: for tests and measurements of the C library.
///
/// # Errors
/// The compiler or the linker fails.
pub fn program(
    inputs: &Inputs,
    guest: &Path,
    source: &Path,
    library: Library,
    work: &Path,
) -> Result<PathBuf> {
    let zig = Zig { inputs };
    fs::create_dir_all(work)?;
    let wasm = work.join("program.wasm");
    let mut compile = zig.cc();
    // Otherwise the compiler answers calls itself.
    compile.arg("-fno-builtin").arg(source);
    if library == Library::Ours {
        compile.args(zig.library(guest, &work.join("library"))?);
    }
    compile
        .arg(format!("-Wl,-z,stack-size={STACK_SIZE}"))
        .args(["-Wl,--export=__stack_pointer", "-o"])
        .arg(&wasm);
    command::run(&mut compile)?;
    Ok(wasm)
}

struct Zig<'a> {
    inputs: &'a Inputs,
}

impl Zig<'_> {
    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(self.inputs.zig.join("zig"));
        command
            .env("ZIG_GLOBAL_CACHE_DIR", &self.inputs.zig_cache)
            .env("ZIG_LOCAL_CACHE_DIR", self.inputs.zig_cache.join("local"))
            .arg(tool)
            .args(TARGET);
        command
    }

    fn cc(&self) -> Command {
        let mut command = self.command("cc");
        command.args(MODE);
        command
    }

    /// Object files in the order of their sources' names. zig runs in the folder of the sources, so that no path of this
    /// machine gets into them.
    fn objects(&self, sources: &Path, flags: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        let files = stamp::files(sources, &["c"])?;
        if files.is_empty() {
            bail!("no C file in {}", sources.display());
        }
        fs::create_dir_all(folder)?;
        files
            .iter()
            .map(|source| {
                let name = source.file_name().context("a source has a name")?;
                let object = folder.join(name).with_extension("o");
                let mut compile = self.cc();
                compile
                    .current_dir(sources)
                    .args(EMULATED)
                    .args(flags)
                    .arg("-c")
                    .arg(name)
                    .arg("-o")
                    .arg(&object);
                command::run(&mut compile)?;
                Ok(object)
            })
            .collect()
    }

    /// What takes the place of functions of zig's C library: our own, and musl's where we have none.
    fn library(&self, guest: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
        let flags = LIBRARY.map(str::to_owned);
        let mut objects = self.objects(&guest.join("libc"), &flags, &folder.join("own"))?;
        let defined = symbols(&objects)?;
        let musl = musl::objects(
            self.command("build-lib"),
            (&self.inputs.zig, &self.inputs.musl),
            &all(&defined),
            &folder.join("musl"),
        )?;
        objects.extend(musl);
        Ok(objects)
    }

    fn available(&self, guest: &[PathBuf], library: &[PathBuf], work: &Path) -> Result<Available> {
        let mut available = Available {
            guest: all(&symbols(guest)?),
            replaced: symbols(library)?,
            reserved: self.reserved()?,
            ..Available::default()
        };
        for archive in self.archives(work)? {
            let members = member_symbols(&archive)?;
            if archive.ends_with("libcompiler_rt.a") {
                available.helpers.extend(members);
            } else {
                available.libc.extend(members);
            }
        }
        Ok(available)
    }

    fn reserved(&self) -> Result<BTreeSet<String>> {
        let headers = self.inputs.zig.join("lib/libc/include");
        let mut names = names::reserved_in(&headers.join("wasm-wasi-musl"))?;
        names.extend(names::reserved_in(&headers.join("generic-musl"))?);
        Ok(names)
    }

    /// The archives that every program is linked with. zig builds them on first use, 10 to 30 s, and says where they are
    /// only in the linker command that `-v` shows.
    fn archives(&self, work: &Path) -> Result<Vec<PathBuf>> {
        let source = work.join("empty.c");
        fs::write(&source, "")?;
        let mut probe = self.cc();
        probe
            .arg("-v")
            .arg(&source)
            .arg("-o")
            .arg(work.join("empty.wasm"));
        let said = String::from_utf8(command::run(&mut probe)?.stderr)?;
        let archives: Vec<PathBuf> = said
            .lines()
            .filter(|line| line.starts_with("wasm-ld "))
            .flat_map(str::split_ascii_whitespace)
            .map(PathBuf::from)
            .filter(|path| path.extension().is_some_and(|extension| extension == "a"))
            .collect();
        if archives.is_empty() {
            bail!("zig names no archive in its linker command:\n{said}");
        }
        Ok(archives)
    }
}

fn symbols(objects: &[PathBuf]) -> Result<Vec<Symbols>> {
    objects
        .iter()
        .map(|object| object::symbols(&fs::read(object)?))
        .collect()
}

fn all(objects: &[Symbols]) -> Symbols {
    let mut all = Symbols::default();
    for symbols in objects {
        all.strong.extend(symbols.strong.iter().cloned());
        all.weak.extend(symbols.weak.iter().cloned());
    }
    all
}

fn member_symbols(archive: &Path) -> Result<Vec<Symbols>> {
    let bytes = fs::read(archive)?;
    object::members(&bytes)
        .with_context(|| format!("in {}", archive.display()))?
        .into_iter()
        .map(object::symbols)
        .collect()
}

/// libpython's static data lives in an array of `main.wasm`: its size comes from libpython itself.
fn defines(libpython: &Module) -> Result<Vec<String>> {
    let info = libpython
        .dylink
        .as_ref()
        .context("libpython has no dylink.0 section")?;
    let align = 1 << info.memory_alignment;
    Ok(vec![
        format!("-DERYX_STACK_SIZE={STACK_SIZE}"),
        format!("-DERYX_STACK_TOLD={STACK_TOLD}"),
        format!("-DERYX_LIBPYTHON_DATA_ALIGN={align}"),
        format!(
            "-DERYX_LIBPYTHON_DATA_SIZE={}",
            info.memory_size.next_multiple_of(align)
        ),
    ])
}
