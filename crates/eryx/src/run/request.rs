//! What the guest is given to run: one list, as `_eryx_driver.start` takes it apart.

use crate::callback::CallbackTable;
use crate::options::SandboxConfig;
use crate::value::wire;
use crate::value::wire::WireError;
use crate::{Error, ExecutionOptions, OutputSink, Stream, Value};

/// Bytes of randomness that every start gets.
const SEED_BYTES: usize = 32;
/// Items of the list.
const FIELDS: u32 = 12;

/// Where what the interpreter knows comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Nothing ran in it yet: it is given environment, callbacks and libraries.
    Fresh,
    /// It was restored: its callbacks are those of others.
    Foreign,
    /// From runs of this guest.
    Own,
}

/// What the interpreter has been through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) past: Past,
    /// Its random numbers must differ from those of others with the same past.
    pub(crate) reseed: bool,
    /// Its `sys.stdin` may hold what an earlier run was given.
    pub(crate) stdin_used: bool,
}

impl Start {
    /// As every guest of a sandbox.
    pub(crate) const FRESH: Self = Self {
        past: Past::Fresh,
        reseed: true,
        stdin_used: false,
    };

    /// A request was carried out. One that was not, or was cut off, leaves all that is due to the next.
    pub(crate) fn given(&mut self) {
        *self = Self {
            past: Past::Own,
            reseed: false,
            stdin_used: false,
        };
    }
}

/// Encodes the request of one execution, all but its last item: see [`complete`].
pub(crate) fn encode(
    code: String,
    options: &mut ExecutionOptions,
    config: &SandboxConfig,
    start: Start,
) -> Result<Vec<u8>, Error> {
    let fresh = start.past == Past::Fresh;
    let once = |bytes| if fresh { bytes } else { &[][..] };
    let mut request = Request::new();
    request.add(&Value::Bytes(code.into_bytes()))?;
    let filename = options.filename.take();
    request.add(&filename.unwrap_or_else(|| "<sandbox>".to_owned()).into())?;
    request.add(&config.result_variable.as_str().into())?;
    request.add(&map_or_null(std::mem::take(&mut options.inputs)))?;
    request.add_encoded(once(&config.env));
    let seed = if start.reseed { Some(seed()?) } else { None };
    request.add(&seed.into())?;
    let sink = options.sink.as_deref();
    let wants = |stream| sink.is_some_and(|sink| sink.wants(stream));
    request.add(&(wants(Stream::Stdout) || wants(Stream::Stderr)).into())?;
    if start.past == Past::Foreign {
        request.add_table(&config.callbacks)?;
    } else {
        request.add_encoded(once(&config.callbacks.encoded));
    }
    let traced = options.trace || sink.is_some_and(OutputSink::wants_trace);
    request.add(&traced.into())?;
    request.add(&fresh.into())?;
    request.add(&start.stdin_used.into())?;
    Ok(request.0)
}

/// Adds the libraries, which are compiled when the first run starts.
pub(crate) fn complete(
    request: Vec<u8>,
    config: &SandboxConfig,
    start: Start,
) -> Result<Vec<u8>, Error> {
    let mut request = Request(request);
    request.add_encoded(if start.past == Past::Fresh {
        config.libraries.encoded()
    } else {
        &[]
    });
    if request.0.len() > wire::MAX_BYTES {
        return Err(refused(WireError::TooLarge));
    }
    Ok(request.0)
}

/// Encodes the request to remove the user's variables: `[None, "clear", None]`.
pub(crate) fn encode_clear() -> Result<Vec<u8>, Error> {
    encode_order("clear", Value::Null)
}

/// Encodes the request to finish what is open, before the interpreter goes: `[None, "end", None]`.
pub(crate) fn encode_end() -> Result<Vec<u8>, Error> {
    encode_order("end", Value::Null)
}

/// Encodes the request to give restored callbacks their places among others: `[None, "rebind", callbacks]`.
pub(crate) fn encode_rebind(callbacks: &CallbackTable) -> Result<Vec<u8>, Error> {
    let mut request = Request(vec![b'l', 3, 0, 0, 0]);
    request.add(&Value::Null)?;
    request.add(&"rebind".into())?;
    request.add_table(callbacks)?;
    Ok(request.0)
}

/// Encodes the request to compile libraries: `[None, "compile", [[file name, source], ..]]`.
pub(crate) fn encode_compile(libraries: &[(String, String)]) -> Result<Vec<u8>, Error> {
    let pairs = libraries.iter().map(|(filename, source)| {
        Value::List(vec![filename.as_str().into(), source.as_bytes().into()])
    });
    encode_order("compile", Value::List(pairs.collect()))
}

/// Something that the driver does itself: it runs none of the user's code.
fn encode_order(name: &str, argument: Value) -> Result<Vec<u8>, Error> {
    Value::List(vec![Value::Null, name.into(), argument])
        .to_bytes()
        .map_err(|error| Error::InvalidArgument(format!("{name}: {error}")))
}

/// A list that is written item by item.
struct Request(Vec<u8>);

impl Request {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(b'l');
        bytes.extend(FIELDS.to_le_bytes());
        Self(bytes)
    }

    fn add(&mut self, value: &Value) -> Result<(), Error> {
        wire::encode(value, &mut self.0).map_err(refused)
    }

    /// Adds callbacks, also when there are none.
    fn add_table(&mut self, callbacks: &CallbackTable) -> Result<(), Error> {
        if callbacks.encoded.is_empty() {
            let none = || Value::List(Vec::new());
            return self.add(&Value::List(vec![none(), none(), none()]));
        }
        self.add_encoded(&callbacks.encoded);
        Ok(())
    }

    /// Adds what is encoded already; nothing is null.
    fn add_encoded(&mut self, bytes: &[u8]) {
        self.0
            .extend_from_slice(if bytes.is_empty() { b"n" } else { bytes });
    }
}

fn refused(error: WireError) -> Error {
    match error {
        WireError::TooDeep | WireError::TooLarge => {
            Error::InvalidArgument(format!("inputs: {error}"))
        }
        other => Error::Internal(other.to_string()),
    }
}

fn map_or_null(entries: Vec<(String, Value)>) -> Value {
    if entries.is_empty() {
        Value::Null
    } else {
        Value::Map(entries)
    }
}

fn seed() -> Result<Vec<u8>, Error> {
    let mut seed = vec![0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|error| {
        Error::Initialization(format!("the system's random generator failed: {error}"))
    })?;
    Ok(seed)
}
