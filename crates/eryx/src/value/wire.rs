//! The wire format of values. The guest's side is `crates/eryx-runtime/guest/value.c`; the layout is in
//! `docs/wire-format.md`.
//!
//! Decoded bytes come from a hostile guest: sizes are checked against what is left before anything is allocated, and
//! depth and number of values are capped.

use num_bigint::BigInt;

use crate::Value;

/// Containers inside containers: 256 of a value, which the guest and `js/wire.js` enforce, and those that a message wraps
/// it in.
pub(crate) const MAX_DEPTH: usize = 256 + 3;
/// Values in one message, containers included. Bounds what a small message can make the host allocate.
pub(crate) const MAX_VALUES: usize = 1 << 20;
/// Bytes of one message.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Why bytes from the guest, or values for it, do not make a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Sizes promise more than there is.
    #[error("the message ends in the middle of a value")]
    Truncated,
    /// Not a value.
    #[error("unknown tag {0:#04x}")]
    UnknownTag(u8),
    /// A string is damaged.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// Containers inside containers, 256 at most.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// 1,048,576 at most.
    #[error("more than {MAX_VALUES} values")]
    TooMany,
    /// 64 MiB at most.
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The value ends before the bytes do.
    #[error("bytes behind the value")]
    Trailing,
}

/// Appends `value`. Fails if it is nested too deep or grows `out` over the cap.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), WireError> {
    encode_at(value, out, 0)
}

fn encode_at(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(true) => out.push(b't'),
        Value::Bool(false) => out.push(b'f'),
        Value::Int(int) => put(out, b'i', &int.to_le_bytes()),
        Value::BigInt(int) => put_sized(out, b'I', &int.to_signed_bytes_le())?,
        Value::Float(float) => put(out, b'd', &float.to_le_bytes()),
        Value::String(text) => put_sized(out, b's', text.as_bytes())?,
        Value::Bytes(bytes) => put_sized(out, b'b', bytes)?,
        Value::List(items) => {
            put(out, b'l', &length(items.len())?);
            for item in items {
                encode_at(item, out, depth + 1)?;
            }
        }
        Value::Map(entries) => {
            put(out, b'm', &length(entries.len())?);
            for (key, item) in entries {
                out.extend(length(key.len())?);
                out.extend_from_slice(key.as_bytes());
                encode_at(item, out, depth + 1)?;
            }
        }
    }
    if out.len() > MAX_BYTES {
        Err(WireError::TooLarge)
    } else {
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, tag: u8, data: &[u8]) {
    out.push(tag);
    out.extend_from_slice(data);
}

fn put_sized(out: &mut Vec<u8>, tag: u8, data: &[u8]) -> Result<(), WireError> {
    put(out, tag, &length(data.len())?);
    out.extend_from_slice(data);
    Ok(())
}

fn length(length: usize) -> Result<[u8; 4], WireError> {
    let length = u32::try_from(length).map_err(|_| WireError::TooLarge)?;
    Ok(length.to_le_bytes())
}

/// Reads the one value that `data` holds.
pub(crate) fn decode(data: &[u8]) -> Result<Value, WireError> {
    if data.len() > MAX_BYTES {
        return Err(WireError::TooLarge);
    }
    let mut reader = Reader { data, values: 0 };
    let value = reader.value(0)?;
    if reader.data.is_empty() {
        Ok(value)
    } else {
        Err(WireError::Trailing)
    }
}

/// Whether `data` is one value, without making it.
pub(crate) fn check(data: &[u8]) -> Result<(), WireError> {
    if data.len() > MAX_BYTES {
        return Err(WireError::TooLarge);
    }
    let mut reader = Reader { data, values: 0 };
    reader.skip(0)?;
    if reader.data.is_empty() {
        Ok(())
    } else {
        Err(WireError::Trailing)
    }
}

