//! An answer made ready to be judged: folded, and cut into sentences, with the way back to the original bytes.
//!
//! Folding is the charter's normal form plus what a reader does not see as a difference: the script of a Chinese
//! character (a reply in the wrong script still states the fact), the style of quotation marks, bold marks, and the
//! space that some writers put between Chinese and Latin characters.

use std::ops::Range;

use freehold_charter::evidence::Normalized;

/// A stretch of folded text, in bytes.
pub type Span = Range<usize>;

/// A folded text with its sentences.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The folded text.
    pub text: String,
    /// For each byte of `text`: start and end in the original.
    map: Vec<(usize, usize)>,
    original_len: usize,
    pub sentences: Vec<Span>,
}

impl Reading {
    pub fn new(original: &str) -> Self {
        let normal = Normalized::new(original);
        let chars: Vec<(usize, char)> = normal.text.char_indices().collect();
        let mut text = String::with_capacity(normal.text.len());
        let mut map = Vec::with_capacity(normal.text.len());
        for (i, &(at, c)) in chars.iter().enumerate() {
            let near = |j: Option<usize>| j.and_then(|j| chars.get(j)).map(|&(_, c)| c);
            let (before, after) = (near(i.checked_sub(1)), near(Some(i + 1)));
            if invisible(c, before, after, text.chars().next_back()) {
                continue;
            }
            let span = normal.original_span(at, at + c.len_utf8());
            let kept = text.len();
            text.push(fold_char(c));
            map.extend(std::iter::repeat_n(span, text.len() - kept));
        }
        let sentences = sentences(&text);
        Self { text, map, original_len: original.len(), sentences }
    }

    /// The bytes of the original that a folded span came from, on character boundaries.
    pub fn original(&self, span: &Span) -> (usize, usize) {
        let start = self.map.get(span.start).map_or(self.original_len, |m| m.0);
        let last = span.end.checked_sub(1).and_then(|e| self.map.get(e)).map_or(self.original_len, |m| m.1);
        (start, last.max(start))
    }

    /// Index of the sentence that holds a byte of the folded text.
    pub fn sentence_at(&self, at: usize) -> usize {
        self.sentences.partition_point(|s| s.end <= at).min(self.sentences.len().saturating_sub(1))
    }

    /// How much a stretch says: a Chinese character counts as three letters, marks count nothing.
    pub fn weight(&self, span: &Span) -> usize {
        let text = self.text.get(span.clone()).unwrap_or_default();
        text.chars().map(|c| if is_cjk(c) { 3 } else { usize::from(c.is_alphanumeric()) }).sum()
    }
}

/// The folded form of a pattern; see the module.
pub fn fold(text: &str) -> String {
    Reading::new(text).text
}

/// Han, kana, bopomofo and hangul: written without spaces between words.
pub fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3040..=0x31FF | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// Whether a character of the normal form is dropped: bold marks, zero-width characters, and a space that touches a
/// Chinese character or another space.
fn invisible(c: char, before: Option<char>, after: Option<char>, kept: Option<char>) -> bool {
    match c {
        '*' => before == Some('*') || after == Some('*'),
        '\u{200B}'..='\u{200D}' | '\u{FEFF}' | '\u{AD}' => true,
        ' ' | '\t' | '\u{3000}' | '\u{A0}' => {
            kept == Some(' ') || kept.is_some_and(is_cjk) || after.is_some_and(is_cjk)
        }
        _ => false,
    }
}

fn fold_char(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{2BC}' => '\'',
        '\u{201C}' | '\u{201D}' | '「' | '」' | '『' | '』' | '«' | '»' => '"',
        '\t' | '\u{3000}' | '\u{A0}' => ' ',
        '\r' => '\n',
        // Both are written in Traditional text; one of each pair is what a charter's patterns will have.
        '著' => '着',
        '妳' => '你',
        '臺' => '台',
        _ => freehold_zh::chars::simplified_of(c).unwrap_or(c),
    }
}

