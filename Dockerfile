# The adapter in a container: everything is installed in the first stage, and only the result is in the second.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
RUN python3 -m venv /opt/drip-order-adapter
COPY requirements.txt ./
RUN /opt/drip-order-adapter/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.txt
COPY LICENSE pyproject.toml ./
COPY adapter adapter
COPY mappings mappings
RUN /opt/drip-order-adapter/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:${PYTHON}-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin drip \
    && install --directory --owner drip --group drip --mode 750 /data
COPY --from=build /opt/drip-order-adapter /opt/drip-order-adapter
ENV PATH=/opt/drip-order-adapter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PORT=8000
USER 10001:10001
# Here is adapter.db, unless DATABASE_URL is set.
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=8)"]
CMD ["drip-adapter", "serve"]
