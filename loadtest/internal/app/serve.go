package app

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
)

// serve starts servers and keeps them until it is told to end, for loads that take more than one process or another tool. It
// prints the flags with which a load attaches to them.
func (p *program) serve(ctx context.Context, args []string) error {
	var spec target.Spec
	var gatewayFlags list
	flags := flag.NewFlagSet("loadtest serve", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.StringVar(&spec.Name, "target", target.Signalbox, "what to start: "+strings.Join(target.Names(), ", "))
	flags.IntVar(&spec.Nodes, "nodes", 2, "servers to start")
	flags.IntVar(&spec.Primaries, "primaries", 0, "primaries of a Redis Cluster that they share; 0: a single Redis")
	flags.IntVar(&spec.Capacity, "capacity", 2, "seats of a room")
	flags.BoolVar(&spec.Guarded, "guarded", false, "leave the gateways' limits of new connections on, as for a herd")
	binaryFlags(flags, &spec.Binaries)
	flags.Var(&gatewayFlags, "gateway-flag", "flag for the gateways, as --key=value; may come several times")
	if err := flags.Parse(args); err != nil {
		return helpOr(err)
	}
	spec.Flags = gatewayFlags
	if err := raiseFileLimit(0); err != nil {
		return err
	}
	cluster, err := target.Start(ctx, spec)
	if err != nil {
		return err
	}
	defer cluster.Close()
	attach := fmt.Sprintf("-driver %s -attach %s -redis %s", cluster.Driver, strings.Join(cluster.Gateways, ","), strings.Join(cluster.Redis, ","))
	if len(cluster.Metrics) > 0 {
		attach += " -metrics " + strings.Join(cluster.Metrics, ",")
	}
	if _, err := fmt.Fprintln(p.stdout, attach); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
