use std::sync::Arc;

use eryx_memory::{PAGE, RESERVATION};

use super::pages::PackedMemory;
use super::*;

/// Pages of the image, and behind it.
const PAGES: usize = 3_200;
const MORE: usize = 160;

/// What packs badly, another for each `seed`.
fn noise(pages: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 32) as u32
    });
    words
        .take(pages * PAGE / 4)
        .flat_map(u32::to_le_bytes)
        .collect()
}

fn image() -> Arc<Image> {
    Arc::new(Image::from_memory(&noise(PAGES, 1), Vec::new()).expect("an image"))
}

fn frame(image: &Image) -> Origin<'_> {
    Origin {
        kind: SnapshotKind::Session,
        runtime: &[7; 32],
        base: image,
    }
}

/// A memory that is in its place as a whole.
struct Whole(Vec<u8>);

impl ReadPages for Whole {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn page(&self, at: usize) -> &[u8] {
        &self.0[at..at + PAGE]
    }
}

/// The image's memory and pages of zeros behind it.
fn untouched(image: &Image) -> Vec<u8> {
    let mut memory = image.bytes().expect("a view").to_vec();
    memory.resize((PAGES + MORE) * PAGE, 0);
    memory
}

fn taken(image: &Image, memory: &impl ReadPages, ranges: &[(usize, usize)]) -> Vec<u8> {
    let taken = frame(image).take(memory, ranges, &Kept::default(), [None, None]);
    taken.expect("a snapshot")
}

fn parsed<'a>(image: &Image, bytes: &'a [u8]) -> Snapshot<'a> {
    Snapshot::parse(bytes, frame(image), RESERVATION).expect("it is good")
}

fn restored(image: &Arc<Image>, bytes: &[u8]) -> SavedMemory {
    let (state, _) = parsed(image, bytes).unpack(image, 0).expect("it is good");
    state
}

fn all(state: &SavedMemory) -> Vec<u8> {
    let memory = state.pages().expect("a view");
    let pages = (0..memory.size()).step_by(PAGE);
    pages.flat_map(|at| memory.page(at).to_vec()).collect()
}

/// Changes of a page: a few bytes, all bytes, none are left.
fn few(page: &mut [u8]) {
    page.iter_mut().step_by(500).for_each(|byte| *byte ^= 1);
}

fn full(page: &mut [u8]) {
    page.copy_from_slice(&noise(1, 2));
}

fn zero(page: &mut [u8]) {
    page.fill(0);
}

#[test]
fn pages_are_saved_in_the_way_that_packs_better() {
    let image = image();
    let mut memory = untouched(&image);
    for (page, change) in [
        (3, few as fn(&mut [u8])),
        (4, few),
        (5, full),
        (6, zero),
        (7, few),
    ] {
        change(&mut memory[page * PAGE..][..PAGE]);
    }
    full(&mut memory[(PAGES + 1) * PAGE..][..PAGE]);
    let bytes = taken(&image, &Whole(memory), &[(0, (PAGES + MORE) * PAGE)]);
    assert!(bytes.len() < 3 * PAGE, "{}", bytes.len());
    let of = |pages: &[(usize, usize)]| -> Vec<_> {
        let bytes = pages.iter().map(|(from, to)| (from * PAGE, to * PAGE));
        bytes.collect()
    };
    let Runs { all, xored } = parsed(&image, &bytes).runs;
    assert_eq!(all, of(&[(3, 8), (PAGES + 1, PAGES + 2)]));
    assert_eq!(xored, of(&[(3, 5), (7, 8)]));
}

/// Also where a restored state is a layer of the image, and where a snapshot is taken of such a state.
#[test]
fn every_page_comes_back() {
    let image = image();
    for every in [1, 2, 3, 7, 50, 5000] {
        let mut memory = untouched(&image);
        let changes: [fn(&mut [u8]); 7] = [few, few, few, full, few, zero, full];
        for (index, page) in memory.chunks_mut(PAGE).step_by(every).enumerate() {
            changes[index % changes.len()](page);
        }
        let memory = Whole(memory);
        let first = taken(&image, &memory, &[(0, (PAGES + MORE) * PAGE)]);
        let state = restored(&image, &first);
        assert!(all(&state) == memory.0, "every {every}");
        let packed = PackedMemory::new(&state, &image).expect("a view");
        let unpacked = packed.unpack(&image).expect("it is ours");
        assert!(all(&unpacked) == memory.0, "every {every}, packed");
        let view = state.pages().expect("a view");
        assert!(
            taken(&image, &view, &state.changed()) == first,
            "every {every}"
        );
        let again = restored(&image, &taken(&image, &view, &[(0, memory.0.len())]));
        assert!(all(&again) == memory.0, "every {every}, again");
    }
}

#[test]
fn an_image_that_begins_above_zero() {
    let path = std::env::temp_dir().join(format!("eryx-image-{}", std::process::id()));
    let content = noise(16, 1);
    std::fs::write(&path, &content).expect("room");
    let (start, size) = (64 * PAGE, 96 * PAGE);
    let image = Image::open(&path, start..start + content.len(), size, Vec::new());
    let image = Arc::new(image.expect("an image"));
    std::fs::remove_file(&path).expect("ours");
    let mut memory = image.bytes().expect("a view").to_vec();
    for page in [0, 63, 64, 70, 79, 80, 95] {
        few(&mut memory[page * PAGE..][..PAGE]);
    }
    let bytes = taken(&image, &Whole(memory.clone()), &[(0, size)]);
    let xored = parsed(&image, &bytes).runs.xored;
    assert!(xored.contains(&(64 * PAGE, 65 * PAGE)), "{xored:?}");
    assert!(all(&restored(&image, &bytes)) == memory);
}
