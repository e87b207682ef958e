//! Models by name: the catalogue, their sources, and the cache.
//!
//! [`Cache::resolve`] turns what a person wrote into a file on this machine whose SHA-256 is known.

mod cache;
mod catalogue;
mod digests;
mod error;
mod fetch;
mod http;
mod lock;
mod model;
mod part;
mod pip;
mod progress;
mod source;
mod state;

pub use cache::{Cache, Listed};
pub use catalogue::{Catalogue, Entry};
pub use error::{HubError, SourceFailure};
pub use model::ModelFile;
pub use progress::{Progress, Silent};
pub use source::{Source, WheelPart};
