{{/* What cannot work is refused in words of the values. */}}
{{- define "signalbox.relay.validate" -}}
{{- $r := .Values.relay -}}
{{- $single := and (eq $r.kind "Deployment") (eq (int $r.replicaCount) 1) -}}
{{- if not $r.secret.existingSecret -}}
{{- fail "relay.enabled needs relay.secret.existingSecret: a Secret with what relays and gateways share, one a line:\n  kubectl create secret generic turn --from-file=secrets=FILE" -}}
{{- end -}}
{{- $ways := 0 -}}
{{- range list $r.external.hostIPs $r.external.stunServer $r.external.ips -}}{{- if . -}}{{- $ways = add1 $ways -}}{{- end -}}{{- end -}}
{{- if ne (int $ways) 1 -}}
{{- fail "relay.enabled needs one of relay.external: hostIPs, where the nodes' own addresses are public; stunServer, where they are translated one to one; ips, for a single relay" -}}
{{- end -}}
{{- if and $r.external.ips (not $single) -}}
{{- fail "relay.external.ips are the addresses of one machine: relay ports lead to one relay, so it needs relay.kind Deployment and relay.replicaCount 1" -}}
{{- end -}}
{{- if and $r.external.hostIPs (not $r.hostNetwork) -}}
{{- fail "relay.external.hostIPs needs relay.hostNetwork: ports of a node lead to no other pod" -}}
{{- end -}}
{{- if not (or $r.hostNetwork $r.service.enabled) -}}
{{- fail "relay.hostNetwork and relay.service.enabled are both false: no client would reach a relay" -}}
{{- end -}}
{{- if and $r.service.enabled (not $r.urls) -}}
{{- fail "relay.service.enabled needs relay.urls: how clients reach the Service, which relays do not know" -}}
{{- end -}}
{{- if gt (int $r.ports.relayFrom) (int $r.ports.relayTo) -}}
{{- fail "relay.ports.relayFrom is more than relay.ports.relayTo" -}}
{{- end -}}
{{- range $name := list "udp" "tcp" "tls" "operations" -}}
{{- $port := int (get $r.ports $name) -}}
{{- if and (ge $port (int $r.ports.relayFrom)) (le $port (int $r.ports.relayTo)) -}}
{{- fail (printf "relay.ports.%s is %d, which is one of the relay ports (relayFrom to relayTo)" $name $port) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "udp" "tcp" "tls" -}}
{{- if and (not $r.hostNetwork) (lt (int (get $r.ports $name)) 1024) -}}
{{- fail (printf "relay.ports.%s is %d, which a pod without rights cannot listen on: give clients that port by relay.service.ports" $name (int (get $r.ports $name))) -}}
{{- end -}}
{{- end -}}
{{- if or (eq (int $r.ports.operations) (int $r.ports.tcp)) (eq (int $r.ports.operations) (int $r.ports.tls)) (and $r.tls.existingSecret (eq (int $r.ports.tls) (int $r.ports.tcp))) -}}
{{- fail "relay.ports.tcp, tls and operations are TCP ports of one machine: no two may be the same" -}}
{{- end -}}
{{- if $r.service.relayPorts -}}
{{- if or $r.hostNetwork (not $r.service.enabled) (not $single) -}}
{{- fail "relay.service.relayPorts is for relay.service.enabled without relay.hostNetwork, and for a single relay: a relay port leads to whichever has an allocation there" -}}
{{- end -}}
{{- if gt (sub (int $r.ports.relayTo) (int $r.ports.relayFrom)) 199 -}}
{{- fail "relay.service.relayPorts puts each relay port on the Service: set relay.ports.relayFrom and relayTo to 200 ports at most" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The relays' configuration. What is of the pod alone, and secrets, comes as variables and files. */}}
{{- define "signalbox.relay.config" -}}
{{- $r := .Values.relay -}}
{{- $relay := dict "ports_from" (int $r.ports.relayFrom) "ports_to" (int $r.ports.relayTo) -}}
{{- with default (dig "node" "region" "" .Values.config) $r.region -}}{{- $_ := set $relay "region" . -}}{{- end -}}
{{- with $r.external.ips -}}{{- $_ := set $relay "external_ip" . -}}{{- end -}}
{{- with $r.external.stunServer -}}{{- $_ := set $relay "stun_server" . -}}{{- end -}}
{{- $listen := dict "udp" (list (printf ":%d" (int $r.ports.udp))) "tcp" (list (printf ":%d" (int $r.ports.tcp))) -}}
{{- if not $r.hostNetwork -}}{{- $_ := set $listen "operations" (printf ":%d" (int $r.ports.operations)) -}}{{- end -}}
{{- $own := dict
  "relay" $relay
  "listen" $listen
  "credentials" (dict "secrets_file" (printf "/etc/signalbox/turn/%s" $r.secret.key))
  "announce" (dict "enabled" true)
  "redis" (fromYaml (include "signalbox.redis" .))
  "shutdown" (dict "drain" (printf "%ds" (int $r.drainSeconds))) -}}
{{- if $r.tls.existingSecret -}}
{{- $_ := set $listen "tls" (list (printf ":%d" (int $r.ports.tls))) -}}
{{- $_ := set $own "tls" (dict "cert_file" "/etc/signalbox/relay-tls/tls.crt" "key_file" "/etc/signalbox/relay-tls/tls.key") -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy $r.config) $own) -}}
{{- end -}}

{{/* Whether a relay listens on a port of the node that root alone may have. */}}
{{- define "signalbox.relay.lowPort" -}}
{{- $r := .Values.relay -}}
{{- $ports := list $r.ports.udp $r.ports.tcp -}}
{{- if $r.tls.existingSecret -}}{{- $ports = append $ports $r.ports.tls -}}{{- end -}}
{{- if not $r.unprivilegedPorts -}}{{- range $ports -}}{{- if lt (int .) 1024 -}}true{{- end -}}{{- end -}}{{- end -}}
{{- end -}}

{{/*
Security context of the container. A capability is of use to root alone, as nothing in the image may gain one: so a relay on a low
port is root, with this one capability and no other.
*/}}
{{- define "signalbox.relay.securityContext" -}}
{{- $context := deepCopy .Values.securityContext -}}
{{- if include "signalbox.relay.lowPort" . -}}
{{- $context = mergeOverwrite $context (dict "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0 "capabilities" (dict "drop" (list "ALL") "add" (list "NET_BIND_SERVICE"))) -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* Ports of a Service for clients. Called with (list . protocols). */}}
{{- define "signalbox.relay.servicePorts" -}}
{{- $r := (index . 0).Values.relay -}}
{{- if has "UDP" (index . 1) }}
- {name: turn-udp, port: {{ int (default $r.ports.udp $r.service.ports.udp) }}, targetPort: turn-udp, protocol: UDP}
{{- if $r.service.relayPorts }}
{{- range untilStep (int $r.ports.relayFrom) (int (add1 $r.ports.relayTo)) 1 }}
- {name: relay-{{ . }}, port: {{ . }}, targetPort: {{ . }}, protocol: UDP}
{{- end }}
{{- end }}
{{- end }}
{{- if has "TCP" (index . 1) }}
- {name: turn-tcp, port: {{ int (default $r.ports.tcp $r.service.ports.tcp) }}, targetPort: turn-tcp, protocol: TCP}
{{- if $r.tls.existingSecret }}
- {name: turn-tls, port: {{ int (default $r.ports.tls $r.service.ports.tls) }}, targetPort: turn-tls, protocol: TCP}
{{- end }}
{{- end }}
{{- end -}}
