//! Copies of pages, in mappings of their own.
//!
//! The allocator would keep much of what a thousand sessions give back at different times: on glibc three quarters. The kernel
//! joins neighbouring mappings of this kind, so they are few even for many sessions.

use std::io;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Bytes that can be replaced, but not made more than there is room for.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// `None`: there is room for nothing.
    map: Option<MmapMut>,
    len: usize,
}

impl Copies {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(capacity: usize) -> io::Result<Self> {
        let map = match capacity {
            0 => None,
            _ => Some(MmapMut::map_anon(capacity)?),
        };
        Ok(Self { map, len: 0 })
    }

    pub(crate) fn zeroed(len: usize) -> io::Result<Self> {
        let copies = Self::with_capacity(len)?;
        Ok(Self { len, ..copies })
    }

    pub(crate) fn capacity(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Panics if there is no room.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let len = self.len + bytes.len();
        if let Some(map) = &mut self.map {
            map[self.len..len].copy_from_slice(bytes);
        }
        assert!(len <= self.capacity(), "room for what is added");
        self.len = len;
    }

    /// Keeps the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// What it holds, in a mapping that is no larger.
    pub(crate) fn fitted(&self) -> io::Result<Self> {
        let mut fitted = Self::with_capacity(self.len)?;
        fitted.extend_from_slice(self);
        Ok(fitted)
    }
}

impl Deref for Copies {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[..self.len])
    }
}

impl DerefMut for Copies {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map
            .as_mut()
            .map_or(&mut [], |map| &mut map[..self.len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_what_was_added() {
        let mut copies = Copies::with_capacity(8192).expect("room");
        copies.extend_from_slice(&[1; 4096]);
        copies.extend_from_slice(&[2; 100]);
        assert_eq!((copies.len(), copies[4095], copies[4096]), (4196, 1, 2));
        let fitted = copies.fitted().expect("room");
        assert_eq!((&*fitted, fitted.capacity()), (&*copies, 4196));
        copies.clear();
        assert!(copies.is_empty());
        copies.extend_from_slice(&[3; 8192]);
        assert_eq!(*copies, [3; 8192]);
        assert!(Copies::default().fitted().expect("nothing").is_empty());
        assert_eq!(*Copies::zeroed(10).expect("room"), [0; 10]);
    }

    #[test]
    #[should_panic(expected = "range end index 2 out of range")]
    fn have_no_room_for_more() {
        let mut copies = Copies::with_capacity(1).expect("room");
        copies.extend_from_slice(&[1, 2]);
    }
}
