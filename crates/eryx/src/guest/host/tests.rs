//! Hand-made guests: every import with every kind of pointer, length and number.

mod calls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use eryx_vfs::{MemoryFs, Namespace};
use wasmtime::{
    Config, Engine, Extern, Func, FuncType, Instance, Linker, Memory, Module, Store, Val, ValType,
};

use super::system::Exit;
use super::{Calls, Errno, Host, RunState, add_to_linker};
use crate::CancelHandle;
use crate::guest::interrupt::Interrupt;
use crate::output::Output;

/// A guest that exports its memory and every one of our imports.
struct Guest {
    store: Store<Host>,
    memory: Memory,
    functions: BTreeMap<String, (Func, FuncType)>,
}

impl Guest {
    /// With so many pages of memory.
    fn new(run: RunState, pages: u32) -> Self {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).expect("good settings");
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).expect("links");
        let mut store = Store::new(&engine, Host::new(run, Arc::default()));
        let imports = imports(&linker, &mut store);
        let module = wat::parse_str(source(&imports, pages)).expect("good source");
        let module = Module::new(&engine, module).expect("a good module");
        let instance = crate::guest::instance::now(linker.instantiate_async(&mut store, &module));
        let instance = instance.expect("never waits").expect("instantiates");
        let memory = instance
            .get_memory(&mut store, "memory")
            .expect("in the source");
        store.data_mut().memory = Some(memory);
        let functions = imports
            .into_iter()
            .map(|(module, name, kind)| {
                let name = format!("{module}.{name}");
                let function = exported(instance, &mut store, &name);
                (name, (function, kind))
            })
            .collect();
        Self {
            store,
            memory,
            functions,
        }
    }

    async fn call(&mut self, name: &str, arguments: &[Val]) -> wasmtime::Result<Option<Val>> {
        let (function, kind) = &self.functions[name];
        let mut results = vec![Val::I32(0); kind.results().len()];
        function
            .call_async(&mut self.store, arguments, &mut results)
            .await?;
        Ok(results.pop())
    }

    fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    fn put(&mut self, at: usize, data: &[u8]) {
        self.bytes()[at..at + data.len()].copy_from_slice(data);
    }
}

fn exported(instance: Instance, store: &mut Store<Host>, name: &str) -> Func {
    instance.get_func(store, name).expect("in the source")
}

/// Module, name and type of everything that is linked.
fn imports(linker: &Linker<Host>, store: &mut Store<Host>) -> Vec<(String, String, FuncType)> {
    let all: Vec<_> = linker
        .iter(&mut *store)
        .map(|(module, name, what)| (module.to_owned(), name.to_owned(), what))
        .collect();
    all.into_iter()
        .map(|(module, name, what)| match what {
            Extern::Func(function) => (module, name, function.ty(&*store)),
            other => panic!("{name} is no function: {other:?}"),
        })
        .collect()
}

/// Module and name of every import.
pub(crate) fn imported() -> Vec<(String, String)> {
    let guest = Guest::new(run_state(Calls::default()), 1);
    let names = guest.functions.keys().map(|name| name.split_once('.'));
    names
        .map(|parts| parts.expect("module and name"))
        .map(|(module, name)| (module.to_owned(), name.to_owned()))
        .collect()
}

/// A module that imports all of them and exports each under its name.
fn source(imports: &[(String, String, FuncType)], pages: u32) -> String {
    let types = |kind: &str, types: Vec<ValType>| {
        let list: Vec<_> = types.iter().map(ToString::to_string).collect();
        format!("({kind} {})", list.join(" "))
    };
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for (index, (module, name, kind)) in imports.iter().enumerate() {
        let takes = types("param", kind.params().collect());
        let gives = types("result", kind.results().collect());
        let passed: Vec<_> = (0..kind.params().len())
            .map(|parameter| format!("local.get {parameter}"))
            .collect();
        let passed = passed.join(" ");
        head.push(format!(
            "(import \"{module}\" \"{name}\" (func $f{index} {takes} {gives}))"
        ));
        body.push(format!(
            "(func (export \"{module}.{name}\") {takes} {gives} {passed} call $f{index})"
        ));
    }
    let (head, body) = (head.join("\n"), body.join("\n"));
    format!("(module {head} (memory (export \"memory\") {pages}) {body})")
}

