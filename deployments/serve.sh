#!/bin/bash
# Prefect and MLflow as the env file says, for a terminal:   bash deployments/serve.sh
# They alone are told the secrets, and of those only theirs. Words behind it go to `ops serve`.
set -eu
. "$(dirname "$0")/shell.sh"
set -a
. "${SIGNETFLOW_ENV:-/etc/signetflow/signetflow.env}"
set +a
unset POSTGRES_PASSWORD PREFECT_DB_PASSWORD MLFLOW_DB_PASSWORD SIGNETFLOW_PROXY_HASH
unset PREFECT_API_AUTH_STRING MLFLOW_TRACKING_PASSWORD SIGNETFLOW_WEBHOOK
exec signetflow ops serve "$@"
