//! Outcomes and errors as plain objects. `js/outcome.js` and `js/errors.js` make the public shapes of them.

use eryx::{
    Error, ExecutionError, ExecutionOutput, ExecutionResult, Outcome, PendingCall, TraceEvent,
    Value, Warning,
};
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// How a run ended.
#[napi(object, object_from_js = false)]
pub struct OutcomeObject {
    /// Missing if the run failed.
    pub ok: Option<ResultObject>,
    /// Missing if the run succeeded.
    pub error: Option<ErrorObject>,
    /// Missing if nothing was written.
    pub stdout: Option<Uint8Array>,
    /// Missing if nothing was written.
    pub stderr: Option<Uint8Array>,
    /// Output was dropped.
    pub truncated: bool,
    /// Encoded events. Missing if there are none.
    pub trace: Option<Uint8Array>,
    /// Events were dropped.
    pub trace_truncated: bool,
    /// Encoded: a list of warnings. Missing if there are none.
    pub warnings: Option<Uint8Array>,
    /// Calls of callbacks.
    pub callback_invocations: f64,
    /// Milliseconds.
    pub duration_ms: f64,
    /// Bytes.
    pub peak_memory_bytes: f64,
    /// Instructions.
    pub fuel_consumed: Option<BigInt>,
}

/// A run that succeeded.
#[napi(object, object_from_js = false)]
pub struct ResultObject {
    /// Encoded: `js/wire.js`.
    pub result: Option<Uint8Array>,
    /// Why `result` could not cross.
    pub result_error: Option<String>,
    /// Encoded.
    pub value: Option<Uint8Array>,
    /// `repr` of the last expression's value.
    pub value_repr: Option<String>,
    /// Why `value` could not cross.
    pub value_error: Option<String>,
}

/// Why a run failed, or was not started.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct ErrorObject {
    /// As in the contract: `ERYX_TIMEOUT`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The interpreter was cut off.
    pub hard: bool,
    /// A session's Python state was lost.
    pub state_lost: bool,
    /// The limit that was passed.
    pub limit: Option<String>,
    /// The Python exception's class.
    pub python_type: Option<String>,
    /// As Python prints it.
    pub traceback: Option<String>,
    /// Outermost first.
    pub frames: Option<Vec<FrameObject>>,
    /// The code of `sys.exit`.
    pub exit_code: Option<i32>,
    /// Why the run was suspended.
    pub reason: Option<String>,
    /// Encoded: a list of the calls that wait.
    pub pending: Option<Uint8Array>,
    /// From where the run can go on.
    pub checkpoint: Option<Uint8Array>,
}

/// One line of a traceback.
#[napi(object, object_from_js = false)]
pub struct FrameObject {
    /// `co_filename`.
    pub filename: String,
    /// From 1.
    pub line: u32,
    /// `<module>` at the top.
    pub function: String,
}

impl From<Outcome> for OutcomeObject {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(result) => {
                let (output, result) = split(result);
                Self::new(output, Some(result), None)
            }
            Err(ExecutionError {
                error,
                output,
                state_lost,
            }) => {
                let error = ErrorObject {
                    state_lost,
                    ..error.into()
                };
                Self::new(*output, None, Some(error))
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "memory sizes and counts are far below 2^53"
)]
impl OutcomeObject {
    fn new(output: ExecutionOutput, ok: Option<ResultObject>, error: Option<ErrorObject>) -> Self {
        Self {
            ok,
            error,
            stdout: bytes(output.stdout),
            stderr: bytes(output.stderr),
            truncated: output.truncated,
            trace: (!output.trace.is_empty()).then(|| encoded_trace(&output.trace)),
            trace_truncated: output.trace_truncated,
            warnings: (!output.warnings.is_empty()).then(|| encoded_warnings(output.warnings)),
            callback_invocations: output.usage.callback_invocations as f64,
            duration_ms: output.usage.duration.as_secs_f64() * 1000.0,
            peak_memory_bytes: output.usage.peak_memory_bytes as f64,
            fuel_consumed: output.usage.fuel_consumed.map(BigInt::from),
        }
    }
}

/// Small arrays are rare enough, and empty ones common: those are not made at all.
fn bytes(bytes: Vec<u8>) -> Option<Uint8Array> {
    (!bytes.is_empty()).then(|| bytes.into())
}

fn split(result: ExecutionResult) -> (ExecutionOutput, ResultObject) {
    let object = ResultObject {
        result: result.result.as_ref().map(encoded),
        result_error: result.result_error,
        value: result.value.as_ref().map(encoded),
        value_repr: result.value_repr,
        value_error: result.value_error,
    };
    (result.output, object)
}

/// A list of warnings in the shape of the contract.
fn encoded_warnings(warnings: Vec<Warning>) -> Uint8Array {
    let warning = |warning: Warning| {
        let mut entries = vec![
            ("kind".to_owned(), warning.kind.name().into()),
            ("message".to_owned(), warning.message.into()),
        ];
        entries.extend(
            warning
                .callback
                .map(|name| ("callback".to_owned(), name.into())),
        );
        Value::Map(entries)
    };
    encoded(&Value::List(warnings.into_iter().map(warning).collect()))
}

