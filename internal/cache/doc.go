// Package cache keeps what was expensive to get: prices that were computed
// for the same house before ([Prices]), and bundles that another replica has
// fetched ([Bundles]).
//
// Prices are kept in bounded memory and, where it pays, behind it in Redis.
// Their [Key] is a hash of everything that a price depends on (model,
// demographics, house), so an entry can be too old for nobody and needs no
// invalidation. Redis is not trusted: an entry there is sealed, and one that
// does not open is refused, counted and replaced. Whatever Redis does, the
// price is then computed.
package cache
