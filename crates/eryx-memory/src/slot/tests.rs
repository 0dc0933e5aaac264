use wasmtime::{Config, Engine, Module};

use super::resting::HOT_PAGES;
use super::test_support::now;
use super::*;
use crate::PAGE;

fn new_engine() -> Engine {
    let mut config = Config::new();
    configure(&mut config);
    Engine::new(&config).expect("an engine")
}

fn image(pages: usize) -> Arc<Image> {
    let memory: Vec<u8> = (0..pages * PAGE)
        .map(|at| u8::try_from(at / PAGE % 251).expect("small"))
        .collect();
    Arc::new(Image::from_memory(&memory, vec![7]).expect("an image"))
}

fn slot(image: &Arc<Image>) -> Slot {
    Slot::new(Arc::clone(image)).expect("a slot")
}

fn is_as(slot: &mut Slot, image: &Image) -> bool {
    let slot = slot.resting();
    slot.bytes(0, slot.accessible()) == image.bytes().expect("mapped")
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
        let mut slot = slot(&image);
        for round in 0..3 {
            for page in [0, 1, 2, 31, 63] {
                slot.run(|memory| memory[page * PAGE + round] = 0xEE);
            }
            slot.resting().restore(strategy).expect("restores");
            assert!(is_as(&mut slot, &image), "{strategy:?}, round {round}");
        }
    }
}

#[test]
fn more_pages_than_stay_hot() {
    let image = image(HOT_PAGES + 100);
    for strategy in STRATEGIES {
        let mut slot = slot(&image);
        slot.run(|memory| memory.fill(0xEE));
        slot.resting().restore(strategy).expect("restores");
        assert!(is_as(&mut slot, &image), "{strategy:?}");
    }
}

#[test]
fn grown_memory_is_zero_again() {
    for strategy in STRATEGIES {
        let image = image(4);
        let mut slot = slot(&image);
        for _ in 0..2 {
            slot.resting().grow(8 * PAGE).expect("grows");
            slot.run(|memory| {
                let grown = &mut memory[4 * PAGE..];
                assert!(grown.iter().all(|&byte| byte == 0), "{strategy:?}");
                grown.fill(0xEE);
            });
            slot.resting().restore(strategy).expect("restores");
            assert_eq!(slot.resting().accessible(), 4 * PAGE);
        }
    }
}

#[test]
fn remapping_forgets_everything() {
    let image = image(8);
    let mut slot = slot(&image);
    slot.resting().grow(16 * PAGE).expect("grows");
    slot.run(|memory| memory.fill(0xEE));
    slot.resting().remap().expect("remaps");
    assert!(is_as(&mut slot, &image));
}

#[test]
fn another_image_takes_the_place_of_the_first() {
    let (small, large) = (image(8), image(20));
    let mut slot = slot(&small);
    for _ in 0..2 {
        for next in [&large, &small] {
            slot.resting().grow(24 * PAGE).expect("grows");
            slot.run(|memory| memory.fill(0xEE));
            slot.resting().rebase(Arc::clone(next)).expect("fits");
            assert!(is_as(&mut slot, next));
        }
    }
}

#[test]
fn an_adopted_image_is_the_one_that_is_put_back() {
    for strategy in STRATEGIES {
        let base = image(64);
        let memory = vec![0xAA; 64 * PAGE];
        let layered = base.layered(&memory, &[(8 * PAGE, 40 * PAGE)]);
        let mut slot = slot(&Arc::new(layered.expect("an image")));
        let private = [(16 * PAGE, 32 * PAGE)];
        slot.run(|memory| memory[16 * PAGE..32 * PAGE].fill(0xEE));
        let adopted = slot.resting().image().without(&private).expect("few parts");
        let adopted = Arc::new(adopted);
        slot.resting().adopt(Arc::clone(&adopted));
        let written = slot.resting().written(strategy).expect("is told");
        assert_eq!(*written, private, "{strategy:?}");
        slot.resting().restore(strategy).expect("restores");
        assert!(is_as(&mut slot, &adopted), "{strategy:?}");
    }
}

#[test]
fn the_image_is_never_written() {
    let image = image(4);
    let (mut first, mut second) = (slot(&image), slot(&image));
    first.run(|memory| memory.fill(0xEE));
    assert!(is_as(&mut second, &image));
    assert!(!image.bytes().expect("mapped").contains(&0xEE));
}

#[test]
fn growth_is_bounded_by_the_reservation() {
    let mut slot = slot(&image(1));
    assert!(slot.resting().grow(RESERVATION + PAGE).is_err());
    assert!(slot.resting().grow(0).is_err());
    assert_eq!(slot.resting().accessible(), PAGE);
}

/// Writes to these pages.
fn write(slot: &mut Slot, pages: &[usize], value: u8) -> Option<u64> {
    slot.run(|memory| pages.iter().for_each(|page| memory[page * PAGE] = value))
}

