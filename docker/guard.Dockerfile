# The guard's image: the program on each node of a QA cluster. Standard library only, so nothing
# is installed with pip; `openssl` makes the node's key at install, `nft` drops packets.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nftables openssl \
       python3-minimal libpython3-stdlib \
    && rm -rf /var/lib/apt/lists/*
COPY guard /opt/belay/guard
ENV PYTHONPATH=/opt/belay PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/belay
# It runs as root with a short list of capabilities; SECURITY.md names each one and why.
ENTRYPOINT ["python3", "-m", "guard"]
CMD ["run"]
