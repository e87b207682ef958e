//! Which script a character belongs to.

use std::collections::HashMap;
use std::sync::LazyLock;

static SIMPLIFIED: LazyLock<HashMap<char, char>> =
    LazyLock::new(|| pairs(include_str!("../data/simplified.txt")));
static TRADITIONAL: LazyLock<HashMap<char, char>> =
    LazyLock::new(|| pairs(include_str!("../data/traditional.txt")));

fn pairs(data: &str) -> HashMap<char, char> {
    let mut chars = data.chars().filter(|c| !c.is_whitespace());
    let mut map = HashMap::new();
    while let (Some(own), Some(other)) = (chars.next(), chars.next()) {
        map.insert(own, other);
    }
    map
}

/// The usual Taiwanese Traditional character for `c`, if `c` is used in Simplified Chinese only.
pub fn traditional_of(c: char) -> Option<char> {
    if c < '\u{3400}' { None } else { SIMPLIFIED.get(&c).copied() }
}

/// The Simplified character for `c`, if `c` is used in Traditional Chinese only.
pub fn simplified_of(c: char) -> Option<char> {
    if c < '\u{3400}' { None } else { TRADITIONAL.get(&c).copied() }
}

/// Like [`traditional_of`], and also 么 where the character before it shows that it stands for 麼: alone it is a
/// Traditional character too (老么), so the derived list leaves it out.
pub fn traditional_after(previous: Option<char>, c: char) -> Option<char> {
    match (previous, c) {
        (Some('什' | '怎' | '那' | '这' | '這' | '多' | '要' | '甚'), '么') => Some('麼'),
        _ => traditional_of(c),
    }
}

/// A Chinese character: a CJK ideograph, its iteration mark or the ideographic zero.
pub fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}')
}

/// Hiragana or katakana; not the middle dot, which Chinese puts inside foreign names.
pub fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}'
        | '\u{FF66}'..='\u{FF9D}')
}

/// A Latin letter, accented and full-width ones included.
pub fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || (c.is_alphabetic()
            && matches!(c, '\u{AA}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' | '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}'))
}

/// A letter of the Cyrillic blocks.
pub fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{400}'..='\u{52F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_one_script_only() {
        for (simplified, traditional) in
            "国国这学会龙体与个万气离听坏儿".chars().zip("國國這學會龍體與個萬氣離聽壞兒".chars())
        {
            assert_eq!(traditional_of(simplified), Some(traditional), "{simplified}");
        }
        for (traditional, simplified) in "國這學會龍後麼說爲裏".chars().zip("国这学会龙后么说为里".chars())
        {
            assert_eq!(simplified_of(traditional), Some(simplified), "{traditional}");
        }
    }

    #[test]
    fn characters_of_both_scripts_are_neither() {
        for c in "后里台干面只系松了云表准几丑斗谷卜才于征志注舍余御郁沈吃床群峰着恒周范姜游的是一在".chars()
        {
            assert_eq!(traditional_of(c), None, "{c}");
        }
        for c in "后里台干面只系松了云表准乾著藉瞭徵的是一在於".chars().filter(|c| !"瞭於徵".contains(*c))
        {
            assert_eq!(simplified_of(c), None, "{c}");
        }
    }

    #[test]
    fn me_counts_after_shen() {
        assert_eq!(traditional_after(Some('什'), '么'), Some('麼'));
        assert_eq!(traditional_after(Some('老'), '么'), None);
    }

    #[test]
    fn the_lists_do_not_overlap() {
        for c in SIMPLIFIED.keys() {
            assert!(!TRADITIONAL.contains_key(c), "{c}");
        }
        assert!(SIMPLIFIED.len() > 3000 && TRADITIONAL.len() > 3000);
    }
}
