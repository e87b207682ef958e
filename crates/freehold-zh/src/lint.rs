//! What a Taiwanese editor would change: Simplified characters and mainland words, each with Taiwan's counterpart.

use crate::chars::traditional_after;
use crate::words;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// A character used in Simplified Chinese only.
    Simplified,
    /// A word of the mainland where Taiwan has another.
    Mainland,
}

/// One thing to change. Offsets are bytes, on character boundaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub start: usize,
    pub end: usize,
    /// As it stands in the text.
    pub word: String,
    pub suggestion: String,
    pub kind: FindingKind,
}

/// Every finding in `text`, code included (a comment is to be read, too), in order of position and not overlapping.
/// A mainland word in Simplified characters is one finding, of the word.
pub fn lint(text: &str) -> Vec<Finding> {
    let hits = words::hits(text);
    let mut out: Vec<Finding> = hits
        .iter()
        .map(|h| Finding {
            start: h.start,
            end: h.end,
            word: text[h.start..h.end].to_owned(),
            suggestion: h.word.taiwan.clone(),
            kind: FindingKind::Mainland,
        })
        .collect();
    let mut hits = hits.iter().peekable();
    let mut previous = None;
    for (start, c) in text.char_indices() {
        while hits.next_if(|h| h.end <= start).is_some() {}
        let inside = hits.peek().is_some_and(|h| h.start <= start);
        if let (false, Some(t)) = (inside, traditional_after(previous, c)) {
            out.push(Finding {
                start,
                end: start + c.len_utf8(),
                word: c.to_string(),
                suggestion: t.to_string(),
                kind: FindingKind::Simplified,
            });
        }
        previous = Some(c);
    }
    out.sort_by_key(|f| f.start);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_words() {
        let text = "这個软件很好用，什么視頻都能看";
        let found = lint(text);
        let short: Vec<_> = found.iter().map(|f| (f.word.as_str(), f.suggestion.as_str(), f.kind)).collect();
        assert_eq!(
            short,
            [
                ("这", "這", FindingKind::Simplified),
                ("软件", "軟體", FindingKind::Mainland),
                ("么", "麼", FindingKind::Simplified),
                ("視頻", "影片", FindingKind::Mainland),
            ]
        );
        for f in &found {
            assert_eq!(&text[f.start..f.end], f.word);
        }
        assert!(lint("這套軟體很好用，什麼影片都能看。").is_empty());
    }
}
