//! The table of all caps, and what each import and operation is bounded by.

use eryx_vfs::{
    CHUNK_OVERHEAD, ENTRY_OVERHEAD, HostFs, MAX_DEPTH, MAX_FILE, MAX_HOST_ENTRIES,
    MAX_HOST_HANDLES, MAX_HOST_LISTED, MAX_HOST_MOVED, MAX_HOST_NODES, MAX_LINKS, MAX_NAME,
    MAX_PATH, NODE_OVERHEAD,
};

use super::WASM_STACK;
use super::{
    DEFAULT_RESTORED_BYTES, MAX_CALLBACK_NAME, MAX_CALLBACK_PARTS, MAX_CODE_BYTES,
    MAX_ENTRIES_AT_ONCE, MAX_EVENT_BYTES, MAX_EVENTS, MAX_FORKS, MAX_IDLE_PER_CORE, MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_VALUES, MAX_IOVECS, MAX_LIBRARY_BYTES, MAX_MOUNT_PARTS,
    MAX_MOUNT_PATH, MAX_NAME_BYTES, MAX_OPEN, MAX_QUEUED_BYTES, MAX_RANDOM, MAX_READ,
    MAX_SLOTS_PER_CORE, MAX_SUBSCRIPTIONS, MAX_TABLE_ELEMENTS, MAX_TRACE_MESSAGE, MAX_VOLUMES,
    MAX_WAITING_BYTES, MAX_WARNING_BYTES, MAX_WARNINGS, MAX_WORKERS, QUEUED_EVENT_BYTES,
};
use crate::ResourceLimits;
use crate::value::wire;

/// One cap.
pub(super) struct Cap {
    /// What [`BOUNDED`] calls it.
    pub(super) key: &'static str,
    /// What is bounded.
    pub(super) what: String,
    /// Up to where, by default if it is an option.
    pub(super) limit: String,
    /// What happens beyond.
    pub(super) beyond: &'static str,
    /// The tests that hit it, as file and name.
    pub(super) tests: &'static [&'static str],
}

fn cap(
    key: &'static str,
    what: impl Into<String>,
    limit: impl Into<String>,
    beyond: &'static str,
    tests: &'static [&'static str],
) -> Cap {
    Cap {
        key,
        what: what.into(),
        limit: limit.into(),
        beyond,
        tests,
    }
}

/// `1,024`.
fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `64 MiB`.
fn size(bytes: impl TryInto<u64>) -> String {
    let mut number = bytes.try_into().unwrap_or(u64::MAX);
    for unit in ["bytes", "KiB", "MiB", "GiB", "TiB"] {
        if number < 1024 || number % 1024 != 0 {
            return format!("{} {unit}", count(number));
        }
        number /= 1024;
    }
    unreachable!("no cap is that large")
}

/// An option of that name with its default.
fn option<N: TryInto<u64>>(name: &str, default: Option<N>, shown: fn(N) -> String) -> String {
    let default = default.map_or_else(|| "none".to_owned(), shown);
    format!("`{name}`, {default}")
}

fn time(limit: std::time::Duration) -> String {
    format!("{} s", limit.as_secs())
}

