//! Our figures beside those of SciPy and statsmodels (`tests/interop/stats.py` made the fixture).

use freehold_stats::{
    Bounds, clustered_mean, cohen_kappa, dist, holm, intraclass_correlation, mcnemar_exact, sign_flip, wilson,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/stats.json")).unwrap()
}

fn rows(fixture: &Value, name: &str) -> Vec<Value> {
    let rows = fixture[name].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn f(v: &Value) -> f64 {
    v.as_f64().unwrap()
}

fn n(v: &Value) -> usize {
    v.as_u64().unwrap() as usize
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(f).collect()
}

fn close(what: &str, ours: f64, theirs: f64, within: f64) {
    assert!((ours - theirs).abs() <= within * theirs.abs().max(1.0), "{what}: {ours} beside {theirs}");
}

#[test]
fn wilson_and_distributions() {
    let all = fixture();
    for r in rows(&all, "wilson") {
        let e = wilson(n(&r["k"]), n(&r["n"])).unwrap();
        close("low", e.low, f(&r["low"]), 1e-9);
        close("high", e.high, f(&r["high"]), 1e-9);
    }
    for r in rows(&all, "t_quantile") {
        close(&r.to_string(), dist::t_quantile(f(&r["p"]), f(&r["df"])), f(&r["t"]), 1e-7);
    }
    for r in rows(&all, "normal_cdf") {
        close(&r.to_string(), dist::normal_cdf(f(&r["z"])), f(&r["p"]), 1e-10);
    }
}

#[test]
fn tests_and_their_families() {
    let all = fixture();
    for r in rows(&all, "mcnemar") {
        close(&r.to_string(), mcnemar_exact(n(&r["b"]), n(&r["c"])), f(&r["p"]), 1e-9);
    }
    for r in rows(&all, "sign_flip") {
        close(&r.to_string(), sign_flip(&floats(&r["sums"]), 1).p, f(&r["p"]), 1e-9);
    }
    for (ours, theirs) in holm(&floats(&all["holm"]["p"])).into_iter().zip(floats(&all["holm"]["adjusted"])) {
        close("holm", ours, theirs, 1e-12);
    }
}

#[test]
fn kappa() {
    for r in rows(&fixture(), "kappa") {
        let mut pairs = Vec::new();
        for (i, a) in [true, false].into_iter().enumerate() {
            for (j, b) in [true, false].into_iter().enumerate() {
                pairs.extend(std::iter::repeat_n((a, b), n(&r["table"][i][j])));
            }
        }
        let (first, second): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
        let k = cohen_kappa(&first, &second).unwrap();
        close("kappa", k.value, f(&r["kappa"]), 1e-9);
        close("low", k.low, f(&r["low"]), 1e-9);
        // Ours is cut to 1.
        close("high", k.high, f(&r["high"]).min(1.0), 1e-9);
    }
}

#[test]
fn clusters() {
    let all = fixture();
    for r in rows(&all, "clustered_mean") {
        let groups = r["groups"].as_array().unwrap().iter().map(n);
        let e = clustered_mean(groups.zip(floats(&r["values"])), Bounds::Unbounded).unwrap();
        close("mean", e.value, f(&r["mean"]), 1e-9);
        close("low", e.low, f(&r["low"]), 1e-7);
        close("high", e.high, f(&r["high"]), 1e-7);
    }
    for r in rows(&all, "intraclass_correlation") {
        let data = r["data"].as_array().unwrap();
        let observations =
            data.iter().enumerate().flat_map(|(g, row)| floats(row).into_iter().map(move |x| (g, x)));
        let icc = intraclass_correlation(observations).unwrap().unwrap();
        close("correlation", icc, f(&r["icc"]).clamp(0.0, 1.0), 1e-9);
    }
}
