//! What the guest is given to run: one list, as `_eryx_driver.start` takes it apart.

use crate::config::SandboxConfig;
use crate::wire::{self, WireError};
use crate::{Error, ExecutionOptions, Value};

/// Bytes of randomness that every start gets.
const SEED_BYTES: usize = 32;

/// Encodes the request of one execution.
pub(crate) fn encode(
    code: String,
    options: &mut ExecutionOptions,
    config: &SandboxConfig,
) -> Result<Vec<u8>, Error> {
    let inputs = std::mem::take(&mut options.inputs);
    let filename = options
        .filename
        .take()
        .unwrap_or_else(|| "<sandbox>".to_owned());
    let request = Value::List(vec![
        Value::Bytes(code.into_bytes()),
        filename.into(),
        config.result_variable.as_str().into(),
        if inputs.is_empty() {
            Value::Null
        } else {
            Value::Map(inputs)
        },
        if config.env.is_empty() {
            Value::Null
        } else {
            Value::Map(config.env.clone())
        },
        seed()?.into(),
        options.sink.is_some().into(),
    ]);
    let mut bytes = Vec::with_capacity(256);
    wire::encode(&request, &mut bytes).map_err(|error| match error {
        WireError::TooDeep | WireError::TooLarge => {
            Error::InvalidArgument(format!("inputs: {error}"))
        }
        other => Error::Internal(other.to_string()),
    })?;
    Ok(bytes)
}

fn seed() -> Result<Vec<u8>, Error> {
    let mut seed = vec![0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|error| {
        Error::Initialization(format!("the system's random generator failed: {error}"))
    })?;
    // As a number it always has the same length: seeding takes the same instructions in every run.
    seed[0] |= 0x80;
    Ok(seed)
}