/// The core took the value apart under its own caps, so putting it together again cannot fail.
fn encoded(value: &Value) -> Uint8Array {
    value.to_bytes().unwrap_or_default().into()
}

/// A list of events in the shape of the contract.
pub(crate) fn encoded_trace(events: &[TraceEvent]) -> Uint8Array {
    encoded(&Value::List(events.iter().map(event).collect()))
}

fn event(event: &TraceEvent) -> Value {
    let mut entries = vec![
        ("kind".to_owned(), event.kind.name().into()),
        ("line".to_owned(), event.line.into()),
    ];
    if let Some(function) = &event.function {
        entries.push(("function".to_owned(), function.as_str().into()));
    }
    if let Some(detail) = &event.detail {
        entries.push(("detail".to_owned(), detail.clone().into()));
    }
    Value::Map(entries)
}

impl From<Error> for ErrorObject {
    fn from(error: Error) -> Self {
        let message = message(&error);
        let coded = |code: &str| Self {
            code: code.to_owned(),
            message: message.clone(),
            ..Self::default()
        };
        match error {
            Error::Python(python) => Self {
                hard: python.interpreter_lost,
                python_type: Some(python.python_type),
                traceback: Some(python.traceback.into()),
                frames: Some(python.frames.into_iter().map(FrameObject::from).collect()),
                exit_code: python.exit_code,
                ..coded("ERYX_EXECUTION")
            },
            Error::Timeout { hard, .. } => Self {
                hard,
                ..coded("ERYX_TIMEOUT")
            },
            Error::Cancelled { hard } => Self {
                hard,
                ..coded("ERYX_CANCELLED")
            },
            Error::ResourceLimit(limit) => Self {
                hard: true,
                limit: Some(option(limit.field())),
                ..coded("ERYX_RESOURCE_LIMIT")
            },
            Error::Initialization(_) | Error::MemoryLimit { .. } => coded("ERYX_INITIALIZATION"),
            Error::InvalidArgument { .. } => coded("ERYX_INVALID_ARGUMENT"),
            Error::Suspended(suspension) => Self {
                reason: Some(suspension.reason),
                pending: Some(encoded(&Value::List(
                    suspension.pending.into_iter().map(pending).collect(),
                ))),
                checkpoint: Some(suspension.checkpoint.into()),
                ..coded("ERYX_SUSPENDED")
            },
            Error::Closed => coded("ERYX_CLOSED"),
            Error::Snapshot(_) => coded("ERYX_SNAPSHOT"),
            _ => coded("ERYX_INTERNAL"),
        }
    }
}

/// The core's text, with options named as JavaScript has them.
fn message(error: &Error) -> String {
    if let Some((argument, problem)) = error.argument() {
        return format!("{}: {problem}", option(argument));
    }
    match error {
        Error::ResourceLimit(limit) => {
            format!("execution went over the limit {}", option(limit.field()))
        }
        other => other.to_string(),
    }
}

/// An option as JavaScript has it.
fn option(core: &str) -> String {
    match core {
        "mount_path" => "vfsMountPath".to_owned(),
        "results" | "errors" => format!("options.{core}"),
        core => camel_case(core),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name + letters.as_str()
    })
}

/// A call in the shape of the contract.
fn pending(call: PendingCall) -> Value {
    Value::Map(vec![
        (
            "id".into(),
            i64::try_from(call.id).unwrap_or(i64::MAX).into(),
        ),
        ("name".into(), call.name.into()),
        ("args".into(), call.args.into()),
        ("kwargs".into(), call.kwargs.into()),
    ])
}

impl From<eryx::PythonFrame> for FrameObject {
    fn from(frame: eryx::PythonFrame) -> Self {
        Self {
            filename: frame.filename,
            line: frame.line,
            function: frame.function,
        }
    }
}

/// An error thrown by a constructor: `CODE message`, which `js/errors.js` takes apart.
pub(crate) fn thrown(error: &Error) -> napi::Error {
    let object = ErrorObject::from(error.clone());
    napi::Error::from_reason(format!("{} {}", object.code, object.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_javascripts_names() {
        for (core, name) in [
            ("code", "code"),
            ("result_variable", "resultVariable"),
            ("mount_path", "vfsMountPath"),
            ("volumes[12].guest_path", "volumes[12].guestPath"),
            ("max_memory_bytes", "maxMemoryBytes"),
            ("results", "options.results"),
        ] {
            assert_eq!(option(core), name);
        }
        let error = Error::MemoryLimit { limit: 1, floor: 2 };
        let expected =
            "maxMemoryBytes: 1 bytes are less than the 2 that the interpreter itself takes";
        assert_eq!(message(&error), expected);
        let error = Error::ResourceLimit(eryx::Limit::Fuel);
        assert_eq!(message(&error), "execution went over the limit maxFuel");
    }
}
