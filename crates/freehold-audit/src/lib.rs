//! Ask every question of a charter, record each answer as it comes, judge, measure; go on after a kill.

mod audit;
mod error;
mod folder;
mod import;
mod items;
mod model_judge;
mod plan;

pub use audit::{Audited, Leaning, Settings, Until, Watch, audit};
pub use error::AuditError;
pub use folder::{Folder, Keyed, Lines, Run, write_json};
pub use import::import;
pub use items::{Item, Selection, items};
pub use model_judge::{Dissent, Judged, Opinion, Place, Second, second_judge};
pub use plan::{Row as PlanRow, plan};
