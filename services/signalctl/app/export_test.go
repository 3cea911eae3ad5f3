package app

import "github.com/spf13/cobra"

// Root makes the command line, for what is written about it.
func Root() *cobra.Command { return new(tool).root() }