/// What a run brings: some files, input, and an end that was asked for already, so that nothing waits.
fn run_state(calls: Calls) -> RunState {
    let namespace = Namespace::new(Arc::new(MemoryFs::new(1 << 20)));
    let root = namespace.root();
    namespace.create_dir(root, "dir").expect("room");
    let file = namespace.create_file(root, "file").expect("room");
    namespace
        .fs(file)
        .write(file.node, 0, &[7; 1000])
        .expect("room");
    namespace
        .create_symlink("file", root, "link")
        .expect("room");
    let cancelled = CancelHandle::new();
    cancelled.cancel();
    RunState {
        files: Some(namespace),
        stdin: vec![9; 1000].into(),
        output: Output::new(Some(1 << 16), None),
        interrupt: Interrupt::new(Instant::now(), None, cancelled),
        calls,
        max_memory: usize::MAX,
        frozen: false,
    }
}

const PAGE: u32 = 65_536;
/// Descriptors, counts, sizes and pointers at once.
const NUMBERS: [u32; 16] = [
    0,
    1,
    3,
    4,
    5,
    8,
    PATHS,
    16_384,
    PAGE - 16,
    PAGE - 8,
    PAGE - 4,
    PAGE - 1,
    PAGE,
    1 << 31,
    u32::MAX - 7,
    u32::MAX,
];
const LONG_NUMBERS: [i64; 8] = [0, 1, 999, 1 << 31, 1 << 40, i64::MAX, i64::MIN, -1];
/// Where names of files are, at distances of the sizes above.
const PATHS: u32 = 1024;
/// Calls of one import with one content of memory.
const CALLS: usize = 1500;

/// The contents that memory has before a call: nothing, all bits, or buffers and names that are there in part.
fn contents() -> [Vec<u8>; 3] {
    let mut sensible = Vec::new();
    for (index, at) in NUMBERS.iter().cycle().take(PAGE as usize / 8).enumerate() {
        sensible.extend(at.to_le_bytes());
        sensible.extend(NUMBERS[index / 16 % 16].to_le_bytes());
    }
    let paths = PATHS as usize;
    sensible[paths..paths + 16].copy_from_slice(b"filelink/dir/new");
    [vec![0; PAGE as usize], vec![0xff; PAGE as usize], sensible]
}

/// All combinations if they are not too many, else some.
fn arguments(kind: &FuncType) -> Vec<Vec<Val>> {
    let values: Vec<Vec<Val>> = kind
        .params()
        .map(|parameter| match parameter {
            ValType::I32 => NUMBERS.map(|number| Val::I32(number.cast_signed())).into(),
            ValType::I64 => LONG_NUMBERS.map(Val::I64).into(),
            other => panic!("no import takes {other}"),
        })
        .collect();
    let all = values.iter().map(Vec::len).product::<usize>();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    (0..all.min(CALLS))
        .map(|index| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut rest = if all <= CALLS {
                index
            } else {
                usize::try_from(random >> 16).expect("48 bits")
            };
            let pick = |list: &Vec<Val>| {
                let picked = list[rest % list.len()];
                rest /= list.len();
                picked
            };
            values.iter().map(pick).collect()
        })
        .collect()
}

fn number(value: &Val) -> Option<usize> {
    value.i32().map(|number| number.cast_unsigned() as usize)
}

/// The ranges that a call may write: what one argument points to, what two of them say, and buffers named in memory.
fn may_write(arguments: &[Val], memory: &[u8]) -> Vec<(usize, usize)> {
    let numbers: Vec<usize> = arguments.iter().filter_map(number).collect();
    let mut ranges = Vec::new();
    for &at in &numbers {
        ranges.push((at, memory.len().min(at + 64)));
        for &size in &numbers {
            ranges.push((at, at + size));
            if size <= 1024 {
                ranges.push((at, at + size * 32));
                ranges.extend((0..size).filter_map(|index| buffer(memory, at + index * 8)));
            }
        }
    }
    ranges.retain(|&(_, end)| end <= memory.len());
    ranges
}

fn buffer(memory: &[u8], at: usize) -> Option<(usize, usize)> {
    let pair = memory.get(at..at + 8)?;
    let word = |at: usize| u32::from_le_bytes(*pair[at..].first_chunk().expect("4 bytes")) as usize;
    Some((word(0), word(0) + word(4)))
}

fn check_writes(name: &str, arguments: &[Val], before: &[u8], after: &[u8]) {
    if before == after {
        return;
    }
    let ranges = may_write(arguments, before);
    let outside = (0..before.len()).find(|&at| {
        before[at] != after[at] && !ranges.iter().any(|&(from, to)| (from..to).contains(&at))
    });
    assert_eq!(outside, None, "{name}{arguments:?} wrote there");
}

