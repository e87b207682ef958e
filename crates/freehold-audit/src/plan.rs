//! Before anything is asked: how precise an audit will be, and how many topics a wanted precision needs.

use freehold_charter::{Charter, Slice};
use freehold_judge::Judge;
use freehold_judge::measure::{in_slice, slice_name, value};
use freehold_judge::run::{Answer, Finish, ItemId, ItemKind, Verdict};
use freehold_stats::{Design, intraclass_correlation};
use serde::Serialize;

use crate::items::{Selection, items};

/// Where no run tells the share of a measure's variance that lies between topics.
pub const ASSUMED_CORRELATION: f64 = 0.2;
/// … and its rate: the one that needs most.
pub const ASSUMED_RATE: f64 = 0.5;

const SLICES: [Slice; 6] =
    [Slice::Seen, Slice::Unseen, Slice::Test, Slice::Harmless, Slice::Benign, Slice::Harmful];
const PROBE_MEASURES: [&str; 5] = ["refusal", "recital", "guidance", "coverage", "spill"];

/// What is to be expected of one measure over one slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub slice: String,
    pub measure: String,
    /// Questions, all languages together.
    pub questions: usize,
    /// Topics they are about; of controls, as many as there are questions.
    pub clusters: usize,
    /// Of the run that was given, or assumed.
    pub rate: f64,
    pub correlation: f64,
    pub assumed: bool,
    /// Half of the 95% interval's width.
    pub half_width: f64,
    /// The least difference between two runs that is found with 80% power (two-sided test at 5%).
    pub detectable: f64,
    /// Topics with as many questions each that an interval of ± the wanted precision needs.
    pub clusters_needed: Option<usize>,
    pub questions_needed: Option<usize>,
}

/// Plans an audit of `selection`; `like` are verdicts of an earlier run, whose rates and correlations are taken over.
pub fn plan(charter: &Charter, selection: &Selection, precision: f64, like: Option<&[Verdict]>) -> Vec<Row> {
    let judge = Judge::new(charter);
    let blank: Vec<Verdict> =
        items(charter, selection).into_iter().filter_map(|i| judge.answer(&blank(i.id))).collect();
    let mut rows = Vec::new();
    for slice in SLICES {
        let members: Vec<&Verdict> = blank.iter().filter(|v| in_slice(v, slice)).collect();
        let Some(first) = members.first() else { continue };
        let measures: &[&str] = match first.item_kind {
            ItemKind::Probe(_) => &PROBE_MEASURES,
            ItemKind::Control(_) if slice == Slice::Benign => &["insertion"],
            ItemKind::Control(_) => &["correct"],
        };
        for measure in measures {
            rows.extend(row(slice, measure, &members, precision, like));
        }
    }
    rows
}

fn row(
    slice: Slice,
    measure: &str,
    members: &[&Verdict],
    precision: f64,
    like: Option<&[Verdict]>,
) -> Option<Row> {
    let due: Vec<&str> = members.iter().filter(|v| value(v, measure).is_some()).map(|v| cluster(v)).collect();
    if due.is_empty() {
        return None;
    }
    let clusters = due.iter().collect::<std::collections::BTreeSet<_>>().len();
    let size = due.len() as f64 / clusters as f64;
    let seen: Vec<(&str, f64)> = like
        .into_iter()
        .flatten()
        .filter(|v| in_slice(v, slice))
        .filter_map(|v| Some((cluster(v), value(v, measure)?)))
        .collect();
    let independent = size <= 1.0;
    let measured = intraclass_correlation(seen.iter().copied()).ok().flatten();
    let (rate, assumed) = match seen.len() {
        0 => (ASSUMED_RATE, true),
        n => (seen.iter().map(|s| s.1).sum::<f64>() / n as f64, false),
    };
    let correlation = if independent { 0.0 } else { measured.unwrap_or(ASSUMED_CORRELATION) };
    let design = Design { clusters, size, correlation };
    // Where a rate is 0 or 1 in one run, it need not be in the next.
    let cautious = rate.clamp(0.05, 0.95);
    let clusters_needed = design.clusters_for_width(cautious, precision);
    Some(Row {
        slice: slice_name(slice).into(),
        measure: measure.into(),
        questions: due.len(),
        clusters,
        rate,
        correlation,
        assumed,
        half_width: design.half_width(cautious),
        detectable: design.detectable(2.0 * cautious * (1.0 - cautious)),
        clusters_needed,
        questions_needed: clusters_needed.map(|c| (c as f64 * size).ceil() as usize),
    })
}

fn cluster(v: &Verdict) -> &str {
    v.topic.as_deref().unwrap_or(&v.item.id)
}

fn blank(item: ItemId) -> Answer {
    Answer {
        key: String::new(),
        item,
        prompt: String::new(),
        prompt_ids: Vec::new(),
        reasoning: String::new(),
        text: String::new(),
        finish: Finish::Stop,
        new_tokens: 0,
        logprob: None,
    }
}
