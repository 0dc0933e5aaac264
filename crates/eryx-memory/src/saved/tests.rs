use super::*;
use crate::slot::Slot;

fn ranges(pages: &[(usize, usize)]) -> Vec<(usize, usize)> {
    pages
        .iter()
        .map(|(from, to)| (from * PAGE, to * PAGE))
        .collect()
}

fn image(pages: usize) -> Arc<Image> {
    let memory: Vec<u8> = (0..pages)
        .flat_map(|page| [u8::try_from(page % 251).expect("small"); PAGE])
        .collect();
    Arc::new(Image::from_memory(&memory, Vec::new()).expect("an image"))
}

fn all(state: &SavedMemory) -> Vec<u8> {
    let memory = state.pages().expect("a view");
    (0..memory.size())
        .step_by(PAGE)
        .flat_map(|at| memory.page(at).to_vec())
        .collect()
}

/// Every page in `written` gets the value 255.
fn filled(image: &Arc<Image>, size: usize, written: &Ranges) -> SavedMemory {
    let fill = |ranges: &Ranges, part: &mut [u8]| {
        assert_eq!(pages_in(ranges) * PAGE, part.len());
        part.fill(255);
        Ok(())
    };
    SavedMemory::filled(image, size, written, fill).expect("a state")
}

fn expected(image: &Arc<Image>, size: usize, written: &Ranges) -> Vec<u8> {
    let mut memory = image.bytes().expect("a view").to_vec();
    memory.resize(size, 0);
    for &(from, to) in written {
        memory[from..to].fill(255);
    }
    memory
}

/// A slot in this state.
fn woken(state: &SavedMemory) -> Slot {
    let mut slot = Slot::new(Arc::clone(state.image())).expect("a slot");
    state.put(&mut slot.resting()).expect("fits");
    slot
}

/// All that is in a slot.
fn held(slot: &mut Slot) -> Vec<u8> {
    let slot = slot.resting();
    slot.bytes(0, slot.accessible()).to_vec()
}

#[test]
fn a_state_holds_what_it_was_filled_with() {
    let image = image(2000);
    let scattered: Vec<_> = (0..2000).step_by(3).map(|page| (page, page + 1)).collect();
    for (written, pages) in [
        (vec![], 2000),
        (vec![(0, 1), (1999, 2000)], 2000),
        (vec![(10, 700), (702, 703), (1000, 1001)], 2000),
        (vec![(10, 700), (1990, 2300)], 2400),
        (vec![(10, 1700), (1702, 1703), (1990, 4300)], 4400),
        // What lies between two of them is partly behind the image's end.
        (vec![(10, 1999), (2001, 4300)], 4400),
        (vec![(10, 2000), (2002, 4300)], 4400),
        (vec![(2100, 2101), (2103, 4300)], 4400),
        (scattered, 2000),
    ] {
        let written = ranges(&written);
        let state = filled(&image, pages * PAGE, &written);
        assert!(all(&state) == expected(&image, pages * PAGE, &written));
    }
}

#[test]
fn a_slot_gets_it_back_and_it_takes_over_what_the_slot_holds() {
    let image = image(2000);
    for count in [10, 400, 700] {
        let mut state = SavedMemory::of(&image);
        let mut slot = Slot::new(Arc::clone(&image)).expect("a slot");
        let mut slot = slot.resting();
        for round in 0..4 {
            for page in (0..count).map(|index| index * 2 + round % 2) {
                slot.load(page * PAGE, &[250; 3]);
            }
            let committed = state.commit(&mut slot, RestoreStrategy::detect());
            assert!(committed.expect("commits"));
            let now = slot.bytes(0, slot.accessible()).to_vec();
            assert!(all(&state) == now, "{count} pages, round {round}");
            assert!(held(&mut woken(&state)) == now);
            let mut trimmed = state.clone();
            trimmed.trim().expect("trims");
            assert!(all(&trimmed) == now);
        }
    }
}

