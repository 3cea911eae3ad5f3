package app

import "github.com/spf13/cobra"
import "errors"

var errUnwell = errors.New("a check has failed")

func (t *tool) doctorCommand() *cobra.Command { return &cobra.Command{Use: "doctor"} }