/// Whether `data` is the arguments of a call: a list of a list and a dict. Returns how many values they are.
pub(crate) fn check_call(data: &[u8]) -> Result<usize, WireError> {
    if data.len() > MAX_BYTES {
        return Err(WireError::TooLarge);
    }
    let data = data
        .strip_prefix(b"l\x02\0\0\0")
        .ok_or(WireError::Truncated)?;
    let mut reader = Reader { data, values: 2 };
    for tag in [b'l', b'm'] {
        if reader.data.first() != Some(&tag) {
            return Err(WireError::Truncated);
        }
        reader.skip(1)?;
    }
    if reader.data.is_empty() {
        Ok(reader.values)
    } else {
        Err(WireError::Trailing)
    }
}

struct Reader<'a> {
    data: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, WireError> {
        if depth > MAX_DEPTH {
            return Err(WireError::TooDeep);
        }
        Ok(match self.array::<1>()?[0] {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'i' => Value::Int(i64::from_le_bytes(self.array()?)),
            b'I' => Value::BigInt(BigInt::from_signed_bytes_le(self.sized()?)),
            b'd' => Value::Float(f64::from_le_bytes(self.array()?)),
            b's' => Value::String(self.text()?),
            b'b' => Value::Bytes(self.sized()?.to_vec()),
            b'l' => Value::List(self.items(1, |reader| reader.value(depth + 1))?),
            b'm' => {
                Value::Map(self.items(5, |reader| Ok((reader.text()?, reader.value(depth + 1)?)))?)
            }
            tag => return Err(WireError::UnknownTag(tag)),
        })
    }

    /// Goes over a value without making it.
    fn skip(&mut self, depth: usize) -> Result<(), WireError> {
        if depth > MAX_DEPTH {
            return Err(WireError::TooDeep);
        }
        match self.array::<1>()?[0] {
            b'n' | b't' | b'f' => {}
            b'i' | b'd' => drop(self.array::<8>()?),
            b'I' | b'b' => drop(self.sized()?),
            b's' => drop(self.str()?),
            b'l' => {
                for _ in 0..self.counted(1)? {
                    self.skip(depth + 1)?;
                }
            }
            b'm' => {
                for _ in 0..self.counted(5)? {
                    self.str()?;
                    self.skip(depth + 1)?;
                }
            }
            tag => return Err(WireError::UnknownTag(tag)),
        }
        Ok(())
    }

    /// A count of items of at least `smallest` bytes each.
    fn counted(&mut self, smallest: usize) -> Result<usize, WireError> {
        let count = self.count()?;
        if count > self.data.len() / smallest {
            return Err(WireError::Truncated);
        }
        // Counted before room is made: nested headers that all promise much must not add up.
        self.values = self.values.saturating_add(count);
        if self.values > MAX_VALUES {
            return Err(WireError::TooMany);
        }
        Ok(count)
    }

    fn items<T>(
        &mut self,
        smallest: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.counted(smallest)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn text(&mut self) -> Result<String, WireError> {
        Ok(self.str()?.to_owned())
    }

    fn str(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.sized()?).map_err(|_| WireError::NotUtf8)
    }

    fn sized(&mut self) -> Result<&'a [u8], WireError> {
        let size = self.count()?;
        let (head, tail) = self
            .data
            .split_at_checked(size)
            .ok_or(WireError::Truncated)?;
        self.data = tail;
        Ok(head)
    }

    fn count(&mut self) -> Result<usize, WireError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) = self.data.split_first_chunk().ok_or(WireError::Truncated)?;
        self.data = tail;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: &Value) -> Value {
        let mut bytes = Vec::new();
        encode(value, &mut bytes).expect("encodes");
        decode(&bytes).expect("decodes")
    }

    #[test]
    fn every_kind_round_trips() {
        let big = BigInt::from(2).pow(70);
        let value = Value::Map(vec![
            ("nothing".into(), Value::Null),
            ("flags".into(), Value::List(vec![true.into(), false.into()])),
            (
                "ints".into(),
                Value::List(vec![
                    i64::MIN.into(),
                    0.into(),
                    big.clone().into(),
                    (-big).into(),
                ]),
            ),
            (
                "floats".into(),
                Value::List(vec![f64::INFINITY.into(), (-0.0).into()]),
            ),
            ("text".into(), "grüße \u{1F600}".into()),
            ("bytes".into(), vec![0u8, 255].into()),
        ]);
        assert_eq!(round_trip(&value), value);
    }

    #[test]
    fn nan_stays_nan() {
        assert!(matches!(round_trip(&f64::NAN.into()), Value::Float(float) if float.is_nan()));
    }

    #[test]
    fn depth_is_capped_in_both_directions() {
        let deep = (0..=MAX_DEPTH).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        assert_eq!(encode(&deep, &mut Vec::new()), Err(WireError::TooDeep));
        let bytes = [b"l\x01\0\0\0".repeat(MAX_DEPTH + 1), b"n".to_vec()].concat();
        assert_eq!(decode(&bytes), Err(WireError::TooDeep));
        assert!(decode(&bytes[5..]).is_ok());
    }

    #[test]
    fn counts_and_sizes_beyond_the_message_allocate_nothing() {
        assert_eq!(decode(b"l\xff\xff\xff\xffn"), Err(WireError::Truncated));
        assert_eq!(decode(b"m\xff\xff\xff\x7f"), Err(WireError::Truncated));
        assert_eq!(decode(b"s\xff\xff\xff\xffabc"), Err(WireError::Truncated));
        assert_eq!(decode(b"i\0\0"), Err(WireError::Truncated));
        assert_eq!(decode(b""), Err(WireError::Truncated));
    }

    #[test]
    fn number_of_values_is_capped() {
        let count = u32::try_from(MAX_VALUES + 1).expect("small");
        let bytes = [&b"l"[..], &count.to_le_bytes(), &vec![b'n'; MAX_VALUES + 1]].concat();
        assert_eq!(decode(&bytes), Err(WireError::TooMany));
    }

    #[test]
    fn nested_headers_share_one_budget() {
        let header = [&b"l"[..], &600_000u32.to_le_bytes()].concat();
        let bytes = [header.repeat(2), vec![b'n'; 1_200_000]].concat();
        assert_eq!(decode(&bytes), Err(WireError::TooMany));
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(decode(b"?"), Err(WireError::UnknownTag(b'?')));
        assert_eq!(decode(b"nn"), Err(WireError::Trailing));
        assert_eq!(decode(b"s\x01\0\0\0\xff"), Err(WireError::NotUtf8));
    }

    #[test]
    fn checking_says_what_decoding_says() {
        let deep = [b"l\x01\0\0\0".repeat(MAX_DEPTH + 1), b"n".to_vec()].concat();
        let crowded = [&b"l"[..], &600_000u32.to_le_bytes()].concat().repeat(2);
        for bytes in [
            &b"n"[..],
            b"l\x02\0\0\0tf",
            b"m\x01\0\0\0\x01\0\0\0ai\0\0\0\0\0\0\0\0",
            b"I\x01\0\0\0\xff",
            b"d\0\0\0\0\0\0\xf0\x3f",
            b"b\x02\0\0\0ab",
            b"s\x01\0\0\0\xff",
            b"m\x01\0\0\0\x01\0\0\0\xffn",
            b"l\xff\xff\xff\xffn",
            b"i\0",
            b"",
            b"?",
            b"nn",
            &deep,
            &deep[5..],
            &crowded,
        ] {
            assert_eq!(check(bytes), decode(bytes).map(drop), "{bytes:?}");
        }
    }

    #[test]
    fn a_call_is_a_list_and_a_dict() {
        let (list, dict, pair) = (b"l\0\0\0\0", b"m\0\0\0\0", b"l\x02\0\0\0");
        let call = [&pair[..], list, dict].concat();
        assert_eq!(check_call(&call), Ok(2));
        for bad in [
            &[&pair[..], dict, list].concat()[..],
            &[&pair[..], list, list].concat(),
            &[&pair[..], list, dict, b"n"].concat(),
            &[&pair[..], list].concat(),
            &call[..4],
            b"n",
        ] {
            assert!(check_call(bad).is_err(), "{bad:?}");
        }
    }
}
