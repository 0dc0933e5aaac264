//! Stopping code by the page of its polls.

use std::thread;
use std::time::Duration;

use wasmtime::{Engine, Module, Trap, TypedFunc};

use super::super::{Brake, Order};
use super::*;
use crate::SignalWord;

/// `run` counts at 16 until the word at 32 is set, `spin` for ever, behind a loop that ends. All poll, each at an address of its own.
const LOOPS: &str = r#"(module
    (memory (export "memory") 1)
    (memory 1 1)
    (func $poll (drop (i32.load 1 (i32.const 0))))
    (func $count (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1))))
    (func (export "run") (result i32)
        (loop (drop (i32.load 1 (i32.const 0))) (call $count) (br_if 0 (i32.eqz (i32.load (i32.const 32)))))
        (i32.load (i32.const 32)))
    (func (export "spin")
        (local i32)
        (loop (drop (i32.load 1 (i32.const 0)))
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 10))))
        (loop (drop (i32.load 1 offset=4 (i32.const 0)))
            (loop (drop (i32.load 1 offset=8 (i32.const 0)))
                (br_if 0 (i32.and (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 255))))
            (br 0)))
    (func (export "poll") (call $poll)))"#;

struct Guest {
    store: Store<()>,
    slot: Occupied,
    brake: Arc<Brake>,
    run: TypedFunc<(), i32>,
    spin: TypedFunc<(), ()>,
    poll: TypedFunc<(), ()>,
}

impl Guest {
    fn new(engine: &Engine) -> Self {
        let module = Module::new(engine, wat::parse_str(LOOPS).expect("a module"));
        let module = module.expect("it compiles");
        let mut store = Store::new(engine, ());
        let instantiate = |store: &mut _| now(Instance::new_async(store, &module, &[]));
        let (instance, slot) = slot(&image(16))
            .occupy(&mut store, instantiate)
            .expect("it fits");
        slot.memory().data_mut(&mut store).fill(0);
        let words = [SignalWord {
            address: 32,
            bits: 0x50,
        }];
        let brake = slot.brake(words.as_slice().into());
        brake.attach(&mut store);
        let mut get = |name: &str| instance.get_func(&mut store, name).expect("exported");
        let (run, spin, poll) = (get("run"), get("spin"), get("poll"));
        Self {
            run: run.typed(&store).expect("its type"),
            spin: spin.typed(&store).expect("its type"),
            poll: poll.typed(&store).expect("its type"),
            store,
            slot,
            brake,
        }
    }

    fn run(&mut self) -> wasmtime::Result<i32> {
        now(self.run.call_async(&mut self.store, ()))
    }

    fn spin(&mut self) -> wasmtime::Result<()> {
        now(self.spin.call_async(&mut self.store, ()))
    }

    fn poll(&mut self) -> wasmtime::Result<()> {
        now(self.poll.call_async(&mut self.store, ()))
    }

    fn words(&mut self) -> &mut [u8] {
        &mut self.slot.memory().data_mut(&mut self.store)[32..36]
    }
}

fn is_cut(ended: wasmtime::Result<()>) -> bool {
    let trap = ended.expect_err("it never ends by itself");
    trap.downcast_ref() == Some(&Trap::MemoryOutOfBounds)
}

/// Gives an order soon, from another thread.
fn soon(brake: &Arc<Brake>, order: Order) -> thread::JoinHandle<()> {
    let brake = Arc::clone(brake);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        brake.give(order);
    })
}

fn engine() -> Engine {
    new_engine()
}

#[test]
fn asking_sets_the_words_and_the_guest_goes_on() {
    let mut guest = Guest::new(&engine());
    for _ in 0..3 {
        let asking = soon(&guest.brake, Order::Ask);
        assert_eq!(guest.run().expect("it ends"), 0x50);
        asking.join().expect("no panic");
        assert!(!guest.brake.is_given());
        guest.words().fill(0);
    }
    guest.brake.release();
    guest.poll().expect("the page can be read");
}

#[test]
fn cutting_traps_until_it_is_released() {
    let mut guest = Guest::new(&engine());
    for _ in 0..3 {
        let cutting = soon(&guest.brake, Order::Cut);
        assert!(is_cut(guest.spin()));
        cutting.join().expect("no panic");
        guest.brake.release();
        guest.poll().expect("the page can be read");
    }
}

#[test]
fn orders_that_no_poll_met_are_taken_or_forgotten() {
    let mut guest = Guest::new(&engine());
    assert_eq!(guest.brake.take(), None);
    guest.brake.give(Order::Ask);
    assert!(guest.brake.is_given());
    assert_eq!(guest.brake.take(), Some(Order::Ask));
    assert_eq!(guest.brake.take(), None);
    // The page is still protected: the next poll finds no order, and passes.
    guest.poll().expect("no order");
    assert_eq!(guest.words(), [0; 4]);
    guest.brake.give(Order::Cut);
    guest.brake.release();
    guest.poll().expect("forgotten");
    // The last one counts.
    guest.brake.give(Order::Ask);
    guest.brake.give(Order::Cut);
    assert!(is_cut(guest.spin()));
}

/// Orders come at any moment, also when the page is just opened for the one before.
#[test]
fn a_cut_among_many_orders_is_met() {
    let mut guest = Guest::new(&engine());
    let asking = {
        let brake = Arc::clone(&guest.brake);
        thread::spawn(move || {
            for _ in 0..2000 {
                brake.give(Order::Ask);
                std::hint::spin_loop();
            }
            brake.give(Order::Cut);
        })
    };
    assert!(is_cut(guest.spin()));
    asking.join().expect("no panic");
}

/// Each guest has a page of its own.
#[test]
fn others_go_on() {
    let engine = engine();
    let (mut one, mut other) = (Guest::new(&engine), Guest::new(&engine));
    one.brake.give(Order::Cut);
    other.poll().expect("it is not meant");
    assert!(is_cut(one.spin()));
    other.poll().expect("it is not meant");
}

/// The memory keeps its place and its contents when its polls were protected, and the slot can be used again.
#[test]
fn a_slot_goes_on_after_a_cut() {
    let engine = engine();
    let mut guest = Guest::new(&engine);
    guest.brake.give(Order::Cut);
    assert!(is_cut(guest.spin()));
    guest.brake.release();
    let Guest {
        store, slot, brake, ..
    } = guest;
    drop(brake);
    let mut slot = slot.vacate(store).expect("nobody else has it");
    slot.resting().remap().expect("it is mapped afresh");
    let image = Arc::clone(&slot.0.image);
    assert!(is_as(&mut slot, &image));
}
