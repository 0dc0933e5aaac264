//! Definitions of callbacks, as `js/callbacks.js` encodes them.

use std::time::Duration;

use eryx::{CallbackDefinition, Parameter, Signature, Value};
use napi::bindgen_prelude::*;

use crate::numbers::milliseconds;

/// Takes apart a list of `[name, description, schema, parameters, open, timeout, sync]`.
pub(crate) fn definitions(encoded: &[u8]) -> Result<Vec<CallbackDefinition>> {
    let list = match Value::from_bytes(encoded) {
        Ok(Value::List(list)) => list.into_iter().map(definition).collect(),
        _ => None,
    };
    list.ok_or_else(|| Error::from_reason("ERYX_INTERNAL callbacks are not encoded as expected"))
}

fn definition(value: Value) -> Option<CallbackDefinition> {
    let Value::List(fields) = value else {
        return None;
    };
    let [
        Value::String(name),
        description,
        schema,
        parameters,
        Value::Bool(open),
        timeout,
        Value::Bool(sync),
    ] = <[Value; 7]>::try_from(fields).ok()?
    else {
        return None;
    };
    let mut definition = CallbackDefinition::from(name.as_str());
    definition.description = text(description);
    definition.schema = Some(schema).filter(|schema| *schema != Value::Null);
    definition.signature = match parameters {
        Value::List(list) => Some(Signature {
            parameters: list.into_iter().map(parameter).collect::<Option<_>>()?,
            open,
        }),
        _ => None,
    };
    definition.sync = sync;
    definition.timeout = match timeout {
        Value::Float(limit) => Some(Some(milliseconds(limit))),
        Value::Int(limit) => Some(u64::try_from(limit).ok().map(Duration::from_millis)),
        _ => None,
    };
    Some(definition)
}

fn parameter(value: Value) -> Option<Parameter> {
    let Value::List(fields) = value else {
        return None;
    };
    let [
        Value::String(name),
        Value::Bool(required),
        Value::Bool(keyword_only),
        annotation,
        Value::Bool(has_default),
        default,
    ] = <[Value; 6]>::try_from(fields).ok()?
    else {
        return None;
    };
    let mut parameter = Parameter::new(name);
    parameter.required = required;
    parameter.keyword_only = keyword_only;
    parameter.annotation = text(annotation);
    parameter.default = has_default.then_some(default);
    Some(parameter)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