#[test]
fn long_ranges_are_few_and_cover_most() {
    let every_other: Vec<_> = (0..4000).step_by(2).map(|page| (page, page + 1)).collect();
    assert_eq!(long(&ranges(&every_other), MAX_GAP), ranges(&[(0, 3999)]));
    assert_eq!(
        long(&ranges(&[(1, 2), (9, 300)]), MAX_GAP),
        ranges(&[(9, 300)])
    );
    let far: Vec<_> = (0..100)
        .map(|index| (index * 1000, index * 1000 + 10))
        .collect();
    assert_eq!(long(&ranges(&far), MAX_GAP).len(), MAX_LONG);
    assert_eq!(
        long(&ranges(&far), usize::MAX / PAGE),
        ranges(&[(0, 99_010)])
    );
}

const STRATEGIES: [RestoreStrategy; 4] = [
    RestoreStrategy::PagemapScan,
    RestoreStrategy::Pagemap,
    RestoreStrategy::Remap,
    RestoreStrategy::Copy,
];

/// A guest and what it must hold.
struct Guest {
    slot: Slot,
    state: SavedMemory,
    strategy: RestoreStrategy,
    /// What the slot must hold. It is not read to find out: pages that were only read are known to the kernel, too.
    now: Vec<u8>,
    /// What `state` must hold.
    kept: Vec<u8>,
}

impl Guest {
    fn new(pages: usize, size: usize, strategy: RestoreStrategy) -> Self {
        let state = SavedMemory::of(&image(pages));
        let mut guest = Self {
            slot: woken(&state),
            now: state.image.bytes().expect("a view").to_vec(),
            kept: Vec::new(),
            state,
            strategy,
        };
        guest.grow(size * PAGE);
        guest.commit();
        guest
    }

    fn grow(&mut self, size: usize) {
        self.slot.resting().grow(size).expect("grows");
        self.now.resize(size, 0);
    }

    /// Writes a number to these pages.
    fn write(&mut self, pages: impl Iterator<Item = usize>, number: u8) {
        let pages: Vec<_> = pages
            .map(|page| page * PAGE + usize::from(number))
            .collect();
        self.slot
            .run(|memory| pages.iter().for_each(|&at| memory[at] = number));
        for &at in &pages {
            self.now[at] = number;
        }
    }

    fn commit(&mut self) {
        let committed = self.state.commit(&mut self.slot.resting(), self.strategy);
        assert!(committed.expect("commits"));
        self.kept.clone_from(&self.now);
    }

    /// The slot as it was after the last commit.
    fn fall_back(&mut self) {
        self.slot = woken(&self.state);
        self.now.clone_from(&self.kept);
    }

    fn check(&self) {
        let memory = self.state.pages().expect("a view");
        assert_eq!(memory.size(), self.kept.len());
        let differs = |&at: &usize| memory.page(at) != &self.kept[at..at + PAGE];
        let first = (0..memory.size()).step_by(PAGE).find(differs);
        assert_eq!(first, None, "{:?}", self.strategy);
    }

    /// Bytes of files and copies that the state takes.
    #[cfg(target_os = "linux")]
    fn takes(&self) -> usize {
        let files = usize::try_from(self.state.image.file_memory()).expect("small");
        files + self.state.copies.capacity()
    }

    /// Of another one, which shares its memory.
    fn fork(&self) -> Self {
        Self {
            slot: woken(&self.state),
            state: self.state.clone(),
            strategy: self.strategy,
            now: self.kept.clone(),
            kept: self.kept.clone(),
        }
    }
}

/// Pages of the guests below: of the image, and when they have grown.
const IMAGE: usize = 300;
const GROWN: usize = 1600;

