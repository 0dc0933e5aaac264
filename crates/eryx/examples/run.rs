//! Runs a Python file, or the text after `-c`, in a sandbox: `cargo run --release --example run -- -c "print(1)"`.

use std::path::Path;

use eryx::{ExecutionOptions, Runtime, Sandbox, SandboxOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = match arguments.as_slice() {
        [flag, code] if flag == "-c" => code.clone(),
        [path] => std::fs::read_to_string(path)?,
        _ => return Err("usage: run FILE | run -c CODE".into()),
    };
    let runtime = Runtime::load(Path::new("target/eryx-runtime"))?;
    let sandbox = Sandbox::new(&runtime, SandboxOptions::default())?;
    let executor = tokio::runtime::Builder::new_current_thread().build()?;
    match executor.block_on(sandbox.execute(code, ExecutionOptions::default())) {
        Ok(result) => {
            eprint!(
                "{}{}",
                String::from_utf8_lossy(&result.output.stdout),
                String::from_utf8_lossy(&result.output.stderr)
            );
            eprintln!(
                "{:?} result={:?} value={:?} repr={:?}",
                result.output.usage.duration, result.result, result.value, result.value_repr
            );
        }
        Err(failure) => {
            eprint!("{}", String::from_utf8_lossy(&failure.output.stdout));
            eprintln!("{:#?}", failure.error);
        }
    }
    Ok(())
}
