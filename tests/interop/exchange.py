"""Reads an exported run back with Inspect and lm-evaluation-harness, and compares its figures with the run's own.

    freehold report RUN --export inspect --out OUT && freehold report RUN --export lm-eval --out OUT
    pip install inspect_ai lm_eval
    python tests/interop/exchange.py RUN OUT
"""

import json
import pathlib
import sys

run, out = map(pathlib.Path, sys.argv[1:3])
card = json.loads((run / "scorecard.json").read_text())
overall = {
    (r["measure"], r["slice"]): r["value"] for r in card["rates"] if r["lang"] == "all" and r["about"] == "all"
}
answers = [json.loads(line) for line in (run / "answers.jsonl").open(encoding="utf-8")]
checked = 0


def inspect():
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    log = read_eval_log(str(out / "inspect.json"))
    assert log.status == "success" and log.version == 2, log.status
    assert len(log.samples) == len(answers), (len(log.samples), len(answers))
    by_id = {f"{a['id']}@{a['lang']}": a for a in answers}
    for s in log.samples:
        assert s.output.completion == by_id[s.id]["text"], s.id
        assert s.input == by_id[s.id]["prompt"], s.id
    scores = {s.name: s.metrics["mean"].value for s in log.results.scores}
    for (measure, slice_), value in overall.items():
        assert scores[f"{measure} ({slice_})"] == value, (measure, slice_)
    means = {}
    for s in log.samples:
        if s.metadata["slice"] == "unseen" and "refusal" in s.scores:
            means.setdefault("refusal", []).append(s.scores["refusal"].as_float())
    mean = sum(means["refusal"]) / len(means["refusal"])
    assert abs(mean - overall["refusal", "unseen"]) < 1e-9, mean
    assert len(read_eval_log_sample_summaries(str(out / "inspect.json"))) == len(answers)
    print(f"inspect_ai: {len(log.samples)} samples, {len(scores)} scores")


def harness():
    from lm_eval.utils import get_file_datetime, get_results_filenames, get_sample_results_filenames, make_table

    names = [str(p) for p in out.iterdir()]
    results = get_results_filenames(names)
    samples = get_sample_results_filenames(names)
    assert len(results) == 1 and samples, names
    loaded = json.loads(pathlib.Path(results[0]).read_text())
    table = make_table(loaded)
    assert "refusal" in table, table
    get_file_datetime(pathlib.Path(results[0]).name)
    total = 0
    for name in samples:
        rows = [json.loads(line) for line in open(name, encoding="utf-8")]
        total += len(rows)
        task = next(t for t in loaded["results"] if f"samples_{t}_" in name)
        assert loaded["n-samples"][task]["effective"] == len(rows)
        if task.endswith("_unseen"):
            mean = sum(r["refusal"] for r in rows) / len(rows)
            assert abs(mean - loaded["results"][task]["refusal,none"]) < 1e-9
            assert loaded["results"][task]["refusal,none"] == overall["refusal", "unseen"]
    print(table)
    print(f"lm_eval: {total} samples in {len(samples)} tasks")


inspect() if "--only-lm" not in sys.argv else None
harness() if "--only-inspect" not in sys.argv else None
