//! JavaScript functions as callbacks of the core: calls go out as events, answers come in through `NativeRun`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eryx::{
    Call, CallbackDefinition, CallbackHandler, GivenUp, Parameter, Reply, Signature, Value,
};
use napi::bindgen_prelude::*;

use crate::dispatch::{Line, What};
use crate::options::milliseconds;

/// Calls whose answer is awaited, by the number that the event named.
#[derive(Clone, Default)]
pub(crate) struct Replies(Arc<Mutex<HashMap<u64, Reply>>>);

impl Replies {
    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an answer goes; `None` if nobody waits for it any more.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number that an event named, or one that is not there"
    )]
    pub(crate) fn take(&self, call: f64) -> Option<Reply> {
        self.locked().remove(&(call as u64))
    }
}

/// Hands the calls of one run to its environment.
pub(crate) struct Handler {
    pub(crate) line: Arc<Line>,
    pub(crate) replies: Replies,
}

impl CallbackHandler for Handler {
    fn call(&self, call: Call) {
        let id = call.id;
        self.replies.locked().insert(id, call.reply);
        let bytes = call.arguments.len();
        let what = What::Call {
            call: call.id,
            callback: call.callback,
            arguments: call.arguments,
        };
        if !self.line.send(what, bytes) {
            // Nobody will answer: the call is not to wait for it.
            self.replies.locked().remove(&id);
        }
    }

    fn cancel(&self, call: u64, why: GivenUp) {
        // Answered meanwhile, if it is not there.
        if self.replies.locked().remove(&call).is_some() {
            let timed_out = why == GivenUp::TimedOut;
            self.line.send(What::Abort { call, timed_out }, 0);
        }
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.line.ready())
    }
}

/// Takes apart what `js/callbacks.js` encodes: a list of `[name, description, schema, parameters, open, timeout, sync]`.
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
