use eryx::{ExecutionOptions, Runtime, Sandbox, SandboxOptions};
use std::path::Path;
use std::time::Instant;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let t = Instant::now();
    let runtime = Runtime::load(Path::new("target/eryx-runtime"))?;
    eprintln!("load {:?}", t.elapsed());
    let sandbox = Sandbox::new(&runtime, SandboxOptions::default())?;
    let executor = tokio::runtime::Builder::new_current_thread().build()?;
    for code in [
        "pass",
        "print(1)",
        "import json, re\nclass A:\n  def __init__(s,x): s.x=x\nd=json.loads(json.dumps({'a':[1,2,3]}))\nprint(re.sub('a','b','banana'), A(d).x)",
        "import urllib.request",
        "for i in range(10000): print(i)",
    ] {
        let t = Instant::now();
        executor.block_on(sandbox.execute(code, ExecutionOptions::default()))?;
        let first = t.elapsed();
        let (mut all, mut run) = (vec![], vec![]);
        for _ in 0..1000 {
            let t = Instant::now();
            let r = executor.block_on(sandbox.execute(code, ExecutionOptions::default()))?;
            all.push(t.elapsed());
            run.push(r.duration);
        }
        all.sort();
        run.sort();
        eprintln!(
            "{:40.40} first {first:?} p50 {:?} p90 {:?} run p50 {:?}",
            code.replace('\n', ";"),
            all[500],
            all[900],
            run[500]
        );
    }
    Ok(())
}
