package capacity

// Measured returns what requests took when it was last measured, in the middle
// of fourteen rounds of `make capacity`; docs/capacity.md has them. The service kept
// neither prices nor predictions.
func Measured() Service {
	return Service{
		Request: 34e-6, House: 5.8e-6, Wake: 75e-6, WakeDelay: 130e-6, Variation: 0.39, MemoryMiB: 384,
		Source: "measured 2026-11-25 on one core of an AMD EPYC",
	}
}
