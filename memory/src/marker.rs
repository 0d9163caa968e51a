//! Placeholder until the marker codec lands: strips nothing.

use std::borrow::Cow;

/// A text without the blocks that recall injected.
pub struct Stripped<'t> {
    /// The text.
    pub text: Cow<'t, str>,
    /// How many blocks were dropped.
    pub dropped: usize,
}

/// Removes the blocks that recall injected.
pub fn strip(text: &str) -> Stripped<'_> {
    Stripped { text: Cow::Borrowed(text), dropped: 0 }
}
