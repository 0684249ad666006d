package capacity

// Measured returns what requests took when it was last measured, in the middle
// of seven runs of `make capacity` beside other work; docs/capacity.md has
// them. The service kept neither prices nor predictions.
func Measured() Service {
	return Service{
		Request: 30e-6, House: 7.5e-6, Wake: 85e-6, WakeDelay: 100e-6, Variation: 0.43, MemoryMiB: 384,
		Source: "measured 2026-11-25 on one core of an AMD EPYC",
	}
}
