//! Python source that runs before the user's code, compiled once.

use std::sync::OnceLock;

use crate::caps::MAX_LIBRARY_BYTES;
use crate::value::wire;
use crate::{Error, Value};

/// The libraries of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Libraries {
    /// File names, as tracebacks show them, and sources.
    sources: Vec<(String, String)>,
    encoded: OnceLock<Vec<u8>>,
}

impl Libraries {
    /// `entry`: source of ours that runs before them.
    pub(crate) fn new(entry: Option<String>, sources: Vec<String>) -> Result<Self, Error> {
        let size: usize = sources.iter().map(String::len).sum();
        if size > MAX_LIBRARY_BYTES {
            let problem =
                format!("{size} bytes of Python are more than the {MAX_LIBRARY_BYTES} allowed");
            return Err(Error::invalid("libraries", problem));
        }
        let named = sources.into_iter().enumerate();
        let entry = entry.map(|source| ("<entry>".to_owned(), source));
        Ok(Self {
            sources: entry
                .into_iter()
                .chain(named.map(|(index, source)| (filename(index), source)))
                .collect(),
            encoded: OnceLock::new(),
        })
    }

    /// What has to be compiled before the first run.
    pub(crate) fn to_compile(&self) -> Option<&[(String, String)]> {
        (!self.sources.is_empty() && self.encoded.get().is_none()).then_some(&self.sources)
    }

    /// Takes what the compiler made: marshalled code, one for each source.
    pub(crate) fn compiled(&self, code: Value) -> Result<(), Error> {
        let Value::List(code) = code else {
            return Err(Error::Internal("libraries compile to no list".into()));
        };
        let entries = self.sources.iter().zip(code).map(|((name, source), code)| {
            Value::List(vec![name.as_str().into(), source.as_bytes().into(), code])
        });
        let mut encoded = Vec::new();
        wire::encode(&Value::List(entries.collect()), &mut encoded)
            .map_err(|error| Error::invalid("libraries", error.to_string()))?;
        self.encoded.get_or_init(|| encoded);
        Ok(())
    }

    /// `[[file name, source, code], ..]`, or nothing.
    pub(crate) fn encoded(&self) -> &[u8] {
        self.encoded.get().map_or(&[], Vec::as_slice)
    }
}

fn filename(index: usize) -> String {
    match index {
        0 => "<library>".to_owned(),
        _ => format!("<library {}>", index + 1),
    }
}
