//! What Python is told of each callback, and the checks of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::CallbackHandler;
use crate::caps::{MAX_CALLBACK_NAME, MAX_CALLBACK_PARTS};
use crate::names::{KEYWORDS, identifier, is_identifier, quoted};
use crate::value::wire;
use crate::{Error, Value, WireError};

/// What Python knows of a function of the host.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallbackDefinition {
    /// What it is called in Python. Dots make namespaces: `http.get`. The first part is an identifier; the others may
    /// be any text, reached as `http["odd-name"]`.
    pub name: String,
    /// Its docstring.
    pub description: Option<String>,
    /// JSON Schema of the arguments, for `list_callbacks()`. It is shown, not enforced.
    pub schema: Option<Value>,
    /// What it takes. `None`: any arguments, handed on as they come.
    pub signature: Option<Signature>,
    /// In place of [`ResourceLimits::callback_timeout`](crate::ResourceLimits::callback_timeout); `Some(None)` is none.
    pub timeout: Option<Option<Duration>>,
    /// Python calls it as a plain function, and waits below the call. Otherwise it is awaited.
    pub sync: bool,
}

/// The parameters of a callback, in positional order. Python binds arguments to them, as it does for its own functions.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// In positional order.
    pub parameters: Vec<Parameter>,
    /// Whether other keyword arguments are taken too.
    pub open: bool,
}

/// One parameter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parameter {
    /// The keyword. Not necessarily an identifier.
    pub name: String,
    /// Whether a call without it is a `TypeError`.
    pub required: bool,
    /// Whether it cannot be given by position.
    pub keyword_only: bool,
    /// Its type, as Python's `inspect.signature` shows it.
    pub annotation: Option<String>,
    /// Given to the function if the call has none.
    pub default: Option<Value>,
}

impl From<&str> for CallbackDefinition {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

impl Parameter {
    /// A required parameter.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            required: true,
            ..Self::default()
        }
    }
}

/// The callbacks of a sandbox, checked and encoded once.
#[derive(Default)]
pub(crate) struct CallbackTable {
    /// `[names, details, numbers]`, encoded. Details are `None`, or encoded themselves, and read when somebody asks for them.
    /// The numbers are those of synchronous ones.
    pub(crate) encoded: Vec<u8>,
    pub(crate) timeouts: Vec<Option<Duration>>,
    /// Whether Python waits below the call.
    pub(crate) sync: Vec<bool>,
    /// First parts.
    pub(crate) names: HashSet<String>,
    /// Whole names, in order.
    pub(crate) order: Vec<String>,
    pub(crate) handler: Option<Arc<dyn CallbackHandler>>,
}

impl std::fmt::Debug for CallbackTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CallbackTable").field(&self.names).finish()
    }
}

impl CallbackTable {
    /// Encodes definitions that [`check`] has passed.
    pub(crate) fn new(
        definitions: Vec<CallbackDefinition>,
        handler: Option<Arc<dyn CallbackHandler>>,
        default_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        if definitions.is_empty() {
            return Ok(Self::default());
        }
        let timeouts = definitions
            .iter()
            .map(|definition| definition.timeout.unwrap_or(default_timeout))
            .collect();
        let sync: Vec<bool> = definitions.iter().map(|it| it.sync).collect();
        let names = definitions
            .iter()
            .map(|definition| identifier(first_part(&definition.name)))
            .collect();
        let order = definitions
            .iter()
            .map(|definition| definition.name.clone())
            .collect();
        let refused = |error: WireError| Error::invalid("callbacks", error.to_string());
        let described: Result<Vec<_>, _> = definitions.into_iter().map(described).collect();
        let (names_in_order, details): (Vec<_>, Vec<_>) =
            described.map_err(refused)?.into_iter().unzip();
        let mut encoded = Vec::new();
        let waiting: Vec<Value> = (0_i64..)
            .zip(&sync)
            .filter(|(_, sync)| **sync)
            .map(|(index, _)| index.into())
            .collect();
        let table = Value::List(vec![names_in_order.into(), details.into(), waiting.into()]);
        wire::encode(&table, &mut encoded).map_err(refused)?;
        Ok(Self {
            encoded,
            timeouts,
            sync,
            names,
            order,
            handler,
        })
    }
}

/// The name, and `[description, schema, parameters, open]` encoded; null if there is nothing to tell.
fn described(definition: CallbackDefinition) -> Result<(Value, Value), WireError> {
    let CallbackDefinition {
        name,
        description,
        schema,
        signature,
        ..
    } = definition;
    if description.is_none() && schema.is_none() && signature.is_none() {
        return Ok((name.into(), Value::Null));
    }
    let open = signature.as_ref().is_none_or(|signature| signature.open);
    let parameters = signature.map(|signature| {
        signature
            .parameters
            .into_iter()
            .map(parameter)
            .collect::<Vec<_>>()
    });
    let mut details = vec![
        description.into(),
        schema.into(),
        parameters.into(),
        open.into(),
    ];
    let encoded = Value::List(details.clone()).to_bytes().or_else(|_| {
        // A schema that is too deep or too large to cross is only not shown.
        details[1] = Value::Null;
        Value::List(details).to_bytes()
    })?;
    Ok((name.into(), encoded.into()))
}

