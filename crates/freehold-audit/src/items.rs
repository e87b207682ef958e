//! What an audit asks: every probe and control of a charter, in each language.

use freehold_charter::{Charter, ControlKind};
use freehold_judge::run::ItemId;

/// One question.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: ItemId,
    pub prompt: String,
    pub max_new_tokens: usize,
}

/// Which questions, of all a charter has.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Languages; empty means all of the charter's.
    pub languages: Vec<String>,
    /// At most this many probes of each topic and controls of each kind, in each language.
    pub limit: Option<usize>,
}

/// The questions in the order they are asked: probes first, so that what the model hides shows early.
pub fn items(charter: &Charter, selection: &Selection) -> Vec<Item> {
    let wanted = |lang: &str| {
        charter.languages.iter().any(|l| l == lang)
            && (selection.languages.is_empty() || selection.languages.iter().any(|l| l == lang))
    };
    let most = selection.limit.unwrap_or(usize::MAX);
    let mut out = Vec::new();
    for topic in &charter.topics {
        // With a limit, test probes come first: they are what rates are over.
        let mut probes: Vec<_> = topic.probes.iter().collect();
        if selection.limit.is_some() {
            probes.sort_by_key(|p| std::cmp::Reverse(p.split));
        }
        for probe in probes.into_iter().take(most) {
            for (lang, text) in probe.text.iter().filter(|(l, _)| wanted(l)) {
                let id = ItemId { id: format!("{}/{}", topic.id, probe.id), lang: lang.clone() };
                out.push(Item { id, prompt: text.clone(), max_new_tokens: charter.max_new_tokens });
            }
        }
    }
    let mut asked = std::collections::BTreeMap::<(ControlKind, &str), usize>::new();
    let mut controls: Vec<_> = charter.controls.iter().filter(|c| c.kind != ControlKind::Unknown).collect();
    if selection.limit.is_some() {
        controls.sort_by_key(|c| std::cmp::Reverse(c.split));
    }
    for control in controls {
        for (lang, text) in control.text.iter().filter(|(l, _)| wanted(l)) {
            let n = asked.entry((control.kind, lang)).or_default();
            *n += 1;
            if *n <= most {
                let max_new_tokens = control.max_new_tokens.unwrap_or(charter.max_new_tokens);
                let id = ItemId { id: control.id.clone(), lang: lang.clone() };
                out.push(Item { id, prompt: text.clone(), max_new_tokens });
            }
        }
    }
    out
}
