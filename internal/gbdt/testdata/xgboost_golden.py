#!/usr/bin/env python3
"""Makes xgboost_golden.json: small forests learned by XGBoost, for train_test.go to learn again.

Features are small whole numbers, so that both implementations choose among the same bins. Made with XGBoost 1.7.6
and numpy; run it in this folder.
"""
import json

import numpy as np
import xgboost as xgb

random = np.random.RandomState(7)
ROWS = 600


def data(unknown):
    x = np.column_stack([random.randint(0, n, ROWS) for n in (40, 12, 2, 25, 7)]).astype(np.float32)
    y = 0.3 * x[:, 0] + np.sin(x[:, 1]) * (1 + x[:, 2]) + 0.02 * (x[:, 3] - 12) ** 2 + random.normal(0, 0.5, ROWS)
    if unknown:
        x[random.rand(ROWS, 5) < 0.15] = np.nan
    return x, y.round(4)


CASES = {
    "squared error": (False, False, dict(max_leaves=8)),
    "unknown values": (True, False, dict(max_leaves=12)),
    "weights": (True, True, dict(max_leaves=12, min_child_weight=6)),
    "penalties": (True, True, dict(max_leaves=16, reg_lambda=9, gamma=2.5)),
    "depth": (True, False, dict(max_leaves=64, max_depth=3)),
    "monotone": (False, False, dict(max_leaves=16, monotone_constraints="(1,0,0,-1,0)")),
}

out = []
for name, (unknown, weighted, params) in CASES.items():
    x, y = data(unknown)
    w = random.randint(1, 5, ROWS).astype(float) if weighted else np.ones(ROWS)
    base = float(round((w * y).sum() / w.sum(), 6))
    settings = dict(objective="reg:squarederror", tree_method="hist", grow_policy="lossguide", max_depth=0, max_bin=256,
                    eta=0.3, base_score=base, nthread=1)
    booster = xgb.train(dict(settings, **params), xgb.DMatrix(x, y, weight=w), 10)
    out.append(dict(
        name=name, base=base, params=params,
        x=[[None if np.isnan(v) else int(v) for v in row] for row in x], label=y.tolist(), weight=w.tolist(),
        prediction=[round(float(p), 5) for p in booster.predict(xgb.DMatrix(x))]))
with open("xgboost_golden.json", "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
