package rollout

// golden has the bucket of callers under the salt s1.
var golden = map[string]Percent{
	"user-0":          3223,
	"user-1":          7079,
	"user-19999":      8964,
	"":                4913,
	"203.0.113.7":     2806,
	"2001:db8::1":     4669,
	"ann@example.org": 3009,
	"日本":              495,
}
