package scenario

import (
	"math/rand/v2"
	"time"
)

// randomPart gives from 0 up to d.
func randomPart(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d))) }
