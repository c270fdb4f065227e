# The server alone, for Cloud Run and its like: the database is elsewhere, so no mongod is in here.
FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN python -m venv /app
COPY requirements-production.lock ./
RUN /app/bin/pip install --require-hashes --only-binary :all: --requirement requirements-production.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY documents documents
COPY resolvers resolvers
COPY graph graph
RUN /app/bin/pip install --no-deps . \
    && (cd / && /app/bin/python -c "from documents.mongo.raw import COMPILED; assert COMPILED") \
    && /app/bin/pip uninstall --yes pip


FROM python:3.13-slim

RUN useradd --system --no-create-home --home-dir /nonexistent --uid 10001 provenance
COPY --from=build /app /app
ARG COMMIT=""
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PROVENANCE_ENV=production \
    PROVENANCE_COMMIT=$COMMIT \
    HOST=0.0.0.0 \
    PORT=8080
USER 10001
WORKDIR /app
EXPOSE 8080
STOPSIGNAL SIGTERM
# The command itself is process 1, so that it receives the signal and drains.
ENTRYPOINT ["provenance-graph"]
CMD ["serve"]
