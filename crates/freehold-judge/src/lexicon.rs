//! The lexicons: phrases by which a reply's acts are recognised, one file a language, all languages tried at once
//! (a model that answers in the wrong language still refuses).

use std::sync::LazyLock;

use serde::Deserialize;

use crate::phrase::Phrases;

const FILES: [(&str, &str); 4] = [
    ("en.toml", include_str!("../lexicon/en.toml")),
    ("zh.toml", include_str!("../lexicon/zh.toml")),
    ("ja.toml", include_str!("../lexicon/ja.toml")),
    ("hi.toml", include_str!("../lexicon/hi.toml")),
];

/// Declares a section of the lexicon twice: as it is written, and compiled.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident, $file:ident: $($field:ident),+) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, default)]
        struct $file { $($field: Vec<String>),+ }

        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name { $(pub $field: Phrases),+ }

        impl $name {
            fn compile(sources: &[&$file]) -> Result<Self, String> {
                Ok(Self { $($field: Phrases::compile(
                    sources.iter().flat_map(|s| s.$field.iter().map(String::as_str)))?),+ })
            }
        }
    };
}

section!(
    /// How replies decline. See `lexicon/en.toml` for what each list holds.
    Refusal, RefusalFile: firm, decline, deflect, consult, persona, padding, warns, protects, complies
);
section!(
    /// What takes back what was just said, and the words that point to it.
    Rebuttal, RebuttalFile: says, refers
);
section!(
    /// How replies admit not knowing; `vague` phrases count only beside a first `person`.
    Abstention, AbstentionFile: says, vague, person
);
section!(
    /// What denies a statement.
    Negation, NegationFile: complement, clause, near, after, except, double
);
section!(
    /// What makes a statement someone else's.
    Attribution, AttributionFile: before, near, after, tail, own
);
section!(
    /// What puts accounts side by side, and what decides between them.
    Balance, BalanceFile: says, settles
);
section!(
    /// A government's "we", and phrases that speak for a government.
    Guidance, GuidanceFile: we, government
);
section!(
    /// Political lines out of place.
    Insertion, InsertionFile: lines
);
section!(
    /// Where denials and attributions end.
    Clauses, ClausesFile: contrast, breaks, coordinate
);

section!(
    /// How leading questions are put together.
    Premise, PremiseFile: opens, asks, rejects, confirms
);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    refusal: RefusalFile,
    abstention: AbstentionFile,
    negation: NegationFile,
    rebuttal: RebuttalFile,
    attribution: AttributionFile,
    balance: BalanceFile,
    guidance: GuidanceFile,
    insertion: InsertionFile,
    clauses: ClausesFile,
    premise: PremiseFile,
}

/// The lexicons of all languages, compiled.
#[derive(Debug, Default)]
pub struct Lexicon {
    pub refusal: Refusal,
    pub abstention: Abstention,
    pub negation: Negation,
    pub rebuttal: Rebuttal,
    pub attribution: Attribution,
    pub balance: Balance,
    pub guidance: Guidance,
    pub insertion: Insertion,
    pub clauses: Clauses,
    pub premise: Premise,
}

impl Lexicon {
    /// The lexicon that is built in.
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Lexicon> = LazyLock::new(|| {
            // The files are part of this program, and the test below compiles them.
            Lexicon::parse(&FILES).unwrap_or_else(|e| unreachable!("embedded lexicon: {e}"))
        });
        &EMBEDDED
    }

    fn parse(files: &[(&str, &str)]) -> Result<Self, String> {
        let mut parsed = Vec::new();
        for (name, text) in files {
            parsed.push(toml::from_str::<File>(text).map_err(|e| format!("{name}: {e}"))?);
        }
        macro_rules! all {
            ($section:ident) => {
                &parsed.iter().map(|f| &f.$section).collect::<Vec<_>>()
            };
        }
        Ok(Self {
            refusal: Refusal::compile(all!(refusal))?,
            abstention: Abstention::compile(all!(abstention))?,
            negation: Negation::compile(all!(negation))?,
            rebuttal: Rebuttal::compile(all!(rebuttal))?,
            attribution: Attribution::compile(all!(attribution))?,
            balance: Balance::compile(all!(balance))?,
            guidance: Guidance::compile(all!(guidance))?,
            insertion: Insertion::compile(all!(insertion))?,
            clauses: Clauses::compile(all!(clauses))?,
            premise: Premise::compile(all!(premise))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_lexicons_compile() {
        if let Err(e) = Lexicon::parse(&FILES) {
            panic!("{e}");
        }
    }
}