/// What a run may write to: everything, a part that moves on, pages that lie apart.
fn pattern(round: usize) -> Box<dyn Iterator<Item = usize>> {
    let third = GROWN / 3;
    match round % 8 {
        0 | 1 => Box::new(0..GROWN),
        2 => Box::new((0..GROWN).filter(|page| page % 8 != 7)),
        3 => Box::new(third..2 * third),
        4 => Box::new((0..GROWN).filter(|page| page % 400 < 260)),
        5 => Box::new((0..GROWN).step_by(2)),
        6 => Box::new((0..GROWN).step_by(70)),
        _ => Box::new(round * 37 % third..2 * third),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn layers_that_nothing_shows_take_no_memory() {
    let most = GROWN * PAGE / 2 * 3 + 2 * SPARE * PAGE;
    for strategy in STRATEGIES {
        let mut guest = Guest::new(IMAGE, GROWN, strategy);
        for round in 0..40 {
            let which = if round < 16 { round } else { round / 3 };
            guest.write(pattern(which), u8::try_from(round).expect("small"));
            guest.commit();
            guest.check();
            let takes = guest.takes();
            assert!(takes <= most, "{strategy:?}, round {round}: {takes} bytes");
            let files = usize::try_from(guest.state.image.file_memory()).expect("small");
            assert_eq!(
                files,
                guest.state.image.layers(),
                "{strategy:?}, round {round}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn forks_keep_the_layers_that_they_show() {
    for strategy in STRATEGIES {
        let mut guest = Guest::new(IMAGE, GROWN, strategy);
        let mut forks = Vec::new();
        for round in 0..12 {
            let number = u8::try_from(round).expect("small");
            guest.write(pattern(round), number);
            guest.commit();
            forks.push(guest.fork());
            let one = round * 7 % forks.len();
            forks[one].write(pattern(round + 3), number + 100);
            forks[one].commit();
            forks.iter().for_each(Guest::check);
            guest.check();
        }
        drop(forks);
        let files = usize::try_from(guest.state.image.file_memory()).expect("small");
        assert_eq!(files, guest.state.image.layers(), "{strategy:?}");
        guest.check();
    }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005) + 1_442_695_040_888_963_407;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// Whatever is done to guests, with the kernel asked for huge pages before and after each step, they hold what they must.
#[test]
fn random_lives_beside_huge_pages() {
    for strategy in STRATEGIES {
        let mut random = Random(strategy as u64 + 1);
        let mut guests = vec![Guest::new(IMAGE, IMAGE, strategy)];
        for step in 0..100 {
            let which = random.below(guests.len());
            let count = guests.len();
            let guest = &mut guests[which];
            let number = u8::try_from(step).expect("small");
            let pages = guest.slot.resting().accessible() / PAGE;
            match random.below(8) {
                0 if pages < GROWN => {
                    let size = (pages + random.below(GROWN)) * PAGE;
                    guest.grow(size);
                }
                1 => {
                    // Cut off: what it wrote must be gone.
                    guest.write(0..pages, number);
                    guest.fall_back();
                }
                2 => guest.state.trim().expect("trims"),
                3 if count < 4 => {
                    let fork = guest.fork();
                    guests.push(fork);
                }
                4 if count > 2 => drop(guests.remove(which)),
                4 => {
                    // Mostly few, since a layer is no anonymous memory.
                    let stride = 1 + random.below(40) * random.below(9);
                    let from = random.below(pages);
                    guest.write((from..pages).step_by(stride), number);
                    if random.below(3) == 0 {
                        guest.slot.ask_for_huge_pages();
                    }
                    guest.commit();
                }
                _ => {
                    // In a huge page it would be private and written to without a fault.
                    guest.write(std::iter::once(random.below(pages)), number);
                    guest.commit();
                }
            }
            let other = random.below(6) == 0;
            for guest in &mut guests {
                guest.slot.ask_for_huge_pages();
                if other {
                    guest.slot.have_huge_pages_asked_for();
                }
                guest.check();
            }
        }
        for guest in &mut guests {
            assert!(held(&mut guest.slot) == guest.now, "{strategy:?}");
        }
    }
}
