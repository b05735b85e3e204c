# Pin both to a digest where images must be repeatable to the byte.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY crmsync crmsync
COPY config config
RUN python -m venv /opt/crmsync \
 && /opt/crmsync/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[postgres]"

FROM python:3.13-slim
RUN useradd --uid 10001 --home-dir /state --shell /usr/sbin/nologin crmsync \
 && install --directory --owner crmsync --group crmsync --mode 0700 /state
COPY --from=build /opt/crmsync /opt/crmsync
# The only writable places are /state, a volume, and /tmp: run with `--read-only --tmpfs /tmp --cap-drop ALL`. crmsync is
# the first process of its container and takes SIGTERM itself: the present call ends and is committed, within 25 s.
ENV PATH=/opt/crmsync/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CRMSYNC_STATE_DIR=/state
USER 10001:10001
WORKDIR /state
VOLUME /state
STOPSIGNAL SIGTERM
EXPOSE 9464
HEALTHCHECK --interval=2m --timeout=30s --start-period=2m --retries=3 CMD ["crmsync", "health"]
ENTRYPOINT ["crmsync"]
CMD ["worker"]
