# packages.sh - the Debian packages that Gleaner needs, once for all scripts; sourced, not run.

# To build and run.
GLEANER_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libzmq3-dev libczmq-dev libmicrohttpd-dev libgnutls28-dev libmsgpack-dev \
libarchive-dev libsqlite3-dev libjansson-dev libcurl4-openssl-dev libsodium-dev nettle-dev libsystemd-dev libseccomp-dev libutf8proc-dev \
libjwt-dev libcmocka-dev bubblewrap curl zip python3"
# To build the page: Debian's node and npm, but not over others that will do.
has_node () {
    local version
    version=$(node --version 2>/dev/null) && command -v npm >/dev/null || return 1
    version=${version#v}
    [ "${version%%.*}" -ge 18 ]
}
has_node || GLEANER_PACKAGES="$GLEANER_PACKAGES nodejs npm"
# To make Debian packages.
GLEANER_PACKAGING_PACKAGES="dpkg-dev file"
# To test.
GLEANER_TEST_PACKAGES="python3-pytest python3-pytest-xdist python3-jsonschema python3-zmq python3-msgpack python3-cryptography python3-jwt python3-prometheus-client dbus-daemon systemd python3-dbus python3-gi clang libclang-rt-dev clang-format clang-tidy cppcheck strace valgrind binutils iproute2 man-db mandoc zsh fish"
# What the documents tell people to type; jobs that build something.
GLEANER_TEST_PACKAGES="$GLEANER_TEST_PACKAGES jq unzip openssl make"
# To test what is deployed: packages, a clean Debian to install them in, images, manifests.
GLEANER_TEST_PACKAGES="$GLEANER_TEST_PACKAGES $GLEANER_PACKAGING_PACKAGES lintian mmdebstrap python3-yaml python3-kubernetes buildah podman runc"
[ -x /usr/bin/chromium ] || GLEANER_TEST_PACKAGES="$GLEANER_TEST_PACKAGES chromium fonts-liberation"

# need_packages NAME ...: installs those that are missing, as root or through sudo; says what to do otherwise.
need_packages () {
    local missing=""
    local name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $name"
    done
    [ -n "$missing" ] || return 0
    echo "Installing:$missing"
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root="sudo"
        elif command -v sudo >/dev/null && [ -t 0 ]; then
            as_root="sudo"
        else
            echo "Run this as root first: apt-get install$missing" >&2
            return 1
        fi
    fi
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null || {
        echo "The packages could not be installed:$missing" >&2
        return 1
    }
}
