#!/bin/sh
# Makes the bus's users in RabbitMQ through its management API, each with what it needs and no more.
# It may run again at any time; a changed password takes effect then.
#
#   worker   serves queues: declares, publishes and consumes all that belongs to the bus
#   door     Flower, the HTTP API, the command line on a host without a worker: submits, watches,
#            deals with dead letters
#   caller   n8n's RabbitMQ node and other publishers: may publish to a queue by name, nothing else
set -eu
: "${RABBITMQ_API:=http://rabbitmq:15672/api}" "${PLUGINS:=youtube content search}"
: "${ADMIN_PASSWORD:?}" "${WORKER_PASSWORD:?}" "${DOOR_PASSWORD:?}" "${CALLER_PASSWORD:?}"

# They stand in URLs and in JSON.
case "$ADMIN_PASSWORD$WORKER_PASSWORD$DOOR_PASSWORD$CALLER_PASSWORD" in
  *[!A-Za-z0-9_-]*)
    echo "a password has other signs than A-Z a-z 0-9 _ -: make one with openssl rand -hex 24" >&2
    exit 2 ;;
esac

plugins="($(echo $PLUGINS | tr ' ' '|')|callbacks|celery)"
work="$plugins(\\\\.priority)?"
dead="$plugins\\\\.dead"
delayed="celery_delayed_.*"
# How Flower and workers talk: events, commands and their answers.
control="celeryev(\\\\..*)?|(.*\\\\.)?celery\\\\.pidbox"
bus="menos|$work|$dead|menos\\\\.dead|menos\\\\.dead-lettered|$delayed|$control"
door="menos|$work|$delayed|$control"

put() {
  curl --fail --silent --show-error --retry 10 --retry-delay 2 --retry-connrefused \
    --user "admin:$ADMIN_PASSWORD" --request PUT \
    --header 'content-type: application/json' --data "$2" "$RABBITMQ_API/$1"
}
user() { # name, password, configure, write, read, tags
  put "users/$1" "{\"password\": \"$2\", \"tags\": \"$6\"}"
  put "permissions/%2F/$1" "{\"configure\": \"^($3)\$\", \"write\": \"^($4)\$\", \"read\": \"^($5)\$\"}"
  echo "$1"
}

user worker "$WORKER_PASSWORD" "$bus" "$bus|amq\\\\.default" "$bus" ""
# Whoever makes a queue first must be able to read it and to write to its dead-letter exchange; so
# a call can wait for a plugin that no worker has served yet. The tag is for Flower's broker page.
user door "$DOOR_PASSWORD" "$door" "$door|menos\\\\.dead|amq\\\\.default" "$door|$dead" "management"
user caller "$CALLER_PASSWORD" "" "amq\\\\.default" "" ""
