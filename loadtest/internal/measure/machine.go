package measure

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine says in a few words what this program, and whatever it starts, runs on.
func Machine() string {
	processor, memory := runtime.GOARCH, ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := field(string(text), "model name"); name != "" {
			processor = name
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _, _ := strings.Cut(field(string(text), "MemTotal"), " ")
		if n, err := strconv.ParseFloat(kib, 64); err == nil {
			memory = fmt.Sprintf(", %.0f GiB", n/(1<<20))
		}
	}
	return fmt.Sprintf("%s, %d cores%s, %s/%s", processor, runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH)
}

// field gives what stands behind the first "name:" of a file of /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
