"""Writes a forest of the product as a model of XGBoost and of LightGBM, so that all measure the same trees."""
import json
import numpy as np


class Tree:
    """A tree of a forest file, its nodes and leaves numbered from 0."""

    def __init__(self, forest, root):
        self.feature, self.threshold, self.unknown_left, self.left, self.right, self.values = [], [], [], [], [], []
        self._add(forest, root)

    def _add(self, forest, i):
        if i < 0:
            self.values.append(forest["leaves"][~i])
            return ~(len(self.values) - 1)
        feature, threshold, unknown_left, left, right = forest["nodes"][i]
        at = len(self.feature)
        self.feature.append(feature)
        self.threshold.append(np.float32(threshold))
        self.unknown_left.append(unknown_left)
        self.left.append(0)
        self.right.append(0)
        self.left[at] = self._add(forest, left)
        self.right[at] = self._add(forest, right)
        return at


def read(path):
    with open(path) as f:
        forest = json.load(f)
    forest["trees"] = [Tree(forest, root) for root in forest["roots"]]
    return forest


def lightgbm(forest, path):
    """A text model: x <= threshold goes left, so that thresholds are the number before ours. The base is in the first tree."""
    columns = forest["columns"]
    names = " ".join(f"f{i}" for i in range(columns))
    blocks = []
    for number, t in enumerate(forest["trees"]):
        n, base = len(t.feature), forest["base"] if number == 0 else 0
        before = [repr(float(np.nextafter(v, np.float32(-np.inf)))) for v in t.threshold]
        join = lambda values: " ".join(map(str, values))
        blocks.append("\n".join([
            f"Tree={number}", f"num_leaves={n + 1}", "num_cat=0", f"split_feature={join(t.feature)}", f"split_gain={join([1] * n)}",
            f"threshold={join(before)}", f"decision_type={join(10 if left else 8 for left in t.unknown_left)}",
            f"left_child={join(t.left)}", f"right_child={join(t.right)}", f"leaf_value={join(repr(float(v) + base) for v in t.values)}",
            f"leaf_weight={join([1] * (n + 1))}", f"leaf_count={join([1] * (n + 1))}", f"internal_value={join([0] * n)}",
            f"internal_weight={join([1] * n)}", f"internal_count={join([1] * n)}", "is_linear=0", "shrinkage=1", "", ""]) + "\n")
    with open(path, "w") as f:
        f.write("\n".join(["tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0", f"max_feature_idx={columns - 1}",
                           "objective=regression", f"feature_names={names}", "feature_infos=" + " ".join(["[-1e+30:1e+30]"] * columns),
                           "tree_sizes=" + " ".join(str(len(b)) for b in blocks), "", ""]))
        f.write("".join(blocks))
        f.write("end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n")


def xgboost(forest, path):
    """A JSON model: x < threshold goes left, as with us."""
    trees = []
    for number, t in enumerate(forest["trees"]):
        n, leaves = len(t.feature), len(t.values)
        size = n + leaves
        # Siblings stand side by side, which XGBoost counts on: place is where
        # node i, or leaf ~i, stands.
        order, place = [0 if n else ~0], {}
        for i in order:
            place[i] = len(place)
            if i >= 0:
                order += [t.left[i], t.right[i]]
        left, right, parents = [-1] * size, [-1] * size, [2147483647] * size
        condition, index, unknown_left = [0.0] * size, [0] * size, [0] * size
        for i, at in place.items():
            if i < 0:
                condition[at] = float(t.values[~i])
                continue
            left[at], right[at] = place[t.left[i]], place[t.right[i]]
            parents[left[at]] = parents[right[at]] = at
            condition[at], index[at], unknown_left[at] = float(t.threshold[i]), t.feature[i], int(t.unknown_left[i])
        trees.append({
            "base_weights": [0.0] * size, "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
            "default_left": unknown_left, "id": number, "left_children": left, "right_children": right,
            "loss_changes": [1.0] * size, "parents": parents, "split_conditions": condition,
            "split_indices": index, "split_type": [0] * size, "sum_hessian": [1.0] * size,
            "tree_param": {"num_deleted": "0", "num_feature": str(forest["columns"]), "num_nodes": str(size), "size_leaf_vector": "1"}})
    count = len(trees)
    model = {"learner": {
        "attributes": {}, "feature_names": [], "feature_types": [],
        "gradient_booster": {"model": {"gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
                                       "iteration_indptr": list(range(count + 1)), "tree_info": [0] * count, "trees": trees}, "name": "gbtree"},
        "learner_model_param": {"base_score": f"[{forest['base']!r}]", "boost_from_average": "1", "num_class": "0",
                                "num_feature": str(forest["columns"]), "num_target": "1"},
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}}, "version": [3, 2, 0]}
    with open(path, "w") as f:
        json.dump(model, f)
