//! The admission memo: two pages for whoever decides whether a model may be used, from one audit. In English and in Traditional
//! Chinese, as Markdown and as HTML; both are drawn from the same blocks. docs/memo.md says where its lines are drawn.

mod content;
mod findings;
mod render;

use freehold_charter::Charter;

use crate::report::{JudgeAgreement, RunData};

pub(crate) use content::date;
pub use render::{html, markdown};

/// The language of a memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    English,
    Taiwan,
}

impl Tongue {
    pub const ALL: [Self; 2] = [Self::English, Self::Taiwan];

    /// Its BCP-47 tag, as in a charter.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Taiwan => "zh-Hant",
        }
    }

    /// One of two wordings.
    fn of<'a>(self, english: &'a str, taiwan: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Taiwan => taiwan,
        }
    }
}

/// A piece of the memo. Text is plain: whoever draws it escapes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    Title(String),
    Heading(String),
    Paragraph(String),
    /// Label and value.
    Facts(Vec<(String, String)>),
    Table {
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    List(Vec<String>),
    Example {
        label: String,
        question: String,
        answer: String,
        note: Option<String>,
    },
}

/// The memo on one finished audit.
pub fn memo(
    charter: &Charter,
    run: &RunData<'_>,
    judge: Option<&JudgeAgreement>,
    tongue: Tongue,
) -> Vec<Block> {
    content::blocks(charter, run, judge, tongue)
}
