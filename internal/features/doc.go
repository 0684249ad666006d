// Package features turns a house and its area into the row of numbers that
// the trees see.
//
// There is one function for it, [Encoder.Row], which training and serving
// both call. What a row needs beyond house and area (centres, zipcode means,
// the day to value as of) is learned once by [Fit] from houses without their
// prices: the type [house.House] has none, so no price can enter a row.
package features
