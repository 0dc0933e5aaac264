//! What happens to the host: its functions panic, it forks, the kernel moves pages, files of the runtime are damaged.

mod forked;
mod huge_pages;
mod panics;
mod runtime_files;
