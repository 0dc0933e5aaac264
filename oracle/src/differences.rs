//! Where we differ from `wasmtime-wasi`, and why.

/// What follows a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Files and descriptors are the same on both sides.
    Same,
    /// They are not: nothing after it can be compared.
    Differs,
}

/// One difference in what a call gives.
#[derive(Debug)]
pub struct Difference {
    /// The guest program that meets it.
    pub program: &'static str,
    /// How the call's line begins, without its number.
    pub call: &'static str,
    /// What the call's part of the line has in it as well.
    pub with: &'static str,
    /// How our answer begins. Nothing stands for any error.
    pub ours: &'static str,
    /// How theirs begins, likewise.
    pub theirs: &'static str,
    /// The usual seeds do not meet it.
    pub rare: bool,
    /// What it does to what follows.
    pub state: State,
    /// Why it is so.
    pub reason: &'static str,
}

/// The root is a directory that has no parent, as on Linux. Theirs is one of the host's, which no path leads out of: those that begin
/// with `/` and those that go above it are refused.
const ROOT: &str = "the root is its own parent, and where absolute paths begin";
/// Linux gives EISDIR for reads of a directory, and lets it be looked at, moved in and synced.
const DIRECTORY: &str = "the descriptor of a directory can do what it can on Linux";
const STREAM: &str = "the standard streams are character devices; no directories begin there";
const ORDER: &str = "a call with two faults: the other one is found first";
const SYNC: &str = "files in memory are as safe without O_SYNC and O_DSYNC as with them";
const CPU_CLOCKS: &str = "there are clocks of the processor";
const ALLOCATE: &str = "room can be reserved";
const FOLLOW: &str = "a hard link can be made to what a symbolic link names";
const RIGHTS: &str = "what a descriptor may not do is an error even where there is nothing to do";
const POLL: &str = "each descriptor has an event of its own, as libc's poll expects";
const NOTHING: &str = "a path is looked up even where no time is to be set";
const SLASH: &str =
    "a slash at the end, or `/.`, needs a directory, and does nothing else, as on Linux";
const KINDS: &str = "O_DIRECTORY with O_EXCL or O_TRUNC is no fault of its own on Linux";

const fn same(
    call: &'static str,
    with: &'static str,
    ours: &'static str,
    theirs: &'static str,
    reason: &'static str,
) -> Difference {
    Difference {
        program: "calls",
        call,
        with,
        ours,
        theirs,
        rare: false,
        state: State::Same,
        reason,
    }
}

const fn differs(
    call: &'static str,
    with: &'static str,
    ours: &'static str,
    theirs: &'static str,
    reason: &'static str,
) -> Difference {
    Difference {
        state: State::Differs,
        ..same(call, with, ours, theirs, reason)
    }
}

const fn rare(difference: Difference) -> Difference {
    Difference {
        rare: true,
        ..difference
    }
}

const fn posix(difference: Difference) -> Difference {
    Difference {
        program: "posix",
        ..difference
    }
}

