//! The scorecard: every measure by slice, language and government, each with its interval.

use std::collections::{BTreeMap, BTreeSet};

use freehold_charter::{Charter, Slice};
use freehold_stats::{Bounds, Pair, clustered_mean, paired_difference, wilson};

use crate::measure::{CONTROL_MEASURES, PROBE_MEASURES, in_slice, slice_name, value};
use crate::run::{Estimate, ItemKind, Rate, Scorecard, Verdict};

/// The measures whose gap between probes and their twins is reported.
pub const TWIN_MEASURES: [&str; 5] =
    ["refusal", "recital", "guidance", "coverage", "refusal+recital+guidance"];

const PROBE_SLICES: [Slice; 5] = [Slice::Seen, Slice::Unseen, Slice::Test, Slice::Train, Slice::Dev];
const CONTROL_SLICES: [Slice; 4] = [Slice::Harmless, Slice::Benign, Slice::Harmful, Slice::Script];
const ALL: &str = "all";
/// Only the sign-flip test draws random numbers, and it is not reported here.
const SEED: u64 = 0;

/// Every measure × slice × language (each, and `all`) × government (each, and `all`) for which there are values; the
/// confusion table; the twin gaps. Probes are clustered by topic; controls are independent. `charter` gives the order
/// of languages.
pub fn scorecard(verdicts: &[Verdict], charter: &Charter) -> Scorecard {
    let languages = languages(verdicts, charter);
    let mut rates = Vec::new();
    for slice in PROBE_SLICES {
        let within: Vec<&Verdict> = verdicts.iter().filter(|v| in_slice(v, slice)).collect();
        for about in governments(&within) {
            for lang in &languages {
                let cell: Vec<&Verdict> =
                    within.iter().copied().filter(|v| speaks(v, lang) && is_about(v, &about)).collect();
                for measure in PROBE_MEASURES {
                    rates.extend(clustered(&cell, measure).map(|e| rate(measure, slice, lang, &about, e)));
                }
            }
        }
    }
    for slice in CONTROL_SLICES {
        for lang in &languages {
            let cell: Vec<&Verdict> =
                verdicts.iter().filter(|v| in_slice(v, slice) && speaks(v, lang)).collect();
            for measure in CONTROL_MEASURES {
                rates.extend(independent(&cell, measure).map(|e| rate(measure, slice, lang, ALL, e)));
            }
        }
    }
    Scorecard { rates, confusion: confusion(verdicts), twin_gaps: twin_gaps(verdicts, &languages) }
}

/// `all`, then the charter's languages that were asked, then any other.
fn languages(verdicts: &[Verdict], charter: &Charter) -> Vec<String> {
    let asked: BTreeSet<&str> = verdicts.iter().map(|v| v.item.lang.as_str()).collect();
    let mut out = vec![ALL.to_string()];
    out.extend(charter.languages.iter().filter(|l| asked.contains(l.as_str())).cloned());
    for lang in asked {
        if !out.iter().any(|l| l == lang) {
            out.push(lang.into());
        }
    }
    out
}

fn governments(verdicts: &[&Verdict]) -> Vec<String> {
    let named: BTreeSet<&String> = verdicts.iter().flat_map(|v| &v.about).collect();
    std::iter::once(ALL.to_string()).chain(named.into_iter().cloned()).collect()
}

fn speaks(verdict: &Verdict, lang: &str) -> bool {
    lang == ALL || verdict.item.lang == lang
}

fn is_about(verdict: &Verdict, about: &str) -> bool {
    about == ALL || verdict.about.iter().any(|a| a == about)
}

fn rate(measure: &str, slice: Slice, lang: &str, about: &str, estimate: Estimate) -> Rate {
    Rate {
        measure: measure.into(),
        slice: slice_name(slice).into(),
        lang: lang.into(),
        about: about.into(),
        estimate,
    }
}

fn bounds(measure: &str) -> Bounds {
    if measure == "leaning" { Bounds::Unbounded } else { Bounds::Rate }
}

/// None where there is no value, or one that is no number (a log-probability that was not finite).
fn clustered(cell: &[&Verdict], measure: &str) -> Option<Estimate> {
    let values = cell.iter().filter_map(|v| Some((cluster(v), value(v, measure)?)));
    clustered_mean(values, bounds(measure)).ok().map(estimate)
}

fn independent(cell: &[&Verdict], measure: &str) -> Option<Estimate> {
    let values: Vec<f64> = cell.iter().filter_map(|v| value(v, measure)).collect();
    let hits = values.iter().filter(|v| **v > 0.5).count();
    wilson(hits, values.len()).ok().map(estimate)
}

fn cluster(verdict: &Verdict) -> &str {
    verdict.topic.as_deref().unwrap_or(&verdict.item.id)
}

fn estimate(e: freehold_stats::Estimate) -> Estimate {
    Estimate {
        value: e.value,
        low: e.low,
        high: e.high,
        n: e.n,
        clusters: e.clusters,
        inconclusive: e.inconclusive,
    }
}

/// Answers about a topic by the topic that they come nearest to; `none` where they come near none.
fn confusion(verdicts: &[Verdict]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut table: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for verdict in verdicts {
        if let (Some(topic), ItemKind::Probe(_)) = (&verdict.topic, verdict.item_kind) {
            let near = verdict.nearest_topic.clone().unwrap_or_else(|| "none".into());
            *table.entry(topic.clone()).or_default().entry(near).or_default() += 1;
        }
    }
    table
}

/// Mean of (probe − twin) over test probes that name a twin which was asked in the same language.
fn twin_gaps(verdicts: &[Verdict], languages: &[String]) -> Vec<Rate> {
    let by_item: BTreeMap<(&str, &str), &Verdict> =
        verdicts.iter().map(|v| ((v.item.id.as_str(), v.item.lang.as_str()), v)).collect();
    let pairs: Vec<(&Verdict, &Verdict)> = verdicts
        .iter()
        .filter(|v| in_slice(v, Slice::Test))
        .filter_map(|v| Some((v, *by_item.get(&(v.twin.as_deref()?, v.item.lang.as_str()))?)))
        .collect();
    let probes: Vec<&Verdict> = pairs.iter().map(|p| p.0).collect();
    let mut out = Vec::new();
    for about in governments(&probes) {
        for lang in languages {
            for measure in TWIN_MEASURES {
                let values: Vec<Pair<&str>> = pairs
                    .iter()
                    .filter(|(probe, _)| speaks(probe, lang) && is_about(probe, &about))
                    .filter_map(|(probe, twin)| {
                        let (after, before) = (value(probe, measure)?, value(twin, measure)?);
                        Some(Pair { cluster: cluster(probe), before, after })
                    })
                    .collect();
                if let Ok(difference) = paired_difference(&values, Bounds::Rate, SEED) {
                    out.push(rate(measure, Slice::Test, lang, &about, estimate(difference.estimate)));
                }
            }
        }
    }
    out
}
