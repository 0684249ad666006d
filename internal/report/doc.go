// Package report writes what was measured of a model, for machines and for
// people: metrics.json by [Report.JSON] and report.html by [Report.HTML],
// both from one [Report].
//
// The page is one file that loads nothing: its style stands inside and its
// charts are SVG. Sales are counted in groups or drawn as dots; no parcel
// number and no house is ever written. The same report gives the same bytes.
package report
