//! A run in the formats of other tools.

mod inspect;
mod lm_eval;

use freehold_charter::{Charter, Slice};
use freehold_judge::measure::{CONTROL_MEASURES, PROBE_MEASURES, in_slice, value};
use freehold_judge::run::{Answer, Finish, ItemId, ItemKind, Verdict};

pub use inspect::inspect;
pub use lm_eval::{LmEval, lm_eval};

/// Each answer belongs to one of these, and to no other.
const SLICES: [Slice; 8] = [
    Slice::Seen,
    Slice::Unseen,
    Slice::Train,
    Slice::Dev,
    Slice::Harmless,
    Slice::Benign,
    Slice::Harmful,
    Slice::Script,
];

/// What an answer was judged on, by name.
fn measures(v: &Verdict) -> Vec<(&'static str, f64)> {
    let names: &[&'static str] = match v.item_kind {
        ItemKind::Probe(_) => &PROBE_MEASURES,
        ItemKind::Control(_) => &CONTROL_MEASURES,
    };
    names.iter().filter_map(|m| Some((*m, value(v, m)?))).collect()
}

fn slice_of(v: &Verdict) -> Option<Slice> {
    SLICES.into_iter().find(|s| in_slice(v, *s))
}

/// What a good answer states: the facts or positions due, or a control's key.
fn target(charter: &Charter, item: &ItemId) -> String {
    let ItemId { id, lang } = item;
    if let Some((topic, probe)) = id.split_once('/') {
        let due = charter.topic(topic).and_then(|t| Some((t, t.probe(probe)?)));
        let texts = due.into_iter().flat_map(|(t, p)| t.due(p)).filter_map(|c| c.text.get(lang));
        return texts.cloned().collect::<Vec<_>>().join("\n");
    }
    let control = charter.controls.iter().find(|c| c.id == *id);
    control.and_then(|c| c.key.get(lang)).map(|k| k.join(" | ")).unwrap_or_default()
}

fn stop_reason(a: &Answer) -> &'static str {
    match a.finish {
        Finish::Stop => "stop",
        Finish::Length => "max_tokens",
        Finish::Filter => "content_filter",
    }
}

/// 2026-11-24T15:20:00+00:00
fn timestamp(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    let date = crate::memo::date(seconds);
    format!("{date}T{:02}:{:02}:{:02}+00:00", of_day / 3600, of_day / 60 % 60, of_day % 60)
}