/// Descriptor 4 is a file and 5 a directory.
async fn prepare(guest: &mut Guest, content: &[u8]) {
    guest.host().begin(run_state(Calls::default()));
    guest.put(0, b"filedir");
    for (at, size, flags) in [(0, 4, 0), (4, 3, 2)] {
        let rights = i64::from(flags == 0) << 6 | 1 << 1;
        let arguments = [3, 1, at, size, flags].map(Val::I32).into_iter().chain([
            Val::I64(rights),
            Val::I64(0),
            Val::I32(0),
            Val::I32(64),
        ]);
        let opened = guest
            .call(
                "wasi_snapshot_preview1.path_open",
                &arguments.collect::<Vec<_>>(),
            )
            .await;
        assert!(matches!(opened, Ok(Some(Val::I32(0)))), "{opened:?}");
    }
    guest.put(0, content);
}

/// Calls one family of imports with everything.
async fn attack(family: fn(&str) -> bool) {
    let mut guest = Guest::new(run_state(Calls::default()), 1);
    let names: Vec<String> = guest
        .functions
        .keys()
        .filter(|name| family(name))
        .cloned()
        .collect();
    assert!(!names.is_empty());
    for name in names {
        let kind = guest.functions[&name].1.clone();
        for content in contents() {
            for arguments in arguments(&kind) {
                prepare(&mut guest, &content).await;
                let result = guest.call(&name, &arguments).await;
                if let Err(error) = &result {
                    let exits = name.ends_with(".proc_exit") && error.is::<Exit>();
                    assert!(exits, "{name}{arguments:?}: {error:?}");
                }
                check_writes(&name, &arguments, &content, guest.bytes());
            }
        }
    }
}

#[tokio::test]
async fn imports_of_descriptors_take_any_argument() {
    attack(|name| name.starts_with("wasi_snapshot_preview1.fd_")).await;
}

#[tokio::test]
async fn imports_of_paths_take_any_argument() {
    attack(|name| name.starts_with("wasi_snapshot_preview1.path_")).await;
}

#[tokio::test]
async fn other_imports_take_any_argument() {
    attack(|name| !name.contains(".fd_") && !name.contains(".path_")).await;
}

/// One page of memory, and its end.
const OUTSIDE: i32 = 65_533;

fn i32s<const N: usize>(numbers: [i32; N]) -> [Val; N] {
    numbers.map(Val::I32)
}

/// WASI's number for a pointer that leads nowhere.
fn is_fault(result: &wasmtime::Result<Option<Val>>) -> bool {
    matches!(result, Ok(Some(Val::I32(number))) if *number == Errno::Fault as i32)
}

#[tokio::test]
async fn a_call_that_cannot_say_what_it_did_does_nothing() {
    let mut guest = Guest::new(run_state(Calls::default()), 1);
    prepare(&mut guest, &[]).await;
    guest.put(0, b"newfile");
    // A buffer of 8 bytes at 512.
    guest.put(256, &[0, 2, 0, 0, 8, 0, 0, 0]);
    let wasi = |name: &str| format!("wasi_snapshot_preview1.{name}");
    for (at, size, flags) in [(0, 3, 1), (3, 4, 8)] {
        let mut arguments = i32s([3, 1, at, size, flags]).to_vec();
        arguments.extend([Val::I64(1 << 6), Val::I64(0)]);
        arguments.extend(i32s([0, OUTSIDE]));
        assert!(is_fault(&guest.call(&wasi("path_open"), &arguments).await));
    }
    let seek = [Val::I32(4), Val::I64(9), Val::I32(0), Val::I32(OUTSIDE)];
    assert!(is_fault(&guest.call(&wasi("fd_seek"), &seek).await));
    for fd in [0, 1, 4] {
        let name = if fd == 0 { "fd_read" } else { "fd_write" };
        let arguments = i32s([fd, 256, 1, OUTSIDE]);
        assert!(is_fault(&guest.call(&wasi(name), &arguments).await));
    }
    let read = i32s([4, 256, 1, OUTSIDE]);
    assert!(is_fault(&guest.call(&wasi("fd_read"), &read).await));
    let mut write = i32s([4, 256, 1]).to_vec();
    write.extend([Val::I64(0), Val::I32(OUTSIDE)]);
    assert!(is_fault(&guest.call(&wasi("fd_pwrite"), &write).await));
    let host = guest.host();
    let root = host.files.namespace().root();
    assert!(host.files.namespace().resolve(root, "new", false).is_err());
    let file = host.files.namespace().resolve(root, "file", false);
    let file = host.files.namespace().metadata(file.expect("it was there"));
    assert_eq!(file.expect("a file").size, 1000);
    assert!(host.output.finish().stdout.is_empty());
    assert!(!host.files.take_stdin());
    let tell = i32s([4, 1024]);
    assert!(matches!(
        guest.call(&wasi("fd_tell"), &tell).await,
        Ok(Some(Val::I32(0)))
    ));
    assert_eq!(guest.bytes()[1024..1032], [0; 8]);
    // Descriptors 6 and 7 were not given out.
    let closed = guest.call(&wasi("fd_close"), &i32s([6])).await;
    assert!(matches!(closed, Ok(Some(Val::I32(8)))), "{closed:?}");
}

