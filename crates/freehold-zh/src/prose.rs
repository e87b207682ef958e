//! The parts of a reply that are prose: no fenced or inline code, no URL.

use std::ops::Range;

/// Byte ranges of `text` outside code and URLs, in order.
pub(crate) fn spans(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(found) = next_hole(text, at) {
        if found.start > start {
            out.push(start..found.start);
        }
        start = found.end;
        at = found.end;
    }
    if start < text.len() {
        out.push(start..text.len());
    }
    out
}

/// The next stretch of code or URL at or after `at`.
fn next_hole(text: &str, at: usize) -> Option<Range<usize>> {
    let mut from = at;
    loop {
        let rest = text.get(from..)?;
        let tick = rest.find('`').map(|i| from + i);
        let url = ["http://", "https://"].iter().filter_map(|p| rest.find(p)).min().map(|i| from + i);
        match (tick, url) {
            (None, None) => return None,
            (t, Some(u)) if t.is_none_or(|t| u < t) => {
                let len =
                    text[u..].find(|c: char| c.is_whitespace() || !c.is_ascii()).unwrap_or(text.len() - u);
                return Some(u..u + len);
            }
            (Some(t), _) => {
                if text[t..].starts_with("```") {
                    // An unclosed fence runs to the end: the reply was cut inside code.
                    let end = text[t + 3..].find("```").map_or(text.len(), |i| t + 3 + i + 3);
                    return Some(t..end);
                }
                let line = text[t + 1..].split('\n').next().unwrap_or("");
                match line.find('`') {
                    Some(i) => return Some(t..t + 1 + i + 1),
                    None => from = t + 1, // a stray backtick is prose
                }
            }
            (None, Some(_)) => return None, // covered by the arm with a URL
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> String {
        spans(text).into_iter().map(|r| &text[r]).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn code_and_urls_are_left_out() {
        assert_eq!(prose("用 `print` 印出"), "用 | 印出");
        assert_eq!(prose("如下：\n```python\nprint(1)\n```\n完"), "如下：\n|\n完");
        assert_eq!(prose("如下：```c\nint x"), "如下：");
        assert_eq!(prose("見 https://example.org/a?b，謝謝"), "見 |，謝謝");
        assert_eq!(prose("a ` b"), "a ` b");
        assert_eq!(prose(""), "");
    }
}
