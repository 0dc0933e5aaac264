//! Options of a sandbox and of one execution.

pub(crate) mod cancel;
pub(crate) mod library;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::callback;
use crate::callback::{CallbackDefinition, CallbackHandler, CallbackTable};
use crate::caps::{MAX_CODE_BYTES, MAX_NAME_BYTES};
use crate::files::mounts::Mounts;
use crate::names::{KEYWORDS, identifier, is_identifier, quoted};
use crate::options::library::Libraries;
use crate::{CancelHandle, Error, OutputSink, ResourceLimits, Storage, Value, Volume};

/// See [`SandboxOptions::sleep_after`].
const SLEEP_AFTER: Duration = Duration::from_secs(10);

/// What all executions of a sandbox share.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// Limits of each execution.
    pub limits: ResourceLimits,
    /// Added to `os.environ`, which otherwise holds `HOME` only.
    pub env: Vec<(String, String)>,
    /// The variable whose value is returned. Default `result`.
    pub result_variable: Option<String>,
    /// Functions that the code can call.
    pub callbacks: Vec<CallbackDefinition>,
    /// Answers their calls, unless an execution brings a handler of its own.
    pub callback_handler: Option<Arc<dyn CallbackHandler>>,
    /// Python source that runs before the code, in the same namespace, each under a file name of its own.
    pub libraries: Vec<String>,
    /// Files that stay, at `mount_path`. Default: every run has an empty directory of its own there.
    pub files: Option<Storage>,
    /// The working directory. Default `/data`. Absolute, without `.`, `..` and empty parts, not in `/usr`.
    pub mount_path: Option<String>,
    /// Host directories and files that runs see.
    pub volumes: Vec<Volume>,
    /// A session that nobody used for so long keeps its memory packed, which takes a millisecond to put back. Default 10
    /// seconds; `Duration::MAX` is never.
    pub sleep_after: Option<Duration>,
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("limits", &self.limits)
            .field("callbacks", &self.callbacks)
            .finish_non_exhaustive()
    }
}

/// What belongs to one execution.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ExecutionOptions {
    /// In place of the sandbox's [`ResourceLimits::execution_timeout`]; `Some(None)` is no timeout.
    pub timeout: Option<Option<Duration>>,
    /// Variables that are set before the code runs.
    pub inputs: Vec<(String, Value)>,
    /// What `sys.stdin` reads. Default: nothing.
    pub stdin: Vec<u8>,
    /// Shown in tracebacks. Default `<sandbox>`.
    pub filename: Option<String>,
    /// Receives output while the code runs.
    pub sink: Option<Arc<dyn OutputSink>>,
    /// Collect [`TraceEvent`](crate::TraceEvent)s, 100,000 at most.
    pub trace: bool,
    /// Answers this execution's calls of callbacks, in place of the sandbox's handler.
    pub callback_handler: Option<Arc<dyn CallbackHandler>>,
    /// Cancels this execution.
    pub cancel: CancelHandle,
}

impl fmt::Debug for ExecutionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutionOptions")
            .field("timeout", &self.timeout)
            .field("inputs", &self.inputs)
            .field("filename", &self.filename)
            .finish_non_exhaustive()
    }
}

/// Checked [`SandboxOptions`].
#[derive(Debug)]
pub(crate) struct SandboxConfig {
    pub(crate) limits: ResourceLimits,
    /// Encoded; empty if there is none.
    pub(crate) env: Vec<u8>,
    pub(crate) result_variable: String,
    pub(crate) callbacks: Arc<CallbackTable>,
    pub(crate) libraries: Libraries,
    pub(crate) mounts: Mounts,
    /// How long a session rests before it is packed.
    pub(crate) sleep_after: Duration,
}

impl SandboxConfig {
    /// Checks options. `builtins`: names that callbacks must not hide.
    pub(crate) fn new(options: SandboxOptions, builtins: &[String]) -> Result<Self, Error> {
        let result_variable = options
            .result_variable
            .unwrap_or_else(|| "result".to_owned());
        check_variable_name("result_variable", &result_variable)?;
        for (name, value) in &options.env {
            check_variable(name, value)?;
        }
        callback::check(&options.callbacks, builtins, &result_variable)?;
        let callbacks = CallbackTable::new(
            options.callbacks,
            options.callback_handler,
            options.limits.callback_timeout,
        )?;
        let mounts = Mounts::new(options.files, options.mount_path, options.volumes)?;
        Ok(Self {
            limits: options.limits,
            env: encoded_env(options.env)?,
            result_variable,
            callbacks: Arc::new(callbacks),
            libraries: Libraries::new(mounts.entry(), options.libraries)?,
            mounts,
            sleep_after: options.sleep_after.unwrap_or(SLEEP_AFTER),
        })
    }
}