#[tokio::test]
async fn counts_and_sizes_beyond_their_caps_are_refused() {
    use crate::caps::{MAX_IOVECS, MAX_RANDOM, MAX_SUBSCRIPTIONS};
    let mut guest = Guest::new(run_state(Calls::default()), 64);
    let wasi = |name: &str| format!("wasi_snapshot_preview1.{name}");
    let refused = Errno::Inval as i32;
    let count = |count: u32| count.cast_signed();
    for (name, arguments, expected) in [
        ("fd_write", i32s([1, 0, count(MAX_IOVECS), 0]).to_vec(), 0),
        (
            "fd_write",
            i32s([1, 0, count(MAX_IOVECS) + 1, 0]).to_vec(),
            refused,
        ),
        (
            "fd_read",
            i32s([0, 0, count(MAX_IOVECS) + 1, 0]).to_vec(),
            refused,
        ),
        ("random_get", i32s([0, count(MAX_RANDOM)]).to_vec(), 0),
        (
            "random_get",
            i32s([0, count(MAX_RANDOM) + 1]).to_vec(),
            refused,
        ),
        (
            "poll_oneoff",
            i32s([0, 0, count(MAX_SUBSCRIPTIONS) + 1, 0]).to_vec(),
            refused,
        ),
        ("poll_oneoff", i32s([0, 0, -1, 0]).to_vec(), refused),
    ] {
        guest.bytes().fill(0);
        let answer = guest.call(&wasi(name), &arguments).await;
        let number = answer.expect("an answer").and_then(|value| value.i32());
        assert_eq!(number, Some(expected), "{name}{arguments:?}");
    }
}

#[tokio::test]
async fn messages_beyond_their_caps_are_cut_or_ignored() {
    use crate::caps::MAX_TRACE_MESSAGE;
    use crate::value::wire::MAX_BYTES;
    let mut guest = Guest::new(run_state(Calls::default()), 1040);
    let all = i32::try_from(guest.bytes().len()).expect("65 MiB");
    for kind in 0..3 {
        let arguments = i32s([kind, 0, all]);
        assert!(guest.call("eryx.deliver", &arguments).await.is_ok());
    }
    let delivered = std::mem::take(&mut guest.host().delivered);
    for bytes in [delivered.result, delivered.value, delivered.report] {
        assert_eq!(bytes.map(|bytes| bytes.len()), Some(MAX_BYTES + 1));
    }
    guest.host().output.collect_trace();
    // One event whose function has a name that gives the message this size.
    let most = MAX_TRACE_MESSAGE as usize;
    for (size, events) in [(most, 1), (most + 1, 0)] {
        let name = u32::try_from(size - 34).expect("small").to_le_bytes();
        let kind_and_line = [&b"i"[..], &[0; 8], b"i", &[0; 8]].concat();
        let head = [&b"l\x01\0\0\0l\x04\0\0\0"[..], &kind_and_line, b"s", &name].concat();
        guest.bytes()[..size].fill(b'f');
        guest.put(0, &head);
        guest.put(size - 1, b"n");
        guest.host().output.collect_trace();
        let size = i32::try_from(size).expect("small");
        assert!(guest.call("eryx.trace", &i32s([0, size])).await.is_ok());
        assert_eq!(guest.host().output.finish().trace.len(), events);
    }
}

#[test]
fn what_a_guest_makes_grow_in_wasmtime_is_capped() {
    use super::Growth;
    use crate::caps::MAX_TABLE_ELEMENTS;
    use wasmtime::ResourceLimiter;
    let mut growth = Growth { max_memory: 65_536 };
    let grows = |allowed: wasmtime::Result<bool>| allowed.expect("no error");
    assert!(grows(growth.memory_growing(0, 65_536, None)));
    assert!(!grows(growth.memory_growing(0, 65_537, None)));
    assert!(grows(growth.table_growing(0, MAX_TABLE_ELEMENTS, None)));
    assert!(!grows(growth.table_growing(
        0,
        MAX_TABLE_ELEMENTS + 1,
        None
    )));
}

#[test]
fn every_import_is_attacked() {
    let guest = Guest::new(run_state(Calls::default()), 1);
    let modules = ["eryx.", "wasi_snapshot_preview1."];
    let counts = modules.map(|module| {
        let names = guest.functions.keys();
        names.filter(|name| name.starts_with(module)).count()
    });
    assert_eq!(counts.iter().sum::<usize>(), guest.functions.len());
    assert_eq!(counts, [10, 42]);
}
