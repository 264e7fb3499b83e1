#!/bin/sh
# Write an env file with passwords of its own:   sh deployments/new-env.sh /etc/signetflow/signetflow.env
# One that is there is left as it is. PGPORT: where PostgreSQL listens, if not at 5432.
set -eu
out=${1:?name the file to write}
install -d -m 0755 "$(dirname "$out")"

password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
prefect=$(password) mlflow=$(password)

umask 077
set -C  # the shell itself refuses to write over a file
sed -e "s|^POSTGRES_PASSWORD=\$|&$(password)|" \
    -e "s|^PREFECT_DB_PASSWORD=\$|&$prefect|" \
    -e "s|^MLFLOW_DB_PASSWORD=\$|&$mlflow|" \
    -e "s|^#\(PREFECT_SERVER_DATABASE_CONNECTION_URL=.*\):PASSWORD@127.0.0.1:5432|\1:$prefect@127.0.0.1:${PGPORT:-5432}|" \
    -e "s|^#\(MLFLOW_BACKEND_STORE_URI=.*\):PASSWORD@127.0.0.1:5432|\1:$mlflow@127.0.0.1:${PGPORT:-5432}|" \
    "$(dirname "$0")/signetflow.env.example" > "$out"
echo "$out: passwords are made and the databases named; look through what else is empty."
