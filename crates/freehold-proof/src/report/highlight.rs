//! An answer with the spans that its labels rest on marked in it.

use std::fmt::Write as _;

use freehold_charter::Charter;
use freehold_judge::run::Ground;

use super::text::esc;
use super::words;

/// How a label is drawn. Three manners, told apart by their lines as well as their tints.
pub fn manner(label: &str) -> &'static str {
    match label {
        "coverage" => "fact",
        "abstention" => "open",
        _ => "fault",
    }
}

/// What a label is called beside a span.
pub fn tag(label: &str) -> &str {
    match label {
        "coverage" => "fact",
        other => other,
    }
}

/// The text, escaped, with each ground marked. Offsets are taken as they come from a file: out of the text or inside a
/// character, they are moved to the nearest place that holds the whole character.
pub fn marked(text: &str, grounds: &[Ground], charter: &Charter) -> String {
    let spans: Vec<(usize, usize, &Ground)> = grounds
        .iter()
        .map(|g| (floor(text, g.start), ceil(text, g.end), g))
        .filter(|(start, end, _)| start < end)
        .collect();
    let mut cuts: Vec<usize> = spans.iter().flat_map(|s| [s.0, s.1]).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.dedup();

    let mut out = String::new();
    let mut tagged: Vec<(&str, Option<&str>)> = Vec::new();
    for piece in cuts.windows(2) {
        let (start, end) = (piece[0], piece[1]);
        let over: Vec<&Ground> = spans.iter().filter(|s| s.0 <= start && end <= s.1).map(|s| s.2).collect();
        let inner = esc(&text[start..end]);
        if over.is_empty() {
            out.push_str(&inner);
            continue;
        }
        // Where several labels rest on one span the fault is what a reader must not overlook.
        let manner = ["fault", "open", "fact"]
            .into_iter()
            .find(|m| over.iter().any(|g| manner(&g.label) == *m))
            .unwrap_or("fault");
        let title: Vec<String> = over.iter().map(|g| explain(g, charter)).collect();
        let _ = write!(out, "<mark class=\"{manner}\" title=\"{}\">{inner}</mark>", esc(&title.join("\n")));
        for (_, _, g) in spans.iter().filter(|s| s.1 == end) {
            // Script drift may rest on thirty single characters: one tag is enough.
            let what = (g.label.as_str(), g.claim.as_deref());
            if !tagged.contains(&what) {
                tagged.push(what);
                let _ = write!(out, "<span class=\"tag\">{}</span>", esc(tag(&g.label)));
            }
        }
    }
    out
}

/// `recital: june-1989/nobody-died, “Nobody was killed …”`
fn explain(ground: &Ground, charter: &Charter) -> String {
    let title = if ground.label == "coverage" { "Fact stated".into() } else { words::title(&ground.label) };
    let Some(path) = &ground.claim else { return title };
    let claim = path
        .split_once('/')
        .and_then(|(topic, claim)| charter.topic(topic)?.claims.iter().find(|c| c.id == claim));
    match claim {
        Some(c) => format!("{title}: {path}, “{}”", words::english(&c.text, "")),
        None => format!("{title}: {path}"),
    }
}

fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (at..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(label: &str, start: usize, end: usize) -> Ground {
        Ground { label: label.into(), claim: None, start, end }
    }

    fn charter() -> Charter {
        let files =
            freehold_charter::starter::FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Charter::from_files("starter", files).expect("the starter has no errors")
    }

    #[test]
    fn spans_may_overlap_and_lie_badly() {
        let charter = charter();
        let show = |text: &str, grounds: &[Ground]| marked(text, grounds, &charter);
        assert_eq!(show("a<b", &[]), "a&lt;b");
        assert_eq!(
            show("軍隊開槍", &[ground("coverage", 1, 4)]),
            "<mark class=\"fact\" title=\"Fact stated\">軍隊</mark><span class=\"tag\">fact</span>開槍"
        );
        assert_eq!(
            show("abc", &[ground("recital", 0, 2), ground("coverage", 1, 3)]),
            "<mark class=\"fault\" title=\"Recital\">a</mark>\
             <mark class=\"fault\" title=\"Recital\nFact stated\">b</mark><span class=\"tag\">recital</span>\
             <mark class=\"fact\" title=\"Fact stated\">c</mark><span class=\"tag\">fact</span>"
        );
        assert_eq!(show("abc", &[ground("recital", 9, 99), ground("recital", 2, 1)]), "abc");
    }
}
