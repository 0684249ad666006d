// Package drift compares the houses that a model is asked about, and the
// prices it gives, with those that it was trained on.
//
// [Version.Observe] counts each value of a house in the bin of the reference
// statistics that it falls into: on counters that only a few calls share, with
// neither a lock nor memory of its own. A [Monitor] reads the counters every
// 15 seconds, keeps what they were at some times of the last day, and from the
// difference says for each feature (a field, or the price):
//
//   - its population stability index (PSI), less what chance alone adds
//     (Yurdakul, Naranjo 2020), over a window that reaches back five minutes
//     or as far as it takes to have [MinValues] known values of as many
//     different houses: one that is asked about again says nothing new;
//   - how many values were unknown, and how many outside the range of the
//     training.
//
// One test says whether the population as a whole has shifted: whether the PSI
// of some feature is over [Tolerance], each tested by
// [sequential.Stability.Chance] and all of them together corrected by
// Bonferroni (as Rabanser, Günnemann, Lipton 2019 found to do best among tests
// by feature: Failing Loudly, arXiv:1810.11953).
//
// PSI is taken in the about 100 bins of the reference, so that it sees also
// what moves within a tenth of the houses. The test, the counters that
// Prometheus adds up over replicas, and a [Report] go by groups of these bins
// of which there are 8, as a rule.
//
// Unknown values are no bin: whoever asks with four fields only would else
// hide all there is to see in the others.
package drift
