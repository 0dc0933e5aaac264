//! Tells the crate its own target, which the engine compiles Python for, and the version of that engine.
fn main() {
    let target = std::env::var("TARGET").expect("set by cargo");
    println!("cargo::rustc-env=ERYX_TARGET={target}");
    println!(
        "cargo::rustc-env=ERYX_WASMTIME_VERSION={}",
        wasmtime_version()
    );
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
}

/// From the workspace's lock file: wasmtime itself does not say.
fn wasmtime_version() -> String {
    let lock = std::fs::read_to_string("../../Cargo.lock").unwrap_or_default();
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.contains("name = \"wasmtime\"\n"));
    let version = entry
        .and_then(|entry| entry.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next());
    version.unwrap_or("48").to_owned()
}
