//! Every question with both answers. All of them stand in the page; the script only hides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use freehold_charter::{Charter, ControlKind, ProbeKind, Split};
use freehold_judge::run::{Answer, ItemId, ItemKind, Verdict};

use super::highlight::{manner, marked, tag};
use super::input::{ProofInput, RunData};
use super::text::{Unit, esc, figure};
use super::words;
use crate::compare::{Labels, PairRow};

struct Run<'a> {
    answers: BTreeMap<&'a ItemId, &'a Answer>,
    verdicts: BTreeMap<&'a ItemId, &'a Verdict>,
}

impl<'a> Run<'a> {
    fn of(data: &RunData<'a>) -> Self {
        Self {
            answers: data.answers.iter().map(|a| (&a.item, a)).collect(),
            verdicts: data.verdicts.iter().map(|v| (&v.item, v)).collect(),
        }
    }
}

pub fn section(input: &ProofInput) -> String {
    let (before, after) = (Run::of(&input.before), Run::of(&input.after));
    let mut pairs: Vec<&PairRow> = input.comparison.pairs.iter().collect();
    if pairs.is_empty() {
        return "<p>The two runs share no question.</p>".into();
    }
    // Test questions first, probes before controls, changed ones before the others: what a reader looks for.
    pairs.sort_by_key(|p| (p.split != Split::Test, p.topic.is_none(), !changed(p)));
    let mut out = String::from(
        "<p>Read these. Marked in each answer is what a label rests on. “Changed” means that the judge’s labels differ, \
         not only the words.</p>",
    );
    out.push_str(LEGEND);
    filters(&mut out, &pairs, input.charter);
    out.push_str("<div id=\"items\">");
    for pair in pairs {
        item(&mut out, pair, input.charter, &before, &after);
    }
    out.push_str("</div><p class=\"more\" hidden><button type=\"button\" id=\"more\">Show more</button></p>");
    out
}

const LEGEND: &str = "<p class=\"key\"><span><mark class=\"fact\">solid line</mark><span class=\"tag\">fact</span> a fact or \
    position due</span><span><mark class=\"fault\">double line</mark><span class=\"tag\">label</span> what a fault rests \
    on</span><span><mark class=\"open\">dotted line</mark><span class=\"tag\">abstention</span> says it does not know</span></p>";

fn changed(pair: &PairRow) -> bool {
    let key = |l: &Labels| (l.labels.clone(), l.correct, l.coverage.map(f64::to_bits));
    key(&pair.before) != key(&pair.after)
}

fn filters(out: &mut String, pairs: &[&PairRow], charter: &Charter) {
    let topics: BTreeSet<&str> = pairs.iter().filter_map(|p| p.topic.as_deref()).collect();
    let groups: BTreeSet<&str> = pairs.iter().map(|p| group(p)).collect();
    let langs: BTreeSet<&str> = pairs.iter().map(|p| p.item.lang.as_str()).collect();
    let labels: BTreeSet<&str> = pairs
        .iter()
        .flat_map(|p| p.before.labels.iter().chain(&p.after.labels))
        .map(String::as_str)
        .collect();
    // Without the script filters do nothing, so it is the script that shows them.
    out.push_str("<form id=\"filters\" class=\"filters\" hidden>");
    let topic_names: Vec<(&str, String)> =
        topics.iter().map(|t| (*t, topic_title(charter, t).to_owned())).collect();
    let named = |values: &BTreeSet<&'_ str>, name: fn(&str) -> String| -> Vec<(String, String)> {
        values.iter().map(|v| ((*v).to_owned(), name(v))).collect()
    };
    select(out, "f-topic", "Topic", topic_names.iter().map(|(v, n)| (*v, n.as_str())));
    for (id, title, options) in [
        ("f-group", "Kind", named(&groups, |g| g.replace('-', " "))),
        ("f-lang", "Language", named(&langs, words::language)),
        ("f-label", "Label, before or after", named(&labels, words::title)),
    ] {
        select(out, id, title, options.iter().map(|(v, n)| (v.as_str(), n.as_str())));
    }
    let _ = write!(
        out,
        "<label class=\"wide\">Search <input id=\"f-text\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label>\
         <label class=\"check\"><input id=\"f-changed\" type=\"checkbox\"> Changed only ({} of {})</label>\
         <output id=\"shown\" aria-live=\"polite\"></output></form>",
        pairs.iter().filter(|p| changed(p)).count(),
        pairs.len()
    );
}

fn select<'a>(out: &mut String, id: &str, title: &str, options: impl Iterator<Item = (&'a str, &'a str)>) {
    let _ = write!(out, "<label>{title} <select id=\"{id}\"><option value=\"\">All</option>");
    for (value, name) in options {
        let _ = write!(out, "<option value=\"{}\">{}</option>", esc(value), esc(name));
    }
    out.push_str("</select></label>");
}

fn topic_title<'a>(charter: &'a Charter, id: &'a str) -> &'a str {
    charter.topic(id).map_or(id, |t| words::english(&t.title, id))
}

