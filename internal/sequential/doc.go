// Package sequential tells a real difference between two streams of numbers
// from chance while they are being watched: its answers hold at every moment
// together, so that who looks after each sample, and stops when it suits,
// errs no more often than who looks once.
//
// [Means] and [Excess] compare means, from [Moments] of both streams, by an
// asymptotic confidence sequence. [Proportions] compares how often something
// rare happens, such as an error, by an e-process, which is exact for any
// number of samples. [Compare] tells whether two histograms are of one
// population (PSI); that one is for a single look.
//
// Everything is a pure function of values; there is no I/O. A is the stream
// that is the measure (the primary), B the one that is judged (the candidate).
//
// The papers:
//
//   - I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas:
//     Time-uniform central limit theory and asymptotic confidence sequences.
//     Annals of Statistics 52(6), 2024; arXiv:2103.06476.
//   - R. J. Turner, A. Ly, P. D. Grünwald: Generic E-variables for exact
//     sequential k-sample tests that allow for optional stopping. Journal of
//     Statistical Planning and Inference 230, 2024; arXiv:2106.02693.
//   - R. J. Turner, P. D. Grünwald: Exact anytime-valid confidence intervals
//     for contingency tables and beyond. Statistics & Probability Letters 198,
//     2023; arXiv:2203.09785.
//   - B. Yurdakul, J. Naranjo: Statistical properties of the population
//     stability index. Journal of Risk Model Validation 14(4), 2020.
//   - K. R. Murphy, B. Myors: Testing the hypothesis that treatments have
//     negligible effects: minimum-effect tests in the general linear model.
//     Journal of Applied Psychology 84(2), 1999.
//   - M. Sankaran: Approximations to the non-central chi-square distribution.
//     Biometrika 50(1-2), 1963.
package sequential