/// `[name, required, keyword_only, annotation, has_default, default]`.
fn parameter(parameter: Parameter) -> Value {
    let has_default = parameter.default.is_some();
    Value::List(vec![
        parameter.name.into(),
        parameter.required.into(),
        parameter.keyword_only.into(),
        parameter.annotation.into(),
        has_default.into(),
        parameter.default.unwrap_or(Value::Null),
    ])
}

/// Refuses definitions that Python could not name, whatever the reason, as [`Error::Initialization`]. `builtins`: the names
/// that Python has already.
pub(crate) fn check(
    definitions: &[CallbackDefinition],
    builtins: &[String],
    result_variable: &str,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for definition in definitions {
        let name = &definition.name;
        check_name(name)?;
        let first = identifier(first_part(name));
        if builtins.contains(&first) {
            return Err(Error::Initialization(format!(
                "callbacks: {} would hide Python's own {first}",
                quoted(name)
            )));
        }
        if first == result_variable {
            return Err(Error::Initialization(format!(
                "callbacks: {} has the name of the result variable",
                quoted(name)
            )));
        }
        let path = name.replacen(first_part(name), &first, 1);
        if !seen.insert(path) {
            return Err(Error::Initialization(format!(
                "callbacks: {} is defined twice",
                quoted(name)
            )));
        }
        check_parameters(definition)?;
    }
    Ok(())
}

fn check_parameters(definition: &CallbackDefinition) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let parameters = definition.signature.iter().flat_map(|it| &it.parameters);
    for Parameter { name, .. } in parameters {
        if !seen.insert(name) {
            let problem = format!(
                "{} has two parameters {}",
                quoted(&definition.name),
                quoted(name)
            );
            return Err(Error::invalid("callbacks", problem));
        }
    }
    Ok(())
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

fn check_name(name: &str) -> Result<(), Error> {
    let parts: Vec<&str> = name.split('.').collect();
    let refuse = |why: &str| {
        Err(Error::Initialization(format!(
            "callbacks: {} {why}",
            quoted(name)
        )))
    };
    if name.len() > MAX_CALLBACK_NAME || parts.len() > MAX_CALLBACK_PARTS {
        return refuse("is longer than 1,024 bytes or 16 parts");
    }
    if parts.iter().any(|part| part.is_empty()) {
        return refuse("has an empty part");
    }
    if parts
        .iter()
        .any(|part| part.starts_with("__") && part.ends_with("__"))
    {
        return refuse("has a part with two underscores at both ends, which are Python's own");
    }
    if KEYWORDS.contains(&identifier(parts[0]).as_str()) {
        return refuse("begins with a keyword of Python");
    }
    if !is_identifier(parts[0]) {
        return refuse("is not a Python identifier");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let builtins = ["print".to_owned(), "open".to_owned()];
        match check(&[name.into()], &builtins, "result") {
            Err(Error::Initialization(message)) => message,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn names() {
        for good in [
            "add",
            "http.get",
            "a.b.c.d",
            "ns.odd-name",
            "größe",
            "ns.class",
            "match",
        ] {
            assert_eq!(check(&[good.into()], &[], "result"), Ok(()), "{good}");
        }
        assert_eq!(refused(""), r#"callbacks: "" has an empty part"#);
        assert_eq!(refused("a..b"), r#"callbacks: "a..b" has an empty part"#);
        assert_eq!(
            refused("odd-name"),
            r#"callbacks: "odd-name" is not a Python identifier"#
        );
        assert_eq!(
            refused("class.x"),
            r#"callbacks: "class.x" begins with a keyword of Python"#
        );
        assert_eq!(
            refused("a.__class__"),
            r#"callbacks: "a.__class__" has a part with two underscores at both ends, which are Python's own"#
        );
        assert_eq!(
            refused(&"a.".repeat(600)),
            format!(
                "callbacks: \"{}\"... is longer than 1,024 bytes or 16 parts",
                "a.".repeat(50)
            )
        );
    }

    #[test]
    fn clashes() {
        assert_eq!(
            refused("print"),
            r#"callbacks: "print" would hide Python's own print"#
        );
        assert_eq!(
            refused("open.file"),
            r#"callbacks: "open.file" would hide Python's own open"#
        );
        assert_eq!(
            refused("result"),
            r#"callbacks: "result" has the name of the result variable"#
        );
        let twice = check(&["a".into(), "b".into(), "a".into()], &[], "result");
        assert_eq!(
            twice.map_err(|error| error.to_string()),
            Err(r#"callbacks: "a" is defined twice"#.to_owned())
        );
        assert_eq!(check(&["a".into(), "a.b".into()], &[], "result"), Ok(()));
    }
}