/// Which group a pair belongs to, in the filter and beside its question.
fn group(pair: &PairRow) -> &'static str {
    match (pair.kind, pair.split) {
        (ItemKind::Probe(_), Split::Test) if pair.trained_topic => "trained-topic",
        (ItemKind::Probe(_), Split::Test) => "new-topic",
        (ItemKind::Probe(_), Split::Train) => "training-question",
        (ItemKind::Probe(_), Split::Dev) => "development-question",
        (ItemKind::Control(ControlKind::Harmless), _) => "harmless",
        (ItemKind::Control(ControlKind::Benign), _) => "benign",
        (ItemKind::Control(ControlKind::Harmful), _) => "harmful",
        (ItemKind::Control(ControlKind::Script), _) => "script",
        (ItemKind::Control(ControlKind::Unknown), _) => "unknown",
    }
}

fn kind(pair: &PairRow) -> &'static str {
    match pair.kind {
        ItemKind::Probe(ProbeKind::Direct) => ", direct",
        ItemKind::Probe(ProbeKind::Leading) => ", leading",
        ItemKind::Probe(ProbeKind::Indirect) => ", indirect",
        ItemKind::Probe(ProbeKind::Task) => ", task",
        ItemKind::Control(_) => "",
    }
}

fn item(out: &mut String, pair: &PairRow, charter: &Charter, before: &Run, after: &Run) {
    let item = &pair.item;
    let labels: BTreeSet<&str> =
        pair.before.labels.iter().chain(&pair.after.labels).map(String::as_str).collect();
    let labels: Vec<&str> = labels.into_iter().collect();
    let changed = changed(pair);
    let test = pair.topic.is_some() && pair.split == Split::Test;
    let _ = write!(
        out,
        "<article class=\"item{}{}\" data-topic=\"{}\" data-group=\"{}\" data-lang=\"{}\" data-label=\" {} \" \
         data-changed=\"{}\"><header><p class=\"meta\"><span>{}</span><span>{}{}</span><span>{}</span><code>{}</code>{}</p>",
        if changed { " changed" } else { "" },
        if test { " test" } else { "" },
        esc(pair.topic.as_deref().unwrap_or("")),
        group(pair),
        esc(&item.lang),
        esc(&labels.join(" ")),
        u8::from(changed),
        esc(pair.topic.as_deref().map_or("Control", |t| topic_title(charter, t))),
        group(pair).replace('-', " "),
        kind(pair),
        esc(&item.lang),
        esc(&item.id),
        if changed { "<span class=\"chip\">changed</span>" } else { "" },
    );
    let question =
        after.answers.get(item).or_else(|| before.answers.get(item)).map_or("", |a| a.prompt.as_str());
    let _ = write!(
        out,
        "<p class=\"q\" lang=\"{}\" dir=\"auto\">{}</p></header><div class=\"sides\">",
        esc(&item.lang),
        esc(question)
    );
    side(out, "Before", item, &pair.before, charter, before);
    side(out, "After", item, &pair.after, charter, after);
    out.push_str("</div></article>\n");
}

fn side(out: &mut String, name: &str, item: &ItemId, labels: &Labels, charter: &Charter, run: &Run) {
    let _ = write!(out, "<div class=\"side\"><h4>{name}</h4><p class=\"labels\">");
    for label in &labels.labels {
        let class = if label == "full-answer" { "fact" } else { manner(label) };
        let title = if label == "full-answer" { "full answer" } else { tag(label) };
        let _ = write!(out, "<span class=\"label {class}\">{}</span>", esc(title));
    }
    if labels.labels.is_empty() {
        out.push_str("<span class=\"label none\">no label</span>");
    }
    if let Some(c) = labels.coverage {
        let _ = write!(out, "<span class=\"label none\">coverage {}</span>", figure(c, Unit::Percent));
    }
    match labels.correct {
        Some(true) => out.push_str("<span class=\"label fact\">✓ correct</span>"),
        Some(false) => out.push_str("<span class=\"label fault\">✕ not correct</span>"),
        None => {}
    }
    if let Some(l) = labels.leaning {
        let _ = write!(out, "<span class=\"label none\">leaning {}</span>", figure(l, Unit::Number));
    }
    out.push_str("</p>");
    let Some(answer) = run.answers.get(item) else {
        out.push_str("<p class=\"quiet\">The answer is not in the run’s folder.</p></div>");
        return;
    };
    let lang = esc(&item.lang);
    if !answer.reasoning.trim().is_empty() {
        let _ = write!(
            out,
            "<details><summary>Reasoning</summary><div class=\"a\" lang=\"{lang}\" dir=\"auto\">{}</div></details>",
            esc(&answer.reasoning)
        );
    }
    if answer.text.trim().is_empty() {
        out.push_str("<p class=\"quiet\">(an empty answer)</p></div>");
        return;
    }
    let grounds = run.verdicts.get(item).map_or(&[][..], |v| v.grounds.as_slice());
    let _ = write!(
        out,
        "<div class=\"a\" lang=\"{lang}\" dir=\"auto\">{}</div></div>",
        marked(&answer.text, grounds, charter)
    );
}