#[test]
fn what_is_known_of_private_pages_is_used_only_while_it_is_true() {
    for strategy in STRATEGIES {
        let image = image(64);
        let mut slot = slot(&image);
        for round in 0..4 {
            // The same pages, then one more, and none.
            for pages in [&[1, 2, 40][..], &[1, 2, 40], &[1, 40, 50 + round], &[]] {
                let _ = write(&mut slot, pages, 0xEE);
                slot.resting().restore(strategy).expect("restores");
                assert!(is_as(&mut slot, &image), "{strategy:?}, round {round}");
            }
            let _ = write(&mut slot, &[1, 2], 0xEE);
            let written = slot.resting().written(strategy).expect("is told");
            assert!(
                written
                    .iter()
                    .any(|&(from, to)| from <= PAGE && 3 * PAGE <= to)
            );
            // Nothing ran since, and somebody else writes.
            slot.resting().load(9 * PAGE, &[0xEE; PAGE]);
            slot.resting().restore(strategy).expect("restores");
            assert!(
                is_as(&mut slot, &image),
                "{strategy:?}, round {round}, written from outside"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_becomes_private_with_a_fault_and_not_without() {
    let mut slot = slot(&image(64));
    assert!(write(&mut slot, &[3, 4], 1).is_some_and(|faults| faults >= 2));
    assert_eq!(write(&mut slot, &[3, 4], 2), Some(0));
    assert!(write(&mut slot, &[3, 4, 60], 3).is_some_and(|faults| faults >= 1));
}

#[test]
fn huge_pages_do_not_take_the_place_of_small_ones() {
    for strategy in STRATEGIES {
        let image = image(300);
        let mut slot = slot(&image);
        for round in 0..3 {
            slot.resting().grow(1600 * PAGE).expect("grows");
            let is_written = |slot: &mut Slot, pages: &[usize]| {
                let written = slot.resting().written(strategy).expect("is told");
                pages.iter().all(|page| {
                    let at = page * PAGE;
                    written.iter().any(|&(from, to)| from <= at && at < to)
                })
            };
            // Pages here and there, so that each range has some.
            let first: Vec<_> = (0..1600).step_by(90).collect();
            let _ = write(&mut slot, &first, 0xEE);
            assert!(is_written(&mut slot, &first));
            for pages in [&[700, 800, 901][..], &[1001, 1100], &[20, 1201, 1300]] {
                // In a huge page they would be private and written to without a fault.
                slot.ask_for_huge_pages();
                let _ = write(&mut slot, pages, 0xEE);
                assert!(is_written(&mut slot, pages), "{strategy:?}, round {round}");
            }
            slot.have_huge_pages_asked_for();
            slot.resting().restore(strategy).expect("restores");
            slot.ask_for_huge_pages();
            assert!(is_as(&mut slot, &image), "{strategy:?}, round {round}");
        }
    }
}

/// An instance in a slot, with a function that makes its memory larger by 16 pages.
fn instantiated(slot: Slot, engine: &Engine) -> (Store<()>, Instance, Occupied) {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "grow") (drop (memory.grow (i32.const 1)))))"#;
    let module = Module::new(engine, wat::parse_str(text).expect("a module"));
    let module = module.expect("it compiles");
    let mut store = Store::new(engine, ());
    let instantiate = |store: &mut _| now(Instance::new_async(store, &module, &[]));
    let made = slot.occupy(&mut store, instantiate).expect("it fits");
    (store, made.0, made.1)
}

#[test]
fn the_size_does_not_change_under_an_instance() {
    let (image, other) = (image(16), image(32));
    for strategy in STRATEGIES {
        let engine = new_engine();
        let (mut store, instance, mut occupied) = instantiated(slot(&image), &engine);
        occupied.resting(&mut store).load(5, b"text");
        let restored = occupied.resting(&mut store).restore(strategy);
        restored.expect("it is as large as the image");
        let grow = instance.get_typed_func::<(), ()>(&mut store, "grow");
        let grow = grow.expect("it is exported");
        now(grow.call_async(&mut store, ())).expect("it grows");
        let mut resting = occupied.resting(&mut store);
        assert_eq!(resting.accessible(), 32 * PAGE);
        assert!(resting.restore(strategy).is_err());
        assert!(resting.remap().is_err());
        assert!(resting.grow(48 * PAGE).is_err());
        assert!(resting.rebase(Arc::clone(&image)).is_err());
        resting.rebase(Arc::clone(&other)).expect("it is as large");
        assert_eq!(resting.accessible(), 32 * PAGE);
        let mut slot = occupied.vacate(store).expect("nobody else has it");
        assert!(is_as(&mut slot, &other), "{strategy:?}");
        slot.resting().rebase(Arc::clone(&image)).expect("it fits");
        assert!(is_as(&mut slot, &image), "{strategy:?}");
    }
}

#[test]
#[should_panic(expected = "store")]
fn another_store_does_not_tell_that_a_slot_rests() {
    let engine = new_engine();
    let (_store, _, mut occupied) = instantiated(slot(&image(16)), &engine);
    let (mut other, ..) = instantiated(slot(&image(16)), &engine);
    occupied.resting(&mut other);
}

#[cfg(unix)]
mod brake;
#[cfg(target_os = "linux")]
mod userfaultfd;
