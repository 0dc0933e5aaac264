//! The quota against the bytes that are really allocated, for the worst shapes a guest can make.
//! A binary of its own: it counts every allocation of the thread that measures.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use eryx_vfs::{FileSystem, MemoryFs, NodeId};

struct Counting;

thread_local! {
    /// Of this thread only: the test harness has threads, which allocate when they like.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn held() -> i64 {
    HELD.get()
}

/// Nothing is counted where the thread ends and its variables are gone.
fn count(change: i64) {
    let _ = HELD.try_with(|held| held.set(held.get() + change));
}

/// What glibc's malloc takes for a request: 8 bytes of header, multiples of 16, 32 at least.
fn taken(layout: Layout) -> i64 {
    i64::try_from((layout.size() + 8).next_multiple_of(16).max(32)).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system allocator unchanged; the counter is no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(taken(layout));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-taken(layout));
        // SAFETY: `ptr` came from `alloc` above, hence from the system allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `fill` on an empty tree and compares what it took with what it is charged.
fn check(what: &str, fill: impl Fn(&MemoryFs, NodeId)) {
    let before = held();
    let fs = MemoryFs::new(16 << 20);
    let fixed = held();
    fill(&fs, fs.root());
    let taken = held() - fixed;
    let charged = i64::try_from(fs.used_bytes()).unwrap();
    assert!(taken <= charged, "{what}: {taken} held, {charged} charged");
    assert!(fixed - before < 1024);
    drop(fs);
    assert_eq!(held(), before, "{what} leaks");
}

fn each(fs: &MemoryFs, dir: NodeId, act: impl Fn(NodeId)) {
    let mut n = 0_u32;
    while let Ok(node) = fs.create_file(dir, &n.to_string()) {
        act(node);
        n += 1;
    }
}

#[test]
fn nothing_a_guest_makes_takes_more_than_it_is_charged() {
    check("empty files", |fs, root| each(fs, root, |_| {}));
    check("open files", |fs, root| {
        each(fs, root, |node| fs.opened(node));
    });
    check("one-byte files", |fs, root| {
        each(fs, root, |node| {
            assert!(fs.write(node, 0, b"x").is_ok() || fs.used_bytes() > 15 << 20);
        });
    });
    check("unlinked open files", |fs, root| {
        each(fs, root, |node| fs.opened(node));
        for entry in fs.read_dir(root, 0, usize::MAX).unwrap() {
            fs.unlink(root, &entry.name).unwrap();
        }
    });
    check("every 16th file removed or kept", |fs, root| {
        each(fs, root, |_| {});
        for (n, entry) in fs.read_dir(root, 0, usize::MAX).unwrap().iter().enumerate() {
            if n % 16 > 1 {
                fs.unlink(root, &entry.name).unwrap();
            }
        }
    });
    check("deep directories", |fs, root| {
        let mut at = root;
        while let Ok(dir) = fs.create_dir(at, "d") {
            at = dir;
        }
    });
    check("names of one file", |fs, root| {
        let file = fs.create_file(root, "f").unwrap();
        let mut n = 0;
        while fs.hard_link(file, root, &format!("{n:0200}")).is_ok() {
            n += 1;
        }
    });
    check("links", |fs, root| {
        let mut n = 0;
        while fs
            .create_symlink(root, &n.to_string(), &"t".repeat(n % 300 + 1))
            .is_ok()
        {
            n += 1;
        }
    });
    check("scattered bytes", |fs, root| {
        let file = fs.create_file(root, "f").unwrap();
        let mut chunk = 1_u64;
        while fs.write(file, (chunk % (1 << 26)) << 14, b"x").is_ok() {
            chunk = chunk
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
    });
    check("a full file, cut and grown", |fs, root| {
        let file = fs.create_file(root, "f").unwrap();
        while fs.append(file, &[1; 1000]).is_ok() {}
        fs.set_len(file, 1_000_001).unwrap();
        fs.append(file, &[1; 65]).unwrap();
    });
}
