"""Figures of SciPy and statsmodels for crates/freehold-stats/tests/scipy.rs.

    python -m venv VENV && VENV/bin/pip install scipy statsmodels
    VENV/bin/python tests/interop/stats.py > tests/fixtures/stats.json
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20261124)
out = {"made_with": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__}}

out["wilson"] = [
    {"k": k, "n": n, "low": lo, "high": hi}
    for k, n in [(0, 1), (1, 1), (3, 10), (10, 10), (17, 72), (81, 263), (499, 1000)]
    for lo, hi in [proportion_confint(k, n, 0.05, method="wilson")]
]
out["t_quantile"] = [
    {"p": p, "df": df, "t": float(stats.t.ppf(p, df))}
    for p in (0.001, 0.2, 0.8, 0.975, 0.999) for df in (1, 2, 7, 19, 39, 1000)
]
out["normal_cdf"] = [{"z": z, "p": float(stats.norm.cdf(z))} for z in (-6.0, -1.5, 0.0, 0.3, 1.96, 3.04, 5.0)]
out["mcnemar"] = [
    {"b": b, "c": c, "p": float(mcnemar([[5, b], [c, 9]], exact=True).pvalue)}
    for b, c in [(0, 1), (1, 0), (3, 9), (10, 10), (2, 31), (40, 60)]
]
ps = [0.01, 0.04, 0.03, 0.005, 0.9, 0.04]
out["holm"] = {"p": ps, "adjusted": multipletests(ps, method="holm")[1].tolist()}

kappas = []
for n, rate, agree in [(40, 0.5, 0.9), (300, 0.1, 0.95), (25, 0.3, 0.6), (600, 0.4, 0.99)]:
    a = rng.random(n) < rate
    b = np.where(rng.random(n) < agree, a, rng.random(n) < rate)
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    k = cohens_kappa(table)
    kappas.append({"table": table, "kappa": k.kappa, "low": k.kappa_low, "high": k.kappa_upp})
out["kappa"] = kappas


def jackknife(groups, values):
    """SciPy has no leave-one-cluster-out interval; this is its definition, in NumPy."""
    ids = np.unique(groups)
    mean = values.mean()
    left = np.array([values[groups != g].mean() for g in ids])
    se = np.sqrt((len(ids) - 1) / len(ids) * ((left - mean) ** 2).sum())
    half = stats.t.ppf(0.975, len(ids) - 1) * se
    return float(mean), float(mean - half), float(mean + half)


clustered = []
for clusters in (8, 13, 40):
    groups = np.repeat(np.arange(clusters), rng.integers(1, 7, clusters))
    values = rng.normal(size=clusters)[groups] + rng.normal(size=len(groups))
    mean, low, high = jackknife(groups, values)
    clustered.append({"groups": groups.tolist(), "values": values.tolist(), "mean": mean, "low": low, "high": high})
out["clustered_mean"] = clustered

# Equal clusters: the sign-flip test over all patterns is SciPy's permutation test of one sample.
flips = []
for k in (6, 9, 12):
    sums = np.round(rng.normal(0.4, 1.0, k), 3)
    test = stats.permutation_test(
        (sums,), lambda x: abs(x.sum()), permutation_type="samples", n_resamples=np.inf, alternative="greater"
    )
    flips.append({"sums": sums.tolist(), "p": float(test.pvalue)})
out["sign_flip"] = flips

# One-way analysis of variance: F from SciPy, and from it the intraclass correlation of equal clusters, (F − 1) / (F + m − 1).
iccs = []
for clusters, m in ((8, 3), (20, 5)):
    data = rng.normal(size=(clusters, 1)) + rng.normal(size=(clusters, m))
    f = stats.f_oneway(*data).statistic
    iccs.append({"data": data.tolist(), "icc": float((f - 1) / (f + m - 1))})
out["intraclass_correlation"] = iccs

json.dump(out, sys.stdout, indent=1)
print()
