//! The paired comparison of two runs.

use std::collections::{BTreeMap, BTreeSet};

use freehold_charter::{Charter, Slice, Split};
use freehold_judge::run::{ItemId, ItemKind, Verdict};
use freehold_stats::{
    Calibration, Estimate, Pair, StatsError, clustered_mean, corrected_difference, effective_size, holm,
    mcnemar_exact, paired_difference, rogan_gladen, wilson,
};
use serde::{Deserialize, Serialize};

use crate::error::CompareError;
use crate::value::{Kind, Measure, SLICES, in_slice, is_probe, measures, of_probes, slice_name};

/// Wherever a test has to draw, it draws the same for the same data.
const SEED: u64 = 0x0F2E_E401;
/// `lang` and `about` of a row that is over all of them.
pub const ALL: &str = "all";

/// The judge's error on labelled answers, by measure, separately for the answers of each run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeError {
    pub before: BTreeMap<String, Calibration>,
    pub after: BTreeMap<String, Calibration>,
}

/// One measure over one set of paired answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub measure: String,
    pub slice: Slice,
    /// A language tag, or `all`.
    pub lang: String,
    /// A country code, or `all`.
    pub about: String,
    pub before: Estimate,
    pub after: Estimate,
    /// after − before, over pairs.
    pub diff: Estimate,
    /// Sign-flip test over clusters, two-sided.
    pub p_sign_flip: Option<f64>,
    /// McNemar's exact test over pairs; labels only.
    pub p_mcnemar: Option<f64>,
    /// `p_sign_flip` adjusted by Holm over the single measures of the slice, where `lang` and `about` are `all`; the other
    /// rows explore, and have none.
    pub p_holm: Option<f64>,
    pub n_pairs: usize,
    /// Pairs in which only one run has a value of this measure; they are not among `n_pairs`.
    pub one_sided: usize,
    /// With the judge's own error carried in, where it is known (`lang` and `about` `all`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Corrected>,
}

/// Rates corrected for the judge's error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    pub before: Estimate,
    pub after: Estimate,
    pub diff: Estimate,
}

/// What the judge said of one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Names of the labels that hold, in the order of the measures.
    pub labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaning: Option<f64>,
}

/// One item in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairRow {
    #[serde(flatten)]
    pub item: ItemId,
    pub kind: ItemKind,
    pub split: Split,
    pub topic: Option<String>,
    pub about: Vec<String>,
    pub trained_topic: bool,
    pub before: Labels,
    pub after: Labels,
}

/// Items that only one run has. They enter no figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unpaired {
    pub before_only: Vec<ItemId>,
    pub after_only: Vec<ItemId>,
}

impl Unpaired {
    pub fn count(&self) -> usize {
        self.before_only.len() + self.after_only.len()
    }
}

/// Everything that was found when two runs were compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub deltas: Vec<Delta>,
    /// Test probes about topic (row) whose nearest topic is (column, `none` where there is none).
    pub confusion_before: BTreeMap<String, BTreeMap<String, usize>>,
    pub confusion_after: BTreeMap<String, BTreeMap<String, usize>>,
    pub pairs: Vec<PairRow>,
    pub unpaired: Unpaired,
    /// What a reader should know: figures that could not be corrected, and why.
    pub notes: Vec<String>,
}

impl Comparison {
    /// The row of a measure over a slice, all languages and governments together.
    pub fn overall(&self, measure: &str, slice: Slice) -> Option<&Delta> {
        self.deltas
            .iter()
            .find(|d| d.measure == measure && d.slice == slice && d.lang == ALL && d.about == ALL)
    }
}

type Both<'a> = (&'a Verdict, &'a Verdict);

