#!/bin/sh
# Makes the bus's users in RabbitMQ through its management API, each with what it needs and no more.
# It may run again at any time; a changed password takes effect then.
#
#   worker   serves queues: declares, publishes and consumes all that belongs to the bus
#   door     Flower, the HTTP API, the command line on a host without a worker: submits and watches
#   caller   n8n's RabbitMQ node and other publishers: may publish to a queue by name, nothing else
set -eu
: "${RABBITMQ_API:=http://rabbitmq:15672/api}" "${PLUGINS:=youtube content search}"
: "${ADMIN_PASSWORD:?}" "${WORKER_PASSWORD:?}" "${DOOR_PASSWORD:?}" "${CALLER_PASSWORD:?}"

plugins=$(echo $PLUGINS | tr ' ' '|')
queues="($plugins|callbacks|celery)(\\\\.priority|\\\\.dead)?"
bus="menos|menos\\\\.dead|menos\\\\.dead-lettered|$queues|celery_delayed_.*"
# How Flower and workers talk: events, commands and their answers.
control="celeryev(\\\\..*)?|celery\\\\.pidbox|reply\\\\.celery\\\\.pidbox|.*\\\\.celery\\\\.pidbox|.*\\\\.reply\\\\.celery\\\\.pidbox"

put() {
  curl --fail --silent --show-error --user "admin:$ADMIN_PASSWORD" --request PUT \
    --header 'content-type: application/json' --data "$2" "$RABBITMQ_API/$1"
}
user() { # name, password, configure, write, read
  put "users/$1" "{\"password\": \"$2\", \"tags\": \"\"}"
  put "permissions/%2F/$1" "{\"configure\": \"^($3)\$\", \"write\": \"^($4)\$\", \"read\": \"^($5)\$\"}"
  echo "$1"
}

user worker "$WORKER_PASSWORD" "$bus|$control" "$bus|$control|amq\\\\.default" "$bus|$control"
user door "$DOOR_PASSWORD" "menos|$queues|celery_delayed_.*|$control" \
  "menos|$queues|celery_delayed_.*|$control|amq\\\\.default" "menos|($plugins|callbacks|celery)\\\\.dead|celery_delayed_.*|$control"
user caller "$CALLER_PASSWORD" "" "amq\\\\.default" ""
