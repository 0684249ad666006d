// Package gbdt learns gradient-boosted regression trees and predicts with
// them. It knows nothing of houses.
//
// The way through it: a [Matrix] of float32 (rows × features, row-major, NaN
// for unknown) is cut into at most 255 bins a feature by [NewBins]; [Train]
// fits one tree a round to the gradients of an [Objective] (Friedman 2001)
// by their second-order gain (Chen & Guestrin 2016), growing leaf by leaf,
// best gain first, over histograms of the bins (Ke et al. 2017), and learns
// for each split where unknown values go; the result is a [Forest], which
// never changes once made. What serves predicts by its [Engine], which gives
// the same bits as the forest's plain walk, some times faster.
//
// Gradients are summed in fixed point: integer sums do not depend on their
// order, so the same input and seed give a byte-identical forest whatever
// the number of threads.
//
// Sources:
//
//   - J. Friedman, "Greedy function approximation: a gradient boosting
//     machine", Annals of Statistics 29(5), 2001.
//   - J. Friedman, "Stochastic gradient boosting", Computational Statistics
//     & Data Analysis 38(4), 2002 (row sampling).
//   - T. Chen, C. Guestrin, "XGBoost: a scalable tree boosting system", KDD
//     2016 (regularised gain, learned direction for unknown values).
//   - G. Ke et al., "LightGBM: a highly efficient gradient boosting decision
//     tree", NIPS 2017 (histograms, leaf-wise growth).
package gbdt
