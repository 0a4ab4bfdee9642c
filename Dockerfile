# One image with both programs and the embedding model. It runs as a user without rights, and needs to write nothing
# but its data folder, and that only with the embedded store or SQLite.

FROM rust:1.95-trixie AS model
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
COPY Makefile .
RUN make model MODEL_DIR=/model

FROM rust:1.95-trixie AS build
WORKDIR /lectern
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/lectern/target \
    cargo build --release --locked -p lectern-server -p lectern-ingest \
    && install --strip -D -t /built target/release/lectern target/release/lectern-ingest

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /var/lib/lectern
COPY --from=model /model /usr/share/lectern/all-MiniLM-L6-v2
COPY --from=build /built/ /usr/local/bin/
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/lectern/
ENV LECTERN_EMBEDDER__PATH=/usr/share/lectern/all-MiniLM-L6-v2 \
    LECTERN_HTTP__BIND=0.0.0.0:8080 \
    LECTERN_HTTP__ADMIN_BIND=0.0.0.0:9090
USER 65532:65532
WORKDIR /var/lib/lectern
EXPOSE 8080 9090
CMD ["lectern", "serve"]
