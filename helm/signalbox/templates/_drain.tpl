{{/*
The end of a pod, from one set of numbers:

  terminationGracePeriodSeconds
  |<-- endpointDelay -->|<-- delay -->|<---- window ---->|<-- grace -->|<-- close -->|<- 5 ->|
  | preStop: as before  | the gateway's shutdown.timeout                             | exit  |

Kubernetes knows preStop.sleep from 1.30 on. On 1.29 the gateway waits itself: its delay is longer by as much.
*/}}
{{- define "signalbox.nativeSleep" -}}
{{- if and (gt (int .Values.drain.endpointDelaySeconds) 0) (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) -}}true{{- end -}}
{{- end -}}

{{- define "signalbox.drain.delay" -}}
{{- $d := .Values.drain -}}
{{- if include "signalbox.nativeSleep" . -}}
{{- int $d.delaySeconds -}}
{{- else -}}
{{- add $d.delaySeconds $d.endpointDelaySeconds -}}
{{- end -}}
{{- end -}}

{{- define "signalbox.drain.timeout" -}}
{{- $d := .Values.drain -}}
{{- add (include "signalbox.drain.delay" .) $d.windowSeconds $d.graceSeconds $d.closeSeconds -}}
{{- end -}}

{{- define "signalbox.terminationGracePeriodSeconds" -}}
{{- $least := add .Values.drain.endpointDelaySeconds .Values.drain.delaySeconds .Values.drain.windowSeconds .Values.drain.graceSeconds .Values.drain.closeSeconds 5 -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- $least -}}
{{- else if lt (int $given) (int $least) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and the drain takes up to %d seconds: the kubelet would kill gateways whose sessions are still moving. Leave it empty, or make the numbers of drain smaller." (int $given) (int $least)) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{- define "signalbox.minReadySeconds" -}}
{{- if kindIs "invalid" .Values.minReadySeconds -}}{{ int .Values.drain.windowSeconds }}{{- else -}}{{ int .Values.minReadySeconds }}{{- end -}}
{{- end -}}

{{/* GOMEMLIMIT in bytes: nine tenths of the memory limit. Empty without one. Called with (list resources name). */}}
{{- define "signalbox.memoryLimit" -}}
{{- $limit := dig "limits" "memory" "" (default dict (index . 0)) -}}
{{- /* A large number would be printed with an exponent. */ -}}
{{- $limit = kindIs "string" $limit | ternary $limit (int64 $limit) | toString -}}
{{- if $limit -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- if not (and (regexMatch "^[0-9]+(\\.[0-9]+)?[A-Za-z]*$" $limit) (hasKey $units $unit)) -}}
{{- fail (printf "%s.limits.memory is %q: write it as a number with k, M, G, T, Ki, Mi, Gi, Ti or no unit, from which GOMEMLIMIT is worked out" (index . 1) $limit) -}}
{{- end -}}
{{- mulf (trimSuffix $unit $limit | float64) (get $units $unit) 0.9 | floor | int64 -}}
{{- end -}}
{{- end -}}
