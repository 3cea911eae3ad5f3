{{/*
First part of every name: at most 50 characters, so that what is added leaves a name valid. A long one is cut and told from
others that begin alike by its hash.
*/}}
{{- define "signalbox.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name = .Release.Name -}}
{{- if not (contains $chart .Release.Name) -}}
{{- $name = printf "%s-%s" .Release.Name $chart -}}
{{- end -}}
{{- end -}}
{{- if gt (len $name) 50 -}}
{{- $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "signalbox.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "signalbox.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "signalbox.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods. They never change in a release's life. Called with (list . component). */}}
{{- define "signalbox.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "signalbox.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object. Called with (list . component). */}}
{{- define "signalbox.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63)
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/part-of" "signalbox"
  "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $selector := fromYaml (include "signalbox.selectorLabels" .) -}}
{{- toYaml (merge $selector $own (deepCopy $root.Values.commonLabels)) -}}
{{- end -}}

{{/* Labels of pods: without the chart's version, which would replace them all when only the chart is another. */}}
{{- define "signalbox.podLabels" -}}
{{- omit (fromYaml (include "signalbox.labels" .)) "helm.sh/chart" "app.kubernetes.io/managed-by" | toYaml -}}
{{- end -}}

{{- define "signalbox.image" -}}
{{- include "signalbox.imageOf" (list . .Values.image) -}}
{{- end -}}

{{/* An image. Called with (list . image). */}}
{{- define "signalbox.imageOf" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 0).Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Security context of containers and pods: that of the values, whole. */}}
{{- define "signalbox.podSecurityContext" -}}
{{- toYaml .Values.podSecurityContext -}}
{{- end -}}
