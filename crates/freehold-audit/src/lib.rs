//! Ask every question of a charter, record each answer as it comes, judge, measure; go on after a kill.

mod audit;
mod error;
mod folder;
mod items;

pub use audit::{Leaning, Settings, Watch, audit};
pub use error::AuditError;
pub use folder::{Folder, Lines, Run, write_json};
pub use items::{Item, Selection, items};
