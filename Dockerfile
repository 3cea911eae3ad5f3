# The gateway's image: one static binary and the certificates of the world's CAs, nothing else. There is no shell in it, and it
# does not run as root. docs/operations.md tells how to list what the binary is made of.
#
#   docker build -t gateway --build-arg VERSION=$(git describe --tags --always) .    from source
#   make build && docker build -t gateway --target prebuilt .                       from bin/gateway; make image-local

FROM golang:1.26-alpine AS build
RUN apk add --no-cache ca-certificates
WORKDIR /src
# In a layer of its own: modules change less often than code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS=linux
ARG TARGETARCH=amd64
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/signalbox-rtc/signalbox/pkg/telemetry.version=${VERSION}" \
    -o /out/ ./services/gateway ./services/relay

# The relay's image is a target of its own: docker build --target relay -t relay .
FROM scratch AS relay
LABEL org.opencontainers.image.title="Signalbox relay" \
      org.opencontainers.image.source="https://github.com/signalbox-rtc/signalbox" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
# TURN, and over TLS; metrics and probes. Peers come to the ports that docs/relay.md names: give it the host's network.
EXPOSE 3478/udp 3478/tcp 5349/tcp 9090/tcp
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/relay /relay
ENTRYPOINT ["/relay"]

FROM scratch AS base
LABEL org.opencontainers.image.title="Signalbox gateway" \
      org.opencontainers.image.source="https://github.com/signalbox-rtc/signalbox" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number: Kubernetes cannot tell whether a name is root's.
USER 65532:65532
# Clients, metrics and probes, other gateways.
EXPOSE 8080 9090 7946
ENTRYPOINT ["/gateway"]

# From binaries that are there already, for machines that have no image to build in: bin/ is filled by make image-local.
FROM base AS prebuilt
COPY bin/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY bin/gateway /gateway

FROM base AS source
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gateway /gateway
