{{/* Where the gateway listens in its pod. Services choose their own ports. */}}
{{- define "signalbox.port.public" -}}8080{{- end -}}
{{- define "signalbox.port.operations" -}}9090{{- end -}}
{{- define "signalbox.port.cluster" -}}7946{{- end -}}
{{- define "signalbox.port.api" -}}8081{{- end -}}

{{/* What cannot work is refused here, in words of the values, rather than by pods that do not start. */}}
{{- define "signalbox.validate" -}}
{{- $r := .Values.redis -}}
{{- $url := and $r.existingSecret $r.existingSecretKeys.url -}}
{{- if not (regexMatch "^[a-z]" (include "signalbox.fullname" .)) -}}
{{- fail (printf "%q cannot be the name of a Service, which begins with a letter: choose another release name, or set fullnameOverride" (include "signalbox.fullname" .)) -}}
{{- end -}}
{{- if and .Values.devRedis.enabled (or $r.addresses $url) -}}
{{- fail "devRedis.enabled makes a Redis of its own: leave redis.addresses and redis.existingSecretKeys.url empty beside it" -}}
{{- end -}}
{{- if not (or .Values.devRedis.enabled $r.addresses $url) -}}
{{- fail "Signalbox needs a Redis. Give its address:\n  --set redis.addresses={redis:6379}\nor, for trying out, have a small one made beside the gateways:\n  --set devRedis.enabled=true --set config.demo.enabled=true" -}}
{{- end -}}
{{- if and $url (or $r.addresses $r.username (ne $r.mode "single")) -}}
{{- fail "redis.existingSecretKeys.url is the whole address of one server: it excludes redis.mode, redis.addresses and redis.username" -}}
{{- end -}}
{{- if and (ne $r.mode "sentinel") (or $r.masterName $r.sentinelUsername $r.existingSecretKeys.sentinelPassword) -}}
{{- fail "redis.masterName, redis.sentinelUsername and redis.existingSecretKeys.sentinelPassword are for redis.mode sentinel" -}}
{{- end -}}
{{- if and (eq $r.mode "sentinel") (not $r.masterName) -}}
{{- fail "redis.mode sentinel needs redis.masterName" -}}
{{- end -}}
{{- if and .Values.devRedis.enabled (ne $r.mode "single") -}}
{{- fail "devRedis is a single server: leave redis.mode as it is beside it" -}}
{{- end -}}
{{- if and (not $r.tls.enabled) (or $r.tls.caSecret $r.tls.clientSecret $r.tls.serverName) -}}
{{- fail "redis.tls is set up, and redis.tls.enabled is false: what was meant to be encrypted would be sent in the clear" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled exclude each other: two autoscalers would fight over the number of pods" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "podMonitor.enabled and serviceMonitor.enabled exclude each other: every metric would be counted twice" -}}
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- $scaler := index $.Values $name -}}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- fail (printf "%s.minReplicas is more than %s.maxReplicas" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not (or .Values.autoscaling.cpu.targetUtilization .Values.autoscaling.sessions.target .Values.autoscaling.extraMetrics)) -}}
{{- fail "autoscaling needs a metric: autoscaling.cpu.targetUtilization, autoscaling.sessions.target or autoscaling.extraMetrics" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.autoscaling.cpu.targetUtilization (not (dig "requests" "cpu" "" (default dict .Values.resources))) -}}
{{- fail "autoscaling.cpu.targetUtilization is a share of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateways that it hangs on" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts" -}}
{{- end -}}
{{- $api := .Values.api -}}
{{- if and $api.enabled (not (or $api.keys.existingSecret .Values.configSecret.name (dig "api" "keys" "" .Values.config))) -}}
{{- fail "api.enabled needs a key of the server API: in a Secret that api.keys.existingSecret names, or as a hash in config.api.keys" -}}
{{- end -}}
{{- if and $api.tls.clientCaSecret (not $api.tls.existingSecret) -}}
{{- fail "api.tls.clientCaSecret verifies certificates of clients, which are shown in TLS: it needs api.tls.existingSecret" -}}
{{- end -}}
{{- if and $api.ingress.enabled (not $api.enabled) -}}
{{- fail "api.ingress.enabled needs api.enabled" -}}
{{- end -}}
{{- if and $api.ingress.enabled (not $api.ingress.hosts) -}}
{{- fail "api.ingress.enabled needs api.ingress.hosts" -}}
{{- end -}}
{{- if and $api.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.apiFrom) -}}
{{- fail "networkPolicy.apiFrom is empty, and nobody would reach the server API: name the pods or namespaces that use it, or leave api.enabled off and use kubectl port-forward" -}}
{{- end -}}
{{- if .Values.relay.enabled -}}{{- include "signalbox.relay.validate" . -}}{{- end -}}
{{- end -}}

{{/* Section redis of the configuration, for whatever speaks with Redis. What is secret in it comes as variables. */}}
{{- define "signalbox.redis" -}}
{{- $r := .Values.redis -}}
{{- $redis := dict "mode" $r.mode -}}
{{- if .Values.devRedis.enabled -}}
{{- $_ := set $redis "addresses" (list (printf "%s-redis:6379" (include "signalbox.fullname" .))) -}}
{{- else if $r.addresses -}}
{{- $_ := set $redis "addresses" $r.addresses -}}
{{- end -}}
{{- if and $r.existingSecret $r.existingSecretKeys.url -}}
{{- $redis = dict -}}
{{- else if ne (int $r.database) 0 -}}
{{- $_ := set $redis "database" (int $r.database) -}}
{{- end -}}
{{- range $key, $value := dict "username" $r.username "master_name" $r.masterName "sentinel_username" $r.sentinelUsername -}}
{{- if $value -}}{{- $_ := set $redis $key $value -}}{{- end -}}
{{- end -}}
{{- if $r.tls.enabled -}}
{{- $tls := dict "enabled" true -}}
{{- if $r.tls.serverName -}}{{- $_ := set $tls "server_name" $r.tls.serverName -}}{{- end -}}
{{- if $r.tls.caSecret -}}{{- $_ := set $tls "ca_file" (printf "/etc/signalbox/redis-ca/%s" $r.tls.caSecretKey) -}}{{- end -}}
{{- if $r.tls.clientSecret -}}
{{- $_ := set $tls "cert_file" "/etc/signalbox/redis-client/tls.crt" -}}
{{- $_ := set $tls "key_file" "/etc/signalbox/redis-client/tls.key" -}}
{{- end -}}
{{- $_ := set $redis "tls" $tls -}}
{{- end -}}
{{- toYaml $redis -}}
{{- end -}}

{{/* Variables with what is secret about Redis. */}}
{{- define "signalbox.redisEnv" -}}
{{- with .Values.redis -}}
{{- if .existingSecret -}}
{{- range $variable, $key := dict "URL" .existingSecretKeys.url "PASSWORD" .existingSecretKeys.password "SENTINEL_PASSWORD" .existingSecretKeys.sentinelPassword }}
{{- if and $key (not (and $.Values.redis.existingSecretKeys.url (ne $variable "URL"))) }}
- name: SIGNALBOX_REDIS_{{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.redis.existingSecret | quote }}, key: {{ $key | quote }}}}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Files for TLS to Redis. */}}
{{- define "signalbox.redisVolumes" -}}
{{- with .Values.redis.tls.caSecret }}
- name: redis-ca
  secret:
    secretName: {{ . | quote }}
    items: [{key: {{ $.Values.redis.tls.caSecretKey | quote }}, path: {{ $.Values.redis.tls.caSecretKey | quote }}}]
{{- end }}
{{- with .Values.redis.tls.clientSecret }}
- name: redis-client
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "signalbox.redisVolumeMounts" -}}
{{- if .Values.redis.tls.caSecret }}
- {name: redis-ca, mountPath: /etc/signalbox/redis-ca, readOnly: true}
{{- end }}
{{- if .Values.redis.tls.clientSecret }}
- {name: redis-client, mountPath: /etc/signalbox/redis-client, readOnly: true}
{{- end }}
{{- end -}}

