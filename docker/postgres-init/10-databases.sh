#!/bin/sh
# Two databases, each with a role of its own that owns nothing else. Run by PostgreSQL's image on an
# empty volume, or by hand: see deployments/signetflow.env.example. Running it again sets the
# passwords and changes nothing else.
set -eu
: "${PREFECT_DB_PASSWORD:?is not set}" "${MLFLOW_DB_PASSWORD:?is not set}"
export PREFECT_DB_PASSWORD MLFLOW_DB_PASSWORD

# Passwords are read from the environment: on a command line every process of the host could see them.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv prefect_password PREFECT_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
select format('create role %I login', name) from (values ('prefect'), ('mlflow')) wanted(name)
where not exists (select from pg_roles where rolname = name) \gexec
set log_statement = 'none';
set log_min_error_statement = 'panic';
alter role prefect password :'prefect_password';
alter role mlflow password :'mlflow_password';
select format('create database %I owner %I', name, name) from (values ('prefect'), ('mlflow')) wanted(name)
where not exists (select from pg_database where datname = name) \gexec
revoke connect on database prefect from public;
revoke connect on database mlflow from public;
\connect prefect
create extension if not exists pg_trgm;
SQL
