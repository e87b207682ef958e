//! How a fetch tells what it does.

/// Told of a fetch while it goes on. A terminal draws a bar; a machine ignores it.
pub trait Progress {
    /// A file of `total` bytes (0: not known) begins. Called again when another source or another try begins: the
    /// count starts anew.
    fn start(&self, total: u64);
    /// So many more bytes are there.
    fn advance(&self, bytes: u64);
    /// Something that a person may want to know.
    fn message(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn message(&self, _: &str) {}
}
