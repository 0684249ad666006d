// Command housing values houses with a model trained on real sales.
package main

import (
	"context"
	"os"

	"housing/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}
