// Package model makes what is trained and served: a [Model] values houses.
//
// [Train] turns sales into a model: the encoder of package features is
// fitted to the houses, each sale becomes a row and its log price a label,
// and package gbdt learns a forest from them. [Model.Prices] walks the same
// rows the other way, and nothing else turns a house into a price.
// [CrossValidate] and [NewestSplit] train on a part of the sales and value
// the rest, and [Measure] says how well that went.
package model
