# CPU:  docker build -t svipctl:cpu .
# CUDA: docker build -t svipctl:cuda --build-arg TORCH=cu130 .
FROM python:3.12-slim

# torch's build, as in uv's --torch-backend: cpu (1 GB), or one with CUDA (6 GB), for instance cu130.
ARG TORCH=cpu
ARG EXTRAS=export,tensorboard

ENV PYTHONUNBUFFERED=1 HF_HOME=/cache/huggingface UV_NO_CACHE=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY svipctl svipctl
RUN pip install --no-cache-dir "uv>=0.8,<1" \
    && uv pip install --system --torch-backend "$TORCH" --constraint constraints.txt ".[$EXTRAS]"

# Data sets and runs are in the working folder, downloaded weights in /cache: mount both.
RUN useradd --create-home --uid 1000 user && mkdir -p /work /cache && chown user /work /cache
USER 1000
WORKDIR /work
ENTRYPOINT ["svipctl"]
CMD ["--help"]
