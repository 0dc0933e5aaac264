//! An ordered map from `u64` whose clones share everything until one of them is written to.
//!
//! A path-compressed radix tree (PATRICIA), 16-way, most significant digit first, so that keys come
//! out in order. A write copies the branches on its path (at most 16, of at most 16 slots) that a
//! clone shares. Every branch has two slots or more and no spare capacity: `n` keys cost at most
//! `n - 1` branches, which is what the quota's overheads are computed from.

use std::mem;
use std::sync::Arc;

const BITS: u32 = 4;
const DIGIT: u64 = (1 << BITS) - 1;

/// The map. `clone` is one reference count.
#[derive(Clone, Debug)]
pub(crate) struct CowMap<V> {
    root: Option<Slot<V>>,
    len: u64,
}

#[derive(Clone, Debug)]
enum Slot<V> {
    Leaf(u64, V),
    Branch(Arc<Branch<V>>),
}

/// Keys that agree with `prefix` above `shift + BITS` and differ in the digit at `shift`.
#[derive(Clone, Debug)]
struct Branch<V> {
    prefix: u64,
    shift: u32,
    present: u16,
    slots: Vec<Slot<V>>,
}

impl<V> CowMap<V> {
    /// Upper bound of the heap bytes per key, allocator headers included: the key's slot, one
    /// branch, and that branch's slot.
    #[cfg(test)]
    pub(crate) const BYTES_PER_KEY: usize = {
        let branch = 16 + size_of::<Branch<V>>() + 24;
        2 * size_of::<Slot<V>>() + 24 + branch
    };

    pub(crate) const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        let mut slot = self.root.as_ref()?;
        loop {
            match slot {
                Slot::Leaf(found, value) => return (*found == key).then_some(value),
                Slot::Branch(branch) => slot = branch.slot(key)?,
            }
        }
    }

    /// The entry with the smallest key that is not below `key`.
    pub(crate) fn first_from(&self, key: u64) -> Option<(u64, &V)> {
        self.root.as_ref()?.first_from(key)
    }

    /// The largest key.
    pub(crate) fn last_key(&self) -> Option<u64> {
        let mut slot = self.root.as_ref()?;
        loop {
            match slot {
                Slot::Leaf(key, _) => return Some(*key),
                Slot::Branch(branch) => slot = branch.slots.last()?,
            }
        }
    }
}

impl<V: Clone> CowMap<V> {
    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.get(key)?;
        let mut slot = self.root.as_mut()?;
        loop {
            match slot {
                Slot::Leaf(_, value) => return Some(value),
                Slot::Branch(branch) => slot = Arc::make_mut(branch).slot_mut(key)?,
            }
        }
    }

    /// Adds or replaces; returns what was there.
    pub(crate) fn insert(&mut self, key: u64, value: V) -> Option<V> {
        let old = match &mut self.root {
            Some(root) => root.insert(key, value),
            root => {
                *root = Some(Slot::Leaf(key, value));
                None
            }
        };
        self.len += u64::from(old.is_none());
        old
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        self.get(key)?;
        self.len -= 1;
        match self.root.take()? {
            Slot::Leaf(_, value) => Some(value),
            Slot::Branch(mut branch) => {
                let value = Arc::make_mut(&mut branch).remove(key);
                self.root = Some(Slot::Branch(branch).collapsed());
                value
            }
        }
    }
}

impl<V> Slot<V> {
    fn first_from(&self, key: u64) -> Option<(u64, &V)> {
        match self {
            Self::Leaf(found, value) => (*found >= key).then_some((*found, value)),
            Self::Branch(branch) => branch.first_from(key),
        }
    }
}

impl<V: Clone> Slot<V> {
    fn insert(&mut self, key: u64, value: V) -> Option<V> {
        match self {
            Self::Leaf(found, old) if *found == key => Some(mem::replace(old, value)),
            Self::Branch(branch) if branch.covers(key) => Arc::make_mut(branch).insert(key, value),
            _ => {
                self.split(key, value);
                None
            }
        }
    }

    /// Puts a branch in place of a slot that `key` does not belong under, with both below it.
    fn split(&mut self, key: u64, value: V) {
        let other = match self {
            Self::Leaf(found, _) => *found,
            Self::Branch(branch) => branch.prefix,
        };
        let top_bit = 63 - (other ^ key).leading_zeros().min(63);
        let mut branch = Branch::new(key, top_bit / BITS * BITS);
        branch.put(key, Self::Leaf(key, value));
        let old = mem::replace(self, Self::Branch(Arc::new(branch)));
        if let Self::Branch(branch) = self {
            Arc::make_mut(branch).put(other, old);
        }
    }

    /// A branch with one slot left becomes that slot.
    fn collapsed(mut self) -> Self {
        if let Self::Branch(branch) = &mut self
            && branch.slots.len() == 1
            && let Some(only) = Arc::make_mut(branch).slots.pop()
        {
            return only;
        }
        self
    }
}

