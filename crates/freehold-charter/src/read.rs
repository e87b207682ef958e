//! From a charter's files to its types. Reads on after a defect; the checks of meaning are in `check`.

use toml::de::DeTable;

use crate::error::Severity;
use crate::files::Files;
use crate::node::{Reader, Table};
use crate::sink::Sink;
use crate::types::*;

/// Syntax errors reported for one file: after the first few the rest are mostly echoes.
const MAX_SYNTAX: usize = 5;

const STATUS: [(&str, Status); 2] = [("settled", Status::Settled), ("contested", Status::Contested)];
const SPLIT: [(&str, Split); 3] = [("train", Split::Train), ("dev", Split::Dev), ("test", Split::Test)];
const PROBE_KIND: [(&str, ProbeKind); 4] = [
    ("direct", ProbeKind::Direct),
    ("leading", ProbeKind::Leading),
    ("indirect", ProbeKind::Indirect),
    ("task", ProbeKind::Task),
];
/// The order of claims within a topic.
const CLAIMS: [(&str, ClaimKind); 5] = [
    ("fact", ClaimKind::Fact),
    ("position", ClaimKind::Position),
    ("narrative", ClaimKind::Narrative),
    ("frame", ClaimKind::Frame),
    ("overclaim", ClaimKind::Overclaim),
];
const CONTROL_KIND: [(&str, ControlKind); 5] = [
    ("harmless", ControlKind::Harmless),
    ("benign", ControlKind::Benign),
    ("harmful", ControlKind::Harmful),
    ("script", ControlKind::Script),
    ("unknown", ControlKind::Unknown),
];
const GRADER: [(&str, Grader); 4] = [
    ("exact", Grader::Exact),
    ("number", Grader::Number),
    ("refusal", Grader::Refusal),
    ("none", Grader::None),
];
const GATE_TEST: [(&str, GateTest); 3] = [
    ("level", GateTest::Level),
    ("difference", GateTest::Difference),
    ("non-inferiority", GateTest::NonInferiority),
];
const SLICE: [(&str, Slice); 9] = [
    ("seen", Slice::Seen),
    ("unseen", Slice::Unseen),
    ("test", Slice::Test),
    ("train", Slice::Train),
    ("dev", Slice::Dev),
    ("harmless", Slice::Harmless),
    ("benign", Slice::Benign),
    ("harmful", Slice::Harmful),
    ("script", Slice::Script),
];
const WORSE: [(&str, Worse); 2] = [("lower", Worse::Lower), ("higher", Worse::Higher)];

/// More tokens than any reply to a probe may have.
const MAX_TOKENS: u64 = 1 << 20;

/// Reads all files. Paths of parts: `charter.*`, `t3.*` for the fourth topic, `k.k3.*` for the fourth control.
pub(crate) fn charter(files: &Files, sink: &mut Sink) -> Charter {
    let mut charter = Charter {
        id: String::new(),
        version: String::new(),
        title: Text::new(),
        value_basis: String::new(),
        owner: None,
        languages: Vec::new(),
        core_languages: Vec::new(),
        reply_script: Default::default(),
        coverage_threshold: 0.5,
        max_new_tokens: 96,
        gates: Vec::new(),
        topics: Vec::new(),
        controls: Vec::new(),
        digest: files.digest(),
    };
    // charter.toml first: a defect without a place of its own is put there.
    let main = files.files.iter().filter(|f| f.0 == "charter.toml");
    let rest = files.files.iter().filter(|f| f.0 != "charter.toml");
    for (name, bytes) in main.chain(rest) {
        let file = sink.file(name);
        let Ok(source) = std::str::from_utf8(bytes) else {
            let at = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), |_| 0);
            let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
            sink.add(file, line, Severity::Error, "not UTF-8 here; save the file as UTF-8");
            sink.broken = true;
            continue;
        };
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        let (root, errors) = DeTable::parse_recoverable(source);
        let mut reader = Reader::new(sink, file, source);
        if !errors.is_empty() {
            for e in errors.iter().take(MAX_SYNTAX) {
                let line = reader.line(e.span().map_or(0, |s| s.start));
                reader.error(line, format!("not valid TOML: {}", e.message()));
            }
            sink.broken = true;
            continue;
        }
        let root = root.get_ref();
        match name.split_once('/') {
            None => {
                let table = reader.root(root, "charter");
                head(&mut reader, &table, &mut charter);
            }
            Some(("topics", stem)) => {
                let table = reader.root(root, &format!("t{}", charter.topics.len()));
                let topic = topic(&mut reader, &table);
                let stem = stem.strip_suffix(".toml").unwrap_or(stem);
                if !topic.id.is_empty() && topic.id != stem {
                    let id: String = topic.id.chars().take(80).collect();
                    let message =
                        format!("topic id `{id}` must equal the file's name, `{stem}`; rename one of them");
                    sink.error(&format!("t{}.id", charter.topics.len()), message);
                }
                charter.topics.push(topic);
            }
            Some(_) => {
                // Controls of several files share one numbering; the file's own mark is its name.
                let table = reader.root(root, "k");
                reader.known(&table, &["control"]);
                controls(&mut reader, &table, &mut charter.controls);
            }
        }
    }
    charter
}

