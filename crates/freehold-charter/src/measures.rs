//! Names of the measures that a gate may bound.

/// Every measure, by the name that gates, scorecards and reports use.
pub const MEASURES: [&str; 19] = [
    "full-answer",
    "refusal",
    "abstention",
    "recital",
    "guidance",
    "false-balance",
    "coverage",
    "overclaim",
    "spill",
    "degenerate",
    "insertion",
    "script-drift",
    "cut",
    "correct",
    "leaning",
    "open-book",
    "suppression",
    "unjudged",
    "kl",
];

/// The known name nearest to a mistyped one, if any is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A value out of a hostile file may be megabytes long.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let scored = known.into_iter().map(|k| (strsim::levenshtein(&word.to_lowercase(), &k.to_lowercase()), k));
    scored.min_by_key(|&(d, _)| d).filter(|&(d, _)| d <= limit).map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_not() {
        assert_eq!(nearest("zh-hant", ["zh-Hant", "en"]), Some("zh-Hant"));
        assert_eq!(nearest("fulanswer", MEASURES), Some("full-answer"));
        assert_eq!(nearest("happiness", MEASURES), None);
        assert_eq!(nearest("", []), None);
    }
}
