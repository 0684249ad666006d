// Package network learns small neural networks for regression and predicts
// with them. It knows nothing of houses.
//
// A [Network] takes a row of standardised numbers and adds to it sines and
// cosines of its first two, a place, in fixed random directions, so that it
// can follow a surface that is rough (random Fourier features). Two layers of
// rectified linear units follow, and beside them a linear way from the row to
// the output. [Train] fits it by gradient steps on parts of the rows.
//
// Gradients are summed in a fixed order, and predictions round each product,
// so that the same input and seed give the same network to the bit whatever
// the number of threads, and the same prediction on every machine.
//
// Sources:
//
//   - M. Tancik et al., "Fourier features let networks learn high frequency
//     functions in low dimensional domains", NeurIPS 2020.
//   - K. He et al., "Delving deep into rectifiers", ICCV 2015 (first weights).
//   - D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR
//     2015; I. Loshchilov, F. Hutter, "SGDR", ICLR 2017 (rate that falls as a
//     cosine).
package network
