package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the chart takes for granted of the image.
func TestDockerfileFitsTheChart(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	text := string(raw)
	d := deployment(decoded(t, release{values: least(t, "")}), "gateway")
	spec := d.Spec.Template.Spec
	user := strconv.FormatInt(*spec.SecurityContext.RunAsUser, 10) + ":" + strconv.FormatInt(*spec.SecurityContext.RunAsGroup, 10)
	require.Contains(t, text, "\nUSER "+user+"\n")
	require.Contains(t, text, "\nENTRYPOINT [\"/gateway\"]\n")
	require.Empty(t, spec.Containers[0].Command, "the image's own")
	var ports []string
	for _, port := range spec.Containers[0].Ports {
		ports = append(ports, strconv.Itoa(int(port.ContainerPort)))
	}
	require.Contains(t, text, "\nEXPOSE "+strings.Join(ports, " ")+"\n")

	// Every stage but the one that builds stands on nothing, and none of them runs anything: there is no shell.
	stages := regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(text, -1)
	for _, stage := range stages[1:] {
		require.Contains(t, []string{"scratch", "base"}, stage[1], stage[2])
	}
	_, final, _ := strings.Cut(text, "\nFROM scratch")
	require.NotContains(t, final, "\nRUN ")
	require.Equal(t, 3, strings.Count(final, "/etc/ssl/certs/ca-certificates.crt\nCOPY"), "all images have certificates")
}
