//! Sentences of a normalised text: the window within which evidence must lie.

/// Words that end in a dot without ending a sentence (normal form is lower case).
const ABBREVIATIONS: [&str; 20] = [
    "mr", "mrs", "ms", "dr", "prof", "gen", "col", "lt", "sgt", "st", "no", "vs", "etc", "jr", "sr", "gov",
    "sen", "rep", "approx", "ca",
];

/// Byte spans of the sentences of `normalized` (see [`crate::evidence::normalize`]), white space around them left
/// out. A sentence ends at 。 ! ? or a line break; at a dot where it is not part of a number, an initial or a usual
/// abbreviation. A semicolon does not end it. Closing quotes and brackets belong to the sentence they close.
pub fn sentences(normalized: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = normalized.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let ends = match c {
            '。' | '｡' | '!' | '?' | '\n' | '\r' | '\u{2028}' | '\u{2029}' | '।' | '؟' => true,
            '.' => dot_ends(&normalized[start..at], &normalized[at + 1..]),
            _ => false,
        };
        if !ends {
            continue;
        }
        let mut end = at + c.len_utf8();
        while let Some(&(next, c)) = chars.peek() {
            let closes =
                matches!(c, '.' | '!' | '?' | '。' | '"' | '\'' | '”' | '’' | '」' | '』' | '》' | ')' | ']');
            if !closes {
                break;
            }
            end = next + c.len_utf8();
            chars.next();
        }
        push(&mut out, normalized, start, end);
        start = end;
    }
    push(&mut out, normalized, start, normalized.len());
    out
}

fn push(out: &mut Vec<(usize, usize)>, text: &str, start: usize, end: usize) {
    let sentence = &text[start..end];
    let trimmed = sentence.trim_start();
    let start = start + (sentence.len() - trimmed.len());
    let end = start + trimmed.trim_end().len();
    // A lone full stop or quote is no sentence, and would use up the window.
    if text[start..end].chars().any(char::is_alphanumeric) {
        out.push((start, end));
    }
}

fn dot_ends(before: &str, after: &str) -> bool {
    let next = after.chars().next();
    // 3.5, example.org, u.s.
    if next.is_some_and(char::is_alphanumeric) {
        return false;
    }
    let word =
        before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(|c| c.is_ascii_lowercase());
    let dotted = word.contains('.') && word.split('.').all(|p| p.chars().count() <= 1);
    let ends_here = after.trim().is_empty() || after.starts_with(['\n', '\r']);
    ends_here || !(initial || dotted || ABBREVIATIONS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::normalize;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<String> {
        let n = normalize(text);
        sentences(&n).into_iter().map(|(a, b)| n[a..b].to_string()).collect()
    }

    #[test]
    fn chinese_and_english() {
        assert_eq!(
            cut("軍隊開槍。有人死亡！「真的嗎？」是。"),
            ["軍隊開槍。", "有人死亡!", "「真的嗎?」", "是。"]
        );
        assert_eq!(
            cut("The U.S. Army left. About 3.5 million, e.g. Dr. Li... Then?\nYes"),
            ["the u.s. army left.", "about 3.5 million, e.g. dr. li...", "then?", "yes"]
        );
        assert_eq!(cut("It was in the U.S."), ["it was in the u.s."]);
        assert_eq!(cut(" . 。 \n"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn spans_are_in_order_and_within(s in "\\PC{0,60}") {
            let n = normalize(&s);
            let mut last = 0;
            for (a, b) in sentences(&n) {
                prop_assert!(last <= a && a < b && n.get(a..b).is_some());
                last = b;
            }
        }
    }
}