fn encoded_env(env: Vec<(String, String)>) -> Result<Vec<u8>, Error> {
    if env.is_empty() {
        return Ok(Vec::new());
    }
    let entries = env.into_iter().map(|(name, value)| (name, value.into()));
    Value::Map(entries.collect())
        .to_bytes()
        .map_err(|error| Error::invalid("env", error.to_string()))
}

/// Variables of a module that the interpreter itself reads or writes: with others in them, code fails in strange ways.
const MODULE_VARIABLES: [&str; 8] = [
    "__annotate__",
    "__annotations__",
    "__builtins__",
    "__conditional_annotations__",
    "__debug__",
    "__loader__",
    "__package__",
    "__spec__",
];

/// Refuses names that code could not use as variables, or that are the interpreter's own.
fn check_variable_name(argument: &'static str, name: &str) -> Result<(), Error> {
    let stored = identifier(name);
    let why = if !is_identifier(name) {
        "is not a Python identifier"
    } else if KEYWORDS.contains(&stored.as_str()) {
        "is a keyword of Python"
    } else if MODULE_VARIABLES.contains(&stored.as_str()) {
        "is a variable of Python's own"
    } else {
        return Ok(());
    };
    Err(Error::invalid(argument, format!("{} {why}", quoted(name))))
}

fn check_variable(name: &str, value: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(['=', '\0']) || name.len() > MAX_NAME_BYTES {
        let problem = format!("{} is not a name of an environment variable", quoted(name));
        return Err(Error::invalid("env", problem));
    }
    if value.contains('\0') {
        let problem = format!("the value of {} contains a NUL character", quoted(name));
        return Err(Error::invalid("env", problem));
    }
    Ok(())
}

impl ExecutionOptions {
    /// Refuses what cannot be run, before anything starts.
    pub(crate) fn check(&self, code: &str, config: &SandboxConfig) -> Result<(), Error> {
        if code.len() > MAX_CODE_BYTES {
            let size = code.len();
            let problem = format!("{size} bytes are more than the {MAX_CODE_BYTES} allowed");
            return Err(Error::invalid("code", problem));
        }
        for (name, _) in &self.inputs {
            check_variable_name("inputs", name)?;
            if config.callbacks.names.contains(&identifier(name)) {
                let problem = format!("{} is the name of a callback", quoted(name));
                return Err(Error::invalid("inputs", problem));
            }
        }
        match &self.filename {
            Some(name) if name.contains('\0') || name.len() > MAX_NAME_BYTES => {
                let problem = format!("{} is too long or contains a NUL character", quoted(name));
                Err(Error::invalid("filename", problem))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        for good in [
            "x", "_", "_1", "größe", "变量", "match", "type", "print", "__x__", "__all__",
            "__name__",
        ] {
            assert_eq!(check_variable_name("inputs", good), Ok(()), "{good}");
        }
        let identifier = "is not a Python identifier";
        let (keyword, own) = ("is a keyword of Python", "is a variable of Python's own");
        for (bad, why) in [
            ("", identifier),
            ("1x", identifier),
            ("a b", identifier),
            ("a-b", identifier),
            ("a.b", identifier),
            ("x\0", identifier),
            ("x\n", identifier),
            ("class", keyword),
            ("None", keyword),
            ("ｃlass", keyword),
            ("__builtins__", own),
            ("__debug__", own),
            ("__conditional_annotations__", own),
            ("__loader__", own),
        ] {
            let refused = Error::invalid("inputs", format!("{bad:?} {why}"));
            assert_eq!(check_variable_name("inputs", bad), Err(refused));
        }
    }

    #[test]
    fn code_size_is_capped() {
        let options = ExecutionOptions::default();
        let config = SandboxConfig::new(SandboxOptions::default(), &[]).expect("the defaults");
        assert_eq!(options.check(&" ".repeat(MAX_CODE_BYTES), &config), Ok(()));
        assert!(matches!(
            options.check(&" ".repeat(MAX_CODE_BYTES + 1), &config),
            Err(Error::InvalidArgument { .. })
        ));
    }

    #[test]
    fn environment_names_and_values() {
        assert_eq!(check_variable("A", "b=c"), Ok(()));
        for (name, value) in [("", "x"), ("a=b", "x"), ("a\0", "x"), ("a", "\0")] {
            assert!(check_variable(name, value).is_err(), "{name:?} {value:?}");
        }
    }
}
