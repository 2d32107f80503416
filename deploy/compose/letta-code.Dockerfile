# Letta Code's App Server, for letta-code.yml. Its tools run in this container, with what is installed here.
FROM python:3.14-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10002 --create-home --home-dir /home/letta letta \
    && pip install --no-cache-dir letta==0.34.12
USER 10002:10002
WORKDIR /home/letta
VOLUME ["/home/letta"]
ENV LETTA_LOCAL_BACKEND_EXPERIMENTAL=1 \
    LETTA_TELEMETRY_DISABLED=1 \
    DO_NOT_TRACK=1
EXPOSE 4500
# The token is never seen in the list of processes: only its digest is.
CMD ["sh", "-c", "exec letta --backend local server --listen ws://0.0.0.0:4500 --ws-auth capability-token --ws-token-sha256 \"$(printf %s \"$LETTA_CODE_TOKEN\" | sha256sum | cut -d' ' -f1)\""]
