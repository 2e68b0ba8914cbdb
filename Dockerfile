# `./dev image` builds this, runs it and checks it: docs/container.md.
ARG BASE=docker.io/library/debian:trixie-slim

# The sources and all they need to be built. `./dev test` runs here too, and installs what it needs besides.
FROM ${BASE} AS build
WORKDIR /larder
# Before the sources, so that changing those does not install everything anew.
COPY dev ./
RUN ./dev deps run
COPY . ./
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release --log-level=WARNING -DLARDER_BUILD_TESTS=OFF \
 && cmake --build --preset release --target larderd larder_cli \
 && install -D --strip --target-directory=/out/usr/bin \
      build/release/server/larderd build/release/client/cli/larder \
 && install -D --mode=644 LICENSE /out/usr/share/doc/larder/copyright
# The packages whose libraries the two programs load.
RUN ldd /out/usr/bin/* | awk '$2 == "=>" { print $3 }' | sort -u | xargs realpath | xargs dpkg-query --search \
      | cut --delimiter=: --fields=1 | sort -u >/runtime-packages \
 && grep --quiet libgrpc /runtime-packages

FROM ${BASE}
RUN --mount=type=bind,from=build,source=/runtime-packages,target=/run/runtime-packages \
    apt-get update --quiet \
 && xargs --arg-file=/run/runtime-packages \
      env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=build /out /

# Inside a container, loopback would be reached by nobody.
ENV LARDER_LISTEN=0.0.0.0:50051 \
    LARDER_OPERATIONS_LISTEN=0.0.0.0:9090
EXPOSE 50051 9090
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["/usr/bin/larder", "--timeout", "2s", "ping"]
ENTRYPOINT ["/usr/bin/larderd"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Larder" \
      org.opencontainers.image.description="A cache that services call over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