impl<V> Branch<V> {
    fn new(key: u64, shift: u32) -> Self {
        let low = u64::MAX >> (64 - BITS - shift);
        Self {
            prefix: key & !low,
            shift,
            present: 0,
            slots: Vec::with_capacity(2),
        }
    }

    const fn covers(&self, key: u64) -> bool {
        (key ^ self.prefix) >> self.shift >> BITS == 0
    }

    const fn bit(&self, key: u64) -> u16 {
        1 << ((key >> self.shift) & DIGIT)
    }

    /// Where the slot of `bit` is, or belongs.
    const fn index(&self, bit: u16) -> usize {
        (self.present & (bit - 1)).count_ones() as usize
    }

    fn slot(&self, key: u64) -> Option<&Slot<V>> {
        let bit = self.bit(key);
        if !self.covers(key) || self.present & bit == 0 {
            return None;
        }
        self.slots.get(self.index(bit))
    }

    fn slot_mut(&mut self, key: u64) -> Option<&mut Slot<V>> {
        let bit = self.bit(key);
        if !self.covers(key) || self.present & bit == 0 {
            return None;
        }
        let index = self.index(bit);
        self.slots.get_mut(index)
    }

    fn put(&mut self, key: u64, slot: Slot<V>) {
        let bit = self.bit(key);
        let index = self.index(bit);
        self.slots.reserve_exact(1);
        self.slots.insert(index, slot);
        self.present |= bit;
    }

    fn first_from(&self, key: u64) -> Option<(u64, &V)> {
        let skipped = match (self.covers(key), self.prefix < key) {
            (true, _) => self.index(self.bit(key)),
            (false, true) => return None,
            (false, false) => 0,
        };
        // The first slot may end below `key`; the one after it cannot.
        let mut slots = self.slots.iter().skip(skipped).take(2);
        slots.find_map(|slot| slot.first_from(key))
    }
}

impl<V: Clone> Branch<V> {
    fn insert(&mut self, key: u64, value: V) -> Option<V> {
        if let Some(slot) = self.slot_mut(key) {
            return slot.insert(key, value);
        }
        self.put(key, Slot::Leaf(key, value));
        None
    }

    /// Removes a key that is there.
    fn remove(&mut self, key: u64) -> Option<V> {
        let bit = self.bit(key);
        let index = self.index(bit);
        if let Some(Slot::Branch(below)) = self.slots.get_mut(index) {
            let value = Arc::make_mut(below).remove(key);
            let slot = self.slots.remove(index);
            self.slots.insert(index, slot.collapsed());
            return value;
        }
        self.present &= !bit;
        let slot = self.slots.remove(index);
        self.slots.shrink_to_fit();
        match slot {
            Slot::Leaf(_, value) => Some(value),
            Slot::Branch(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CowMap;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..40_u64,
            any::<u64>(),
            (0..8_u64).prop_map(|n| n << 60),
            Just(u64::MAX)
        ]
    }

    fn apply(map: &mut CowMap<u32>, model: &mut BTreeMap<u64, u32>, op: (u8, u64, u32)) {
        let (what, key, value) = op;
        match what {
            0 => assert_eq!(map.insert(key, value), model.insert(key, value)),
            1 => assert_eq!(map.remove(key), model.remove(&key)),
            _ => {
                if let Some(slot) = map.get_mut(key) {
                    *slot = value;
                }
                model.entry(key).and_modify(|slot| *slot = value);
            }
        }
        let next = model.range(key..).next().map(|(key, value)| (*key, value));
        assert_eq!(map.first_from(key), next);
        assert_eq!(map.last_key(), model.keys().next_back().copied());
    }

    fn assert_same(map: &CowMap<u32>, model: &BTreeMap<u64, u32>) {
        assert_eq!(map.len(), model.len() as u64);
        let mut from = Some(0);
        let mut seen = Vec::new();
        while let Some((key, value)) = from.and_then(|from| map.first_from(from)) {
            assert_eq!(map.get(key), Some(value));
            seen.push((key, *value));
            from = key.checked_add(1);
        }
        let expected: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn behaves_as_a_btree_and_clones_are_apart(
            before in prop::collection::vec((0..3_u8, key(), any::<u32>()), 0..200),
            left in prop::collection::vec((0..3_u8, key(), any::<u32>()), 0..100),
            right in prop::collection::vec((0..3_u8, key(), any::<u32>()), 0..100),
        ) {
            let (mut map, mut model) = (CowMap::new(), BTreeMap::new());
            for op in before {
                apply(&mut map, &mut model, op);
            }
            let (mut fork, mut fork_model) = (map.clone(), model.clone());
            for op in left {
                apply(&mut map, &mut model, op);
            }
            for op in right {
                apply(&mut fork, &mut fork_model, op);
            }
            assert_same(&map, &model);
            assert_same(&fork, &fork_model);
        }
    }
}
