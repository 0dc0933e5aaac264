//! What a traced run did, event by event.

use crate::Value;
use crate::value::wire;

/// Something that the user's code did. Code of the standard library and of libraries is not traced.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// What happened.
    pub kind: TraceKind,
    /// Where, from 1; 0 if there is no line.
    pub line: u32,
    /// The function whose line it is; `<module>` at the top level.
    pub function: Option<String>,
    /// [`TraceKind::Exception`]: `type` and `message`. Callbacks: `name`, and at the end `durationMs` and `error`.
    pub detail: Option<Vec<(String, Value)>>,
}

/// Kinds of [`TraceEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceKind {
    /// A line is about to run.
    Line,
    /// A function was entered.
    Call,
    /// A function returned.
    Return,
    /// An exception was raised in this frame, or came out of a call in it.
    Exception,
    /// A callback was called.
    CallbackStart,
    /// A callback has an answer, or its call was given up.
    CallbackEnd,
}

impl TraceKind {
    const ALL: [Self; 6] = [
        Self::Line,
        Self::Call,
        Self::Return,
        Self::Exception,
        Self::CallbackStart,
        Self::CallbackEnd,
    ];

    /// As in the JavaScript contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Call => "call",
            Self::Return => "return",
            Self::Exception => "exception",
            Self::CallbackStart => "callback-start",
            Self::CallbackEnd => "callback-end",
        }
    }
}

impl TraceEvent {
    /// How much memory it takes, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let detail = self.detail.iter().flatten();
        let texts = detail.map(|(key, value)| key.len() + text_size(value));
        size_of::<Self>() + self.function.as_ref().map_or(0, String::len) + texts.sum::<usize>()
    }

    /// From `[kind, line, function, detail]`. `None` if it is something else, which only a hostile guest sends.
    fn from_value(value: Value) -> Option<Self> {
        let Value::List(parts) = value else {
            return None;
        };
        let [Value::Int(kind), Value::Int(line), function, detail] =
            <[Value; 4]>::try_from(parts).ok()?
        else {
            return None;
        };
        Some(Self {
            kind: *TraceKind::ALL.get(usize::try_from(kind).ok()?)?,
            line: u32::try_from(line).ok()?,
            function: match function {
                Value::String(name) => Some(name),
                _ => None,
            },
            detail: match detail {
                Value::Map(mut entries) => {
                    entries.retain(is_scalar);
                    // Room for entries that are gone is not counted.
                    entries.shrink_to_fit();
                    Some(entries)
                }
                _ => None,
            },
        })
    }
}

/// Details are texts and numbers.
fn is_scalar((_, value): &(String, Value)) -> bool {
    matches!(
        value,
        Value::String(_) | Value::Float(_) | Value::Int(_) | Value::Null
    )
}

fn text_size(value: &Value) -> usize {
    size_of::<(String, Value)>()
        + match value {
            Value::String(text) => text.len(),
            _ => 0,
        }
}

/// The events of one message from the guest.
pub(crate) fn decode(bytes: &[u8]) -> Vec<TraceEvent> {
    match wire::decode(bytes) {
        Ok(Value::List(events)) => events
            .into_iter()
            .filter_map(TraceEvent::from_value)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: i64, line: i64, function: Value, detail: Value) -> Value {
        Value::List(vec![kind.into(), line.into(), function, detail])
    }

    #[test]
    fn malformed_events_are_dropped() {
        let detail = Value::Map(vec![
            ("type".into(), "E".into()),
            ("x".into(), Value::List(vec![])),
        ]);
        let events = Value::List(vec![
            event(0, 3, "f".into(), Value::Null),
            event(6, 3, "f".into(), Value::Null),
            event(-1, 3, "f".into(), Value::Null),
            event(0, -3, "f".into(), Value::Null),
            event(3, 4, 5.into(), detail),
            Value::List(vec![]),
            Value::Null,
        ]);
        let decoded = decode(&events.to_bytes().expect("small"));
        let expected = [
            TraceEvent {
                kind: TraceKind::Line,
                line: 3,
                function: Some("f".into()),
                detail: None,
            },
            TraceEvent {
                kind: TraceKind::Exception,
                line: 4,
                function: None,
                detail: Some(vec![("type".into(), "E".into())]),
            },
        ];
        assert_eq!(decoded, expected);
        assert_eq!(decode(b"garbage"), []);
    }

    #[test]
    fn details_that_are_dropped_leave_no_room_behind() {
        let many = (0..1000).map(|index| (index.to_string(), Value::Bool(true)));
        let detail = Value::Map(many.collect());
        let events = Value::List(vec![event(3, 1, "f".into(), detail)]);
        let decoded = decode(&events.to_bytes().expect("small"));
        assert_eq!(decoded[0].detail.as_ref().map(Vec::capacity), Some(0));
    }
}
