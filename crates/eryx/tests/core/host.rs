//! Trouble of the host's own: functions that panic, forks, huge pages, damaged files of the runtime.

mod forked;
mod huge_pages;
mod panics;
mod runtime_files;