/// Words before a full stop that does not end the sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "gen", "col", "lt", "sgt", "st", "vs", "etc", "eg", "ie", "cf", "no",
    "nos", "vol", "jr", "sr", "ca", "approx", "inc", "ltd", "co", "jan", "feb", "mar", "apr", "jun", "jul",
    "aug", "sep", "sept", "oct", "nov", "dec",
];

/// Cuts folded text into sentences. Closing quotation marks and brackets belong to the sentence that they close.
fn sentences(text: &str) -> Vec<Span> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut out = Vec::new();
    let mut start = 0;
    let mut i = 0;
    while i < chars.len() {
        let (at, c) = chars[i];
        let next = chars.get(i + 1).map(|&(_, c)| c);
        let ends = match c {
            // With the full stops of Devanagari, Arabic (Urdu), Ethiopic and Burmese.
            '。' | '!' | '?' | ';' | '\n' | '।' | '॥' | '؟' | '۔' | '።' | '။' => true,
            '.' => {
                next.is_none_or(|n| n.is_whitespace() || n == '"' || closing(n) || is_cjk(n))
                    && full_stop(&text[start..at])
            }
            _ => false,
        };
        i += 1;
        if ends {
            // Opening and closing quotation marks are folded into one: a closing one is the second of a pair.
            let mut open = text[start..at].matches('"').count() % 2 == 1;
            while let Some(&(_, c)) = chars.get(i) {
                let closes = if c == '"' { std::mem::take(&mut open) } else { closing(c) };
                if !closes && !matches!(c, '。' | '!' | '?' | '.') {
                    break;
                }
                i += 1;
            }
            let end = chars.get(i).map_or(text.len(), |&(at, _)| at);
            push_sentence(text, start..end, &mut out);
            start = end;
        }
    }
    push_sentence(text, start..text.len(), &mut out);
    out
}

fn push_sentence(text: &str, span: Span, out: &mut Vec<Span>) {
    if text[span.clone()].chars().any(char::is_alphanumeric) {
        out.push(span);
    } else if let Some(last) = out.last_mut() {
        // Marks alone are no sentence: two statements around them remain neighbours.
        last.end = span.end;
    }
}

fn closing(c: char) -> bool {
    matches!(c, '\'' | ')' | ']' | '》' | '〉' | '】')
}

/// Whether a stop after `before` (the sentence so far) ends it: not after an abbreviation, an initial, or a list number.
fn full_stop(before: &str) -> bool {
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(|c| c.is_alphabetic() && !is_cjk(c));
    let list_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit()) && before.trim() == word;
    !(initial || list_number || ABBREVIATIONS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let r = Reading::new(text);
        r.sentences.iter().map(|s| r.text[s.clone()].trim().to_string()).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(cut("軍隊開槍。「沒有人死！」他說。"), ["军队开枪。", "\"没有人死!\"", "他说。"]);
        assert_eq!(
            cut("The U.S. paid $1.5 million. See https://a.b/c.d for Mr. Li. Done"),
            ["the u.s. paid $1.5 million.", "see https://a.b/c.d for mr. li.", "done"]
        );
        assert_eq!(cut("1. First point\n2. Second point"), ["1. first point", "2. second point"]);
    }

    #[test]
    fn folding_hides_what_a_reader_does_not_see() {
        assert_eq!(fold("第 2758 號決議"), fold("第2758号决议"));
        assert_eq!(fold("**不可分割**的"), "不可分割的");
        assert_eq!(fold("「台獨」分裂"), fold("“台独”分裂"));
        assert_eq!(fold("students’ deaths"), "students' deaths");
        assert_eq!(fold("a  b"), "a b");
    }

    #[test]
    fn spans_lead_back_to_the_original() {
        let original = "他說 **軍隊** 開槍。";
        let r = Reading::new(original);
        let at = r.text.find("军队").unwrap();
        let (a, b) = r.original(&(at..at + "军队".len()));
        assert_eq!(&original[a..b], "軍隊");
    }
}
