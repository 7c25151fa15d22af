# The image of diagnosis-tool: `make image` builds it and tries it out; docs/deploy.md says how to run it.
# What it weighs and why: docs/results/image.md.

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim-bookworm AS build
# TORCH_INDEX: where torch and torchvision are fetched from; empty: from where pip's configuration says.
# TORCH_BUILD: cpu demands the CPU's build, any lets others pass.
ARG TORCH_INDEX=""
ARG TORCH_BUILD=cpu
# strip, of whatever version Debian has: it stays in this stage
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
# the environment has no pip of its own: nothing is installed into a finished image
RUN python -m venv --without-pip /app
ENV PATH=/app/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/app/bin/python
WORKDIR /src
COPY pyproject.toml constraints.txt deploy/image/torch_build.py deploy/image/slim.py ./
# One layer, so that what is taken away again is stored nowhere. torch first and by itself: a build for CUDA is noticed
# before the gigabytes come that it asks for.
RUN pip install --no-compile ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --no-deps -c constraints.txt torch torchvision && \
    python torch_build.py "$TORCH_BUILD" && \
    python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > requirements.txt && \
    pip install --no-compile -c constraints.txt -r requirements.txt && \
    python torch_build.py "$TORCH_BUILD" && \
    python slim.py
# our own files change most often, so they come last
COPY --from=wheel /wheel /wheel
COPY deploy/image/warm.py ./
ENV PYTHONPYCACHEPREFIX=/app/bytecode
RUN pip install --no-compile --no-deps --no-index /wheel/*.whl && python warm.py

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 app && \
    useradd --uid 10001 --gid app --no-log-init --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app && \
    install -d -o app -g app -m 0700 /data
COPY --from=build /app /app
# PYTHONPYCACHEPREFIX: what warm.py compiled is found there, and nothing is written.
# SETUP_LINK: nothing is served before the one-time link in the log was used
ENV PATH=/app/bin:$PATH PYTHONPYCACHEPREFIX=/app/bytecode PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    DATA_DIR=/data HOST=0.0.0.0 PORT=8000 SETUP_LINK=1
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["diagnosis-tool"]
CMD ["serve"]