fn head(r: &mut Reader<'_>, t: &Table<'_>, charter: &mut Charter) {
    r.known(
        t,
        &[
            "id",
            "version",
            "title",
            "value_basis",
            "owner",
            "languages",
            "core_languages",
            "reply_script",
            "coverage_threshold",
            "max_new_tokens",
            "gates",
        ],
    );
    charter.id = r.need_string(t, "id", "\"my-charter\"").unwrap_or_default();
    charter.version = r.need_string(t, "version", "\"1\"").unwrap_or_default();
    charter.title = r.text(t, "title");
    charter.value_basis = r.string(t, "value_basis").unwrap_or_default();
    charter.owner = r.string(t, "owner");
    charter.languages = r.strings(t, "languages");
    charter.core_languages = r.strings(t, "core_languages");
    charter.reply_script = r.text(t, "reply_script");
    charter.coverage_threshold = r.number(t, "coverage_threshold").unwrap_or(charter.coverage_threshold);
    if let Some(n) = r.count(t, "max_new_tokens", MAX_TOKENS) {
        charter.max_new_tokens = n as usize;
    }
    for g in r.tables(t, "gates", "g", 0) {
        if let Some(gate) = gate(r, &g) {
            charter.gates.push(gate);
        }
    }
}

fn gate(r: &mut Reader<'_>, t: &Table<'_>) -> Option<Gate> {
    let known =
        ["id", "measure", "slice", "test", "at_most", "at_least", "excludes_zero", "margin", "worse", "why"];
    r.known(t, &known);
    let id = r.need_string(t, "id", "\"no-recital\"");
    let measure = r.need_string(t, "measure", "\"recital\"");
    let slice = r.choice(t, "slice", &SLICE);
    let test = r.choice(t, "test", &GATE_TEST);
    let gate = Gate {
        id: id?,
        measure: measure?,
        slice: slice?,
        test: test?,
        at_most: r.number(t, "at_most"),
        at_least: r.number(t, "at_least"),
        excludes_zero: r.bool(t, "excludes_zero").unwrap_or(false),
        margin: r.number(t, "margin"),
        worse: if r.has(t, "worse") { r.choice(t, "worse", &WORSE) } else { None },
        why: r.text(t, "why"),
    };
    Some(gate)
}

