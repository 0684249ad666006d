# The image of housing: one static program, on a base that has certificates,
# time zones and the user nonroot, and nothing else: no shell, no packages.
#
#   make images                          housing-api:VERSION for this machine
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg COMMIT=$(git rev-parse HEAD) .
#
# The program is cross-compiled: the build stage runs on the machine's own
# processor whatever the image is for. BuildKit sets BUILDPLATFORM and
# TARGETARCH; the classic builder takes them as --build-arg, else both are of
# the machine.
ARG BUILDPLATFORM=${BUILDPLATFORM:-linux}
ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY Makefile ./
COPY cmd cmd
COPY internal internal
ARG TARGETARCH
ARG COMMIT=unknown
# As a release is built: the same bytes, wherever it is built. The time of all
# files is the epoch, so that the layer is the same bytes, too.
RUN arch=${TARGETARCH:-$(go env GOARCH)} \
 && make program ARCH=$arch COMMIT=$COMMIT \
 && mkdir -p /image/var/lib/housing/models /image/var/lib/housing/journal \
 && cp dist/housing-linux-$arch /image/housing \
 && find /image -exec touch -h -d @0 {} +

FROM $BASE
ARG VERSION=0.0.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="housing" \
      org.opencontainers.image.description="Values houses with a model trained on real sales: training, serving, rollout" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build --chown=65532:65532 /image/ /
USER 65532:65532
# Reachable from other machines, so that it asks for JWT_SECRET or JWT_JWKS_URL,
# or for ALLOW_ANONYMOUS=true, before it starts.
ENV LISTEN=:8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/housing", "healthcheck"]
ENTRYPOINT ["/housing"]
CMD ["serve"]
