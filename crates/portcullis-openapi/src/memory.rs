//! Memory for judging, counted by whoever lends it; and who else hears what a body was read as.

use crate::json::Document;

/// An account from which the judging of one message takes its memory. What was taken is given back when the message has been
/// judged.
pub trait Memory {
    /// Takes so many bytes more. `false`: there are none left, and the message is refused.
    fn take(&self, bytes: usize) -> bool;

    /// Who hears what the body is read as, so that nobody need read it again. `None`: nobody.
    fn reader(&self) -> Option<&dyn Reader> {
        None
    }
}

/// Hears what a whole body was read as, before it is judged.
pub trait Reader {
    /// The body is JSON, with this value.
    fn json(&self, body: &[u8], document: &Document<'_>);

    /// The body is a form with these pairs. Names are decoded, values are as they came.
    fn form(&self, body: &[u8], pairs: &mut dyn Iterator<Item = (&str, &str)>);

    /// The body is XML, with this text in all and these values of attributes.
    fn xml(&self, body: &[u8], text: String, attributes: Vec<String>);
}

/// Nobody counts.
impl Memory for () {
    fn take(&self, _: usize) -> bool {
        true
    }
}
