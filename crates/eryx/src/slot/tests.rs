use super::*;

fn image(pages: usize) -> Arc<Image> {
    let memory: Vec<u8> = (0..pages * PAGE)
        .map(|at| u8::try_from(at / PAGE % 251).expect("small"))
        .collect();
    Arc::new(Image::from_memory(&memory, vec![7]).expect("an image"))
}

#[expect(
    clippy::mut_from_ref,
    reason = "the slot's memory is the guest's, not a field of it"
)]
fn bytes(slot: &Slot) -> &mut [u8] {
    slot.ran(None);
    // SAFETY: `accessible` bytes are mapped, and each test touches its own slot from one thread, one slice at a time.
    unsafe { std::slice::from_raw_parts_mut(slot.start.as_ptr(), slot.accessible()) }
}

const STRATEGIES: [RestoreStrategy; 4] = [
    RestoreStrategy::PagemapScan,
    RestoreStrategy::Pagemap,
    RestoreStrategy::Remap,
    RestoreStrategy::Copy,
];

#[test]
fn every_strategy_puts_every_page_back() {
    for strategy in STRATEGIES {
        let image = image(64);
        let slot = Slot::new(Arc::clone(&image)).expect("a slot");
        for round in 0..3 {
            for page in [0, 1, 2, 31, 63] {
                bytes(&slot)[page * PAGE + round] = 0xEE;
            }
            slot.restore(strategy).expect("restores");
            assert!(
                bytes(&slot) == image.bytes().expect("mapped"),
                "{strategy:?}, round {round}"
            );
        }
    }
}

#[test]
fn more_pages_than_stay_hot() {
    let image = image(HOT_PAGES + 100);
    for strategy in STRATEGIES {
        let slot = Slot::new(Arc::clone(&image)).expect("a slot");
        bytes(&slot).fill(0xEE);
        slot.restore(strategy).expect("restores");
        assert!(
            bytes(&slot) == image.bytes().expect("mapped"),
            "{strategy:?}"
        );
    }
}

#[test]
fn grown_memory_is_zero_again() {
    for strategy in STRATEGIES {
        let image = image(4);
        let slot = Slot::new(Arc::clone(&image)).expect("a slot");
        for _ in 0..2 {
            slot.grow(8 * PAGE).expect("grows");
            assert!(
                bytes(&slot)[4 * PAGE..].iter().all(|&byte| byte == 0),
                "{strategy:?}"
            );
            bytes(&slot)[4 * PAGE..].fill(0xEE);
            slot.restore(strategy).expect("restores");
            assert_eq!(slot.accessible(), 4 * PAGE);
        }
    }
}

#[test]
fn remapping_forgets_everything() {
    let image = image(8);
    let slot = Slot::new(Arc::clone(&image)).expect("a slot");
    slot.grow(16 * PAGE).expect("grows");
    bytes(&slot).fill(0xEE);
    slot.remap().expect("remaps");
    assert!(bytes(&slot) == image.bytes().expect("mapped"));
}

#[test]
fn the_image_is_never_written() {
    let image = image(4);
    let (first, second) = (
        Slot::new(Arc::clone(&image)).expect("a slot"),
        Slot::new(Arc::clone(&image)).expect("a slot"),
    );
    bytes(&first).fill(0xEE);
    assert!(bytes(&second) == image.bytes().expect("mapped"));
    assert!(!image.bytes().expect("mapped").contains(&0xEE));
}

#[test]
fn growth_is_bounded_by_the_reservation() {
    let slot = Slot::new(image(1)).expect("a slot");
    assert!(slot.grow(RESERVATION + PAGE).is_err());
    assert!(slot.grow(0).is_err());
    assert_eq!(slot.accessible(), PAGE);
}

/// Writes to these pages as a run does.
fn run(slot: &Slot, pages: &[usize], value: u8) -> Option<u64> {
    let write = async {
        for page in pages {
            // SAFETY: as for `bytes`.
            unsafe { slot.start.add(page * PAGE).write_volatile(value) };
        }
    };
    let write = std::pin::pin!(write);
    let ((), faults) = crate::instance::now(Counted::new(write)).expect("it never waits");
    slot.ran(faults);
    faults
}

#[test]
fn what_is_known_of_private_pages_is_used_only_while_it_is_true() {
    for strategy in STRATEGIES {
        let image = image(64);
        let slot = Slot::new(Arc::clone(&image)).expect("a slot");
        let is_clean = || {
            let now = slot.bytes(0, slot.accessible());
            now == image.bytes().expect("mapped")
        };
        for round in 0..4 {
            // The same pages, then one more, and none.
            for pages in [&[1, 2, 40][..], &[1, 2, 40], &[1, 40, 50 + round], &[]] {
                let _ = run(&slot, pages, 0xEE);
                slot.restore(strategy).expect("restores");
                assert!(is_clean(), "{strategy:?}, round {round}");
            }
            let _ = run(&slot, &[1, 2], 0xEE);
            let written = slot.written(strategy).expect("is told");
            assert!(
                written
                    .iter()
                    .any(|&(from, to)| from <= PAGE && 3 * PAGE <= to)
            );
            // Nothing ran since, and somebody else writes.
            slot.load(9 * PAGE, &[0xEE; PAGE]);
            slot.restore(strategy).expect("restores");
            assert!(
                is_clean(),
                "{strategy:?}, round {round}, written from outside"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_becomes_private_with_a_fault_and_not_without() {
    let image = image(64);
    let slot = Slot::new(image).expect("a slot");
    assert!(run(&slot, &[3, 4], 1).is_some_and(|faults| faults >= 2));
    assert_eq!(run(&slot, &[3, 4], 2), Some(0));
    assert!(run(&slot, &[3, 4, 60], 3).is_some_and(|faults| faults >= 1));
}
