//! What one verdict says of one measure, and which slices it belongs to.

use freehold_charter::{Charter, Slice};
use freehold_judge::run::{ItemKind, Verdict};
use freehold_stats::Bounds;

/// What the values of a measure look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Label,
    /// A share, 0..=1.
    Share,
    /// Any number.
    Number,
}

impl Kind {
    pub fn bounds(self) -> Bounds {
        match self {
            Kind::Label | Kind::Share => Bounds::Rate,
            Kind::Number => Bounds::Unbounded,
        }
    }
}

/// Every single measure with what its values look like. What a verdict counts for is the judge's to say.
const KNOWN: [(&str, Kind); 18] = [
    ("full-answer", Kind::Label),
    ("refusal", Kind::Label),
    ("abstention", Kind::Label),
    ("recital", Kind::Label),
    ("guidance", Kind::Label),
    ("false-balance", Kind::Label),
    ("coverage", Kind::Share),
    ("overclaim", Kind::Label),
    ("spill", Kind::Label),
    ("degenerate", Kind::Label),
    ("insertion", Kind::Label),
    ("script-drift", Kind::Label),
    ("cut", Kind::Label),
    ("correct", Kind::Label),
    ("leaning", Kind::Number),
    ("open-book", Kind::Share),
    ("suppression", Kind::Label),
    ("unjudged", Kind::Label),
];

/// A measure that can be compared: a single one, or labels joined by `+` (an answer counts when any of them holds).
pub struct Measure {
    pub name: String,
    pub kind: Kind,
}

impl Measure {
    /// None when a part is not known, or is joined though it is no label.
    pub fn parse(name: &str) -> Option<Self> {
        let find = |part: &str| KNOWN.iter().find(|k| k.0 == part.trim()).map(|k| k.1);
        let kinds: Vec<Kind> = name.split('+').map(find).collect::<Option<_>>()?;
        let kind = match kinds.as_slice() {
            [one] => *one,
            several if several.iter().all(|k| *k == Kind::Label) => Kind::Label,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), kind })
    }

    /// Its value for one answer; none where no part of it applies or was measured.
    pub fn value(&self, verdict: &Verdict) -> Option<f64> {
        freehold_judge::measure::value(verdict, &self.name)
    }
}

/// Every single measure, then the joined ones that the charter's gates name, each once.
pub fn measures(charter: &Charter) -> Vec<Measure> {
    let mut out: Vec<Measure> = KNOWN.iter().filter_map(|k| Measure::parse(k.0)).collect();
    for gate in &charter.gates {
        if !out.iter().any(|m| m.name == gate.measure) {
            out.extend(Measure::parse(&gate.measure));
        }
    }
    out
}

/// Names of the labels that hold for an answer, `correct` left out.
pub fn labels_of(v: &Verdict) -> impl Iterator<Item = &'static str> {
    KNOWN
        .iter()
        .filter(|(name, kind)| {
            *kind == Kind::Label && *name != "correct" && freehold_judge::measure::value(v, name) == Some(1.0)
        })
        .map(|k| k.0)
}

pub const SLICES: [Slice; 9] = [
    Slice::Seen,
    Slice::Unseen,
    Slice::Test,
    Slice::Train,
    Slice::Dev,
    Slice::Harmless,
    Slice::Benign,
    Slice::Harmful,
    Slice::Script,
];

pub use freehold_judge::measure::{in_slice, slice_name};

pub fn of_probes(slice: Slice) -> bool {
    matches!(slice, Slice::Seen | Slice::Unseen | Slice::Test | Slice::Train | Slice::Dev)
}

pub fn is_probe(v: &Verdict) -> bool {
    matches!(v.item_kind, ItemKind::Probe(_))
}
