//! What crosses between the host and Python.

pub(crate) mod wire;

use num_bigint::BigInt;

pub use wire::WireError;

/// A value that crosses, in both directions, without losing anything.
///
/// | Python | here |
/// | --- | --- |
/// | `None` | [`Value::Null`] |
/// | `bool`, `str`, `float` | [`Value::Bool`], [`Value::String`], [`Value::Float`] |
/// | `int` | [`Value::Int`] if it fits 64 bits, else [`Value::BigInt`] |
/// | `bytes`, `bytearray` | [`Value::Bytes`] |
/// | `list`, `tuple`, `set`, `frozenset` | [`Value::List`]; into Python always a `list` |
/// | `dict` with `str` keys | [`Value::Map`], in its own order |
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    #[default]
    Null,
    /// `bool`.
    Bool(bool),
    /// `int` that fits 64 bits.
    Int(i64),
    /// Any other `int`.
    BigInt(BigInt),
    /// `float`, NaN and the infinities included.
    Float(f64),
    /// `str` without lone surrogates.
    String(String),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// `list`.
    List(Vec<Value>),
    /// `dict`, in insertion order. A key that occurs twice: the last one counts.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The value in the wire format, which is documented in `docs/wire-format.md`.
    ///
    /// # Errors
    /// It is nested deeper, or takes more bytes, than a message may.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut bytes = Vec::new();
        wire::encode(self, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a value in the wire format. The bytes may come from anywhere.
    ///
    /// # Errors
    /// They are not one whole value, or go over a cap.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes)
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
from! { bool => Bool, i32 => Int, u32 => Int, i64 => Int, BigInt => BigInt, f64 => Float, &str => String, String => String,
Vec<u8> => Bytes, &[u8] => Bytes, Vec<Value> => List, Vec<(String, Value)> => Map }

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
