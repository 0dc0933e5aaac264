//! What the guest is given to run: one list of the items that [`Field`] describes, as `_eryx_driver.start` takes it apart.
//!
//! What is no execution but something that the driver does itself is a list of three: null, its name, and an argument.

use crate::callback::CallbackTable;
use crate::options::SandboxConfig;
use crate::value::wire;
use crate::value::wire::WireError;
use crate::{Error, ExecutionOptions, OutputSink, Stream, Value};

/// Bytes of randomness that every start gets.
const SEED_BYTES: usize = 32;

/// The items of a request, in their order. The names are those that the driver gives them: a test compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Field {
    /// The source, as bytes.
    Code,
    /// What tracebacks show.
    Filename,
    /// The variable whose value is delivered.
    ResultName,
    /// Variables that are set before: a map, or null.
    Inputs,
    /// Added to `os.environ`: a map, or null. To a fresh interpreter only.
    Env,
    /// Bytes for the random generators, or null: they go on.
    Seed,
    /// Whether somebody listens to what is printed, so that lines are handed over as they come.
    Streamed,
    /// The table of callbacks, or null: as before.
    Callbacks,
    /// Whether events of the run are wanted.
    Traced,
    /// Whether nothing ran in the interpreter yet.
    Fresh,
    /// Whether an earlier run was given something to read.
    StdinUsed,
    /// Code objects of the libraries, or null: as before.
    Libraries,
}

/// How many there are.
const FIELDS: u32 = Field::Libraries as u32 + 1;

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
    request.add(Field::Code, &Value::Bytes(code.into_bytes()))?;
    let filename = options.filename.take();
    let filename = filename.unwrap_or_else(|| "<sandbox>".to_owned());
    request.add(Field::Filename, &filename.into())?;
    request.add(Field::ResultName, &config.result_variable.as_str().into())?;
    let inputs = std::mem::take(&mut options.inputs);
    request.add(Field::Inputs, &map_or_null(inputs))?;
    request.add_encoded(Field::Env, once(&config.env));
    let seed = if start.reseed { Some(seed()?) } else { None };
    request.add(Field::Seed, &seed.into())?;
    let sink = options.sink.as_deref();
    let wants = |stream| sink.is_some_and(|sink| sink.wants(stream));
    let streamed = wants(Stream::Stdout) || wants(Stream::Stderr);
    request.add(Field::Streamed, &streamed.into())?;
    if start.past == Past::Foreign {
        request.begin(Field::Callbacks);
        add_table(&mut request.bytes, &config.callbacks)?;
    } else {
        request.add_encoded(Field::Callbacks, once(&config.callbacks.encoded));
    }
    let traced = options.trace || sink.is_some_and(OutputSink::wants_trace);
    request.add(Field::Traced, &traced.into())?;
    request.add(Field::Fresh, &fresh.into())?;
    request.add(Field::StdinUsed, &start.stdin_used.into())?;
    Ok(request.bytes)
}

/// Adds the libraries, which are compiled when the first run starts.
pub(crate) fn complete(
    request: Vec<u8>,
    config: &SandboxConfig,
    start: Start,
) -> Result<Vec<u8>, Error> {
    let mut request = Request {
        bytes: request,
        next: Field::Libraries as u32,
    };
    let libraries = if start.past == Past::Fresh {
        config.libraries.encoded()
    } else {
        &[]
    };
    request.add_encoded(Field::Libraries, libraries);
    if request.bytes.len() > wire::MAX_BYTES {
        return Err(refused(WireError::TooLarge));
    }
    Ok(request.bytes)
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
    let mut request = vec![b'l', 3, 0, 0, 0];
    wire::encode(&Value::Null, &mut request).map_err(refused)?;
    wire::encode(&"rebind".into(), &mut request).map_err(refused)?;
    add_table(&mut request, callbacks)?;
    Ok(request)
}

/// Encodes the request to compile libraries: `[None, "compile", [[file name, source], ..]]`.
pub(crate) fn encode_compile(libraries: &[(String, String)]) -> Result<Vec<u8>, Error> {
    let pairs = libraries.iter().map(|(filename, source)| {
        Value::List(vec![filename.as_str().into(), source.as_bytes().into()])
    });
    encode_order("compile", Value::List(pairs.collect()))
}

/// Something that the driver does itself: it runs none of the user's code.
fn encode_order(name: &'static str, argument: Value) -> Result<Vec<u8>, Error> {
    Value::List(vec![Value::Null, name.into(), argument])
        .to_bytes()
        .map_err(|error| Error::Internal(format!("{name}: {error}")))
}

/// A list that is written item by item.
struct Request {
    bytes: Vec<u8>,
    /// The number of the next item.
    next: u32,
}

impl Request {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(b'l');
        bytes.extend(FIELDS.to_le_bytes());
        Self { bytes, next: 0 }
    }

    fn begin(&mut self, field: Field) {
        assert_eq!(self.next, field as u32, "{field:?} in its place");
        self.next += 1;
    }

    fn add(&mut self, field: Field, value: &Value) -> Result<(), Error> {
        self.begin(field);
        wire::encode(value, &mut self.bytes).map_err(refused)
    }

    /// Adds what is encoded already; nothing is null.
    fn add_encoded(&mut self, field: Field, encoded: &[u8]) {
        self.begin(field);
        let value = if encoded.is_empty() { b"n" } else { encoded };
        self.bytes.extend_from_slice(value);
    }
}

/// Adds callbacks, also when there are none.
fn add_table(bytes: &mut Vec<u8>, callbacks: &CallbackTable) -> Result<(), Error> {
    if callbacks.encoded.is_empty() {
        let none = || Value::List(Vec::new());
        let table = Value::List(vec![none(), none(), none()]);
        return wire::encode(&table, bytes).map_err(refused);
    }
    bytes.extend_from_slice(&callbacks.encoded);
    Ok(())
}

fn refused(error: WireError) -> Error {
    match error {
        WireError::TooDeep | WireError::TooLarge => Error::invalid("inputs", error.to_string()),
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

#[cfg(test)]
mod tests {
    use super::Field as F;
    use super::*;

    const DRIVER: &str = include_str!("../../../eryx-runtime/guest/python/_eryx_driver.py");

    /// What stands between two texts of the driver.
    fn between(before: &str, after: &str) -> &'static str {
        let (_, rest) = DRIVER.split_once(before).expect("it is in the driver");
        rest.split_once(after).expect("it is in the driver").0
    }

    #[test]
    fn the_driver_takes_these_items_in_this_order() {
        let first = between("    code, ", ", *rest = request");
        let rest = between("def _set_up(inputs, ", "):");
        let names: Vec<_> = ["code"]
            .into_iter()
            .chain(first.split(", "))
            .chain(rest.split(", "))
            .collect();
        let fields = [
            (F::Code, "code"),
            (F::Filename, "filename"),
            (F::ResultName, "result_name"),
            (F::Inputs, "inputs"),
            (F::Env, "env"),
            (F::Seed, "seed"),
            (F::Streamed, "streamed"),
            (F::Callbacks, "callbacks"),
            (F::Traced, "traced"),
            (F::Fresh, "fresh"),
            (F::StdinUsed, "stdin_used"),
            (F::Libraries, "libraries"),
        ];
        assert_eq!(names, fields.map(|(_, name)| name));
        assert!(
            fields
                .iter()
                .zip(0..)
                .all(|((field, _), at)| *field as u32 == at)
        );
        assert_eq!(fields.len(), FIELDS as usize);
    }
}
