//! The command line, apart from what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Make an open-weight language model yours: audit it, treat it, prove what changed, against a charter that you write.
#[derive(Debug, Parser)]
#[command(name = "freehold", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print the result as JSON on standard output; everything else goes to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Never use the network: models must be in the cache already
    #[arg(long, global = true)]
    pub offline: bool,
    /// Seed of everything that is drawn
    #[arg(long, global = true, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The main job: audit a model, treat it, audit it again, prove what changed
    Refit(Refit),
    /// Fetch a model into the cache
    Pull {
        /// Catalogue name, `hf:OWNER/REPO/FILE`, or a path
        model: String,
    },
    /// Models of the catalogue, and which are in the cache
    List,
    /// Architecture, tensors, quantisation, licence and digest of a model
    Show {
        model: String,
        /// List every tensor
        #[arg(long)]
        tensors: bool,
    },
    /// Ask a model every question of a charter, judge and measure
    Audit(Audit),
    /// Fine-tune a LoRA adapter from a charter and a run
    Treat(Treat),
    /// Compare two runs: paired statistics, gates, report
    Compare(Compare),
    /// Print a proof's comparison and gates, or a run's scorecard; or write a memo for those who decide
    Report {
        /// A proof's or a run's folder
        path: PathBuf,
        /// Write a two-page admission memo on a run, in English and Traditional Chinese, as HTML and Markdown
        #[arg(long)]
        memo: bool,
        /// Write a run in another tool's format: Inspect's log, or lm-evaluation-harness's results and samples
        #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "memo")]
        export: Option<Format>,
        /// With --memo or --export: where to write it [default: the run's folder]
        #[arg(long)]
        out: Option<PathBuf>,
        /// With --memo or --export: charter folder of the run [default: the bundled one]
        #[arg(long)]
        charter: Option<PathBuf>,
    },
    /// Talk to a model
    Chat(Chat),
    /// Continue a text, no chat template
    Complete(Complete),
    /// How fast a model runs on this machine: tokens a second, medians
    ///
    /// prefill_512: a prompt of 512 tokens. decode_1, decode_16, decode_32: new tokens of so many sequences that run together, after
    /// beginnings of 16 tokens, all sequences counted.
    Bench {
        model: String,
        /// Rounds; the first, which warms up, is not counted
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
        rounds: u16,
        /// Instead: 64 prompts of 16 to 128 tokens, 64 new tokens each (batch_64: new tokens a second, prompts read meanwhile)
        #[arg(long, conflicts_with = "against")]
        many: bool,
        /// A server of the same model, of llama.cpp for example, to stand beside it: http://HOST:PORT/v1
        #[arg(long, value_name = "URL")]
        against: Option<String>,
    },
    /// Check a charter, or begin one
    #[command(subcommand)]
    Charter(CharterVerb),
    /// The judge: how well it agrees with answers labelled by reading
    #[command(subcommand)]
    Judge(JudgeVerb),
    /// Chinese script and wording
    #[command(subcommand)]
    Zh(ZhVerb),
}