fn topic(r: &mut Reader<'_>, t: &Table<'_>) -> Topic {
    let mut known =
        vec!["id", "about", "status", "udhr", "core", "languages", "title", "names", "probe", "answer"];
    known.extend(CLAIMS.map(|c| c.0));
    r.known(t, &known);
    let mut topic = Topic {
        id: r.need_string(t, "id", "\"the-file-name\"").unwrap_or_default(),
        about: r.strings(t, "about"),
        status: r.choice(t, "status", &STATUS).unwrap_or(Status::Settled),
        udhr: r.counts(t, "udhr", 30),
        core: r.bool(t, "core").unwrap_or(false),
        languages: r.strings(t, "languages"),
        title: r.text(t, "title"),
        names: r.lists(t, "names"),
        claims: Vec::new(),
        probes: Vec::new(),
        answers: Vec::new(),
    };
    for (key, kind) in CLAIMS {
        for c in r.tables(t, key, "c", topic.claims.len()) {
            // A claim without an id stays, so that the numbering holds.
            topic.claims.push(claim(r, &c, kind));
        }
    }
    for p in r.tables(t, "probe", "p", 0) {
        topic.probes.push(probe(r, &p));
    }
    for a in r.tables(t, "answer", "a", 0) {
        r.known(&a, &["probe", "text", "variants", "reasoning"]);
        topic.answers.push(ReferenceAnswer {
            probe: r.need_string(&a, "probe", "\"t1\"").unwrap_or_default(),
            text: r.text(&a, "text"),
            variants: r.lists(&a, "variants"),
            reasoning: r.text(&a, "reasoning"),
        });
    }
    topic
}

fn claim(r: &mut Reader<'_>, t: &Table<'_>, kind: ClaimKind) -> Claim {
    r.known(t, &["id", "holder", "text", "why", "sources", "evidence"]);
    Claim {
        id: r.need_string(t, "id", "\"short-name\"").unwrap_or_default(),
        kind,
        holder: r.string(t, "holder"),
        text: r.text(t, "text"),
        why: r.text(t, "why"),
        sources: r.tables(t, "sources", "s", 0).iter().filter_map(|s| source(r, s)).collect(),
        evidence: r.evidence(t, "evidence"),
    }
}

fn source(r: &mut Reader<'_>, t: &Table<'_>) -> Option<Source> {
    r.known(t, &["title", "publisher", "year", "url"]);
    let title = r.need_string(t, "title", "\"…\"");
    let publisher = r.need_string(t, "publisher", "\"…\"");
    if !r.has(t, "year") {
        r.missing(t, "year", "1989");
    }
    let year = r.count(t, "year", 2100).and_then(|y| i32::try_from(y).ok());
    Some(Source { title: title?, publisher: publisher?, year: year?, url: r.string(t, "url") })
}

fn probe(r: &mut Reader<'_>, t: &Table<'_>) -> Probe {
    r.known(t, &["id", "kind", "split", "asks", "twin", "text", "variants"]);
    Probe {
        id: r.need_string(t, "id", "\"t1\"").unwrap_or_default(),
        kind: r.choice(t, "kind", &PROBE_KIND).unwrap_or(ProbeKind::Direct),
        split: r.choice(t, "split", &SPLIT).unwrap_or(Split::Dev),
        asks: r.strings(t, "asks"),
        twin: r.string(t, "twin"),
        text: r.text(t, "text"),
        variants: r.lists(t, "variants"),
    }
}

fn controls(r: &mut Reader<'_>, t: &Table<'_>, out: &mut Vec<Control>) {
    for c in r.tables(t, "control", "k", out.len()) {
        r.known(
            &c,
            &[
                "id",
                "kind",
                "split",
                "grader",
                "text",
                "key",
                "max_new_tokens",
                "answer",
                "facts",
                "informed",
                "sources",
            ],
        );
        out.push(Control {
            id: r.need_string(&c, "id", "\"arith-en-01\"").unwrap_or_default(),
            kind: r.choice(&c, "kind", &CONTROL_KIND).unwrap_or(ControlKind::Harmless),
            split: r.choice(&c, "split", &SPLIT).unwrap_or(Split::Dev),
            grader: r.choice(&c, "grader", &GRADER).unwrap_or(Grader::None),
            text: r.text(&c, "text"),
            key: r.lists(&c, "key"),
            max_new_tokens: r.count(&c, "max_new_tokens", MAX_TOKENS).map(|n| n as usize),
            answer: r.text(&c, "answer"),
            facts: r.text(&c, "facts"),
            informed: r.text(&c, "informed"),
            sources: r.strings(&c, "sources"),
        });
    }
}
