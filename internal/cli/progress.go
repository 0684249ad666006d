package cli

type progress struct{}

func newProgress(p *program, total int64, what string) *progress { return &progress{} }
func (*progress) add(int)                                        {}
func (*progress) describe(string)                                {}
func (*progress) done()                                          {}
