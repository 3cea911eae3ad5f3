// Package telemetry sets up what a process of ours says about itself: its log and its metrics.
package telemetry
