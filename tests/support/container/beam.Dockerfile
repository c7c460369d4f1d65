# Stands in for apache/beam_python3.11_sdk: made as Beam makes it (sdks/python/container/Dockerfile of that version), from
# Debian's Python instead of Docker's python:3.11-bookworm, and without Cloud SDK, ccache, NLTK's stop words and licences.
ARG DEBIAN
FROM ${DEBIAN}
ARG BEAM_VERSION
ENV LANG=C.UTF-8
COPY base_image_requirements.txt /tmp/
# Docker's image has the one Python, named python, which pip installs into.
RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED && ln -s /usr/bin/python3 /usr/local/bin/python && \
    pip install --prefer-binary --no-deps --root-user-action=ignore --requirement /tmp/base_image_requirements.txt && \
    pip install --no-deps --root-user-action=ignore apache-beam==${BEAM_VERSION} && \
    rm /tmp/base_image_requirements.txt && \
    pip check
COPY boot /opt/apache/beam/boot
ENTRYPOINT ["/opt/apache/beam/boot"]
