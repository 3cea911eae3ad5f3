//go:build race

package classic

const raceDetector = true