#[derive(Debug, Args)]
pub struct Refit {
    /// Charter folder [default: the bundled one, its core topics]
    pub charter: Option<PathBuf>,
    /// Catalogue name, `hf:OWNER/REPO/FILE`, or a path
    #[arg(long, default_value = "default")]
    pub model: String,
    /// Folder for runs, adapter and proof [default: freehold-out/refit-MODEL]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Only these languages, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub languages: Vec<String>,
    /// At most N probes a topic and controls a kind, in each language (a quick try, not a proof)
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Recipe as a JSON file [default: built in]
    #[arg(long)]
    pub recipe: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum GoldHalf {
    Tune,
    Report,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Format {
    Inspect,
    LmEval,
}

/// How an endpoint is asked; of no matter for weights in this process. Its key is read from FREEHOLD_API_KEY.
#[derive(Debug, Args)]
pub struct Remote {
    /// Endpoint: requests under way at once
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub concurrency: u16,
    /// Endpoint: seconds of silence after which a request is given up and asked again
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,
}

#[derive(Debug, Args)]
pub struct Audit {
    /// Catalogue names, `hf:OWNER/REPO/FILE`, paths, or endpoints (`http://HOST:PORT/v1#MODEL`); `MODEL+FOLDER` is a model with an adapter. Several end in one table
    #[arg(required_unless_present = "plan")]
    pub models: Vec<String>,
    /// Charter folder [default: the bundled one]
    #[arg(long)]
    pub charter: Option<PathBuf>,
    /// Run folder; with several models, a folder of run folders
    #[arg(long, required_unless_present = "plan")]
    pub out: Option<PathBuf>,
    /// LoRA adapter (PEFT folder) on top of the model
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    /// Only these languages, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub languages: Vec<String>,
    /// At most N probes a topic and controls a kind, in each language
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// System prompt [default: what the model's template inserts]
    #[arg(long)]
    pub system: Option<String>,
    /// Leave out the judge-free scoring of facts against narratives
    #[arg(long)]
    pub no_leaning: bool,
    /// Do not ask the test probes a second time with the facts before them
    #[arg(long)]
    pub no_open_book: bool,
    /// Ask in random order, and no more once the charter's gates are decided (leaves out leaning and open book)
    #[arg(long)]
    pub until_decided: bool,
    /// The run before treatment, which gates on differences compare with
    #[arg(long, value_name = "RUN", requires = "until_decided")]
    pub against: Option<PathBuf>,
    /// Ask nothing: say how precise the rates will be, and how many topics a wanted precision needs
    #[arg(long, conflicts_with_all = ["until_decided", "out"])]
    pub plan: bool,
    /// Who judges: `builtin`, `both` (a model beside it, disagreements listed), or a MODEL in its place
    #[arg(long, value_name = "JUDGE", default_value = "builtin")]
    pub judge: String,
    /// With --judge both: the model that judges beside
    #[arg(long, value_name = "MODEL", default_value = "default")]
    pub judge_model: String,
    /// With --plan: half the width of the 95% interval that is wanted
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, requires = "plan")]
    pub precision: f64,
    /// With --plan: an earlier run, whose rates and correlations are taken over
    #[arg(long, value_name = "RUN", requires = "plan")]
    pub like: Option<PathBuf>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Treat {
    pub model: String,
    /// Charter folder [default: the bundled one]
    #[arg(long)]
    pub charter: Option<PathBuf>,
    /// The run whose answers the model is to keep
    #[arg(long)]
    pub from: PathBuf,
    /// Folder for the adapter
    #[arg(long)]
    pub out: PathBuf,
    /// Recipe as a JSON file [default: built in]
    #[arg(long)]
    pub recipe: Option<PathBuf>,
    /// Say what would be trained and stop
    #[arg(long)]
    pub plan: bool,
}

#[derive(Debug, Args)]
pub struct Compare {
    pub before: PathBuf,
    pub after: PathBuf,
    /// Folder for the proof
    #[arg(long)]
    pub out: PathBuf,
    /// Charter folder [default: the bundled one]
    #[arg(long)]
    pub charter: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Chat {
    pub model: String,
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    #[arg(long)]
    pub system: Option<String>,
    /// 0 is greedy
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    #[arg(long, default_value_t = 512)]
    pub max_tokens: usize,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Complete {
    pub model: String,
    #[arg(long)]
    pub prompt: String,
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    #[arg(long, default_value_t = 64)]
    pub max_tokens: usize,
    /// 0 is greedy
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Subcommand)]
pub enum CharterVerb {
    /// Validate a charter: file and line of every defect
    Check {
        /// Charter folder [default: the bundled one]
        path: Option<PathBuf>,
    },
    /// Write a commented starter charter
    New { path: PathBuf },
    /// The questions as JSON lines (id, lang, prompt, max_new_tokens), to be answered elsewhere and judged with `judge answers`
    Questions {
        /// Charter folder [default: the bundled one]
        path: Option<PathBuf>,
        /// Only these languages, separated by commas
        #[arg(long, value_delimiter = ',')]
        languages: Vec<String>,
        /// At most N probes a topic and controls a kind, in each language
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

#[derive(Debug, Subcommand)]
pub enum JudgeVerb {
    /// Agreement with answers labelled by reading: by label, language and arm
    Check {
        /// Only this half of the labelled answers: `tune`, or `report` [default: both]
        #[arg(long, value_enum)]
        half: Option<GoldHalf>,
        /// Show every answer of which judge and reader disagree
        #[arg(long)]
        disagreements: bool,
        /// Folder with the labelled answers, `before.jsonl` and `after.jsonl` [default: the bundled ones]
        #[arg(long)]
        gold: Option<PathBuf>,
        /// Charter folder [default: the bundled one]
        #[arg(long)]
        charter: Option<PathBuf>,
    },
    /// Judge a finished run with a model as well: one narrow question for each claim
    Model {
        /// The run's folder
        run: PathBuf,
        /// The model that judges: catalogue name, path, or endpoint
        #[arg(long, value_name = "MODEL")]
        with: String,
        /// The model's labels take the place of the built-in judge's [default: they stand beside them]
        #[arg(long)]
        instead: bool,
        /// Charter folder of the run [default: the bundled one]
        #[arg(long)]
        charter: Option<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Judge answers made elsewhere: JSON lines with `id`, `lang` and `text`
    Answers {
        file: PathBuf,
        /// Folder for the run
        #[arg(long)]
        out: PathBuf,
        /// Name of the model that gave the answers
        #[arg(long)]
        model: String,
        /// Charter folder [default: the bundled one]
        #[arg(long)]
        charter: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ZhVerb {
    /// Simplified characters and mainland wording in a text
    Lint {
        /// A file [default: standard input]
        path: Option<PathBuf>,
    },
}
