#!/usr/bin/env python3
"""Makes xgboost_shap.json: a forest that XGBoost trained, rows, and what XGBoost's
pred_contribs says of them. TestExplainIsWhatXGBoostSays reads it.

    pip install 'xgboost==1.7.6' 'numpy<2'
    python3 internal/gbdt/testdata/xgboost_shap.py > internal/gbdt/testdata/xgboost_shap.json
"""
import json

import numpy as np
import xgboost as xgb

ROWS, COLUMNS, SHOWN = 3000, 9, 40

random = np.random.default_rng(5)
x = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
x[random.random(x.shape) < 0.08] = np.nan  # unknown
known = np.nan_to_num(x, nan=-0.5)
y = (
    np.sin(2 * known[:, 0])
    + known[:, 1] * known[:, 2]
    + 0.5 * np.maximum(known[:, 3], known[:, 4])
    + 0.3 * (known[:, 5] > 0) * known[:, 0]
    + 0.1 * random.normal(size=ROWS)
)
weight = random.uniform(0.2, 2, size=ROWS)
booster = xgb.train(
    {"max_depth": 9, "eta": 0.2, "grow_policy": "lossguide", "max_leaves": 40, "tree_method": "hist",
     "colsample_bytree": 0.9, "base_score": 0.25, "seed": 1, "nthread": 1},
    xgb.DMatrix(x, y, weight=weight), num_boost_round=25,
)
model = json.loads(booster.save_raw("json"))
trees = []
for t in model["learner"]["gradient_booster"]["model"]["trees"]:
    trees.append({
        "left": t["left_children"], "right": t["right_children"], "column": t["split_indices"],
        # Of a leaf this is its value.
        "threshold": t["split_conditions"], "unknown_left": [int(v) for v in t["default_left"]], "cover": t["sum_hessian"],
    })
shown = xgb.DMatrix(x[:SHOWN])
contributions = booster.predict(shown, pred_contribs=True)
print(json.dumps({
    "base": 0.25, "trees": trees,
    "rows": [[None if np.isnan(v) else float(v) for v in row] for row in x[:SHOWN]],
    # By column, and last the expectation.
    "contributions": [[float(v) for v in row] for row in contributions],
    "predictions": [float(v) for v in booster.predict(shown)],
}))
