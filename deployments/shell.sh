# What every shell of an operator is told, in bash:   . /opt/signetflow/deployments/shell.sh
# No secret is in it: those are for the servers alone. What is set before stays as it is.
_signetflow=$(cd "$(dirname "${BASH_SOURCE:-$0}")/.." && pwd)
case ":$PATH:" in
    *":$_signetflow/.venv/bin:"*) ;;
    *) PATH=$_signetflow/.venv/bin:$PATH ;;
esac
export PATH DO_NOT_TRACK=1
export SIGNETFLOW_WORKSPACE="${SIGNETFLOW_WORKSPACE:-/srv/signetflow}"
export PREFECT_API_URL="${PREFECT_API_URL:-http://127.0.0.1:4200/api}"
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-http://127.0.0.1:5000}"
unset _signetflow
