# One image for every role; PLUGINS chooses what this host serves.
FROM python:3.11-slim
ARG PLUGINS="youtube content search"
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 MENOS_HOME=/data/menos MENOS_VAULT_CACHE=/data/cache
WORKDIR /src
COPY core core
COPY vault vault
COPY plugins plugins
# A plugin that is not in this repository is installed by its distribution's name.
RUN pip install './core[flower,http]' './vault[s3]' \
      $(for plugin in $PLUGINS; do [ -d "plugins/$plugin" ] && echo "./plugins/$plugin" || echo "menos-$plugin"; done) \
 && useradd --create-home --uid 1000 menos \
 && mkdir -p /data && chown menos /data
USER menos
WORKDIR /data
VOLUME /data
ENTRYPOINT ["menos-bus"]
CMD ["worker"]
