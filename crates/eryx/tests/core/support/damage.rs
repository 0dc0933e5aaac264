//! What the targets do to good bytes and values.

use eryx::{BigInt, Value};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change of bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// Bytes from one place once more at another.
    Repeat(Index, Index, usize),
    /// From here on, another of the good ones.
    Splice(Index, Index, Index),
}

impl Damage {
    /// Whether the length stays.
    fn is_in_place(&self) -> bool {
        matches!(self, Self::Flip(..) | Self::Put(..))
    }

    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << (bit % 8),
            Self::Put(at, new) => {
                let at = at.index(bytes.len());
                for (old, new) in bytes[at..].iter_mut().zip(new) {
                    *old = *new;
                }
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Self::Insert(at, new) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat(from, to, count) => {
                let from = from.index(bytes.len());
                let piece = bytes[from..(from + count).min(bytes.len())].to_vec();
                let to = to.index(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            Self::Splice(at, other, from) => {
                let other = other.get(others);
                bytes.truncate(at.index(bytes.len()));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

/// Numbers at which something may change.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    let near = (0..64_u32, 0..3_u64)
        .prop_map(|(power, by)| (1_u64 << power).wrapping_add(by).wrapping_sub(1));
    prop_oneof![4 => near, 2 => 0..20_u64, 1 => Just(u64::MAX), 2 => any::<u64>()]
}

fn few_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => number().prop_map(|number| number.to_le_bytes().to_vec()),
        3 => number().prop_map(|number| number.to_le_bytes()[..4].to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..20),
        1 => (any::<u8>(), 1..300_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

/// Any change.
pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (index(), few_bytes()).prop_map(|(at, new)| Damage::Put(at, new)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), 1..100_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (index(), few_bytes()).prop_map(|(at, new)| Damage::Insert(at, new)),
        1 => (index(), index(), 1..5000_usize).prop_map(|(from, to, count)| Damage::Repeat(from, to, count)),
        1 => (index(), index(), index()).prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
    ]
}

/// A change that keeps the length.
pub(crate) fn damage_in_place() -> impl Strategy<Value = Damage> {
    damage().prop_filter("the length stays", Damage::is_in_place)
}

/// One change of a value.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Replace(Index, Value),
    Bytes(Index, Damage),
    Remove(Index, Index),
    Insert(Index, Index, Value),
    Repeat(Index, Index),
    Swap(Index, Index, Index),
}

impl Edit {
    /// Changes the value, or one of those in it.
    pub(crate) fn apply(&self, value: &mut Value) {
        match self {
            Self::Replace(at, new) => new.clone_into(nth(value, *at, |_| true)),
            Self::Bytes(at, damage) => {
                let is_bytes =
                    |value: &Value| matches!(value, Value::Bytes(bytes) if !bytes.is_empty());
                if let Value::Bytes(bytes) = nth(value, *at, is_bytes) {
                    let others = [bytes.clone()];
                    damage.apply(bytes, &others);
                }
            }
            Self::Remove(at, item) => with_items(value, *at, |items| {
                items.remove(item.index(items.len()));
            }),
            Self::Insert(at, item, new) => with_items(value, *at, |items| {
                items.insert(item.index(items.len() + 1), new.clone());
            }),
            Self::Repeat(at, item) => with_items(value, *at, |items| {
                let again = item.get(items).clone();
                items.push(again);
            }),
            Self::Swap(at, left, right) => with_items(value, *at, |items| {
                let (left, right) = (left.index(items.len()), right.index(items.len()));
                items.swap(left, right);
            }),
        }
    }
}

/// One of the values that `wanted` picks; the whole if there is none.
fn nth(value: &mut Value, at: Index, wanted: impl Fn(&Value) -> bool) -> &mut Value {
    let mut count = 0;
    walk(value, &mut |value| {
        count += usize::from(wanted(value));
        false
    });
    if count == 0 {
        return value;
    }
    let mut left = at.index(count);
    let mut path = Vec::new();
    find(value, &mut path, &mut |value| {
        if !wanted(value) {
            return false;
        }
        let found = left == 0;
        left = left.wrapping_sub(1);
        found
    });
    path.into_iter().fold(value, |value, index| match value {
        Value::List(items) => &mut items[index],
        Value::Map(entries) => &mut entries[index].1,
        _ => panic!("the path leads through containers"),
    })
}

fn walk(value: &Value, is_last: &mut impl FnMut(&Value) -> bool) {
    find(value, &mut Vec::new(), is_last);
}

/// Goes through all values, outer ones first, until one is the last. `path` leads to that.
fn find(value: &Value, path: &mut Vec<usize>, is_last: &mut impl FnMut(&Value) -> bool) -> bool {
    if is_last(value) {
        return true;
    }
    let inner: Vec<&Value> = match value {
        Value::List(items) => items.iter().collect(),
        Value::Map(entries) => entries.iter().map(|(_, value)| value).collect(),
        _ => return false,
    };
    for (index, inner) in inner.into_iter().enumerate() {
        path.push(index);
        if find(inner, path, is_last) {
            return true;
        }
        path.pop();
    }
    false
}

fn with_items(value: &mut Value, at: Index, change: impl FnOnce(&mut Vec<Value>)) {
    let is_list = |value: &Value| matches!(value, Value::List(items) if !items.is_empty());
    if let Value::List(items) = nth(value, at, is_list)
        && !items.is_empty()
    {
        change(items);
    }
}

fn text() -> impl Strategy<Value = String> {
    let known = vec![
        "",
        "/",
        "/data",
        "/data/f",
        "../../etc/passwd",
        "/tmp/t",
        "stop",
        "echo",
        "a\0b",
        "/usr/lib/python3.14/os.py",
    ];
    prop_oneof![4 => select(known).prop_map(str::to_owned), 1 => Just("x/".repeat(3000)), 1 => "\\PC{0,9}"]
}

fn leaf() -> impl Strategy<Value = Value> {
    let arguments = [&b"l\x02\0\0\0"[..], b"l\0\0\0\0", b"m\0\0\0\0"].concat();
    prop_oneof![
        4 => number().prop_map(|number| number.cast_signed().into()),
        2 => any::<bool>().prop_map(Value::from),
        2 => text().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(Value::Float(f64::NAN)),
        1 => Just(BigInt::from(2).pow(80).into()),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::from),
        1 => Just(arguments.into()),
    ]
}

/// What the host's part could hold: open files and calls among it.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let file = (
        0..40_i64,
        text(),
        number(),
        0..4_u32,
        any::<bool>(),
        any::<bool>(),
        0..5_u32,
        number(),
    );
    let file = file.prop_map(
        |(fd, path, offset, flags, readable, writable, mount, node)| {
            Value::List(vec![
                fd.into(),
                path.into(),
                offset.cast_signed().into(),
                flags.into(),
                readable.into(),
                writable.into(),
                mount.into(),
                node.cast_signed().into(),
            ])
        },
    );
    let call = (number(), text()).prop_map(|(number, name)| {
        let arguments = [&b"l\x02\0\0\0"[..], b"l\0\0\0\0", b"m\0\0\0\0"].concat();
        Value::List(vec![
            number.cast_signed().into(),
            name.into(),
            arguments.into(),
        ])
    });
    prop_oneof![
        4 => leaf(),
        2 => file,
        2 => call,
        1 => prop::collection::vec(leaf(), 0..9).prop_map(Value::List),
        1 => (text(), leaf()).prop_map(|(key, value)| Value::Map(vec![(key, value)])),
        1 => (1..300_usize).prop_map(|depth| (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]))),
    ]
}

/// Any change.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), value()).prop_map(|(at, new)| Edit::Replace(at, new)),
        4 => (index(), damage()).prop_map(|(at, damage)| Edit::Bytes(at, damage)),
        1 => (index(), index()).prop_map(|(at, item)| Edit::Remove(at, item)),
        2 => (index(), index(), value()).prop_map(|(at, item, new)| Edit::Insert(at, item, new)),
        1 => (index(), index()).prop_map(|(at, item)| Edit::Repeat(at, item)),
        1 => (index(), index(), index()).prop_map(|(at, left, right)| Edit::Swap(at, left, right)),
    ]
}