{{/*
The gateway's configuration: that of the values, and what the chart knows better. Secrets are not in it; they come as
variables and as a file of their own.
*/}}
{{- define "signalbox.config" -}}
{{- $own := dict
  "listen" (dict
    "public" (printf ":%s" (include "signalbox.port.public" .))
    "operations" (printf ":%s" (include "signalbox.port.operations" .))
    "cluster" (printf ":%s" (include "signalbox.port.cluster" .)))
  "redis" (fromYaml (include "signalbox.redis" .))
  "shutdown" (dict
    "timeout" (printf "%ss" (include "signalbox.drain.timeout" .))
    "delay" (printf "%ss" (include "signalbox.drain.delay" .))
    "window" (printf "%ds" (int .Values.drain.windowSeconds))
    "grace" (printf "%ds" (int .Values.drain.graceSeconds))) -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $own "tls" (dict "cert_file" "/etc/signalbox/tls/tls.crt" "key_file" "/etc/signalbox/tls/tls.key") -}}
{{- end -}}
{{- $api := dict -}}
{{- if .Values.api.enabled -}}{{- $_ := set $api "address" (printf ":%s" (include "signalbox.port.api" .)) -}}{{- end -}}
{{- if .Values.api.tls.existingSecret -}}
{{- $tls := dict "cert_file" "/etc/signalbox/api-tls/tls.crt" "key_file" "/etc/signalbox/api-tls/tls.key" -}}
{{- if .Values.api.tls.clientCaSecret -}}
{{- $_ := set $tls "client_ca_file" (printf "/etc/signalbox/api-client-ca/%s" .Values.api.tls.clientCaSecretKey) -}}
{{- end -}}
{{- $_ := set $api "tls" $tls -}}
{{- end -}}
{{- if $api -}}{{- $_ := set $own "api" $api -}}{{- end -}}
{{- if .Values.relay.enabled -}}{{- $_ := set $own "ice" (dict "relays" (dict "enabled" true)) -}}{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{/* Files of the configuration, in the order in which they are read. The gateways read that with keys of the API as well. */}}
{{- define "signalbox.configFiles" -}}
/etc/signalbox/config/signalbox.yaml
{{- if .Values.configSecret.name -}}
,/etc/signalbox/secret/{{ .Values.configSecret.key }}
{{- end -}}
{{- end -}}

{{/* Volumes with the configuration, which the gateways and the test mount. */}}
{{- define "signalbox.configVolumes" -}}
- name: config
  configMap:
    name: {{ include "signalbox.fullname" . }}
{{- with .Values.configSecret.name }}
- name: secret
  secret:
    secretName: {{ . | quote }}
    items: [{key: {{ $.Values.configSecret.key | quote }}, path: {{ $.Values.configSecret.key | quote }}}]
{{- end }}
{{- end -}}

{{- define "signalbox.configVolumeMounts" -}}
- name: config
  mountPath: /etc/signalbox/config
  readOnly: true
{{- if .Values.configSecret.name }}
- name: secret
  mountPath: /etc/signalbox/secret
  readOnly: true
{{- end }}
{{- end -}}