/// Compares two runs, pairing by item and language.
///
/// Probes are clustered by topic, controls by their id. Rates over independent answers get Wilson's interval, others the
/// clustered one. `extra` holds figures that compare the two models directly and are 0 between a model and itself, such
/// as `kl` (nats per token, over whole replies to harmless test controls): each becomes a row of slice `harmless` that
/// is 0 before. Only pairs enter the figures; what is left out is in `unpaired` and `one_sided`.
pub fn compare(
    before: &[Verdict],
    after: &[Verdict],
    charter: &Charter,
    extra: &BTreeMap<String, Estimate>,
    judge_error: Option<&JudgeError>,
) -> Result<Comparison, CompareError> {
    let (pairs, unpaired) = pair(before, after)?;
    let mut notes = Vec::new();
    let mut deltas = Vec::new();
    let measures = measures(charter);
    for slice in SLICES {
        let members: Vec<Both> = pairs.iter().copied().filter(|(b, _)| in_slice(b, slice)).collect();
        let langs: BTreeSet<&str> = members.iter().map(|(b, _)| b.item.lang.as_str()).collect();
        let mut countries = BTreeSet::new();
        if of_probes(slice) {
            countries.extend(members.iter().flat_map(|(b, _)| b.about.iter().map(String::as_str)));
        }
        for about in std::iter::once(ALL).chain(countries) {
            for lang in std::iter::once(ALL).chain(langs.iter().copied()) {
                let rows: Vec<Both> = members
                    .iter()
                    .copied()
                    .filter(|(b, _)| lang == ALL || b.item.lang == lang)
                    .filter(|(b, _)| about == ALL || b.about.iter().any(|a| a == about))
                    .collect();
                for measure in &measures {
                    let found =
                        delta(measure, slice, lang, about, &rows).map_err(|source| CompareError::Stats {
                            measure: measure.name.clone(),
                            slice: slice_name(slice),
                            source,
                        })?;
                    let Some(mut found) = found else { continue };
                    if let (ALL, ALL, Some(error)) = (lang, about, judge_error) {
                        correct(&mut found, measure, &rows, error, &mut notes);
                    }
                    deltas.push(found);
                }
            }
        }
    }
    deltas.extend(extra.iter().map(|(measure, estimate)| extra_row(measure, estimate)));
    adjust(&mut deltas);
    Ok(Comparison {
        deltas,
        confusion_before: confusion(pairs.iter().map(|p| p.0)),
        confusion_after: confusion(pairs.iter().map(|p| p.1)),
        pairs: pairs.iter().map(|&(b, a)| pair_row(b, a)).collect(),
        unpaired,
        notes,
    })
}

fn pair<'a>(before: &'a [Verdict], after: &'a [Verdict]) -> Result<(Vec<Both<'a>>, Unpaired), CompareError> {
    let before = by_item(before, "before")?;
    let mut after = by_item(after, "after")?;
    let mut pairs = Vec::new();
    let mut unpaired = Unpaired::default();
    for (item, b) in before {
        match after.remove(item) {
            Some(a) => {
                same_item(b, a)?;
                pairs.push((b, a));
            }
            None => unpaired.before_only.push(item.clone()),
        }
    }
    unpaired.after_only = after.into_keys().cloned().collect();
    Ok((pairs, unpaired))
}

fn by_item<'a>(
    verdicts: &'a [Verdict],
    run: &'static str,
) -> Result<BTreeMap<&'a ItemId, &'a Verdict>, CompareError> {
    let mut map = BTreeMap::new();
    for v in verdicts {
        if map.insert(&v.item, v).is_some() {
            return Err(CompareError::Duplicate { run, id: v.item.id.clone(), lang: v.item.lang.clone() });
        }
    }
    Ok(map)
}

/// A pair is one question: what does not depend on the reply must be the same.
fn same_item(b: &Verdict, a: &Verdict) -> Result<(), CompareError> {
    let checks = [
        ("kind", b.item_kind == a.item_kind),
        ("split", b.split == a.split),
        ("topic", b.topic == a.topic),
        ("about", b.about == a.about),
        ("trained_topic", b.trained_topic == a.trained_topic),
    ];
    match checks.iter().find(|c| !c.1) {
        Some(&(field, _)) => {
            Err(CompareError::Changed { id: b.item.id.clone(), lang: b.item.lang.clone(), field })
        }
        None => Ok(()),
    }
}

/// Topic of a probe; a control stands alone.
fn cluster(v: &Verdict) -> &str {
    v.topic.as_deref().unwrap_or(&v.item.id)
}

fn measured<'a>(measure: &Measure, rows: &[Both<'a>]) -> (Vec<Pair<&'a str>>, usize) {
    let mut pairs = Vec::new();
    let mut one_sided = 0;
    for (b, a) in rows {
        match (measure.value(b), measure.value(a)) {
            (Some(before), Some(after)) => pairs.push(Pair { cluster: cluster(b), before, after }),
            (None, None) => {}
            _ => one_sided += 1,
        }
    }
    (pairs, one_sided)
}

fn delta(
    measure: &Measure,
    slice: Slice,
    lang: &str,
    about: &str,
    rows: &[Both],
) -> Result<Option<Delta>, StatsError> {
    let (pairs, one_sided) = measured(measure, rows);
    if pairs.is_empty() {
        return Ok(None);
    }
    let paired = paired_difference(&pairs, measure.kind.bounds(), SEED)?;
    let changed = |from: f64, to: f64| pairs.iter().filter(|p| p.before == from && p.after == to).count();
    let p_mcnemar =
        (measure.kind == Kind::Label).then(|| mcnemar_exact(changed(1.0, 0.0), changed(0.0, 1.0)));
    Ok(Some(Delta {
        measure: measure.name.clone(),
        slice,
        lang: lang.to_owned(),
        about: about.to_owned(),
        before: rate(measure.kind, pairs.iter().map(|p| (p.cluster, p.before)).collect())?,
        after: rate(measure.kind, pairs.iter().map(|p| (p.cluster, p.after)).collect())?,
        diff: paired.estimate,
        p_sign_flip: Some(paired.sign_flip.p),
        p_mcnemar,
        p_holm: None,
        n_pairs: pairs.len(),
        one_sided,
        corrected: None,
    }))
}

