// Package gp learns sparse Gaussian process regressions. It knows nothing of
// houses.
//
// A [Kernel] is a sum of Matérn-3/2 terms, each over some of the columns and
// with a length scale for each of them, and of a linear term. [Tune] finds
// its length scales and variances by the marginal likelihood of a part of the
// rows; [Fit] then learns from all of them a [Process], whose mean is a sum
// over inducing points: the centres of clusters of rows, which are means of
// many rows and no row itself.
//
// Rows are standardised columns of float64, row-major, without unknown
// values. Each sum is taken in a fixed order, so that the same input and seed
// give the same process to the bit whatever the number of threads.
//
// Sources:
//
//   - C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning",
//     MIT Press 2006 (4.2 Matérn kernels, 5.4.1 gradients of the marginal
//     likelihood, 8.3.4 projected process).
//   - J. Quiñonero-Candela, C. Rasmussen, "A unifying view of sparse
//     approximate Gaussian process regression", JMLR 6, 2005 (deterministic
//     training conditional, whose mean is taken here).
//   - D. Duvenaud, H. Nickisch, C. Rasmussen, "Additive Gaussian processes",
//     NIPS 2011 (sums of kernels over parts of the columns).
//   - D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR
//     2015 (steps of Tune).
package gp
