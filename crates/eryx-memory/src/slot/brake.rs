//! Stops a guest that computes, from another thread: through the page that its polls load from.
//!
//! When the page is protected, the guest's next poll faults. The handler of that signal runs on the guest's own thread, at a point
//! where its code is whole. To ask Python to end it sets words in the guest's memory, and the guest goes on; to cut it off it
//! leaves the fault to wasmtime, which makes a trap of it. Polls are in every loop: eryx-runtime/src/poll.rs.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use wasmtime::Store;

use super::Mapped;
use super::space::Space;

/// A word of the guest's memory, and the bits that are set in it to tell its signal handling that a signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalWord {
    /// Its address, a multiple of four.
    pub address: u32,
    /// The bits.
    pub bits: u32,
}

/// What a guest is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// Raise `SandboxInterrupt` in Python.
    Ask = 1,
    /// Trap.
    Cut = 2,
}

/// No order.
const NONE: u8 = 0;

/// The brake of one guest.
#[derive(Debug)]
pub struct Brake {
    space: Arc<Space>,
    words: Arc<[SignalWord]>,
    /// An [`Order`] that the guest has not met yet, or [`NONE`].
    order: AtomicU8,
    /// The page is protected, or is about to be.
    closed: AtomicBool,
}

impl Brake {
    pub(super) fn new(mapped: &Mapped, words: Arc<[SignalWord]>) -> Self {
        Self {
            space: Arc::clone(&mapped.space),
            words,
            order: AtomicU8::new(NONE),
            closed: AtomicBool::new(false),
        }
    }

    /// One that no guest obeys: for tests of those who use brakes.
    ///
    /// # Errors
    /// There is no address space left.
    pub fn of_nothing() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            space: Arc::new(Space::new()?),
            words: Arc::default(),
            order: AtomicU8::new(NONE),
            closed: AtomicBool::new(false),
        }))
    }

    /// Gives an order, which the guest meets at its next poll. From any thread.
    pub fn give(&self, order: Order) {
        self.order.store(order as u8, Ordering::SeqCst);
        // If it fails, `repeat` tries it again.
        drop(self.close());
    }

    /// Gives the order again that the guest has not met, if there is one.
    pub fn repeat(&self) {
        if self.is_given() {
            drop(self.close());
        }
    }

    /// Takes the order that the guest has not met, so that its thread can follow it elsewhere than at a poll.
    pub fn take(&self) -> Option<Order> {
        match self.order.swap(NONE, Ordering::SeqCst) {
            order if order == Order::Ask as u8 => Some(Order::Ask),
            order if order == Order::Cut as u8 => Some(Order::Cut),
            _ => None,
        }
    }

    /// Whether there is one.
    pub fn is_given(&self) -> bool {
        self.order.load(Ordering::SeqCst) != NONE
    }

    /// Nobody gives orders any more: forgets what is left.
    pub fn release(&self) {
        self.order.store(NONE, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            // If it fails, the next run's first poll tries it once more: see `reached`.
            drop(self.open());
        }
    }

    fn close(&self) -> io::Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        self.space.set_poll_page(false)
    }

    fn open(&self) -> io::Result<()> {
        self.closed.store(false, Ordering::SeqCst);
        self.space.set_poll_page(true)
    }

    /// Has `store` follow the orders of this brake: its guest is in this slot.
    pub fn attach<T: 'static>(self: &Arc<Self>, store: &mut Store<T>) {
        #[cfg(unix)]
        {
            use wasmtime::unix::StoreExt as _;

            let brake = Arc::clone(self);
            // SAFETY: the handler answers for faults of this slot's page alone, and does nothing that a signal handler may not:
            // it loads and stores atomics and calls mprotect. Its captured value lives as long as the store.
            unsafe {
                store.set_signal_handler(move |signal, information, _| {
                    // The kernel gives a valid siginfo, and SIGSEGV has an address.
                    let address = (*information).si_addr();
                    signal == libc::SIGSEGV && brake.reached(address as usize)
                });
            }
        }
        #[cfg(not(unix))]
        let _ = store;
    }

    /// A fault of the guest's thread at `address`. `true`: it was a poll, and the guest goes on with it. In a signal handler.
    fn reached(&self, address: usize) -> bool {
        if !self.space.is_poll_page(address) {
            return false;
        }
        match self.take() {
            // Stays closed, and the order is met: wasmtime makes a trap of the fault.
            Some(Order::Cut) => return false,
            Some(Order::Ask) => self.set_words(),
            None => {}
        }
        let opened = self.open().is_ok();
        if self.is_given() {
            // Given meanwhile: the protection was perhaps just lifted.
            return self.close().is_ok();
        }
        opened
    }

    /// Sets the words that `PyErr_SetInterruptEx` sets, as the builder learned them.
    fn set_words(&self) {
        for word in self.words.iter() {
            if let Some(at) = self.word(word.address) {
                // SAFETY: four aligned bytes of the guest's memory, whose code stands still at a poll on this very thread.
                unsafe { at.as_ref() }.fetch_or(word.bits, Ordering::Relaxed);
            }
        }
    }

    /// `None` for an address outside, which whoever read the words has refused. The guest would only not be asked.
    fn word(&self, address: u32) -> Option<NonNull<AtomicU32>> {
        let address = address as usize;
        let inside = address.is_multiple_of(4) && address + 4 <= self.space.accessible();
        // SAFETY: inside the accessible memory, as was just checked.
        inside.then(|| unsafe { self.space.start().add(address) }.cast())
    }
}
