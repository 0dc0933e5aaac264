//! The memory of WebAssembly guests that start from an image.
//!
//! An [`Image`] is a linear memory at one moment, in a file. A [`Slot`] is a range of address space in which an image is mapped
//! copy-on-write; a guest runs in it, and afterwards the pages that it wrote are put back ([`Resting::restore`]). What a guest at
//! rest holds can be taken out of its slot ([`SavedMemory`]), put into others, and shared by many. A [`Brake`] stops a guest from
//! another thread.
//!
//! Errors are what the operating system says, `InvalidInput` or `InvalidData` for ranges and files that no memory has, and
//! `OutOfMemory` where a limit of this crate is met.
//!
//! Nearly all `unsafe` of the project is here. What it relies on, and the tests that would notice if it were not so:
//!
//! | fact | of | test |
//! | --- | --- | --- |
//! | a private page of a file mapping is a copy, and `MADV_DONTNEED` shows the file again | mmap(2), madvise(2) | `slot::tests::every_strategy_puts_every_page_back`, `more_pages_than_stay_hot` |
//! | `PAGEMAP_SCAN` and `/proc/self/pagemap` tell private pages from the file's | Documentation/admin-guide/mm/pagemap.rst | the same, for each strategy; `slot::tests::userfaultfd` |
//! | a page becomes private only through a fault of the thread that writes, which the kernel counts for it | `mm_account_fault` in mm/memory.c | a probe at start (`slot/faults.rs`); `slot::tests::a_page_becomes_private_with_a_fault_and_not_without` |
//! | no huge page takes the place of small ones where `MADV_NOHUGEPAGE` was set, also when another process asks | madvise(2) | `slot::tests::huge_pages_do_not_take_the_place_of_small_ones`, `saved::tests::random_lives_beside_huge_pages` |
//! | a mapping that is replaced by `MAP_FIXED` loses its advice | mmap(2) | the same |
//! | a page that was never written since it was mapped anonymously reads as zeros | mmap(2) | `slot::tests::grown_memory_is_zero_again` |
//! | `FALLOC_FL_PUNCH_HOLE` frees the pages of a memfd, also of one that is mapped | fallocate(2) | `image::backing::tests::what_nothing_shows_takes_no_memory` |
//! | a load from a page that is protected faults on the thread that loads, before any effect of it, and is done again when the handler returns | sigaction(2), the processor | `slot::tests::brake` |
//! | wasmtime asks a memory creator for the memories of a module in their order, and never moves one that may not move | `MemoryCreator`, `Config::memory_may_move` | `Slot::occupy` checks the first; `slot::tests::brake` has both |
//! | wasmtime calls the store's signal handler before it looks for a trap of its own | `StoreExt::set_signal_handler` | `slot::tests::brake` |

#![expect(
    clippy::missing_errors_doc,
    reason = "they are the same everywhere, and described above"
)]

mod copies;
pub mod cpu_time;
mod image;
pub mod process;
mod ranges;
mod saved;
mod slot;

pub use image::{Image, Layer, MappedFile, Readable};
pub use ranges::{Ranges, joined};
pub use saved::{ReadPages, SavedMemory, SavedPages};
pub use slot::{
    Brake, CountFaults, GUARD, Occupied, Order, RESERVATION, Resting, RestoreStrategy, SignalWord,
    Slot, configure,
};

/// Bytes of a host page. Images are made of whole wasm pages (64 KiB), which are multiples of it on every target.
pub const PAGE: usize = 4096;
