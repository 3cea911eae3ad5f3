package cluster

import "crypto/tls"

// OutboundTLS is by which a hop calls other nodes, for tests that call them by hand.
func (h *Hop) OutboundTLS() *tls.Config { return h.outbound }