/// All of them. The first that fits counts.
pub const DIFFERENCES: &[Difference] = &[
    same("fd_read ", " d", "isdir", "badf", DIRECTORY),
    same("fd_pread ", " d", "isdir", "badf", DIRECTORY),
    same("fd_tell ", " d", "ok", "badf", DIRECTORY),
    same("fd_seek ", " d", "ok", "badf", DIRECTORY),
    same("fd_seek ", " d", "inval", "badf", DIRECTORY),
    same("fd_advise ", " d", "ok", "badf", DIRECTORY),
    same("fd_allocate ", " d", "", "badf", DIRECTORY),
    same("fd_filestat_set_size ", " d", "", "badf", DIRECTORY),
    same("fd_filestat_set_times ", " d", "ok", "badf", DIRECTORY),
    same("fd_sync ", " d", "ok", "badf", DIRECTORY),
    same("fd_datasync ", " d", "ok", "badf", DIRECTORY),
    same("fd_fdstat_set_flags ", " d", "ok", "badf", DIRECTORY),
    same("fd_fdstat_get ", " d", "ok", "ok", DIRECTORY),
    same("poll_oneoff ", " d", "ok", "badf", DIRECTORY),
    same("fd_allocate ", " s", "spipe", "badf", STREAM),
    same("fd_filestat_set_size ", " s", "spipe", "badf", STREAM),
    same("fd_pwrite ", " s", "spipe", "badf", STREAM),
    same("poll_oneoff ", " s", "ok", "badf", STREAM),
    same("poll_oneoff ", " x", "ok", "badf", POLL),
    same("poll_oneoff ", "clock 2", "ok", "inval", CPU_CLOCKS),
    same("poll_oneoff ", "clock 3", "ok", "inval", CPU_CLOCKS),
    same(
        "sock_",
        " x",
        "notsock",
        "badf",
        "no descriptor is a socket",
    ),
    same("fd_filestat_set_times ", " x", "badf", "inval", ORDER),
    differs("fd_fdstat_set_flags ", " f", "ok", "inval", SYNC),
    same("fd_filestat_set_times ", " s", "spipe", "inval", ORDER),
    same("fd_fdstat_get ", " f", "ok type 4", "ok type 4", RIGHTS),
    same("fd_filestat_set_times ", " s", "spipe", "badf", STREAM),
    same("fd_filestat_get ", " s", "ok type 2", "ok type", STREAM),
    same("fd_fdstat_get ", " s", "ok type 2", "ok type", STREAM),
    same("fd_advise ", " s", "spipe", "badf", STREAM),
    same("fd_fdstat_set_flags ", " s", "ok", "badf", STREAM),
    same("fd_sync ", " s", "ok", "badf", STREAM),
    same("fd_datasync ", " s", "ok", "badf", STREAM),
    same("fd_pread ", " s", "spipe", "badf", STREAM),
    same("fd_readdir ", " s", "spipe", "badf", STREAM),
    same("fd_readdir ", " f", "notdir", "badf", STREAM),
    same("fd_prestat_dir_name ", "", "badf", "notdir", STREAM),
    same("clock_", "_get 2", "ok", "badf", CPU_CLOCKS),
    same("clock_", "_get 3", "ok", "badf", CPU_CLOCKS),
    differs("fd_allocate ", " f", "ok", "notsup", ALLOCATE),
    same("fd_allocate ", " f", "", "notsup", ALLOCATE),
    same("fd_pread ", " f", "badf", "ok", RIGHTS),
    differs("fd_read ", " f", "badf", "ok", RIGHTS),
    // From here on the first of several reasons to refuse a path, and what one side does that the other refuses.
    differs("path_", "", "ok", "perm", ROOT),
    differs("path_", " f", "ok", "badf", ROOT),
    differs("path_", " f", "ok", "notdir", ROOT),
    rare(differs("path_", " s", "ok", "badf", ROOT)),
    same("path_", "", "", "perm", ROOT),
    same("path_", " s", "", "badf", STREAM),
    same("path_", " f", "", "badf", STREAM),
    differs("path_open", "flags 16", "ok", "notsup", SYNC),
    same("path_open", "flags 16", "", "notsup", SYNC),
    differs("path_open", "", "ok", "inval", KINDS),
    same("path_open", "", "", "inval", KINDS),
    differs("path_link ", "follow 1", "ok", "inval", FOLLOW),
    same("path_link ", "follow 1", "", "inval", FOLLOW),
    rare(same(
        "path_filestat_set_times",
        "which 0",
        "",
        "ok",
        NOTHING,
    )),
    same("path_filestat_set_times", "", "", "inval", ORDER),
    differs("path_remove_directory", "/\"", "ok", "inval", SLASH),
    same("path_remove_directory", "..\"", "", "inval", SLASH),
    same("path_filestat_get", "\"", "", "ok", SLASH),
    rare(same("path_filestat_get", "/\"", "ok", "ok type 7", SLASH)),
    same("path_", "/\"", "", "", SLASH),
    same("path_link", "", "", "", ORDER),
    same("path_", "", "nametoolong", "", ORDER),
    rare(same("path_", "", "", "ilseq", ORDER)),
    same("path_open", " f", "", "notdir", ORDER),
    same("path_rename", "", "", "n", ORDER),
    posix(same("fseek", "", "", "Bad file", DIRECTORY)),
    posix(same("ftell", "", "", "Bad file", DIRECTORY)),
    posix(same("ftruncate", "", "", "Bad file", DIRECTORY)),
    posix(same("link", "", "No such file", "", ORDER)),
    posix(same(
        "rename",
        "",
        "Is a directory",
        "Directory not empty",
        ORDER,
    )),
    posix(differs("", "../b", "0", "Operation not permitted", ROOT)),
    posix(same("", "../b", "", "Operation not permitted", ROOT)),
];
