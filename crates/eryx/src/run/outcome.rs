//! How a run ended, put together from what the guest said and what the host saw.

use std::time::Instant;

use crate::caps::{MAX_WARNING_BYTES, MAX_WARNINGS};
use crate::error::{PythonError, PythonFrame};
use crate::guest::host::Delivered;
use crate::guest::instance::{Ended, Instance};
use crate::value::wire;
use crate::value::wire::WireError;
use crate::{Error, ExecutionError, ExecutionOutput, Usage, Value, Warning, WarningKind};

/// How an execution ends.
pub type Outcome = Result<ExecutionResult, ExecutionError>;

/// A run that succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ExecutionResult {
    /// What it printed, and what it took.
    pub output: ExecutionOutput,
    /// The value of the result variable, if the code set it.
    pub result: Option<Value>,
    /// Why the result variable could not cross.
    pub result_error: Option<String>,
    /// The last statement's value, if that is an expression, not `None`, and can cross.
    pub value: Option<Value>,
    /// `repr` of the last statement's value, cut at 10,000 characters.
    pub value_repr: Option<String>,
    /// Why that value could not cross.
    pub value_error: Option<String>,
}

/// Puts together how a run ended.
pub(crate) fn of(instance: &mut Instance, ended: Ended, started: Instant) -> Outcome {
    let peak_memory_bytes = instance.memory_bytes();
    let host = instance.host();
    host.calls.finish();
    let delivered = std::mem::take(&mut host.delivered);
    let mut report = ended.result.map(|()| Report::new(delivered));
    let output = ExecutionOutput {
        warnings: report
            .as_mut()
            .map_or_else(|_| Vec::new(), Report::warnings),
        usage: Usage {
            callback_invocations: host.calls.started(),
            duration: started.elapsed(),
            peak_memory_bytes,
            fuel_consumed: ended.fuel_consumed,
        },
        ..host.output.finish()
    };
    let error = match report {
        Err(error) => error,
        // Whatever Python made of it: the limit had passed when it was asked to end.
        Ok(_) if host.interrupt.stopped() => host.interrupt.error(false),
        Ok(Report {
            failure: Some(failure),
            ..
        }) => Error::Python(failure),
        Ok(report) => {
            return Ok(ExecutionResult {
                output,
                result: report.result,
                result_error: report.result_error,
                value: report.value,
                value_repr: report.value_repr,
                value_error: report.value_error,
            });
        }
    };
    Err(ExecutionError {
        error,
        output: Box::new(output),
        state_lost: false,
    })
}

/// What the guest said about its end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) failure: Option<PythonError>,
    pub(crate) result: Option<Value>,
    pub(crate) result_error: Option<String>,
    pub(crate) value: Option<Value>,
    pub(crate) value_repr: Option<String>,
    pub(crate) value_error: Option<String>,
    pub(crate) never_awaited: Vec<Warning>,
}

impl Report {
    pub(crate) fn new(delivered: Delivered) -> Self {
        let mut report = Self::default();
        match delivered.report.map(|bytes| wire::decode(&bytes)) {
            None => {}
            Some(Ok(Value::Map(entries))) => report.read(entries),
            Some(_) => report.failure = Some(tampered()),
        }
        match delivered.result.map(|bytes| wire::decode(&bytes)) {
            Some(Ok(value)) => report.result = Some(value),
            Some(Err(error)) => report.result_error = Some(refused(error)),
            None => {}
        }
        match delivered.value.map(|bytes| wire::decode(&bytes)) {
            Some(Ok(value)) => report.value = Some(value),
            Some(Err(error)) => report.value_error = Some(refused(error)),
            None => {}
        }
        report
    }

    /// All that the run is to be warned of.
    fn warnings(&mut self) -> Vec<Warning> {
        let refusals = [&self.result_error, &self.value_error];
        let refused = refusals.into_iter().flatten().map(|message| Warning {
            kind: WarningKind::NotTransferable,
            message: message.clone(),
            callback: None,
        });
        let mut warnings = std::mem::take(&mut self.never_awaited);
        warnings.extend(refused);
        warnings
    }

    fn read(&mut self, entries: Vec<(String, Value)>) {
        let mut failure = PythonError::default();
        let failed = entries.iter().any(|(key, _)| key == "type");
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("result_error", Value::String(text)) => self.result_error = Some(text),
                ("value_repr", Value::String(text)) => self.value_repr = Some(text),
                ("value_error", Value::String(text)) => self.value_error = Some(text),
                ("never_awaited", Value::List(list)) => {
                    let warnings = list.into_iter().filter_map(never_awaited);
                    self.never_awaited = warnings.take(MAX_WARNINGS - 2).collect();
                }
                ("type", Value::String(text)) => failure.python_type = text,
                ("message", Value::String(text)) => failure.message = text,
                ("traceback", Value::String(text)) => failure.traceback = text.into(),
                ("frames", Value::List(list)) => {
                    failure.frames = list.into_iter().filter_map(frame).collect();
                }
                ("exit_code", Value::Int(code)) => {
                    failure.exit_code = i32::try_from(code).ok().or(Some(-1));
                }
                _ => {}
            }
        }
        if failed {
            self.failure = Some(failure);
        }
    }
}

/// `[message, callback]`, where the callback may be null.
fn never_awaited(value: Value) -> Option<Warning> {
    let Value::List(parts) = value else {
        return None;
    };
    let [Value::String(message), callback] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let callback = match callback {
        Value::String(name) => Some(name),
        _ => None,
    };
    let bytes = message.len() + callback.as_ref().map_or(0, String::len);
    (bytes <= MAX_WARNING_BYTES).then_some(Warning {
        kind: WarningKind::NeverAwaited,
        message,
        callback,
    })
}

fn frame(value: Value) -> Option<PythonFrame> {
    let Value::List(parts) = value else {
        return None;
    };
    let [
        Value::String(filename),
        Value::Int(line),
        Value::String(function),
    ] = <[Value; 3]>::try_from(parts).ok()?
    else {
        return None;
    };
    Some(PythonFrame {
        filename,
        line: u32::try_from(line).unwrap_or(0),
        function,
    })
}

/// What is said of a guest that reports its end in a way that its driver never does.
fn tampered() -> PythonError {
    let message = "SystemError: the code tampered with the sandbox's driver".to_owned();
    PythonError {
        python_type: "SystemError".to_owned(),
        traceback: message.as_str().into(),
        message,
        ..PythonError::default()
    }
}

fn refused(error: WireError) -> String {
    format!("the value is {error}")
}
