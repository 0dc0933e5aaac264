//! Names of Python, and how messages quote them.

use unicode_normalization::UnicodeNormalization;

use crate::caps::MAX_NAME_BYTES;

/// A name as Python's compiler stores it.
pub(crate) fn identifier(name: &str) -> String {
    name.nfkc().collect()
}

/// `keyword.kwlist` of Python 3.14. Its soft keywords (`match`, `type`) are names like any other.
pub(crate) const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Whether Python's compiler takes `name` as one name, keywords among them.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first == '_' || unicode_ident::is_xid_start(first));
    starts && characters.all(unicode_ident::is_xid_continue) && name.len() <= MAX_NAME_BYTES
}

/// `text` as an error shows it: quoted, escaped, and cut.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(100).collect();
    if cut.len() < text.len() {
        format!("{cut:?}...")
    } else {
        format!("{cut:?}")
    }
}
