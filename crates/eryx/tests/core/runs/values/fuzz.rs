//! Values of random shape, and random bytes in their place.

use eryx::Value;
use eryx_test::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::damage::{damage, value};

fn any_value() -> impl Strategy<Value = Value> {
    value().prop_recursive(6, 60, 8, |inner| {
        let entry = ("\\PC{0,9}", inner.clone());
        prop_oneof![
            vec(inner, 0..8).prop_map(Value::List),
            vec(entry, 0..8).prop_map(Value::Map),
        ]
    })
}

/// NaN is not itself.
fn text(value: &Value) -> String {
    format!("{value:?}")
}

#[test]
fn what_is_written_is_read() {
    fuzz::run(
        "values",
        &(any_value(), vec(damage(), 0..4)),
        |(value, damages)| {
            let Ok(mut bytes) = value.to_bytes() else {
                // Too deep.
                return Ok(());
            };
            let read = Value::from_bytes(&bytes).expect("what was written is read");
            prop_assert_eq!(text(&read), text(&value));
            let others = [bytes.clone()];
            for damage in &damages {
                damage.apply(&mut bytes, &others);
            }
            if let Ok(read) = Value::from_bytes(&bytes) {
                let again = read.to_bytes().expect("what was read is written");
                let again = Value::from_bytes(&again).expect("what was written is read");
                prop_assert_eq!(text(&again), text(&read));
            }
            Ok(())
        },
    );
}
