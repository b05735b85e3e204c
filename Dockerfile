FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY crmsync crmsync
COPY config config
RUN python -m venv /opt/crmsync \
 && /opt/crmsync/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt .

FROM python:3.13-slim
RUN useradd --uid 10001 --home-dir /state --shell /usr/sbin/nologin crmsync \
 && install --directory --owner crmsync --group crmsync --mode 0700 /state
COPY --from=build /opt/crmsync /opt/crmsync
# The only writable place is /state: run with `--read-only --tmpfs /tmp` and a volume on /state.
ENV PATH=/opt/crmsync/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CRMSYNC_STATE_DIR=/state
USER 10001:10001
WORKDIR /state
VOLUME /state
HEALTHCHECK --interval=5m --timeout=20s CMD ["crmsync", "status"]
ENTRYPOINT ["crmsync"]
CMD ["run"]