fn rate(kind: Kind, values: Vec<(&str, f64)>) -> Result<Estimate, StatsError> {
    let clusters: BTreeSet<&str> = values.iter().map(|v| v.0).collect();
    if kind == Kind::Label && clusters.len() == values.len() {
        return wilson(values.iter().filter(|v| v.1 == 1.0).count(), values.len());
    }
    clustered_mean(values, kind.bounds())
}

/// Fills `corrected`, where both runs have a calibration of the measure; a note says why it could not be done.
fn correct(delta: &mut Delta, measure: &Measure, rows: &[Both], error: &JudgeError, notes: &mut Vec<String>) {
    let (Some(before), Some(after)) = (error.before.get(&measure.name), error.after.get(&measure.name))
    else {
        return;
    };
    if measure.kind != Kind::Label {
        return;
    }
    let (pairs, _) = measured(measure, rows);
    let one = |estimate: &Estimate, values: Vec<(&str, f64)>, calibration| {
        rogan_gladen(estimate, effective_size(values)?, calibration)
    };
    let corrected = || -> Result<Corrected, StatsError> {
        Ok(Corrected {
            before: one(&delta.before, pairs.iter().map(|p| (p.cluster, p.before)).collect(), before)?,
            after: one(&delta.after, pairs.iter().map(|p| (p.cluster, p.after)).collect(), after)?,
            diff: corrected_difference(&pairs, before, after)?,
        })
    };
    match corrected() {
        Ok(c) => delta.corrected = Some(c),
        Err(e) => notes.push(format!(
            "{} in slice {} is not corrected for the judge's error: {e}",
            measure.name,
            slice_name(delta.slice)
        )),
    }
}

fn extra_row(measure: &str, estimate: &Estimate) -> Delta {
    let zero = Estimate { value: 0.0, low: 0.0, high: 0.0, ..estimate.clone() };
    Delta {
        measure: measure.to_owned(),
        slice: Slice::Harmless,
        lang: ALL.to_owned(),
        about: ALL.to_owned(),
        before: zero,
        after: estimate.clone(),
        diff: estimate.clone(),
        p_sign_flip: None,
        p_mcnemar: None,
        p_holm: None,
        n_pairs: estimate.n,
        one_sided: 0,
        corrected: None,
    }
}

/// Holm over each slice's single measures, all languages and governments together.
fn adjust(deltas: &mut [Delta]) {
    for slice in SLICES {
        let family: Vec<(usize, f64)> = deltas
            .iter()
            .enumerate()
            .filter(|(_, d)| d.slice == slice && d.lang == ALL && d.about == ALL && !d.measure.contains('+'))
            .filter_map(|(i, d)| Some((i, d.p_sign_flip?)))
            .collect();
        let adjusted = holm(&family.iter().map(|f| f.1).collect::<Vec<_>>());
        for ((i, _), p) in family.into_iter().zip(adjusted) {
            deltas[i].p_holm = Some(p);
        }
    }
}

fn confusion<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut table: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for v in verdicts.filter(|v| is_probe(v) && v.split == Split::Test) {
        let Some(topic) = &v.topic else { continue };
        let nearest = v.nearest_topic.as_deref().unwrap_or("none");
        *table.entry(topic.clone()).or_default().entry(nearest.to_owned()).or_default() += 1;
    }
    table
}

fn pair_row(b: &Verdict, a: &Verdict) -> PairRow {
    PairRow {
        item: b.item.clone(),
        kind: b.item_kind,
        split: b.split,
        topic: b.topic.clone(),
        about: b.about.clone(),
        trained_topic: b.trained_topic,
        before: labels(b),
        after: labels(a),
    }
}

fn labels(v: &Verdict) -> Labels {
    let names = crate::value::labels_of(v).map(str::to_owned).collect();
    Labels { labels: names, coverage: v.coverage, correct: v.correct, leaning: v.leaning }
}

impl Delta {
    /// Before, after and difference as a gate judges them: corrected for the judge's error where that is known.
    pub fn judged(&self) -> (&Estimate, &Estimate, &Estimate) {
        match &self.corrected {
            Some(c) => (&c.before, &c.after, &c.diff),
            None => (&self.before, &self.after, &self.diff),
        }
    }
}