/// All caps, in the order of docs/security.md.
pub(super) fn table() -> Vec<Cap> {
    [
        run(),
        calls(),
        messages(),
        descriptors(),
        trees(),
        volumes(),
        process(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What an execution may use.
fn run() -> Vec<Cap> {
    let limits = ResourceLimits::default();
    let timeout = limits.execution_timeout.map(time).unwrap_or_default();
    vec![
        cap(
            "time",
            "wall clock",
            format!("`executionTimeoutMs`, {timeout}"),
            "interrupt, then trap 100 ms later",
            &[
                "crates/eryx/tests/core/limits/time.rs: python_loops_end_at_the_deadline",
                "crates/eryx/tests/core/limits/time.rs: code_that_ignores_the_interrupt_is_cut_off",
            ],
        ),
        cap(
            "memory",
            "linear memory",
            format!(
                "{}; at most 4 GiB",
                option("maxMemoryBytes", limits.max_memory_bytes, size)
            ),
            "`MemoryError`",
            &[
                "crates/eryx/tests/core/limits/memory.rs: four_gibibytes_are_the_most",
                "crates/eryx/tests/core/limits/memory.rs: a_memory_bomb_takes_no_more_of_the_host_than_its_limit",
            ],
        ),
        cap(
            "stack",
            "native stack of a run",
            size(WASM_STACK),
            "`RecursionError`",
            &[
                "crates/eryx/tests/core/limits/recursion.rs: deep_recursion_without_a_limit_is_an_exception",
                "crates/eryx/tests/core/limits/recursion.rs: recursion_in_c_is_an_exception",
            ],
        ),
        cap(
            "output",
            "captured output",
            option("maxOutputBytes", limits.max_output_bytes, size),
            "dropped and flagged",
            &["crates/eryx/tests/core/runs/output.rs: a_gigabyte_is_cut"],
        ),
        cap(
            "files",
            format!(
                "private files: contents, and {} bytes per node, {} per name, {} per 16 KiB chunk",
                count(NODE_OVERHEAD),
                count(ENTRY_OVERHEAD),
                count(CHUNK_OVERHEAD)
            ),
            option("maxVfsBytes", limits.max_vfs_bytes, size),
            "`ENOSPC`",
            &[
                "crates/eryx/tests/core/limits/files.rs: files_are_limited",
                "crates/eryx-vfs/tests/host_memory.rs: nothing_a_guest_makes_takes_more_than_it_is_charged",
            ],
        ),
        cap(
            "fuel",
            "instructions",
            option("maxFuel", limits.max_fuel, count),
            "trap",
            &["crates/eryx/tests/core/limits/fuel.rs: running_out"],
        ),
        cap(
            "table",
            "elements of the function table",
            count(MAX_TABLE_ELEMENTS),
            "growth fails",
            &["crates/eryx/src/guest/host/tests.rs: what_a_guest_makes_grow_in_wasmtime_is_capped"],
        ),
    ]
}

/// Calls of the host's functions.
fn calls() -> Vec<Cap> {
    let limits = ResourceLimits::default();
    let timeout = limits.callback_timeout.map(time).unwrap_or_default();
    vec![
        cap(
            "call time",
            "time of one callback",
            format!("`callbackTimeoutMs`, {timeout}"),
            "`TimeoutError` in Python",
            &[
                "crates/eryx/tests/core/callbacks/endings.rs: an_unanswered_call_ends_within_its_deadline",
            ],
        ),
        cap(
            "calls",
            "callbacks of a run",
            option(
                "maxCallbackInvocations",
                limits.max_callback_invocations,
                count,
            ),
            "`CallbackLimitError` in Python",
            &["crates/eryx/tests/core/callbacks/calls.rs: calls_are_counted_and_limited"],
        ),
        cap(
            "in flight",
            "calls in flight, bytes of their arguments, and values in these, per run",
            format!(
                "{}, {}, {}",
                count(MAX_IN_FLIGHT),
                size(MAX_IN_FLIGHT_BYTES),
                count(MAX_IN_FLIGHT_VALUES)
            ),
            "the call waits",
            &[
                "crates/eryx/src/guest/host/tests/calls.rs: calls_in_flight_are_capped",
                "crates/eryx/src/guest/host/tests/calls.rs: bytes_in_flight_are_capped",
                "crates/eryx/src/guest/host/tests/calls.rs: values_in_flight_are_capped",
                "crates/eryx/tests/core/snapshots/forged.rs: no_more_calls_wait_than_a_run_can_have_in_flight",
                "crates/eryx/tests/core/snapshots/forged.rs: no_more_values_wait_than_a_run_can_have_in_flight",
            ],
        ),
        cap(
            "answers",
            "results that the guest has not taken, per run",
            size(MAX_WAITING_BYTES),
            "replaced by an error",
            &["crates/eryx/src/callback/mailbox.rs: bytes_that_wait_are_capped"],
        ),
        cap(
            "errors",
            "name and message of a callback's error",
            "10,000 characters each",
            "cut",
            &["__test__/callbacks/errors.spec.ts: cut at 10,000 characters"],
        ),
        cap(
            "callback name",
            "name of a callback",
            format!(
                "{} bytes, {MAX_CALLBACK_PARTS} parts",
                count(MAX_CALLBACK_NAME)
            ),
            "refused",
            &["__test__/callbacks/options.spec.ts: refuse more than 1,024 bytes"],
        ),
        cap(
            "queue",
            format!(
                "output, calls and trace events on their way to JavaScript, each with {} bytes added",
                count(QUEUED_EVENT_BYTES)
            ),
            format!("{} per run", size(MAX_QUEUED_BYTES)),
            "the run waits",
            &[
                "__test__/runs/streaming.spec.ts: hold 5 MB for a handler that is slow",
                "crates/eryx/src/guest/host/tests/calls.rs: a_handler_without_room_holds_the_guest_back",
            ],
        ),
    ]
}

/// What crosses.
fn messages() -> Vec<Cap> {
    vec![
        cap(
            "libraries",
            "Python of a sandbox's libraries",
            size(MAX_LIBRARY_BYTES),
            "refused",
            &["crates/eryx/tests/core/runs/libraries.rs: their_size_is_capped"],
        ),
        cap(
            "events",
            "trace events of a run, names and details of them",
            format!("{}, {}", count(MAX_EVENTS), size(MAX_EVENT_BYTES)),
            "dropped and flagged",
            &[
                "crates/eryx/tests/core/runs/tracing.rs: events_are_capped_and_flagged",
                "crates/eryx/tests/core/runs/tracing.rs: large_events_are_capped_sooner",
                "crates/eryx/tests/core/hostile/events.rs: events_take_no_more_of_the_host_than_the_caps",
            ],
        ),
        cap(
            "event message",
            "one message of trace events",
            size(MAX_TRACE_MESSAGE),
            "ignored",
            &["crates/eryx/src/guest/host/tests.rs: messages_beyond_their_caps_are_cut_or_ignored"],
        ),
        cap(
            "code",
            "source code",
            size(MAX_CODE_BYTES),
            "refused before the run",
            &["crates/eryx/tests/core/runs/values.rs: code_that_is_too_large_is_refused"],
        ),
        cap(
            "value",
            "one value or request",
            format!(
                "{}, {} values, {} levels",
                size(wire::MAX_BYTES),
                count(wire::MAX_VALUES),
                // Messages put values into lists of their own.
                wire::MAX_DEPTH - 3
            ),
            "refused",
            &[
                "crates/eryx/tests/core/runs/values.rs: too_many_or_too_large_values_are_refused",
                "crates/eryx/tests/core/limits/memory.rs: values_take_no_more_of_the_host_than_the_limit",
            ],
        ),
        cap(
            "delivered",
            "result, value and report of a run",
            format!("one message of {} each", size(wire::MAX_BYTES)),
            "refused",
            &["crates/eryx/src/guest/host/tests.rs: messages_beyond_their_caps_are_cut_or_ignored"],
        ),
        cap(
            "warnings",
            "warnings of a run; texts of one",
            format!(
                "{}; {} bytes",
                count(MAX_WARNINGS),
                count(MAX_WARNING_BYTES)
            ),
            "dropped",
            &["crates/eryx/tests/core/runs/warnings.rs: forged_ones_are_bounded"],
        ),
        cap(
            "names",
            "names of variables and environment variables, file name of the code",
            format!("{} bytes", count(MAX_NAME_BYTES)),
            "refused before the run",
            &[
                "crates/eryx/src/options.rs: names_of_variables",
                "crates/eryx/src/options.rs: environment_names_and_values",
            ],
        ),
    ]
}

/// Descriptors, and what is done with them.
fn descriptors() -> Vec<Cap> {
    vec![
        cap(
            "descriptors",
            "open descriptors",
            count(MAX_OPEN),
            "`EMFILE`",
            &[
                "crates/eryx/tests/core/hostile/system.rs: descriptors_run_out_at_their_cap",
                "crates/eryx/tests/core/files/open.rs: at_the_limit_of_descriptors_nothing_is_made_or_cut",
            ],
        ),
        cap(
            "locks",
            "SQLite locks, per run",
            "one entry for each open descriptor",
            "`EMFILE` when it is opened",
            &["crates/eryx/tests/core/hostile/system.rs: descriptors_run_out_at_their_cap"],
        ),
        cap(
            "opened path",
            "path by which a restored session opens a descriptor again",
            format!("{} bytes", count(MAX_PATH)),
            "it stays closed",
            &[
                "crates/eryx/tests/core/files/open.rs: paths_of_open_files_take_no_more_of_the_host_than_their_cap",
                "crates/eryx/tests/core/files/open.rs: a_restored_session_opens_again_what_has_a_path_and_the_rest_stays_closed",
            ],
        ),
        cap(
            "buffers",
            "buffers of one read or write",
            count(MAX_IOVECS),
            "`EINVAL`",
            &[
                "crates/eryx/src/guest/host/tests.rs: counts_and_sizes_beyond_their_caps_are_refused",
            ],
        ),
        cap(
            "subscriptions",
            "subscriptions of one `poll_oneoff`",
            count(MAX_SUBSCRIPTIONS),
            "`EINVAL`",
            &[
                "crates/eryx/src/guest/host/tests.rs: counts_and_sizes_beyond_their_caps_are_refused",
            ],
        ),
        cap(
            "random",
            "random bytes of one call",
            size(MAX_RANDOM),
            "`EINVAL`",
            &[
                "crates/eryx/src/guest/host/tests.rs: counts_and_sizes_beyond_their_caps_are_refused",
            ],
        ),
        cap(
            "looked up",
            "entries of a directory that are looked up at a time",
            count(MAX_ENTRIES_AT_ONCE),
            "more steps",
            &["crates/eryx/tests/core/files/open.rs: a_large_directory_is_listed_in_any_buffer"],
        ),
    ]
}

/// File systems in memory, and paths.
fn trees() -> Vec<Cap> {
    vec![
        cap(
            "storage",
            "a `VfsStorage`, counted as private files are",
            "its `maxBytes`, 64 MiB",
            "`ENOSPC`",
            &["crates/eryx/tests/core/files/storage.rs: the_quota_holds_for_the_host_too"],
        ),
        cap(
            "restored storage",
            "a storage that is restored from a snapshot",
            format!("its `maxBytes`, {}", size(DEFAULT_RESTORED_BYTES)),
            "`SnapshotError`",
            &[
                "crates/eryx/tests/core/snapshots/storages.rs: the_quota_is_saved_given_or_capped",
                "crates/eryx/tests/core/snapshots/storages.rs: bombs_are_refused_before_they_go_off",
            ],
        ),
        cap(
            "read file",
            "a file of a storage that the host reads in one piece",
            size(MAX_READ),
            "`EFBIG`",
            &[
                "crates/eryx/tests/core/files/storage.rs: a_file_with_holes_does_not_exhaust_the_host",
            ],
        ),
        cap(
            "paths",
            "name of a file, path, links followed in a path",
            format!("{MAX_NAME} bytes, {} bytes, {MAX_LINKS}", count(MAX_PATH)),
            "`ENAMETOOLONG`, `ELOOP`",
            &[
                "crates/eryx-vfs/tests/vfs/directories.rs: names_are_checked_by_every_call",
                "crates/eryx-vfs/tests/vfs/paths.rs: the_longest_path_works_and_one_more_byte_does_not",
                "crates/eryx-vfs/tests/vfs/links.rs: forty_links_are_followed_and_no_more",
            ],
        ),
        cap(
            "file size",
            "size of a file",
            size(MAX_FILE),
            "`EFBIG`",
            &["crates/eryx-vfs/tests/vfs/files.rs: files_end_at_the_longest_length"],
        ),
        cap(
            "depth",
            "directories above the target when a directory is moved",
            count(MAX_DEPTH),
            "`ENAMETOOLONG`",
            &[
                "crates/eryx-vfs/tests/vfs/rename.rs: moves_below_the_deepest_path_are_refused_not_slow",
            ],
        ),
    ]
}

/// Directories of the host.
fn volumes() -> Vec<Cap> {
    vec![
        cap(
            "volumes",
            "volumes of a sandbox; length and parts of their paths",
            format!(
                "{MAX_VOLUMES}; {} bytes, {MAX_MOUNT_PARTS}",
                count(MAX_MOUNT_PATH)
            ),
            "refused before the run",
            &[
                "crates/eryx/tests/core/files/volumes.rs: paths_are_checked",
                "crates/eryx/src/files/mounts/path.rs: paths",
            ],
        ),
        cap(
            "volume handles",
            "open files of a volume, per run",
            count(MAX_HOST_HANDLES),
            "`EMFILE`",
            &[
                "crates/eryx-vfs/tests/vfs/host.rs: handles_and_remembered_nodes_are_bounded",
                "crates/eryx-vfs/tests/vfs/open.rs: at_the_limit_of_handles_nothing_is_made_or_cut",
            ],
        ),
        cap(
            "volume entries",
            "entries of a directory in a volume",
            count(MAX_HOST_ENTRIES),
            "`EOVERFLOW`",
            &[
                "crates/eryx-vfs/tests/vfs/host/listings.rs: entries_and_names_that_are_kept_are_capped",
            ],
        ),
        cap(
            "volume listings",
            "names in the directories of a volume that a run has open, shared with forks",
            count(MAX_HOST_LISTED),
            "`EOVERFLOW`",
            &[
                "crates/eryx-vfs/tests/vfs/host/listings.rs: entries_and_names_that_are_kept_are_capped",
                "crates/eryx/tests/core/files/open.rs: forks_share_the_listings_of_volumes",
            ],
        ),
        cap(
            "volume nodes",
            "nodes of a volume that are remembered, per run",
            count(MAX_HOST_NODES),
            "forgotten",
            &["crates/eryx-vfs/tests/vfs/host.rs: handles_and_remembered_nodes_are_bounded"],
        ),
        cap(
            "volume paths",
            "path in a volume",
            format!("{} bytes", count(MAX_PATH)),
            "`ENAMETOOLONG`",
            &["crates/eryx-vfs/tests/vfs/host.rs: paths_below_open_directories_are_bounded"],
        ),
        cap(
            "volume moves",
            "entries below a directory of a volume that is moved to another one; levels of them",
            format!(
                "{}; {}",
                count(MAX_HOST_MOVED),
                count(HostFs::MAX_MOVED_LEVELS)
            ),
            "`EOVERFLOW`",
            &[
                "crates/eryx-vfs/tests/vfs/host/moves.rs: directories_with_too_much_in_them_are_not_moved",
                "crates/eryx-vfs/tests/vfs/host/moves.rs: directories_that_are_too_deep_are_not_moved",
            ],
        ),
    ]
}

/// What lasts longer than a run.
fn process() -> Vec<Cap> {
    vec![
        cap(
            "snapshot",
            "what a snapshot or checkpoint makes of memory and files",
            "`maxMemoryBytes`, `maxVfsBytes`",
            "`SnapshotError`",
            &[
                "crates/eryx/tests/core/snapshots/refusals.rs: more_memory_than_the_limit_is_refused",
                "crates/eryx/tests/core/snapshots/refusals.rs: more_files_than_the_limit_are_refused",
                "__test__/snapshots/damage.spec.ts: a bomb of packed pages is refused before it grows",
            ],
        ),
        cap(
            "forks",
            "forks of one call",
            count(MAX_FORKS),
            "refused",
            &["crates/eryx/tests/core/sessions/fork.rs: none_and_too_many"],
        ),
        cap(
            "idle guests",
            "idle guests that are kept",
            format!("{MAX_IDLE_PER_CORE} per core"),
            "dropped",
            &["crates/eryx/tests/core/limits/memory.rs: no_more_guests_are_kept_than_there_may_be"],
        ),
        cap(
            "workers",
            "threads that run guests",
            MAX_WORKERS.to_string(),
            "runs wait for one",
            &["crates/eryx/tests/core/runs/concurrency.rs: more_runs_than_there_may_be_threads"],
        ),
        cap(
            "awake sessions",
            "resting sessions whose guest keeps its slot",
            format!("{MAX_SLOTS_PER_CORE} per core"),
            "they sleep",
            &[
                "crates/eryx/tests/core/sessions/many.rs: sessions_that_slept_go_on_as_if_they_had_not",
            ],
        ),
        cap(
            "state",
            "what a session keeps of its memory to fall back to, besides its slot",
            "1.5 times its memory, and 2 MiB",
            "written anew as one layer",
            &["crates/eryx-memory/src/saved/tests.rs: layers_that_nothing_shows_take_no_memory"],
        ),
    ]
}

/// The imports and operations, and the caps that bound what they make the host allocate. None: they allocate nothing.
pub(super) const BOUNDED: &[(&str, &[&str])] = &[
    ("eryx.call", &["in flight", "calls", "value", "queue"]),
    ("eryx.cancel", &[]),
    ("eryx.deliver", &["delivered", "value", "warnings"]),
    ("eryx.lock", &["locks"]),
    ("eryx.memory_limit", &[]),
    ("eryx.next_answer", &["answers"]),
    ("eryx.read_answer", &[]),
    ("eryx.finish", &[]),
    ("eryx.trace", &["event message", "events", "queue"]),
    ("eryx.wait", &["time"]),
    ("clock_res_get", &[]),
    ("clock_time_get", &[]),
    ("environ_get", &[]),
    ("environ_sizes_get", &[]),
    ("fd_advise", &[]),
    ("fd_allocate", &["file size", "files", "storage"]),
    ("fd_close", &[]),
    ("fd_datasync", &[]),
    ("fd_fdstat_get", &[]),
    ("fd_fdstat_set_flags", &[]),
    ("fd_filestat_get", &[]),
    ("fd_filestat_set_size", &["file size", "files", "storage"]),
    ("fd_filestat_set_times", &[]),
    ("fd_pread", &["buffers"]),
    ("fd_prestat_dir_name", &[]),
    ("fd_prestat_get", &[]),
    ("fd_pwrite", &["buffers", "files", "storage", "file size"]),
    ("fd_read", &["buffers"]),
    (
        "fd_readdir",
        &["looked up", "volume entries", "volume listings"],
    ),
    ("fd_renumber", &["descriptors"]),
    ("fd_seek", &[]),
    ("fd_sync", &[]),
    ("fd_tell", &[]),
    (
        "fd_write",
        &[
            "buffers",
            "output",
            "queue",
            "files",
            "storage",
            "file size",
        ],
    ),
    (
        "path_create_directory",
        &["paths", "files", "storage", "volume nodes", "volume paths"],
    ),
    (
        "path_filestat_get",
        &["paths", "volume nodes", "volume paths"],
    ),
    (
        "path_filestat_set_times",
        &["paths", "volume nodes", "volume paths"],
    ),
    (
        "path_link",
        &["paths", "files", "storage", "volume nodes", "volume paths"],
    ),
    (
        "path_open",
        &[
            "paths",
            "descriptors",
            "opened path",
            "files",
            "storage",
            "volume handles",
            "volume nodes",
            "volume paths",
        ],
    ),
    ("path_readlink", &["paths", "volume nodes", "volume paths"]),
    (
        "path_remove_directory",
        &["paths", "volume nodes", "volume paths"],
    ),
    (
        "path_rename",
        &[
            "paths",
            "depth",
            "files",
            "storage",
            "volume moves",
            "volume nodes",
        ],
    ),
    (
        "path_symlink",
        &["paths", "files", "storage", "volume nodes", "volume paths"],
    ),
    (
        "path_unlink_file",
        &["paths", "volume nodes", "volume paths"],
    ),
    ("poll_oneoff", &["subscriptions", "time"]),
    ("proc_exit", &[]),
    ("random_get", &["random"]),
    ("sched_yield", &[]),
    ("sock_accept", &[]),
    ("sock_recv", &[]),
    ("sock_send", &[]),
    ("sock_shutdown", &[]),
    // wasm itself.
    ("memory.grow", &["memory"]),
    ("table.grow", &["table"]),
    ("call", &["stack", "time", "fuel"]),
    // What the host does for a run or a session.
    (
        "execute",
        &[
            "code",
            "names",
            "value",
            "libraries",
            "errors",
            "callback name",
            "answers",
        ],
    ),
    ("reports", &["delivered", "output", "events"]),
    ("rests", &["state", "awake sessions", "idle guests"]),
    ("computes", &["time", "workers"]),
    (
        "fork",
        &[
            "forks",
            "volume listings",
            "files",
            "storage",
            "descriptors",
        ],
    ),
    (
        "snapshot",
        &["memory", "files", "storage", "descriptors", "opened path"],
    ),
    (
        "restore",
        &["snapshot", "descriptors", "opened path", "restored storage"],
    ),
    ("suspend", &["in flight", "memory", "files"]),
    ("resume", &["snapshot", "in flight", "call time"]),
    ("mounts", &["volumes"]),
    (
        "VfsStorage",
        &["storage", "read file", "looked up", "restored storage"],
    ),
];
