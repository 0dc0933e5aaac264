//! Measures the C library's functions: zig's, ours, and those of this machine by a native program.
//!
//! `cargo run --release -p eryx-runtime --example c_library` prints GB/s for 8, 64, 1,024 and 65,536 bytes, or ns of a call.
//! `CC` names the native compiler. Arguments name the functions to measure; without any, all of them are.

#![expect(clippy::print_stdout, reason = "it is what this program is for")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use eryx::internals::builder::Boot;
use eryx_runtime::compile::Library;
use eryx_runtime::{Layout, program};

const SIZES: [u32; 4] = [8, 64, 1024, 65536];
/// A run is long enough if it takes this; the fastest of [`RUNS`] counts.
const LONG_ENOUGH: Duration = Duration::from_millis(5);
const RUNS: usize = 5;

/// Nanoseconds of a call, by name and size. Size 0: the function has none.
type Times = BTreeMap<(String, u32), f64>;

fn main() -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layout = Layout::in_workspace(&manifest.join("../.."));
    let source = manifest.join("examples/c_library.c");
    let work = env::temp_dir().join(format!("eryx-c-library-{}", std::process::id()));
    let wanted: Vec<String> = env::args().skip(1).collect();
    let mut order = Vec::new();
    let mut measured = Vec::new();
    for library in [Library::Zig, Library::Ours] {
        let program = program::load(&layout, &source, library, &work)?;
        let (names, times) = measure(program, &wanted)?;
        order = names;
        measured.push(times);
    }
    measured.push(native(&source, &work)?);
    fs::remove_dir_all(&work)?;
    println!(
        "{:16}{:>7}{:>10}{:>10}{:>10}",
        "", "bytes", "zig", "ours", "native"
    );
    for (name, size) in order {
        let columns = measured
            .iter()
            .map(|times| column(times.get(&(name.clone(), size)), size));
        println!(
            "{name:16}{:>7}{}",
            if size == 0 {
                String::new()
            } else {
                size.to_string()
            },
            columns.collect::<String>()
        );
    }
    Ok(())
}

fn column(nanoseconds: Option<&f64>, size: u32) -> String {
    match nanoseconds {
        None => format!("{:>10}", "-"),
        Some(time) if size == 0 => format!("{time:>7.1} ns"),
        Some(time) => format!("{:>10.2}", f64::from(size) / time),
    }
}

/// The functions in their order, and their times.
fn measure(mut program: Boot, wanted: &[String]) -> Result<(Vec<(String, u32)>, Times)> {
    let wrong = |error| anyhow!("the program failed: {error}");
    program.call::<(), ()>("case_prepare", ()).map_err(wrong)?;
    let (mut order, mut times) = (Vec::new(), Times::new());
    for index in 0u32.. {
        let at: u32 = program.call("case_name", index).map_err(wrong)?;
        if at == 0 {
            break;
        }
        let text = program.text(at).map_err(wrong)?;
        let name = text.trim_start_matches('*');
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let sizes: &[u32] = if text == name { &[0] } else { &SIZES };
        for &size in sizes {
            let time = fastest(|calls| {
                program
                    .call::<(u32, u32, i64), ()>("case_run", (index, size, i64::from(calls)))
                    .map_err(wrong)
            })?;
            order.push((name.to_owned(), size));
            times.insert((name.to_owned(), size), time);
        }
    }
    Ok((order, times))
}

fn fastest(mut run: impl FnMut(i32) -> Result<()>) -> Result<f64> {
    let (mut calls, mut best) = (8i32, f64::INFINITY);
    let mut runs = 0;
    while runs < RUNS {
        let start = Instant::now();
        run(calls)?;
        let took = start.elapsed();
        if took < LONG_ENOUGH {
            calls *= 2;
        } else {
            runs += 1;
            best = best.min(took.as_secs_f64() * 1e9 / f64::from(calls));
        }
    }
    Ok(best)
}

fn native(source: &Path, work: &Path) -> Result<Times> {
    let program: PathBuf = work.join("native");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(compiler)
        .args(["-O3", "-fno-builtin"])
        .arg(source)
        .arg("-o")
        .arg(&program)
        .arg("-lm")
        .status()?;
    ensure!(status.success(), "the native program does not compile");
    let output = Command::new(program).output()?;
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let [name, size, time] = parts[..] else {
                anyhow::bail!("{line:?} is no measurement");
            };
            Ok(((name.to_owned(), size.parse()?), time.parse()?))
        })
        .collect()
}
