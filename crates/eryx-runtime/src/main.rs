//! `eryx-runtime build`: makes the Python runtime in `target/eryx-runtime`. `eryx-runtime lock`: renews the lock file.
//! `eryx-runtime train`: renews the profile of branches.

use std::path::Path;
use std::process::ExitCode;

use eryx_runtime::{Layout, build, train, update};

const USAGE: &str = "usage: eryx-runtime build|lock|train [WORKSPACE]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let workspace = arguments.get(1).map_or(".", String::as_str);
    // Tools run in folders of their own, so every path must be absolute.
    let Ok(workspace) = Path::new(workspace).canonicalize() else {
        eprintln!("eryx-runtime: there is no folder {workspace}");
        return ExitCode::from(2);
    };
    let layout = Layout::in_workspace(&workspace);
    let mut progress = |line: &str| eprintln!("{line}");
    let done = match arguments.first().map(String::as_str) {
        Some("build") => build(&layout, &mut progress),
        Some("train") => train(&layout, &mut progress),
        Some("lock") => update::update(&layout, &mut progress).map(drop),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eryx-runtime: {error:#}");
            ExitCode::FAILURE
        }
    }
}
