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

# Once services run, the workspace is their user's, and what root made in it would shut them out: of
# root, the command is done as the workspace's owner. Copies are root's own, who reads all passwords
# and writes elsewhere. `command signetflow` is the plain one.
signetflow() {
    local owner home
    owner=$(stat -c %U "$SIGNETFLOW_WORKSPACE" 2>/dev/null) || owner=root
    case "$(id -un) $owner ${1-} ${2-}" in
        "root root "* | "root "*" ops backup" | "root "*" ops restore") command signetflow "$@" ;;
        "root "*)
            home=$(getent passwd "$owner" | cut -d: -f6)
            (
                runuser -u "$owner" -- test -r . || cd "$SIGNETFLOW_WORKSPACE"  # such as from /root
                exec runuser -u "$owner" -- env HOME="$home" signetflow "$@"
            )
            ;;
        *) command signetflow "$@" ;;
    esac
}
